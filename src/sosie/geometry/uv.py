"""Texture coordinates of the face mesh, the same for every face."""

from __future__ import annotations

from functools import cache

import numpy as np

from sosie.geometry import mesh
from sosie.geometry.morphable_model import face_shape
from sosie.geometry.rasterizer import rasterize
from sosie.types import FloatArray

# The axis of the cylinder lies this far behind the deepest point of the outline (canonical).
_BEHIND = 0.25


@cache
def texture_coordinates() -> FloatArray:
    """u, v of each mesh point, 478 x 2, 0..1: the mesh opened as a cylinder, u around it from the
    image's left to its right, v from the forehead down. The middle line is at u = 0.5."""
    mean = face_shape().mean
    axis = mean[list(mesh.OVAL), 2].max() + _BEHIND
    around = np.arctan2(mean[:, 0], axis - mean[:, 2])
    surface = slice(mesh.SURFACE_POINTS)
    half = np.abs(around[surface]).max()
    low, high = mean[surface, 1].min(), mean[surface, 1].max()
    uv = np.column_stack([0.5 + around / (2 * half), (mean[:, 1] - low) / (high - low)])
    return np.clip(uv, 0, 1).astype(np.float32)


def uv_pass(landmarks: FloatArray, width: int, height: int) -> FloatArray:
    """Where each pixel of a picture lies on a face: h x w x 3, float32: u, v, and 1 on the face.

    landmarks: 478 x 3, in the picture's pixels. All are 0 beside the face, and in its eyes and its
    mouth where these are open.
    """
    raster = rasterize(landmarks, face_shape().triangles, width, height)
    on_face = (raster.index >= 0).astype(np.float32)
    return np.dstack([raster.interpolate(texture_coordinates()), on_face])
