"""What the detector takes for faces and YuNet does not: which places become lessons, and how."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.analysis.detector import Detected
from sosie.errors import InputError
from sosie.geometry.head_pose import Region
from sosie.recipes.detector.pictures import HardNegatives, Labels, PictureSet, find_hard_negatives

SIDE = 320
FACE = (40.0, 40.0, 120.0, 150.0)
UPRIGHT = np.array([(-0.18, -0.19), (0.18, -0.19), (0, 0.03), (-0.16, 0.21), (0.16, 0.21)])


def picture_set(count: int, validation: list[bool]) -> PictureSet:
    """Pictures of one gray each, 10 times their row, every one with a face at FACE."""
    size = SIDE * SIDE * 3
    grays = np.repeat(np.arange(count, dtype=np.uint8) * 10, size)
    labels = Labels(
        np.array([FACE] * count, np.float32),
        np.zeros((count, 5, 2), np.float32),
        np.zeros(count, bool),
    )
    return PictureSet(
        grays,
        np.array([(size * row, SIDE, SIDE) for row in range(count)], np.int64),
        np.array(validation),
        np.zeros(count, bool),
        np.arange(count + 1),
        labels,
    )


def seen(x: float, y: float, size: float, score: float) -> Detected:
    box = np.array([x - size / 2, y - size / 2, x + size / 2, y + size / 2], np.float32)
    return Detected(box, (UPRIGHT * size + (x, y)).astype(np.float32), score)


class Planted:
    """A detector that says the same of every picture, and remembers what it was shown."""

    def __init__(self, *answers: Detected) -> None:
        self.answers, self.shown = answers, []

    def detect(self, frame: np.ndarray, min_score: float) -> list[Detected]:
        self.shown.append(int(frame[0, 0, 0]))
        return [one for one in self.answers if one.score >= min_score]


def test_places_apart_from_faces_are_kept_and_faces_are_not():
    detector = Planted(
        seen(250, 250, 60, 0.5),
        seen(80, 95, 90, 0.6),  # the face
        seen(140, 150, 70, 0.5),  # overlaps it
        seen(250, 60, 60, 0.95),  # so sure that the teacher may have missed a face
        seen(60, 260, 12, 0.5),  # too small to be read
        seen(150, 290, 50, 0.1),  # the run time would not look
    )
    found = find_hard_negatives(detector, picture_set(1, [False]))
    assert found["rows"].tolist() == [0]
    (x, y, size_px, roll_deg) = found["regions"][0]
    assert (x, y) == pytest.approx((250, 250), abs=6)
    assert 40 < size_px < 70
    assert roll_deg == pytest.approx(0, abs=2)


def test_validation_people_are_left_alone():
    detector = Planted(seen(250, 250, 60, 0.5))
    found = find_hard_negatives(detector, picture_set(3, [False, True, False]))
    assert found["rows"].tolist() == [0, 2]
    assert set(detector.shown) == {0, 20}


def test_without_a_mistake_there_is_nothing_to_learn_from():
    with pytest.raises(InputError, match="errs in none"):
        find_hard_negatives(Planted(), picture_set(1, [False]))


def test_a_place_comes_with_its_picture():
    regions = np.array([(250, 240, 60, 15), (100, 260, 40, -5)], np.float32)
    places = HardNegatives(picture_set(2, [False, False]), np.array([1, 0]), regions)
    pixels, region = places.place(0)
    assert (pixels == 10).all()
    assert pixels.shape == (SIDE, SIDE, 3)
    assert region == Region(250, 240, 60, 15)
    assert len(places) == 2
