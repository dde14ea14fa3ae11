"""Frames of a video that stand for source photos."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from sosie.errors import NoFaceError
from sosie.swapping import source_video
from sosie.swapping.source_video import MOST_VIEWS, views_of

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
def video(monkeypatch):
    def make(count):
        def frame(number):
            pixels = np.full((256, 256, 3), number, np.uint8)
            return SimpleNamespace(time_s=number / 10, to_rgb=lambda: pixels)

        class Video:
            expected_frames = count

            def __enter__(self):
                return self

            def __exit__(self, *_):
                return None

            def frames(self):
                return map(frame, range(count))

        monkeypatch.setattr(source_video, "open_target", lambda _: Video())

    return make


def test_frames_in_poses_that_differ_are_taken_of_one_person(video, model_face):
    video(20)
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


def test_no_more_are_taken_than_are_of_use(video, model_face):
    video(100)
    faces = [model_face(yaw, pitch) for yaw in range(-40, 40, 8) for pitch in range(-40, 40, 8)]
    me = np.eye(512, dtype=np.float32)[0]
    assert len(views_of("me.mp4", Told(faces, [me] * 100))) == MOST_VIEWS


def test_a_video_without_a_face_says_so(video):
    video(3)
    with pytest.raises(NoFaceError, match=r"me\.mp4: no face was found"):
        views_of("me.mp4", Told([None] * 3, [NOBODY] * 3))
