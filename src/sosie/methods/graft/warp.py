"""A source's texture on a target's geometry, and the target's own eyes and mouth, moved with it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.blending.pixel_math import mixed, planes
from sosie.geometry import alignment, mesh
from sosie.geometry.alignment import fill_polygon
from sosie.geometry.morphable_model import Points, canonicalize, face_shape, silhouette
from sosie.geometry.rasterizer import rasterize
from sosie.methods.graft import unwrap
from sosie.methods.graft.folds import near_folds, smile_beyond, without_folds
from sosie.methods.graft.retarget import retarget
from sosie.methods.graft.source_texture import PreparedPhoto
from sosie.types import Crop, FloatArray, Pixels, SwappedCrop

# The map is worked out at no more than this many pixels a face's side and enlarged: it is smooth.
_MAP_PX = 192
# The mesh is drawn larger by this factor around its outline, so that the map has values there.
_SKIRT = 1.12
# Softness of the edge of the target's own eyes and mouth, as a share of their width.
_OWN_FEATHER = 0.03


def carried(
    photo: PreparedPhoto, crop: Crop, shape: float | Points, expression: float = 0.0
) -> SwappedCrop:
    """The crop's face with the texture and, by `shape` (0..1, for all points or 478 x 1), the inner
    proportions of the source, in the source's own light; where that shows nothing, the mask gives
    the target back. expression: how much of the source's it has, 0..1."""
    height, width = crop.pixels.shape[:2]
    points = retarget(photo.landmarks, crop.landmarks, crop.aim, shape, expression)
    texture, known = textured(photo, Field(points, width, height))
    mask = known * (silhouette(points, width, height) * np.float32(1 / 255))
    outline = points if expression else None
    own, moved = own_parts(crop.pixels, crop.landmarks, points)
    own *= np.float32(1 - expression)
    pixels = mixed(texture, moved, own)
    mask = np.asarray(np.maximum(mask, own), np.float32)
    return SwappedCrop(pixels, mask, own, outline=outline)


def textured(photo: PreparedPhoto, field: Field) -> tuple[FloatArray, FloatArray]:
    """The source's texture on the mesh of a field: RGB h x w x 3, and h x w how far it is known
    there, both 0..1. Outside the outline that goes on as at its edge. Folds of a smile that the
    field's face has not are smoothed away."""
    color, known = _carried(photo, field)
    share = smile_beyond(photo.landmarks, field.points)
    if share > 0:
        about = field.spread(near_folds(), flat=True)
        color = without_folds(color, known, field.points, about, share)
    return color, known


def _carried(photo: PreparedPhoto, field: Field) -> tuple[FloatArray, FloatArray]:
    """As `textured`, folds and all."""
    scale = canonicalize(field.points, face_shape()).scale
    level = photo.level_for(scale)
    image, places = photo.levels[level], photo.points_at(level)
    # Reduced levels hold more pixels than the target: between those, linear is enough.
    how = cv2.INTER_CUBIC if level == 0 else cv2.INTER_LINEAR
    if not photo.has_other:
        color, weight = _layer(image, field.spread(places), how)
        weight *= field.spread(photo.direct, flat=True)
        return color, weight
    direct, other = planes(field.spread(np.column_stack([photo.direct, photo.other]), flat=True))
    color, weight = _layer(image, field.spread(places), how)
    weight *= direct
    if photo.fills:
        image, places, how = _stand_in(photo.fills, scale)
    else:
        places = places[face_shape().mirror]
    theirs, share = _layer(image, field.spread(places), how)
    share *= other
    total = weight + share
    return mixed(color, theirs, share / np.maximum(total, 1e-4)), np.minimum(total, 1)


def _stand_in(
    fills: tuple[NDArray[Any], ...], scale: float
) -> tuple[NDArray[Any], FloatArray, int]:
    """Of an unwrapped face in several sizes the one for a face with `scale` pixels a canonical
    unit, the mesh points' places in it, and how it is sampled."""
    times = fills[0].shape[1] / unwrap.WIDTH
    needed = scale / (times * unwrap.unit_px())
    level = int(np.clip(np.floor(-np.log2(max(needed, 1e-6))), 0, len(fills) - 1))
    places = (unwrap.places() + 0.5) * np.float32(times / 2**level) - 0.5
    how = cv2.INTER_CUBIC if needed > 1 else cv2.INTER_LINEAR
    return fills[level], np.asarray(places, np.float32), how


def _layer(image: NDArray[Any], places: FloatArray, how: int) -> tuple[FloatArray, FloatArray]:
    """`image` (RGB and visible share) sampled at each pixel's place in it, h x w x 2: color and
    visible share, 0..1."""
    x, y = planes(places)
    sampled = cv2.remap(image, x, y, how, borderMode=cv2.BORDER_REPLICATE)
    unit = np.float32(1 / np.iinfo(image.dtype).max)
    color = cv2.cvtColor(sampled, cv2.COLOR_RGBA2RGB) * unit
    return np.asarray(color, np.float32), np.asarray(sampled[..., 3] * unit, np.float32)


class Field:
    """Spreads values of mesh points over a crop.

    The mesh is rasterized at no more than _MAP_PX a face and the result enlarged: it is smooth.
    A ring of points outside the outline continues it, so that there are values at the very edge.

    points: of the mesh, 478 x 3, in pixels of the crop.
    """

    def __init__(self, points: FloatArray, width: int, height: int) -> None:
        self.points = points
        face_px = float(np.ptp(points[: mesh.SURFACE_POINTS, :2], axis=0).max())
        shrink = min(1.0, _MAP_PX / face_px)
        ring = _continued(points, _SKIRT)
        # Behind everything, so that it never hides the face itself.
        ring[:, 2] = points[:, 2].max() + 1
        around = np.concatenate([points, ring])
        small = around * np.float32(shrink) + np.float32(0.5 * shrink - 0.5)
        small[:, 2] = around[:, 2] * np.float32(shrink)
        self._size = (width, height)
        # All of the mesh and its ring, and a pixel more, wherever the crop ends.
        low = np.floor(small[:, :2].min(0)) - 1
        across, down = (np.ceil(small[:, :2].max(0)) - low + 2).astype(int)
        small[:, :2] -= low
        shift = 0.5 * shrink - 0.5 - low
        self._to_raster = np.array([[shrink, 0, shift[0]], [0, shrink, shift[1]]], np.float64)
        self._raster = rasterize(small, _skirt_triangles(), int(across), int(down))

    def spread(self, values: FloatArray, flat: bool = False) -> FloatArray:
        """Values of the points, 478 or 478 x K (K <= 4), over the crop: float32, h x w (x K).

        flat: go on outside the outline with the same value instead of with the same slope.
        """
        return self._laid(values, flat, self._to_raster, self._size)

    def spread_onto(
        self, values: FloatArray, matrix: alignment.Matrix, width: int, height: int
    ) -> FloatArray:
        """As `spread`, flat, over a picture of another size. matrix: crop -> picture."""
        back = alignment.compose(self._to_raster, alignment.invert(matrix))
        return self._laid(values, True, back, (width, height))

    def _laid(
        self, values: FloatArray, flat: bool, to_raster: alignment.Matrix, size: tuple[int, int]
    ) -> FloatArray:
        ring = _continued(values, 1.0 if flat else _SKIRT)
        field = self._raster.interpolate(np.concatenate([values, ring]))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(field, to_raster, size, flags=flags), np.float32)


def _continued(values: FloatArray, by: float) -> FloatArray:
    """Values (N or N x K) of the outline's points, moved away from their mean by a factor."""
    rim = values[list(mesh.OVAL)]
    middle = rim.mean(0)
    return np.asarray(middle + (rim - middle) * np.float32(by), np.float32)


@cache
def _skirt_triangles() -> NDArray[np.int32]:
    oval = list(mesh.OVAL)
    count = len(oval)
    outer = [mesh.POINTS + k for k in range(count)]
    ring = []
    for k in range(count):
        after = (k + 1) % count
        ring.append((oval[k], outer[k], outer[after]))
        ring.append((oval[k], outer[after], oval[after]))
    return np.concatenate([unwrap.triangles(), np.array(ring, np.int32)])


def own_parts(
    pixels: Pixels,
    landmarks: FloatArray,
    points: FloatArray,
    rings: Iterable[tuple[int, ...]] = (mesh.RIGHT_EYE, mesh.LEFT_EYE, mesh.INNER_LIPS),
    size: tuple[int, int] | None = None,
) -> tuple[FloatArray, FloatArray]:
    """The target's own eyeballs and mouth, moved with the lids and lips that now surround them.

    Gaze, lids and teeth are the target's: what a photo does not show cannot be carried.
    pixels: RGB, h x w x 3, uint8 or uint16. landmarks: 478 x 3, the target's; points: 478 x 3,
    those of the swapped face. rings: around what is moved. size: width and height of what they are
    moved into; None for those of `pixels`. Returns a soft mask, h x w, and the moved pixels,
    h x w x 3, both 0..1.
    """
    width, height = size or (pixels.shape[1], pixels.shape[0])
    top = np.float32(255 if pixels.dtype == np.uint8 else 65535)
    own = np.zeros((height, width), np.float32)
    moved = np.zeros((height, width, 3), np.float32)
    for ring in rings:
        corners = points[list(ring), :2]
        width_px = float(np.ptp(corners, axis=0).max())
        x0, y0 = np.maximum(np.floor(corners.min(0) - 0.1 * width_px - 2), 0).astype(int)
        x1, y1 = np.minimum(
            np.ceil(corners.max(0) + 0.1 * width_px + 2) + 1, (width, height)
        ).astype(int)
        if x1 <= x0 or y1 <= y0:
            continue
        corners = corners - np.array([x0, y0], np.float32)
        opening = fill_polygon(corners, x1 - x0, y1 - y0)
        soft = cv2.GaussianBlur(opening, (0, 0), max(0.5, _OWN_FEATHER * width_px))
        back = _affine(corners, landmarks[list(ring), :2])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        part = cv2.warpAffine(
            pixels, back, (x1 - x0, y1 - y0), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        own[y0:y1, x0:x1] = soft.astype(np.float32) / 255
        moved[y0:y1, x0:x1] = part.astype(np.float32) / top
    return own, moved


def _affine(points: FloatArray, onto: FloatArray) -> Points:
    """The affine map, 2 x 3, that brings `points` nearest to `onto`, damped towards a shift: a
    closed eye has no height to tell one from."""
    center = points.mean(0, dtype=np.float64)
    around = points - center
    change = (onto - onto.mean(0)) - around
    spread = around.T @ around
    damping = 0.02 * np.trace(spread) * np.eye(2)
    linear = np.eye(2) + np.linalg.solve(spread + damping, around.T @ change).T
    return np.column_stack([linear, onto.mean(0) - linear @ center])
