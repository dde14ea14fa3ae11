"""Tracks beside a teacher's boxes: what counts as covered, and what as a change of person."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.recipes import evaluate_tracking
from sosie.types import Face, Pose


def face_at(x: float, y: float, size: float) -> Face:
    box = np.array([x - size / 2, y - size / 2, x + size / 2, y + size / 2], np.float32)
    nothing = np.zeros((478, 3), np.float32)
    return Face(box, nothing[:5, :2], nothing, Pose(0, 0, 0), 1.0)


def box_at(x: float, y: float, size: float) -> np.ndarray:
    return face_at(x, y, size).box


def test_overlap_of_boxes_with_known_areas() -> None:
    assert evaluate_tracking.overlap(box_at(50, 50, 20), box_at(50, 50, 20)) == pytest.approx(1)
    assert evaluate_tracking.overlap(box_at(50, 50, 20), box_at(60, 50, 20)) == pytest.approx(1 / 3)
    assert evaluate_tracking.overlap(box_at(50, 50, 20), box_at(90, 50, 20)) == 0


def test_runs_follow_two_faces_and_end_with_a_gap() -> None:
    runs: list[evaluate_tracking.TeacherRun] = []
    for index in range(12):
        boxes = [box_at(100 + 3 * index, 80, 40), box_at(400 - 3 * index, 80, 40)]
        if index == 5:
            boxes = boxes[:1]
        evaluate_tracking._extend(runs, index, np.array(boxes))
    lengths = sorted(len(run.boxes) for run in runs)
    assert lengths == [5, 6, 12]
    whole = max(runs, key=lambda run: len(run.boxes))
    assert [box[0] for box in whole.boxes.values()] == [80 + 3 * i for i in range(12)]


def test_a_run_is_covered_by_one_track_only() -> None:
    run = evaluate_tracking.TeacherRun({i: box_at(100, 80, 40) for i in range(10)})
    there = face_at(104, 78, 36)
    assert evaluate_tracking._covered(
        run, {3: dict.fromkeys(range(2, 10), there)}
    ) == pytest.approx(0.8)
    halves = {0: dict.fromkeys(range(5), there), 1: dict.fromkeys(range(5, 10), there)}
    assert evaluate_tracking._covered(run, halves) == pytest.approx(0.5)
    assert evaluate_tracking._covered(run, {0: {i: face_at(160, 80, 40) for i in range(10)}}) == 0
    assert evaluate_tracking._covered(run, {0: {i: face_at(100, 80, 10) for i in range(10)}}) == 0
    assert evaluate_tracking._covered(run, {}) == 0


def test_a_face_that_the_frame_cuts_off_is_measured_by_what_is_seen() -> None:
    """The teacher's box ends near the frame's edge, a mesh goes on beyond it."""
    pixels = np.zeros((200, 300, 3), np.uint8)
    seen = np.array([-6, 60, 42, 160], np.float32)
    face = face_at(-8, 110, 100)
    run = evaluate_tracking.TeacherRun({0: seen})
    assert evaluate_tracking._covered(run, {0: {0: evaluate_tracking.shown(face, pixels)}}) == 1
    assert evaluate_tracking.shown(face, pixels).box.tolist() == [0, 60, 42, 160]
    assert (
        evaluate_tracking._covered(
            run, {0: {0: evaluate_tracking.shown(face_at(60, 110, 100), pixels)}}
        )
        == 0
    )
    inside = face_at(150, 90, 80)
    assert np.array_equal(evaluate_tracking.shown(inside, pixels).box, inside.box)


class _ByBrightness:
    """Stands for an identity network: dark pictures are one person, light ones another."""

    def __init__(self) -> None:
        self.inputs = {"x": (None, 3, 112, 112)}

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        light = inputs["x"].mean((1, 2, 3)) > 128
        return {"y": np.stack([light, ~light], 1).astype(np.float32)}


@pytest.mark.parametrize(
    ("values", "changes"),
    [
        ([40] * 30, False),
        ([40] * 15 + [200] * 15, True),
        ([200] * 3 + [40] * 27, True),
        ([9], False),
    ],
)
def test_a_track_that_changes_person(values: list[int], changes: bool) -> None:
    sights = [np.full((3, 112, 112), value, np.float32) for value in values]
    assert evaluate_tracking._changes_person(sights, _ByBrightness()) is changes  # type: ignore[arg-type]
