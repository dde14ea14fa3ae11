"""The visibility network at run time: squares of pixels -> what of the face is seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sosie.analysis.landmarker import SIDE_PX
from sosie.errors import InputError
from sosie.runtime import Session
from sosie.types import FloatArray

__all__ = ["SIDE_PX", "Visibility"]


class Visibility:
    """Tells in each square which pixels show the face itself, and nothing in front of it.

    The squares are those of the landmark network (`landmarker.square_matrix`), laid by the face's
    landmarks: upright, the face in the middle and filling two thirds.
    """

    side_px = SIDE_PX

    def __init__(self, session: Session) -> None:
        self._session = session

    def masks(self, squares: NDArray[np.uint8]) -> FloatArray:
        """float32, N x SIDE_PX x SIDE_PX, 0..1: 1 where the face is seen, 0 at what lies in front
        of it and around it.

        squares: uint8, N x SIDE_PX x SIDE_PX x 3, RGB; N may be 0. Raises InputError where they are
        anything else.
        """
        if squares.dtype != np.uint8 or squares.shape[1:] != (SIDE_PX, SIDE_PX, 3):
            raise InputError(
                f"The visibility network takes squares of {SIDE_PX} x {SIDE_PX} x 3 in uint8, not "
                f"{squares.shape} in {squares.dtype}: cut them with square_matrix."
            )
        if len(squares) == 0:
            return np.zeros((0, SIDE_PX, SIDE_PX), np.float32)
        found = self._session.run({"pixels": np.ascontiguousarray(squares)})
        return np.asarray(found["visible"], np.float32)
