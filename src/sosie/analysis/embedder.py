"""The identity network at run time: aligned faces -> numbers that tell people apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sosie.errors import InputError
from sosie.models.session import Session
from sosie.types import FloatArray

SIDE_PX, TEMPLATE = 112, "arcface"
"""Side of the network's crops, and the alignment template that they are cut by."""

NUMBERS = 512
"""How many numbers describe a face."""


class Embedder:
    """Describes faces by numbers of unit length: the dot product of two tells how alike the faces
    are. See `sosie.analysis.selection.SAME_PERSON` for where one person's lie, and strangers'."""

    side_px = SIDE_PX

    def __init__(self, session: Session) -> None:
        self._session = session

    def embed(self, aligned: NDArray[np.uint8]) -> FloatArray:
        """float32, N x NUMBERS, each of unit length.

        aligned: uint8, N x SIDE_PX x SIDE_PX x 3, RGB, cut by TEMPLATE; N may be 0. A face and its
        mirror image get the same numbers. Raises InputError where they are anything else.
        """
        if aligned.dtype != np.uint8 or aligned.shape[1:] != (SIDE_PX, SIDE_PX, 3):
            raise InputError(
                f"The identity network takes faces of {SIDE_PX} x {SIDE_PX} x 3 in uint8, not "
                f"{aligned.shape} in {aligned.dtype}: cut them by the template {TEMPLATE!r}."
            )
        if len(aligned) == 0:
            return np.zeros((0, NUMBERS), np.float32)
        both = np.concatenate([aligned, aligned[:, :, ::-1]])
        plain, mirrored = np.split(self._session.run({"pixels": both})["identity"], 2)
        total = plain + mirrored
        norm = np.linalg.norm(total, axis=1, keepdims=True)
        return np.asarray(total / np.maximum(norm, 1e-6), np.float32)
