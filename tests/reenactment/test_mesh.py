"""A photo moved by geometry: what moves, what stays, and that it moves as it should."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sosie.analysis.analyzer import create_analyzer, make_face
from sosie.errors import UsageError
from sosie.geometry.morphable_model import face_shape
from sosie.reenactment.base import DrivingFrame
from sosie.reenactment.headroom import with_headroom
from sosie.reenactment.mesh import MeshReenactor
from sosie.reenactment.options import ReenactOptions
from sosie.swapping.face import source_of


@pytest.fixture(scope="module")
def analyzer():
    return create_analyzer(threads=1)


@pytest.fixture(scope="module")
def photo(analyzer, hopper):
    return source_of(hopper, analyzer.analyze(hopper)[0], analyzer)


@pytest.fixture(scope="module")
def first(analyzer, astronaut):
    return DrivingFrame(astronaut, analyzer.analyze(astronaut)[0])


def turned(frame: DrivingFrame, matrix: np.ndarray) -> DrivingFrame:
    """The driver with its head turned: what it would be read as."""
    points = frame.face.landmarks.astype(np.float64)
    middle = points.mean(0)
    there = ((points - middle) @ matrix + middle).astype(np.float32)
    return replace(frame, face=make_face(there, frame.face.score, frame.face.expression))


def about_y(degrees: float) -> np.ndarray:
    a = np.radians(degrees)
    return np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])


def test_a_driver_at_rest_moves_nothing(photo, first):
    made = MeshReenactor(ReenactOptions())
    pixels = made.move(made.start(photo, first), first)
    assert (pixels.shape, pixels.dtype) == (photo.pixels.shape, photo.pixels.dtype)
    apart = np.abs(pixels.astype(int) - photo.pixels.astype(int))
    assert np.percentile(apart, 99) <= 3
    assert apart.mean() < 0.5


@pytest.mark.parametrize("yaw", [-14, 14])
def test_the_head_turns_with_the_driver_s(photo, first, analyzer, yaw):
    made = MeshReenactor(ReenactOptions())
    before = photo.face.pose.yaw
    pixels = made.move(made.start(photo, first), turned(first, about_y(yaw)))
    seen = analyzer.analyze(pixels)[0]
    # Shade and outline of its own pose stay on the photo: it is read as turned somewhat less.
    assert 0.5 < (seen.pose.yaw - before) / yaw < 1.1
    assert analyzer.identify(pixels, seen) @ analyzer.identify(photo.pixels, photo.face) > 0.7
    # The picture's edge stays where it is.
    for edge in (np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        apart = np.abs(pixels[edge].astype(int) - photo.pixels[edge].astype(int))
        assert apart.mean() < 2


def test_an_open_mouth_has_an_inside(photo, first):
    """The photo's mouth is shut: what shows between its lips is the driver's."""
    points = first.face.landmarks.copy()
    points[:, 1] += np.where(points[:, 1] > points[13, 1] + 1, 14, 0).astype(np.float32)
    pixels = np.full_like(first.pixels, 0)
    pixels[..., 0] = 200
    driver = DrivingFrame(pixels, make_face(points, 0.9, None))
    made = MeshReenactor(ReenactOptions())
    state = made.start(photo, first)
    moved = made.move(state, driver)
    red = (moved[..., 0] > 60) & (moved[..., 1] < 40) & (moved[..., 2] < 40)
    assert red.sum() > 30
    assert not ((photo.pixels[..., 0] > 60) & (photo.pixels[..., 1] < 40)).sum() > red.sum()


def parts_of(first, analyzer, thing: float):
    """What the driver's square shows: a face, and before its lower half so much of a thing."""
    parts = analyzer.parts(first.pixels, first.face.landmarks)
    before = np.zeros_like(parts.thing)
    before[len(before) // 2 :] = thing
    return replace(parts, thing=before, skin=parts.skin * (1 - before))


@pytest.mark.parametrize(("thing", "shows"), [(0.0, True), (1.0, False)], ids=["bare", "mug"])
def test_what_lies_before_the_driver_s_mouth_is_no_mouth(photo, first, analyzer, thing, shows):
    points = first.face.landmarks.copy()
    points[:, 1] += np.where(points[:, 1] > points[13, 1] + 1, 14, 0).astype(np.float32)
    face, parts = make_face(points, 0.9, None), parts_of(first, analyzer, thing)
    made = MeshReenactor(ReenactOptions())
    state = made.start(photo, first)
    black, white = (
        made.move(state, DrivingFrame(np.full_like(first.pixels, level), face, parts))
        for level in (0, 255)
    )
    assert (black != white).any() == shows


def test_a_gray_photo_stays_gray(photo, first):
    """Whatever color the driver's mouth has."""
    gray = np.repeat(photo.pixels[..., 1:2], 3, 2)
    points = first.face.landmarks.copy()
    points[:, 1] += np.where(points[:, 1] > points[13, 1] + 1, 14, 0).astype(np.float32)
    made = MeshReenactor(ReenactOptions())
    state = made.start(replace(photo, pixels=gray), first)
    moved = made.move(state, replace(first, face=make_face(points, 0.9, None)))
    assert np.ptp(moved.astype(int), axis=2).max() <= 1


def test_a_photo_of_16_bits(photo, first):
    deep = replace(photo, pixels=photo.pixels.astype(np.uint16) * 257)
    driver = turned(first, about_y(8))
    made = MeshReenactor(ReenactOptions())
    wide = made.move(made.start(deep, first), driver)
    narrow = made.move(made.start(photo, first), driver)
    assert wide.dtype == np.uint16
    apart = np.abs(wide.astype(int) / 257 - narrow.astype(int))
    assert np.percentile(apart, 99) <= 2


def test_hair_that_the_upper_edge_cuts_is_rounded_off(photo):
    """Above hair in the middle is hair, higher up and beside it the background."""
    hair, wall = (30, 25, 20), (170, 180, 190)
    pixels = np.full((300, 300, 3), wall, np.uint8)
    pixels[:120, 100:200] = hair
    face = make_face((face_shape().mean * 45 + [150, 170, 0]).astype(np.float32), 0.9, None)
    parts = replace(photo.parts, hair=np.zeros_like(photo.parts.hair))
    parts.hair[:60, 70:120] = 1
    there = replace(photo, pixels=pixels, face=face, parts=parts)
    canvas, rows = with_headroom(there)
    assert canvas.shape == (300 + rows, 300, 3)
    np.testing.assert_array_equal(canvas[rows:], pixels)
    assert np.abs(canvas[rows - 3, 150].astype(int) - hair).max() < 12
    assert np.abs(canvas[0, 150].astype(int) - wall).max() < 12
    assert np.abs(canvas[rows - 3, 20].astype(int) - wall).max() < 12


def test_it_has_no_weights():
    with pytest.raises(UsageError, match="has no weights"):
        MeshReenactor(ReenactOptions(weights="any.onnx"))
