"""The parser's run time: what goes in and comes out."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.analysis import landmarker, parser
from sosie.analysis.parser import SIDE_PX, FaceParts, Parser
from sosie.errors import InputError
from sosie.geometry.alignment import transform_points
from sosie.geometry.head_pose import Region


class Reddish:
    """Stands for a session: the skin is where red is above a half, and beyond it is a hat."""

    def __init__(self) -> None:
        self.calls = 0

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.calls += 1
        pixels = inputs["pixels"]
        assert pixels.flags["C_CONTIGUOUS"]
        planes = np.zeros((len(pixels), 8, SIDE_PX, SIDE_PX), np.float32)
        planes[:, 0] = pixels[..., 0] > 127
        planes[:, 4] = 1 - planes[:, 0]
        return {"parts": planes}


def test_parts_a_square() -> None:
    squares = np.zeros((3, SIDE_PX, SIDE_PX, 3), np.uint8)
    squares[1, 10:20, 30:50, 0] = 255
    found = Parser(Reddish()).parts(squares[:, :, ::-1][:, :, ::-1])
    assert [float(one.skin.sum()) for one in found] == [0, 200, 0]
    assert (found[1].skin[10:20, 30:50] == 1).all()
    for one in found:
        assert one.skin.dtype == np.float32
        assert one.skin.shape == (SIDE_PX, SIDE_PX)
        assert np.array_equal(one.skin + one.hat, np.ones((SIDE_PX, SIDE_PX)))
        assert not any(plane.any() for plane in (one.hair, one.frame, one.lens, one.lens_opacity))


def test_no_squares_no_parts() -> None:
    session = Reddish()
    assert Parser(session).parts(np.zeros((0, SIDE_PX, SIDE_PX, 3), np.uint8)) == []
    assert session.calls == 0


@pytest.mark.parametrize(
    "squares",
    [
        np.zeros((1, SIDE_PX, SIDE_PX, 3), np.float32),
        np.zeros((1, SIDE_PX, SIDE_PX + 1, 3), np.uint8),
        np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8),
    ],
    ids=["float", "size", "no batch"],
)
def test_other_arrays_are_refused_with_what_to_do(squares: np.ndarray) -> None:
    with pytest.raises(InputError, match="cut them with square_matrix"):
        Parser(Reddish()).parts(squares)


def test_parts_move_towards_those_of_a_later_look() -> None:
    one, other = (FaceParts(*np.full((8, 2, 2), value, np.float32)) for value in (0.2, 1.0))
    between = one.towards(other, 0.25)
    for plane in vars(between).values():
        assert plane.dtype == np.float32
        assert plane == pytest.approx(0.4)


def test_the_square_is_the_landmark_networks_with_more_pixels() -> None:
    region = Region(120.0, 80.0, 60.0, 25.0)
    corners = np.array([[120.0, 80], [90, 60], [150, 130]])
    small = transform_points(corners, landmarker.square_matrix(region))
    large = transform_points(corners, parser.square_matrix(region))
    growth = SIDE_PX / landmarker.SIDE_PX
    assert large == pytest.approx((small + 0.5) * growth - 0.5, abs=1e-3)
