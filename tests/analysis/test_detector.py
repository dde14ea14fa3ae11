"""From the detector's cells to faces of a frame, and what the shipped network sees."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sosie.analysis.detector import (
    CHANNELS,
    MIN_SCORE,
    OUTPUTS,
    STRIDES,
    Detector,
    overlaps,
)
from sosie.errors import InputError
from sosie.models.cards import read_embedded
from sosie.models.session import create_session

FIVE = np.array([(-8, -6), (8, -6), (0, 2), (-6, 9), (6, 9)], np.float32)


class Planted:
    """A session whose cells say what was planted: (frame, stride, row, column, score, box, points),
    with boxes and points in pixels of the input."""

    def __init__(self, *plants):
        self.inputs = {"pixels": (None, None, None, 3)}
        self.outputs = dict.fromkeys(OUTPUTS, (None, None, None, CHANNELS))
        self.plants = plants
        self.shown = []

    def run(self, inputs):
        pixels = inputs["pixels"]
        self.shown.append(pixels)
        count, height, width = pixels.shape[:3]
        answers = {}
        for stride, name in zip(STRIDES, OUTPUTS, strict=True):
            grid = np.zeros((count, -(-height // stride), -(-width // stride), CHANNELS), "f4")
            grid[..., 0] = -9
            for frame, own, row, column, score, box, points in self.plants:
                if own == stride:
                    grid[frame, row, column] = cell(stride, row, column, score, box, points)
            answers[name] = grid
        return answers


def cell(stride, row, column, score, box, points):
    """What a cell must say for a box and points, written down from the meaning of the channels."""
    middle = np.array([column, row]) * stride + (stride - 1) / 2
    box = np.array(box, np.float64)
    center, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    offset, logs = (center - middle) / stride, np.log(size / (4 * stride))
    fives = (points - middle) / (2 * stride)
    return np.concatenate([[np.log(score / (1 - score))], offset, logs, fives.ravel()])


def plant(frame=0, stride=8, row=5, column=7, score=0.9, box=(40, 30, 72, 70)):
    middle = np.array([box[0] + box[2], box[1] + box[3]]) / 2
    return frame, stride, row, column, score, box, middle + FIVE


FRAME = np.zeros((96, 160, 3), np.uint8)


def test_a_cell_becomes_a_face_of_the_frame():
    (found,) = Detector(Planted(plant())).detect(FRAME)
    assert np.allclose(found.box, (40, 30, 72, 70), atol=1e-3)
    assert np.allclose(found.points5, np.add(FIVE, (56, 50)), atol=1e-3)
    assert found.score == pytest.approx(0.9)
    assert found.box.dtype == found.points5.dtype == np.float32


@pytest.mark.parametrize("stride", STRIDES)
def test_every_grid_measures_in_its_own_cells(stride):
    (found,) = Detector(Planted(plant(stride=stride, row=0, column=1))).detect(FRAME)
    assert np.allclose(found.box, (40, 30, 72, 70), atol=1e-3)


def test_a_large_frame_is_shrunk_and_its_faces_are_not():
    session = Planted(plant())
    frame = np.zeros((192, 320, 3), np.uint8)
    (found,) = Detector(session, longer_px=160).detect(frame)
    assert session.shown[0].shape == (1, 96, 160, 3)
    # Twice as large about the corner of the picture, which is half a pixel before the first center.
    assert np.allclose(found.box, (80.5, 60.5, 144.5, 140.5), atol=1e-3)
    assert np.allclose(found.points5, np.add(FIVE, (56, 50)) * 2 + 0.5, atol=1e-3)


def test_a_small_frame_is_shown_as_it_is():
    session = Planted()
    frame = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    assert Detector(session).detect(frame) == []
    assert np.array_equal(session.shown[0][0], frame)


def test_answers_that_overlap_are_one_face():
    near, far = (
        plant(row=6, score=0.7, box=(42, 32, 74, 72)),
        plant(column=15, box=(110, 30, 140, 66)),
    )
    first, second = Detector(Planted(near, far, plant(score=0.8))).detect(FRAME)
    assert (first.score, second.score) == pytest.approx((0.9, 0.8))
    assert np.allclose(first.box, (110, 30, 140, 66), atol=1e-3)
    # Two that all but coincide are averaged by their scores.
    assert np.allclose(second.box, np.array((40, 30, 72, 70)) + 2 * 0.7 / 1.5, atol=1e-3)


def test_an_answer_that_overlaps_little_enough_is_another_face():
    found = Detector(Planted(plant(), plant(row=6, score=0.8, box=(60, 30, 92, 70)))).detect(FRAME)
    assert [one.score for one in found] == pytest.approx([0.9, 0.8])


def test_answers_below_the_score_asked_for_are_left_out():
    detector = Detector(Planted(plant(score=MIN_SCORE - 0.05)))
    assert detector.detect(FRAME) == []
    assert len(detector.detect(FRAME, min_score=MIN_SCORE - 0.1)) == 1


def test_frames_of_a_batch_keep_their_own_faces():
    session = Planted(
        plant(frame=2), plant(frame=0, score=0.7), plant(frame=0, column=15, box=(110, 30, 140, 66))
    )
    found = Detector(session).detect_batch(np.zeros((3, 96, 160, 3), np.uint8))
    assert [len(faces) for faces in found] == [2, 0, 1]
    assert len(session.shown) == 1


def test_another_network_is_refused():
    session = Planted()
    session.outputs = {"sum": (1,)}
    with pytest.raises(InputError, match="no detector"):
        Detector(session)


def test_overlap_of_boxes():
    boxes = np.array([(0, 0, 10, 10), (5, 0, 15, 10), (20, 20, 30, 30)], np.float32)
    expected = [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]]
    assert np.allclose(overlaps(boxes, boxes), expected)


@pytest.fixture(scope="module")
def shipped() -> Detector:
    return Detector(create_session(read_embedded("detector"), threads=1))


def overlap_with(found, box):
    return float(overlaps(found.box[None], np.array([box], np.float32))[0, 0])


# Boxes around the faces of the two portraits, from the forehead to the chin.
COLLINS, HOPPER = (178, 65, 269, 176), (177, 123, 356, 336)

SURE = 0.9
"""What a face that is plain to see scores, and little else."""


def turn_about_middle(pixels, angle_deg):
    """A picture turned clockwise within a square that holds all of it, and the map to it."""
    height, width = pixels.shape[:2]
    side = int(np.hypot(height, width)) + 1
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -angle_deg, 1)
    matrix[:, 2] += ((side - width) / 2, (side - height) / 2)
    return cv2.warpAffine(pixels, matrix, (side, side)), matrix


@pytest.mark.parametrize("angle_deg", range(0, 360, 45))
@pytest.mark.parametrize(("name", "box"), [("astronaut", COLLINS), ("hopper", HOPPER)])
def test_a_face_is_found_at_any_tilt(shipped, request, name, box, angle_deg):
    turned, matrix = turn_about_middle(request.getfixturevalue(name), angle_deg)
    (found,) = shipped.detect(turned, SURE)
    center = matrix[:, :2] @ ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) + matrix[:, 2]
    assert np.linalg.norm((found.box[:2] + found.box[2:]) / 2 - center) < 0.15 * (box[3] - box[1])
    # From eye to eye the head's tilt is told, upside down too.
    right, left = found.points5[:2]
    tilt = np.degrees(np.arctan2(*(left - right)[::-1]))
    assert abs((tilt - angle_deg + 180) % 360 - 180) < 20


@pytest.mark.parametrize("face_px", [24, 60, 150, 340])
def test_a_face_is_found_at_any_size(shipped, astronaut, backdrop, face_px):
    scale = face_px / (COLLINS[3] - COLLINS[1])
    head = astronaut[20:300, 110:350]
    small = cv2.resize(head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas = backdrop(640, 360)
    small = small[:360, :640]
    canvas[: small.shape[0], : small.shape[1]] = small
    found, *others = shipped.detect(canvas)
    assert all(other.score < found.score - 0.1 for other in others)
    box = (np.array(COLLINS) - (110, 20, 110, 20)) * scale
    assert overlap_with(found, box) > 0.5


def test_all_faces_of_a_picture_are_found(shipped, astronaut, hopper):
    both = np.zeros((606, 1024, 3), np.uint8)
    both[:512, :512], both[: len(hopper), 512:] = astronaut, hopper
    found = shipped.detect(both, SURE)
    assert len(found) == 2
    boxes = [COLLINS, np.add(HOPPER, (512, 0, 512, 0))]
    best = [max(overlap_with(one, box) for one in found) for box in boxes]
    assert min(best) > 0.5


def test_where_there_is_no_face_none_is_found(shipped, backdrop, astronaut):
    nothing = [backdrop(640, 360, seed) for seed in range(6)]
    noise = np.random.default_rng(0).integers(0, 256, (360, 640, 3), np.uint8)
    flag = astronaut[:300, :100].copy()
    for frame in (*nothing, noise, flag, np.zeros((360, 640, 3), np.uint8)):
        assert shipped.detect(frame) == []


def test_a_frame_of_any_shape_is_looked_at(shipped):
    for height, width in ((1, 1), (7, 300), (361, 643), (40, 33)):
        assert shipped.detect(np.full((height, width, 3), 90, np.uint8)) == []
