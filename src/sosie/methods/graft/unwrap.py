"""The face's surface laid flat: the mesh opened as a cylinder, the same for every face.

In it a place on the face is always at the same pixel, whatever the pose, so that photos of one
person can be laid over one another and what one hides can be told from what faces look like.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.geometry import mesh
from sosie.geometry.morphable_model import face_shape
from sosie.geometry.rasterizer import Raster, rasterize
from sosie.geometry.uv import texture_coordinates
from sosie.types import FloatArray

WIDTH, HEIGHT = 96, 112
"""Of the layout, in pixels; it may be drawn a whole number of times as large."""

_MARGIN_PX = 1.5


@cache
def places() -> FloatArray:
    """x, y of each mesh point in the layout, 478 x 2, in pixels. The middle line is upright in the
    middle, and both sides are mirror images."""
    room = np.array([WIDTH - 1, HEIGHT - 1], np.float32) - 2 * _MARGIN_PX
    return np.asarray(texture_coordinates() * room + _MARGIN_PX, np.float32)


@cache
def unit_px() -> float:
    """Pixels a canonical unit, down the layout."""
    return float(
        np.ptp(places()[: mesh.SURFACE_POINTS, 1])
        / np.ptp(face_shape().mean[: mesh.SURFACE_POINTS, 1])
    )


@cache
def triangles() -> NDArray[np.int32]:
    """Those of the surface, and fans over the eyes and the mouth."""
    inner = mesh.fan(mesh.RIGHT_EYE) + mesh.fan(mesh.INNER_LIPS)
    # This ring starts at the image's right: its triangles would face away.
    inner += [triangle[::-1] for triangle in mesh.fan(mesh.LEFT_EYE)]
    return np.concatenate([face_shape().triangles, np.array(inner, np.int32)])


@cache
def raster(times: int = 1) -> Raster:
    """Which triangle each pixel of the layout shows, drawn `times` as large."""
    points = (places() + 0.5) * times - 0.5
    flat = np.column_stack([points, np.zeros(len(points))]).astype(np.float32)
    return rasterize(flat, triangles(), WIDTH * times, HEIGHT * times)


@cache
def inside(times: int = 1) -> NDArray[np.bool_]:
    """Where the layout shows the face."""
    return raster(times).index >= 0


def unwrap(image: NDArray[Any], points: FloatArray, times: int = 1) -> FloatArray:
    """A picture (h x w or h x w x K, any range) laid flat by the places of the mesh in it.

    points: 478 x 2 or x 3, in its pixels. What is shrunk is to be filtered before. Returns float32,
    times * HEIGHT x times * WIDTH (x K); outside the face and the picture it has no meaning.
    """
    x, y = (raster(times).interpolate(np.ascontiguousarray(points[:, k])) for k in (0, 1))
    flat = cv2.remap(
        image.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(flat, np.float32)


def spread(values: NDArray[Any], times: int = 1) -> FloatArray:
    """One value a mesh point (478) over the layout: float32, times * HEIGHT x times * WIDTH."""
    return raster(times).interpolate(values.astype(np.float32))
