"""The visibility network's run time: what goes in and comes out."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.analysis.visibility import SIDE_PX, Visibility
from sosie.errors import InputError


class Reddish:
    """Stands for a session: the face is seen where red is above a half."""

    def __init__(self) -> None:
        self.calls = 0

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.calls += 1
        pixels = inputs["pixels"]
        assert pixels.flags["C_CONTIGUOUS"]
        return {"visible": (pixels[..., 0] > 127).astype(np.float32)}


def test_a_mask_a_square() -> None:
    squares = np.zeros((3, SIDE_PX, SIDE_PX, 3), np.uint8)
    squares[1, 10:20, 30:50, 0] = 255
    masks = Visibility(Reddish()).masks(squares)
    assert masks.dtype == np.float32
    assert masks.shape == (3, SIDE_PX, SIDE_PX)
    assert masks.sum((1, 2)).tolist() == [0, 200, 0]
    assert (masks[1, 10:20, 30:50] == 1).all()


def test_mirrored_squares_are_taken_as_they_are() -> None:
    squares = np.zeros((1, SIDE_PX, SIDE_PX, 3), np.uint8)
    squares[0, :, :30, 0] = 255
    mask = Visibility(Reddish()).masks(squares[:, :, ::-1])[0]
    assert (mask[:, -30:] == 1).all()
    assert mask[:, :-30].max() == 0


def test_no_squares_no_masks() -> None:
    session = Reddish()
    masks = Visibility(session).masks(np.zeros((0, SIDE_PX, SIDE_PX, 3), np.uint8))
    assert masks.shape == (0, SIDE_PX, SIDE_PX)
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
        Visibility(Reddish()).masks(squares)
