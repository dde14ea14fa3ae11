"""The parser at run time: squares of pixels -> what each pixel shows of a face and before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sosie.analysis.landmarker import MARGIN
from sosie.errors import InputError
from sosie.geometry import alignment, head_pose
from sosie.geometry.head_pose import Region
from sosie.models.session import Session
from sosie.types import FloatArray

__all__ = ["MARGIN", "SIDE_PX", "FaceParts", "Parser", "cut_square", "square_matrix"]

SIDE_PX = 192
"""Side of the parser's squares, in pixels."""


@dataclass(frozen=True)
class FaceParts:
    """What a face's square shows, each float32, SIDE_PX x SIDE_PX, 0..1.

    The square is that of `square_matrix`: upright, the face in its middle and filling two thirds.
    The first seven add up to 1: shares of a pixel, so that the edge of a strand or a rim has some
    of each. What counts is what is in front.

    skin: of face and ears, with brows, eyes and lips. hair. frame, lens: of spectacles. hat. thing:
    whatever else is in front of the face, hands among it. beyond: neck, clothes and background.
    lens_opacity: how much of what is behind a lens it hides, 1 for sunglasses; it means something
    where there is a lens.
    """

    skin: FloatArray
    hair: FloatArray
    frame: FloatArray
    lens: FloatArray
    hat: FloatArray
    thing: FloatArray
    beyond: FloatArray
    lens_opacity: FloatArray

    def towards(self, later: FaceParts, share: float) -> FaceParts:
        """These parts moved by a share, 0..1, of the way to those of a later look."""
        return FaceParts(
            **{
                name: np.asarray(own + share * (getattr(later, name) - own), np.float32)
                for name, own in vars(self).items()
            }
        )


class Parser:
    """Tells the parts of the one face of each square."""

    side_px = SIDE_PX

    def __init__(self, session: Session) -> None:
        self._session = session

    def parts(self, squares: NDArray[np.uint8]) -> list[FaceParts]:
        """squares: uint8, N x SIDE_PX x SIDE_PX x 3, RGB; N may be 0.

        Raises InputError where they are anything else.
        """
        if squares.dtype != np.uint8 or squares.shape[1:] != (SIDE_PX, SIDE_PX, 3):
            raise InputError(
                f"The parser takes squares of {SIDE_PX} x {SIDE_PX} x 3 in uint8, not "
                f"{squares.shape} in {squares.dtype}: cut them with square_matrix."
            )
        if len(squares) == 0:
            return []
        found = self._session.run({"pixels": np.ascontiguousarray(squares)})
        return [FaceParts(*planes) for planes in np.asarray(found["parts"], np.float32)]


def cut_square(
    picture: NDArray[np.uint8], region: Region
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The square about a face's region of a picture (RGB, H x W x 3), and picture -> square."""
    matrix = square_matrix(region)
    return np.asarray(alignment.crop(picture, matrix, SIDE_PX), np.uint8), matrix


def square_matrix(region: Region) -> NDArray[np.float64]:
    """Picture -> the parser's square, 2 x 3, for a face's region: the landmark network's square
    (`landmarker.square_matrix`), with more pixels."""
    return head_pose.square_matrix(region, MARGIN, SIDE_PX)
