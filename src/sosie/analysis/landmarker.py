"""The landmark network at run time: squares of pixels -> points, presence, expression."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from sosie.errors import InputError
from sosie.geometry import alignment, head_pose
from sosie.geometry.head_pose import Region
from sosie.geometry.mesh import POINTS
from sosie.models.session import Session
from sosie.types import FloatArray

SIDE_PX, MARGIN = 128, 1.5
"""Side of the network's squares, in pixels and in sizes of the face (`topology.region_of`)."""

# fmt: off
EXPRESSIONS = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft",
    "browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft",
    "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight",
    "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft",
    "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen",
    "jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft",
    "mouthFrownRight", "mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight",
    "mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight", "mouthRollLower",
    "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight",
    "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)
# fmt: on
"""Names of the expression weights, in order; left and right are the subject's."""

_SIDES = {"Left": "Right", "Right": "Left"}


@dataclass(frozen=True)
class Readings:
    """What the network reads in N squares.

    points: float32, N x 478 x 3, numbered as in `sosie.geometry.mesh`; x and y in pixels of the
        square, z in the same unit with smaller values nearer to the camera.
    presence: float32, N, 0..1: that the square shows a face, upright to about 60 degrees.
    expression: float32, N x 52, 0..1, named by EXPRESSIONS.
    """

    points: FloatArray
    presence: FloatArray
    expression: FloatArray


class Landmarker:
    """Reads the one face of each square: upright, in its middle, filling two thirds.

    A square and its mirror image are read, and the mean is taken: it errs by a tenth less than
    either, trembles less, and how far the two are apart tells whether there is a face at all.
    """

    side_px = SIDE_PX

    def __init__(self, session: Session) -> None:
        self._session = session

    def read(self, squares: NDArray[np.uint8]) -> Readings:
        """squares: uint8, N x SIDE_PX x SIDE_PX x 3, RGB; N may be 0.

        Raises InputError where they are anything else.
        """
        return self.read_twice(squares)[0]

    def read_twice(self, squares: NDArray[np.uint8]) -> tuple[Readings, FloatArray]:
        """As `read`, with the mean distance of the points of a square from those of its mirror
        image, as a share of the face's diagonal: float32, N."""
        if squares.dtype != np.uint8 or squares.shape[1:] != (SIDE_PX, SIDE_PX, 3):
            raise InputError(
                f"The landmark network takes squares of {SIDE_PX} x {SIDE_PX} x 3 in uint8, not "
                f"{squares.shape} in {squares.dtype}: cut them with square_matrix."
            )
        if len(squares) == 0:
            none = np.zeros((0,), np.float32)
            points, weights = none.reshape(0, POINTS, 3), none.reshape(0, len(EXPRESSIONS))
            return Readings(points, none, weights), none
        both = np.concatenate([squares, squares[:, :, ::-1]])
        found = self._session.run({"pixels": both})
        points, mirrored = np.split(found["points"], 2)
        mirrored = mirrored[:, head_pose.MIRROR]
        mirrored[..., 0] = SIDE_PX - 1 - mirrored[..., 0]
        presence = _sigmoid(found["presence"]).reshape(2, -1).mean(0)
        weights, other = np.split(found["expression"], 2)
        weights = (weights + other[:, _expression_mirror()]) / 2
        readings = Readings((points + mirrored) / 2, presence, weights)
        apart = np.linalg.norm((points - mirrored)[..., :2], axis=2).mean(1)
        diagonal = np.linalg.norm(np.ptp(readings.points[..., :2], axis=1), axis=1)
        return readings, np.asarray(apart / np.maximum(diagonal, 1e-6), np.float32)


def square_matrix(region: Region) -> NDArray[np.float64]:
    """Picture -> square, 2 x 3, for a face's region (the bounds of its landmarks, upright)."""
    return head_pose.square_matrix(region, MARGIN, SIDE_PX)


def cut_square(
    picture: NDArray[np.uint8], region: Region
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The square about a face's region of a picture (RGB, H x W x 3), and picture -> square."""
    matrix = square_matrix(region)
    return np.asarray(alignment.crop(picture, matrix, SIDE_PX), np.uint8), matrix


@cache
def _expression_mirror() -> NDArray[np.intp]:
    """For each expression weight the one that the mirror image of the face has."""

    def mirrored(name: str) -> str:
        return re.sub("Left|Right", lambda side: _SIDES[side.group()], name)

    return np.array([EXPRESSIONS.index(mirrored(name)) for name in EXPRESSIONS], np.intp)


def _sigmoid(logits: NDArray[np.float32]) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -60, 60))), np.float32)
