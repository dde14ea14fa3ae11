"""The seam between the search for faces and the networks that see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class DetectedSquare:
    """A face as the detector sees it, in pixels of the square that it was shown.

    x, y: centre. size_px: side. roll_deg: tilt, clockwise as seen, from the line of the eyes.
    """

    x: float
    y: float
    size_px: float
    roll_deg: float
    score: float


class FaceNetworks(Protocol):
    """Three networks, each from squares of pixels (RGB uint8) to numbers.

    detector_px, second_px, mesh_px: side of the square that each takes.
    """

    detector_px: int
    second_px: int
    mesh_px: int

    def detect(
        self, squares: Sequence[NDArray[np.uint8]], min_score: float
    ) -> list[list[DetectedSquare]]:
        """For each square all answers of at least `min_score`, overlapping ones too.

        squares: each detector_px x detector_px x 3.
        """

    def second_opinion(self, square: NDArray[np.uint8]) -> float:
        """How sure another detector is, 0..1, that the square shows an upright face.

        square: second_px x second_px x 3, the face in its middle and filling a third to a half.
        """

    def mesh(self, square: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        """The mesh of the one upright face in the square and the probability that there is one.

        square: mesh_px x mesh_px x 3, the face in its middle and filling two thirds.
        Returns landmarks, float32, 478 x 3 (`sosie.types.Face.landmarks`, in the square's pixels,
        z in the same unit), and a score in 0..1.
        """
