"""Frames of a film that stand for source photos."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from sosie.errors import NoFaceError
from sosie.swapping import source_film
from sosie.swapping.source_film import MOST_VIEWS, views_of

NOBODY = np.zeros(512, np.float32)


class Told:
    """An analyzer that finds in a frame what its number says."""

    def __init__(self, faces, identities):
        self._faces, self._identities = faces, identities

    def analyze(self, pixels, **_):
        face = self._faces[int(pixels[0, 0, 0])]
        return [] if face is None else [face]

    def identify(self, pixels, face):
        return self._identities[int(pixels[0, 0, 0])]


@pytest.fixture
def film(monkeypatch):
    def make(count):
        def frame(number):
            pixels = np.full((8, 8, 3), number, np.uint8)
            return SimpleNamespace(time_s=number / 10, to_rgb=lambda: pixels)

        class Film:
            info = SimpleNamespace(frame_count=count)

            def __enter__(self):
                return self

            def __exit__(self, *_):
                return None

            def frames(self):
                return map(frame, range(count))

        monkeypatch.setattr(source_film, "open_target", lambda _: Film())

    return make


def test_frames_in_poses_that_differ_are_taken_of_one_person(film, model_face):
    film(20)
    me, other = np.eye(512, dtype=np.float32)[:2]
    yaws = [20, 1, 2, 21, -12] * 4
    faces = [model_face(yaw) for yaw in yaws]
    faces[7] = None
    identities = [me] * 20
    # Somebody else in a pose of their own.
    faces[11], identities[11] = model_face(55), other
    taken = views_of("me.mp4", Told(faces, identities))
    assert [name for name, _, _ in taken] == [
        "me.mp4 at 0.10 s", "me.mp4 at 0.40 s", "me.mp4 at 0.00 s",
    ]  # fmt: skip
    assert [face.pose.yaw for _, _, face in taken] == pytest.approx([1, -12, 20], abs=2)


def test_no_more_are_taken_than_are_of_use(film, model_face):
    film(100)
    faces = [model_face(yaw, pitch) for yaw in range(-40, 40, 8) for pitch in range(-40, 40, 8)]
    me = np.eye(512, dtype=np.float32)[0]
    assert len(views_of("me.mp4", Told(faces, [me] * 100))) == MOST_VIEWS


def test_a_film_without_a_face_says_so(film):
    film(3)
    with pytest.raises(NoFaceError, match=r"me\.mp4: no face was found"):
        views_of("me.mp4", Told([None] * 3, [NOBODY] * 3))
