"""The trivial methods that bound the others."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sosie.analysis.analyzer import make_face
from sosie.evaluation import generators as baselines
from sosie.geometry.alignment import transform_points


@pytest.fixture
def pictures() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    smooth = [cv2.GaussianBlur(rng.integers(0, 256, (256, 256, 3), np.uint8), (0, 0), 3)] * 2
    return smooth[0], np.ascontiguousarray(255 - smooth[1])


def test_target_is_the_target(pictures):
    assert baselines.keep_target(*pictures) is pictures[1]


def test_source_of_the_targets_size_is_the_source(pictures):
    assert np.array_equal(baselines.show_source(*pictures), pictures[0])


@pytest.mark.parametrize("shape", [(128, 128), (300, 200), (100, 400)])
def test_source_fills_the_targets_frame_as_large_as_it_fits(pictures, shape):
    shown = baselines.show_source(pictures[0], np.zeros((*shape, 3), np.uint8))
    assert shown.shape == (*shape, 3)
    side = min(shape)
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    small = cv2.resize(pictures[0], (side, side), interpolation=cv2.INTER_AREA)
    inside = shown[top : top + side, left : left + side]
    assert np.abs(inside.astype(float) - small).mean() < 3


def test_a_face_pasted_onto_itself_changes_nothing(pictures, model_face):
    face = model_face(yaw=10, unit_px=40)
    pasted = baselines.paste_face(pictures[0], pictures[0], face, face)
    assert np.abs(pasted.astype(int) - pictures[0]).max() <= 1


def test_a_face_is_pasted_inside_its_outline_alone(pictures, model_face):
    face = model_face(unit_px=40)
    pasted = baselines.paste_face(*pictures, face, face)
    x, y = np.rint(face.center).astype(int)
    assert np.abs(pasted[y, x].astype(int) - pictures[0][y, x]).max() <= 1
    x0, y0, x1, y1 = face.box.astype(int)
    outside = np.ones(pasted.shape[:2], bool)
    outside[y0 - 8 : y1 + 8, x0 - 8 : x1 + 8] = False
    assert np.array_equal(pasted[outside], pictures[1][outside])


def test_a_face_is_moved_by_the_five_points(pictures, model_face):
    face = model_face(unit_px=30, center=(100, 120))
    matrix = np.array([[1.2, 0, 20], [0, 1.2, -10]])
    onto = make_face(transform_points(face.landmarks, matrix), 0.9)
    pasted = baselines.paste_face(*pictures, face, onto)
    moved = cv2.warpAffine(pictures[0], matrix, (256, 256), flags=cv2.INTER_CUBIC)
    x, y = np.rint(onto.center).astype(int)
    part = np.s_[y - 10 : y + 10, x - 10 : x + 10]
    assert np.abs(pasted[part].astype(float) - moved[part]).mean() < 2


def test_nothing_is_pasted_from_beyond_the_source_photo(pictures, model_face):
    face = model_face(unit_px=40, center=(20, 128))
    onto = model_face(unit_px=40)
    pasted = baselines.paste_face(*pictures, face, onto)
    # The middle of the face is pasted; its left side, which the photo has not, is the target's.
    assert np.array_equal(pasted[128, 95], pictures[1][128, 95])
    assert np.abs(pasted[128, 132].astype(int) - pictures[0][128, 24]).max() <= 2
