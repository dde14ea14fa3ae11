"""The target's sharpness and grain on a face that has less."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from sosie.blending.mask import feature_mask
from sosie.blending.skin_texture import match_sharpness, match_texture
from sosie.geometry import mesh
from sosie.geometry.morphable_model import silhouette
from sosie.types import Face

SIDE = 320


@pytest.fixture
def points(model_face: Callable[..., Face]) -> np.ndarray:
    face = model_face(unit_px=80, center=(SIDE / 2, SIDE / 2))
    return np.asarray(face.landmarks, np.float32)


def mask_of(points: np.ndarray) -> np.ndarray:
    return np.asarray(silhouette(points, SIDE, SIDE), np.float32) / 255


def features_of(points: np.ndarray) -> np.ndarray:
    return feature_mask(points, (SIDE, SIDE), size_of(points))


def size_of(points: np.ndarray) -> float:
    return float(np.sqrt(np.prod(np.ptp(points[: mesh.SURFACE_POINTS, :2], axis=0))))


def skin(contrast: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, contrast, (SIDE, SIDE, 1))
    return np.clip(np.full((SIDE, SIDE, 3), (0.6, 0.45, 0.4)) + noise, 0, 1).astype(np.float32)


def cheek(points: np.ndarray) -> tuple[slice, slice]:
    x, y = points[[50, 205], :2].mean(0).astype(int)
    return slice(y - 12, y + 12), slice(x - 12, x + 12)


def grain(picture: np.ndarray) -> float:
    return float((picture - cv2.GaussianBlur(picture, (0, 0), 1.5)).std())


def test_smooth_skin_gets_the_targets_grain(points: np.ndarray) -> None:
    smooth, target = skin(0.002, 1), skin(0.03, 2)
    made = match_texture(smooth, target, mask_of(points), features_of(points), size_of(points))
    place = cheek(points)
    assert grain(smooth[place]) < 0.1 * grain(target[place])
    assert 0.7 < grain(made[place]) / grain(target[place]) < 1.1
    # Its tone stays, and beside the face nothing changes.
    assert np.abs(made[place].mean((0, 1)) - smooth[place].mean((0, 1))).max() < 0.005
    assert np.array_equal(made[:4], smooth[:4])


def test_skin_that_has_as_much_stays(points: np.ndarray) -> None:
    rough = skin(0.03, 1)
    for target in (skin(0.03, 2), skin(0.001, 2)):
        made = match_texture(rough, target, mask_of(points), features_of(points), size_of(points))
        place = cheek(points)
        assert np.abs(made - rough)[place].mean() < 0.006


def test_features_are_not_the_targets(points: np.ndarray) -> None:
    """A net of dark lines at the target's eye, brow and mouth is not carried over."""
    smooth, target = skin(0.002, 1), skin(0.02, 2)
    for ring in (mesh.RIGHT_EYE, mesh.RIGHT_BROW, mesh.OUTER_LIPS):
        x, y = points[list(ring), :2].mean(0).astype(int)
        target[y - 2 : y + 2 : 2, x - 6 : x + 6] = 0
        made = match_texture(smooth, target, mask_of(points), features_of(points), size_of(points))
        assert np.array_equal(
            made[y - 2 : y + 2, x - 6 : x + 6], smooth[y - 2 : y + 2, x - 6 : x + 6]
        )


def test_what_stands_out_is_taken_for_no_grain(points: np.ndarray) -> None:
    """A strand over the target's cheek is fainter than a tenth on the swapped one."""
    smooth, target = skin(0.002, 1), skin(0.01, 2)
    rows, columns = cheek(points)
    target[rows, columns.start + 10 : columns.start + 12] = 0
    made = match_texture(smooth, target, mask_of(points), features_of(points), size_of(points))
    there = (made - smooth)[rows, columns.start + 10 : columns.start + 12]
    assert np.abs(there).max() < 0.06


def featured(points: np.ndarray, soft_px: float) -> np.ndarray:
    """A face with dark brows and lips of hairs and lines, out of focus by so much."""
    picture = skin(0.002).copy()
    for ring in (mesh.RIGHT_BROW, mesh.LEFT_BROW, mesh.OUTER_LIPS):
        corners = points[list(ring), :2]
        (x0, y0), (x1, y1) = corners.min(0).astype(int), corners.max(0).astype(int)
        for x in range(x0, x1, 4):
            cv2.line(picture, (x, y0), (x + 3, y1), (0.2, 0.12, 0.1), 1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), soft_px), np.float32)


def brow(points: np.ndarray) -> tuple[slice, slice]:
    x0, y0 = points[list(mesh.LEFT_BROW), :2].min(0).astype(int)
    x1, y1 = points[list(mesh.LEFT_BROW), :2].max(0).astype(int)
    return slice(y0, y1), slice(x0, x1)


def test_soft_features_become_as_sharp_as_the_targets(points: np.ndarray) -> None:
    sharp, soft = featured(points, 0.7), featured(points, 1.0)
    made = match_sharpness(
        soft, sharp, mask_of(points), features_of(points), points, size_of(points)
    )
    place = brow(points)
    before, after, wanted = (grain(picture[place]) for picture in (soft, made, sharp))
    assert before < 0.75 * wanted
    assert before + 0.4 * (wanted - before) < after < 1.05 * wanted
    assert np.array_equal(made[:4], soft[:4])


def test_sharp_features_are_not_blurred(points: np.ndarray) -> None:
    sharp, soft = featured(points, 0.7), featured(points, 1.4)
    made = match_sharpness(
        sharp, soft, mask_of(points), features_of(points), points, size_of(points)
    )
    assert np.abs(made - sharp).max() < 1e-6


def test_a_face_without_features_in_sight_stays(points: np.ndarray) -> None:
    hidden = np.zeros((SIDE, SIDE), np.float32)
    soft = featured(points, 1.4)
    made = match_sharpness(
        soft, featured(points, 0.7), hidden, features_of(points), points, size_of(points)
    )
    assert np.array_equal(made, soft)
