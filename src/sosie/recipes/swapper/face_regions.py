"""What each pixel of an aligned face shows, by Sosie's parser: masks that swappers learn with."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sosie.analysis import parser
from sosie.geometry import alignment, head_pose
from sosie.geometry.morphable_model import face_shape
from sosie.models.zoo import open_network

REGIONS = ("face", "hair")
"""The planes, in order. The face is skin with all features; what lies before it is in neither."""

_MOST_KEPT = 200_000_000
"""Bytes of masks that a process keeps."""


class FaceRegions:
    """Reads the regions of aligned faces and keeps what it has read, in each process by itself.

    The parser's square is laid where the template puts the mean face, so no landmarks are needed.

    template, size_px: of the aligned faces.
    """

    def __init__(self, template: str, size_px: int) -> None:
        self._template, self._size_px = template, size_px
        self._kept: dict[int, NDArray[np.uint8]] = {}

    def read(self, row: int, face: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Shares of REGIONS in each pixel, 0..255: uint8, S x S x 2. row: by which it is kept.
        face: RGB, uint8, S x S x 3."""
        if row not in self._kept:
            size_px, square = self._size_px, self._square
            seen = np.asarray(
                alignment.warp(np.asarray(face), square, parser.SIDE_PX, parser.SIDE_PX), np.uint8
            )
            parts = self._parser.parts(seen[None])[0]
            back = alignment.invert(square)
            planes = [
                alignment.warp(plane, back, size_px, size_px) for plane in (parts.skin, parts.hair)
            ]
            shares = np.clip(np.rint(np.stack(planes, -1) * 255), 0, 255)
            found: NDArray[np.uint8] = np.asarray(shares, np.uint8)
            if len(self._kept) * found.nbytes > _MOST_KEPT:
                return found
            self._kept[row] = found
        return self._kept[row]

    @cached_property
    def _square(self) -> alignment.Matrix:
        """Aligned face -> the parser's square."""
        mean = np.asarray(face_shape().mean, np.float32)
        onto = alignment.align_matrix(head_pose.five_points(mean), self._template, self._size_px)
        region = head_pose.region_of(
            np.asarray(alignment.transform_points(mean[:, :2], onto), np.float32)
        )
        return parser.square_matrix(region)

    @cached_property
    def _parser(self) -> parser.Parser:
        return parser.Parser(open_network("parser", "cpu", 1))
