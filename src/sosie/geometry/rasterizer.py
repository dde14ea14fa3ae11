"""Piecewise-affine maps over the face mesh: which triangle a pixel sees, and what it carries.

`rasterize` is done once a crop; any number of per-vertex quantities (coordinates in the source,
its mirror image's, weights) are then interpolated over it in one go.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]

_SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class Raster:
    """Triangles seen by a crop.

    index: int32, h x w: the triangle in front at each pixel, -1 where there is none.
    triangles: int32, T x 3, the vertices of those triangles.
    weights: float64, T x 3 x 3: for each vertex the plane (a, b, c) whose a x + b y + c is its
        barycentric weight at a pixel.
    """

    index: IntArray
    triangles: IntArray
    weights: NDArray[np.float64]

    def interpolate(self, values: FloatArray) -> FloatArray:
        """Values of the vertices, N or N x K, at each pixel: float32, h x w (x K), 0 where no
        triangle is.

        Affine inside a triangle and continuous over its edges; never beyond its corners' values.
        """
        index = self.index.astype(np.intp)
        buffers = np.empty((5, *index.shape), np.float32)
        if values.ndim == 1:
            return self._spread(values, index, buffers)
        spread = [self._spread(column, index, buffers) for column in values.T]
        return np.asarray(cv2.merge(spread), np.float32)

    def _spread(
        self, values: FloatArray, index: NDArray[np.intp], buffers: FloatArray
    ) -> FloatArray:
        """buffers: room for five planes: what is worked in again stays in the processor's cache."""
        corners = values[self.triangles].astype(np.float64)  # T x 3
        planes = np.einsum("tji,tj->ti", self.weights, corners)
        # Pixels at an edge have their centers outside, where a sliver's plane leaves all bounds.
        table = np.column_stack([planes, corners.min(1), corners.max(1)]).astype(np.float32)
        table = np.concatenate([table, np.zeros((1, 5), np.float32)])  # index -1: nothing
        for column, plane in zip(table.T, buffers, strict=True):
            column.take(index, mode="wrap", out=plane)
        a, b, c, low, high = buffers
        a *= np.arange(index.shape[1], dtype=np.float32)[None, :]
        b *= np.arange(index.shape[0], dtype=np.float32)[:, None]
        a += b
        a += c
        np.maximum(a, low, out=a)
        return np.asarray(np.minimum(a, high), np.float32)


def rasterize(points: FloatArray, triangles: IntArray, width: int, height: int) -> Raster:
    """Paint triangles from back to front.

    points: N x 3 (x, y in pixels; z, smaller is nearer). Triangles that face away (negative
    signed area; `triangles` wind clockwise on a picture of a face seen from the front) or have no
    area are left out.
    """
    corners = points[triangles].astype(np.float64)  # T x 3 x 3
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area: NDArray[np.float64] = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (
        c[:, 0] - a[:, 0]
    )
    seen = area > 1e-3
    order = np.argsort(-corners[:, :, 2].mean(1)[seen], kind="stable")
    kept = np.flatnonzero(seen)[order]
    index = np.full((height, width), -1, np.int32)
    fixed = np.round(corners[kept, :, :2] * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    for number, triangle in enumerate(fixed):
        cv2.fillConvexPoly(index, triangle, (number,), lineType=cv2.LINE_8, shift=_SUBPIXEL_BITS)
    # A vertex's weight is 0 along the opposite edge: the cross product of its ends.
    after, before = np.roll(corners[kept], -1, axis=1), np.roll(corners[kept], 1, axis=1)
    planes = np.stack(
        [
            after[..., 1] - before[..., 1],
            before[..., 0] - after[..., 0],
            after[..., 0] * before[..., 1] - before[..., 0] * after[..., 1],
        ],
        axis=2,
    )
    weights = planes / area[kept][:, None, None]
    return Raster(index, triangles[kept], weights)
