"""Which of two faces that overlap is in front: told by what each was alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from sosie import records
from sosie.analysis.selection import Claim
from sosie.analysis.tracking.tracks import TrackedFace
from sosie.geometry.morphable_model import silhouette
from sosie.swapping.crossing import Crossings, hidden_behind
from sosie.swapping.frame import FrameSwapper
from sosie.timing import Stopwatch
from sosie.types import Face, Patch

WIDTH, HEIGHT = 400, 240
COLORS = ((200, 150, 130), (120, 80, 60))


@pytest.fixture
def people(model_face: Callable[..., Face]) -> Callable[[float], list[Face]]:
    """Two faces, of which the first comes from the left and the second from the right."""

    def make(step: float) -> list[Face]:
        return [
            model_face(unit_px=36, center=(80 + 240 * step, 120)),
            model_face(unit_px=40, center=(320 - 240 * step, 118)),
        ]

    return make


def drawn(faces: Sequence[Face], front: int, seed: int, top: int = 255) -> np.ndarray:
    """Each face in its color, with noise; the one in front is drawn last."""
    noise = np.random.default_rng(seed).normal(0, 12, (HEIGHT, WIDTH, 3))
    frame = np.full((HEIGHT, WIDTH, 3), 90.0)
    for k in (1 - front, front):
        frame[silhouette(faces[k].landmarks, WIDTH, HEIGHT) > 0] = COLORS[k]
    whole = np.clip(frame + noise, 0, 255) / 255 * top
    return np.rint(whole).astype(np.uint8 if top == 255 else np.uint16)


def tracked(faces: Sequence[Face], bridged: bool = False, scene: int = 0) -> list[TrackedFace]:
    return [TrackedFace(k, scene, f, bridged, 1.0, 1.0, bridged) for k, f in enumerate(faces)]


@pytest.mark.parametrize("front", [0, 1])
@pytest.mark.parametrize("top", [255, 65535])
def test_the_one_in_front_is_told_while_both_overlap(
    people: Callable[[float], list[Face]], front: int, top: int
) -> None:
    """Also where both are out of the tracker's sight, as they are while they cross."""
    crossings = Crossings()
    told = []
    for step in np.linspace(0, 1, 41):
        faces = people(step)
        near = abs(step - 0.5) < 0.22
        now = tracked(faces, bridged=near)
        crossings.see(drawn(faces, front, int(step * 100), top), now)
        answers = [crossings.is_in_front(now[k], now[1 - k]) for k in (front, 1 - front)]
        assert answers in ([None, None], [True, False]), step
        told.append(answers[0])
    overlap = np.array([o is not None for o in told])
    assert overlap[15:26].all()
    assert not overlap[:8].any()
    assert not overlap[-8:].any()


def test_nothing_is_told_of_faces_that_were_never_alone(
    people: Callable[[float], list[Face]],
) -> None:
    crossings = Crossings()
    faces = tracked(people(0.5))
    for seed in range(5):
        crossings.see(drawn(people(0.5), 0, seed), faces)
    assert crossings.is_in_front(*faces) is None


def test_another_shot_begins_anew(people: Callable[[float], list[Face]]) -> None:
    crossings = Crossings()
    crossings.see(drawn(people(0), 0, 0), tracked(people(0)))
    for scene, known in ((0, True), (1, None)):
        faces = tracked(people(0.4), scene=scene)
        crossings.see(drawn(people(0.4), 0, 1), faces)
        assert crossings.is_in_front(*faces) is known


def test_a_resumed_video_goes_on_with_what_was_known(
    people: Callable[[float], list[Face]],
) -> None:
    ran, resumed = Crossings(), Crossings()
    steps = np.linspace(0, 1, 31)
    for step in steps[:14]:
        ran.see(drawn(people(step), 1, 3), tracked(people(step)))
    resumed.restore(records.unpack(records.pack(ran.state())))
    for step in steps[14:]:
        faces = tracked(people(step))
        for one in (ran, resumed):
            one.see(drawn(people(step), 1, 4), faces)
        assert records.pack(ran.state()) == records.pack(resumed.state())
        assert ran.is_in_front(*faces) == resumed.is_in_front(*faces)


class Recorder:
    """In place of the engine: notes whom it is asked to swap, and changes nothing."""

    processing = SimpleNamespace(acts_on_frames=False)

    def __init__(self) -> None:
        self.swapped: list[float] = []

    def swap_face(self, pixels: np.ndarray, face: Face, *_: object) -> Patch:
        self.swapped.append(face.size_px)
        return Patch(0, 0, pixels[:1, :1], np.zeros((1, 1), bool))


@pytest.mark.parametrize(("bridged", "count"), [(False, 2), (True, 1)])
def test_a_face_that_is_seen_is_not_taken_for_hidden_on_a_guess(
    model_face: Callable[..., Face], bridged: bool, count: int
) -> None:
    """The larger one is guessed to be in front. It may be a poster."""
    large, small = (model_face(unit_px=px, center=(200, 120)) for px in (60, 20))
    faces = [
        TrackedFace(0, 0, large, False, 2.0, 2.0),
        TrackedFace(1, 0, small, bridged, 1.0, 1.0),
    ]
    engine = Recorder()
    claims = [Claim(face, 0, None) for face in faces]
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    done = FrameSwapper(cast(Any, engine)).swap(frame, claims, faces, Stopwatch())
    assert engine.swapped == [large.size_px, small.size_px][:count]
    assert len(done.faces) == count


def test_a_face_is_hidden_where_eyes_nose_and_mouth_are(
    model_face: Callable[..., Face],
) -> None:
    face = model_face(unit_px=40, center=(200, 120))
    front = [model_face(unit_px=36, center=(200 + x, 120)) for x in (0, 45, 200)]
    assert [hidden_behind(face, [other]) for other in front] == [True, False, False]
    # Two that each hide a half hide all.
    halves = [model_face(unit_px=36, center=(200 + x, 120)) for x in (-40, 40)]
    assert hidden_behind(face, halves)
    assert not hidden_behind(face, [])
