"""Piecewise-affine maps over the face mesh: which triangle a pixel sees, and what it carries.

`rasterise` is done once a crop; any number of per-vertex quantities (coordinates in the source,
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
    inverse: float64, T x 3 x 3: pixel (x, y, 1) -> barycentric weights of the three vertices.
    """

    index: IntArray
    triangles: IntArray
    inverse: NDArray[np.float64]

    def interpolate(self, values: FloatArray) -> FloatArray:
        """Per-vertex `values` (N x K) at each pixel: float32, h x w x K, 0 where no triangle is.

        Affine inside a triangle and continuous over its edges.
        """
        corners = values[self.triangles].astype(np.float64)  # T x 3 x K
        planes = np.einsum("tji,tjk->tik", self.inverse, corners).astype(np.float32)
        planes = np.concatenate([planes, np.zeros_like(planes[:1])])  # index -1: nothing
        height, width = self.index.shape
        x = np.arange(width, dtype=np.float32)[None, :]
        y = np.arange(height, dtype=np.float32)[:, None]
        layers = [
            planes[:, 0, k][self.index] * x
            + planes[:, 1, k][self.index] * y
            + planes[:, 2, k][self.index]
            for k in range(values.shape[1])
        ]
        return np.stack(layers, axis=-1)


def rasterise(points: FloatArray, triangles: IntArray, width: int, height: int) -> Raster:
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
    homogeneous = np.concatenate([corners[kept, :, :2], np.ones((len(kept), 3, 1))], axis=2)
    # Rows of `homogeneous` are vertices; its inverse's columns give each one's weight plane.
    weights = np.linalg.inv(homogeneous) if len(kept) else np.zeros((0, 3, 3))
    return Raster(index, triangles[kept], weights.transpose(0, 2, 1))
