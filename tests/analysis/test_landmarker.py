"""The landmark network at run time: squares in, faces out."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sosie.analysis.landmarker import (
    EXPRESSIONS,
    MARGIN,
    SIDE_PX,
    Landmarker,
    cut_square,
    square_matrix,
)
from sosie.errors import InputError
from sosie.geometry.alignment import invert, transform_points
from sosie.geometry.head_pose import MIRROR, Region, five_points, region_of
from sosie.models.cards import read_embedded
from sosie.models.session import create_session

ASTRONAUT, HOPPER = Region(226.0, 122.0, 112.0, 0.0), Region(262.0, 238.0, 210.0, 0.0)
"""Where the faces of the two portraits are, roughly."""

EYES = {"astronaut": ((203, 101), (246, 103)), "hopper": ((222, 192), (305, 188))}
"""The eyes' centers, image left first, to about 2 px."""


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    return Landmarker(create_session(read_embedded("landmarks"), threads=1))


def looked_at(landmarker: Landmarker, picture: np.ndarray, region: Region, looks: int = 2):
    """Points in the picture after some looks, presence, expression."""
    for _ in range(looks):
        square, matrix = cut_square(picture, region)
        readings = landmarker.read(square[None])
        points = transform_points(readings.points[0], invert(matrix))
        region = region_of(points)
    return points, float(readings.presence[0]), readings.expression[0]


class Recorded:
    """A session that answers with what it is told, by the rows of a batch, and keeps its pixels."""

    def __init__(self, shift_px: float = 0.0) -> None:
        """shift_px: by how much too far to the right everything is read."""
        self.given: list[np.ndarray] = []
        self._shift = np.array([shift_px, 0, 0], np.float32)

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        pixels = inputs["pixels"]
        self.given.append(pixels)
        bright = pixels.astype(np.float64).sum(3)
        x = (bright * np.arange(SIDE_PX)).sum((1, 2)) / bright.sum((1, 2))
        points = np.zeros((len(pixels), 478, 3), np.float32)
        points[..., 0] = x[:, None]
        points[:, 0] += (0, -4, 0)
        points[:, 1] += (0, 4, 0)
        expression = np.zeros((len(pixels), 52), np.float32)
        expression[:, EXPRESSIONS.index("jawLeft")] = x / SIDE_PX
        expression[:, EXPRESSIONS.index("jawRight")] = 1 - x / SIDE_PX
        return {
            "points": points + self._shift,
            "presence": np.where(x > SIDE_PX / 2, 100, -100).astype(np.float32),
            "expression": expression,
        }


def spots(*columns: int) -> np.ndarray:
    squares = np.zeros((len(columns), SIDE_PX, SIDE_PX, 3), np.uint8)
    for square, column in zip(squares, columns, strict=True):
        square[:, column] = 200
    return squares


def test_a_square_and_its_mirror_image_are_read_in_one_batch():
    session = Recorded()
    squares = spots(30, 90)
    readings, apart = Landmarker(session).read_twice(squares)
    assert [given.shape for given in session.given] == [(4, SIDE_PX, SIDE_PX, 3)]
    assert np.array_equal(session.given[0][2:], squares[:, :, ::-1])
    assert np.allclose(readings.points[:, 2, 0], (30, 90), atol=1e-3)
    assert np.allclose(readings.presence, 0.5)
    left, right = (EXPRESSIONS.index(f"jaw{side}") for side in ("Left", "Right"))
    assert np.allclose(readings.expression[:, left], (30.5 / 128, 90.5 / 128), atol=1e-2)
    assert np.allclose(readings.expression[:, right], (97.5 / 128, 37.5 / 128), atol=1e-2)
    assert apart.max() < 0.01


def test_what_is_read_differently_in_the_mirror_is_averaged_and_told():
    readings, apart = Landmarker(Recorded(shift_px=2.0)).read_twice(spots(64))
    straight, _ = Landmarker(Recorded()).read_twice(spots(64))
    assert np.allclose(readings.points, straight.points, atol=1e-4)
    assert apart[0] == pytest.approx(4 / 8, abs=0.02)


def test_no_squares_no_readings():
    session = Recorded()
    readings = Landmarker(session).read(np.zeros((0, SIDE_PX, SIDE_PX, 3), np.uint8))
    assert readings.points.shape == (0, 478, 3)
    assert readings.expression.shape == (0, len(EXPRESSIONS))
    assert session.given == []


@pytest.mark.parametrize(
    "squares",
    [
        np.zeros((1, SIDE_PX, SIDE_PX, 3), np.float32),
        np.zeros((1, SIDE_PX + 1, SIDE_PX, 3), np.uint8),
        np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8),
        np.zeros((1, SIDE_PX, SIDE_PX), np.uint8),
    ],
)
def test_other_squares_are_refused(squares):
    with pytest.raises(InputError, match="squares"):
        Landmarker(Recorded()).read(squares)


@pytest.mark.parametrize("roll_deg", [0.0, 35.0, -120.0, 180.0])
def test_the_square_is_upright_about_the_region(roll_deg):
    region = Region(50.0, 80.0, 40.0, roll_deg)
    matrix = square_matrix(region)
    angle = np.radians(roll_deg)
    down = np.array([-np.sin(angle), np.cos(angle)])
    middle, chin = transform_points([(50, 80), np.array([50, 80]) + 20 * down], matrix)
    assert np.allclose(middle, (SIDE_PX - 1) / 2, atol=1e-3)
    assert np.allclose(chin - middle, (0, SIDE_PX / MARGIN / 2), atol=1e-3)


@pytest.mark.parametrize(
    ("name", "region"), [("astronaut", ASTRONAUT), ("hopper", HOPPER)], ids=["astronaut", "hopper"]
)
def test_a_portrait_is_read(landmarker, request, name, region):
    picture = request.getfixturevalue(name)
    points, presence, expression = looked_at(landmarker, picture, region)
    assert presence > 0.9
    eyes = five_points(points)[:2]
    apart = np.linalg.norm(eyes[1] - eyes[0])
    assert np.abs(eyes - EYES[name]).max() < 0.1 * apart
    assert ((expression >= 0) & (expression <= 1)).all()
    smile = expression[[EXPRESSIONS.index(f"mouthSmile{s}") for s in ("Left", "Right")]].mean()
    blink = expression[[EXPRESSIONS.index(f"eyeBlink{s}") for s in ("Left", "Right")]].mean()
    assert blink < 0.4
    assert (smile > 0.4) == (name == "astronaut")


def test_the_mirror_image_has_the_mirrored_face(landmarker, astronaut):
    points, *_ = looked_at(landmarker, astronaut, ASTRONAUT)
    width = astronaut.shape[1]
    other = Region(width - 1 - ASTRONAUT.x, ASTRONAUT.y, ASTRONAUT.size_px, 0.0)
    mirrored, *_ = looked_at(landmarker, np.ascontiguousarray(astronaut[:, ::-1]), other)
    back = mirrored[MIRROR] * (-1, 1, 1) + (width - 1, 0, 0)
    eyes = five_points(points)[:2]
    apart = np.linalg.norm(back[:, :2] - points[:, :2], axis=1).mean()
    assert apart < 0.01 * np.linalg.norm(eyes[1] - eyes[0])


def test_a_rough_square_is_righted_by_the_second_look(landmarker, astronaut):
    fine, *_ = looked_at(landmarker, astronaut, ASTRONAUT, looks=3)
    size = region_of(fine).size_px
    off = Region(ASTRONAUT.x + 0.1 * size, ASTRONAUT.y - 0.1 * size, 1.12 * size, 15.0)
    again, *_ = looked_at(landmarker, astronaut, off, looks=3)
    assert np.linalg.norm(again[:, :2] - fine[:, :2], axis=1).mean() < 0.015 * size


def test_presence_falls_with_the_tilt_and_without_a_face(landmarker, astronaut):
    upright = looked_at(landmarker, astronaut, ASTRONAUT, looks=1)[1]
    for roll_deg in (90.0, 180.0, -90.0):
        tilted = Region(ASTRONAUT.x, ASTRONAUT.y, ASTRONAUT.size_px, roll_deg)
        assert looked_at(landmarker, astronaut, tilted, looks=1)[1] < 0.5 < upright
    squares = [np.full((SIDE_PX, SIDE_PX, 3), 128, np.uint8)]
    squares.append(cut_square(astronaut, Region(420.0, 120.0, 80.0, 0.0))[0])
    squares.append(cut_square(astronaut, Region(130.0, 420.0, 90.0, 0.0))[0])
    assert landmarker.read(np.stack(squares)).presence.max() < 0.5


def test_a_face_of_24_pixels_is_still_read(landmarker, astronaut):
    points, *_ = looked_at(landmarker, astronaut, ASTRONAUT)
    shrink = 24 / region_of(points).size_px
    side = round(512 * shrink)
    small = cv2.resize(astronaut, (side, side), interpolation=cv2.INTER_AREA)
    shrink = side / 512
    region = Region(*(shrink * v for v in (ASTRONAUT.x, ASTRONAUT.y, ASTRONAUT.size_px)), 0.0)
    found, presence, _ = looked_at(landmarker, small, region)
    assert presence > 0.5
    eyes = five_points(points)[:2]
    apart = np.linalg.norm(found[:, :2] / shrink - points[:, :2], axis=1).mean()
    assert apart < 0.12 * np.linalg.norm(eyes[1] - eyes[0])
