"""Which triangle a pixel sees, and what is carried to it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.geometry.rasterizer import rasterize

SQUARE = np.array([[5, 5, 0], [55, 5, 0], [55, 45, 0], [5, 45, 0]], np.float32)
TWO = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def test_a_square_of_two_triangles_is_filled_without_a_gap() -> None:
    raster = rasterize(SQUARE, TWO, 60, 50)
    assert raster.index.shape == (50, 60)
    inside = np.zeros((50, 60), bool)
    inside[5:46, 5:56] = True
    assert np.array_equal(raster.index >= 0, inside)
    assert set(np.unique(raster.index[inside])) == {0, 1}


@given(
    a=st.floats(-3, 3),
    b=st.floats(-3, 3),
    c=st.floats(-100, 100),
    corners=st.tuples(*[st.floats(2, 58)] * 6),
)
def test_a_plane_is_carried_exactly_and_never_past_the_corners(
    a: float, b: float, c: float, corners: tuple[float, ...]
) -> None:
    points = np.zeros((3, 3), np.float32)
    points[:, :2] = np.reshape(corners, (3, 2))
    values = (a * points[:, 0] + b * points[:, 1] + c).astype(np.float32)
    raster = rasterize(points, np.array([[0, 1, 2]], np.int32), 60, 60)
    field = raster.interpolate(values)
    assert field.dtype == np.float32
    assert (field[raster.index < 0] == 0).all()
    rows, columns = np.nonzero(raster.index >= 0)
    carried = field[rows, columns]
    assert (carried >= values.min()).all()
    assert (carried <= values.max()).all()
    ab, ac = points[1, :2] - points[0, :2], points[2, :2] - points[0, :2]
    if abs(ab[0] * ac[1] - ab[1] * ac[0]) < 40:  # a sliver has no slope to speak of
        return
    # Pixels at an edge may have their centers outside the triangle.
    plane = np.clip(a * columns + b * rows + c, values.min(), values.max())
    assert np.allclose(carried, plane, atol=0.05)


@pytest.mark.parametrize("thickness_px", [0.02, 0.2, 0.6])
def test_a_sliver_carries_no_value_of_its_own(thickness_px: float) -> None:
    """A fold beside the nostril: its edge's pixels are not filled from somewhere else."""
    points = np.array([[4, 20.3, 0], [50, 20.3, 0], [27, 20.3 + thickness_px, 0]], np.float32)
    values = np.array([100, 110, 104], np.float32)
    raster = rasterize(points, np.array([[0, 1, 2]], np.int32), 60, 40)
    seen = raster.index >= 0
    assert seen.sum() > 30
    field = raster.interpolate(values)[seen]
    assert field.min() >= 100
    assert field.max() <= 110


def test_values_are_continuous_over_an_edge() -> None:
    values = np.array([0, 30, -20, 90], np.float32)
    field = rasterize(SQUARE, TWO, 60, 50).interpolate(values)[5:46, 5:56]
    # No step is larger than the steepest of both slopes.
    assert np.abs(np.diff(field, axis=0)).max() < 3
    assert np.abs(np.diff(field, axis=1)).max() < 3
    assert field[0, 0] == pytest.approx(0, abs=1e-4)
    assert field[0, -1] == pytest.approx(30, abs=1e-4)
    assert field[-1, -1] == pytest.approx(-20, abs=1e-4)
    assert field[-1, 0] == pytest.approx(90, abs=1e-4)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_triangle_hides_the_farther_in_any_order(order: tuple[int, int]) -> None:
    points = np.array(
        [[0, 0, 9], [40, 0, 9], [0, 40, 9], [0, 0, -9], [20, 0, -9], [0, 20, -9]], np.float32
    )
    triangles = np.array([[0, 1, 2], [3, 4, 5]], np.int32)[list(order)]
    values = np.array([1, 1, 1, 2, 2, 2], np.float32)
    field = rasterize(points, triangles, 41, 41).interpolate(values)
    assert field[5, 5] == pytest.approx(2)
    assert field[20, 15] == pytest.approx(1)


def test_triangles_that_face_away_or_have_no_area_are_not_seen() -> None:
    away = TWO[:, ::-1]
    assert (rasterize(SQUARE, away, 60, 50).index == -1).all()
    line = np.array([[5, 5, 0], [30, 30, 0], [55, 55, 0]], np.float32)
    raster = rasterize(line, np.array([[0, 1, 2]], np.int32), 60, 60)
    assert (raster.index == -1).all()
    assert not raster.interpolate(np.ones(3, np.float32)).any()


def test_what_lies_outside_the_picture_is_cut_off() -> None:
    points = SQUARE + np.array([-30, 20, 0], np.float32)
    raster = rasterize(points, TWO, 40, 40)
    assert (raster.index[25:, :26] >= 0).all()
    assert (raster.index[:25] == -1).all()
    values = points[:, 0].copy()
    assert raster.interpolate(values)[30, 10] == pytest.approx(10, abs=1e-3)


def test_part_of_a_pixel_counts() -> None:
    """Values are those at the pixels' centers, not at corners rounded to whole pixels."""
    points = SQUARE + np.array([0.37, -0.21, 0], np.float32)
    field = rasterize(points, TWO, 60, 50).interpolate(points[:, 0].copy())
    assert np.allclose(field[10:40, 10:50], np.arange(10, 50)[None], atol=1e-3)
