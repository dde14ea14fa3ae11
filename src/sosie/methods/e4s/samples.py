"""Maps of regions of aligned faces, for the training."""

from __future__ import annotations

import hashlib
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sosie.analysis import landmarker
from sosie.analysis.landmarker import Landmarker
from sosie.geometry import alignment
from sosie.methods.e4s.regions import Map, RegionReader
from sosie.models.zoo import open_network

_MOST_KEPT = 200_000_000
"""Bytes of maps that a process keeps."""


class FaceMaps:
    """Reads the maps of aligned faces and keeps what it has read, in each process by itself.

    square: aligned face -> the landmark network's square, 2 x 3, which is where the template puts
    the mean face. side_px: of the maps.
    """

    def __init__(self, square: alignment.Matrix, side_px: int) -> None:
        self._square, self._side_px = square, side_px
        self._kept: dict[bytes, Map] = {}

    def read(self, face: NDArray[np.uint8]) -> Map:
        """face: RGB, uint8, S x S x 3 -> uint8, side_px squared."""
        name = hashlib.blake2b(face.tobytes(), digest_size=16).digest()
        if name not in self._kept:
            seen = np.asarray(alignment.crop(face, self._square, landmarker.SIDE_PX), np.uint8)
            points = self._landmarker.read(seen[None]).points[0]
            landmarks = alignment.transform_points(points, alignment.invert(self._square))
            found = self._reader.read(face, landmarks, self._side_px)[0]
            if len(self._kept) * found.nbytes > _MOST_KEPT:
                return found
            self._kept[name] = found
        return self._kept[name]

    @cached_property
    def _reader(self) -> RegionReader:
        return RegionReader()

    @cached_property
    def _landmarker(self) -> Landmarker:
        return Landmarker(open_network("landmarks", "cpu", 1))
