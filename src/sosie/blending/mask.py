"""The mask of a swap: where, and how strongly, the swapped face replaces the target's."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.geometry import alignment, mesh
from sosie.geometry.morphable_model import silhouette
from sosie.types import Crop, FloatArray, SwappedCrop

# Below this the mask counts as outside: what eight bits cannot show is not written.
_NOTHING = 1 / 512
# Where skin goes on beyond the face the edge is so many times as wide: an edge there draws a line
# on a forehead, and elsewhere there is one.
_WIDER = 5.0
# The antialiased edge of a filled outline reaches a pixel past it. From this value on a pixel's
# center is inside, give or take half a pixel; at 128 it may be 1.1 px outside.
_INSIDE = 255
# So near a feature is still the feature, with an edge as soft as the second (shares of the face).
_NEAR_FEATURES, _SOFT = 0.025, 0.015
# The same of a part of the target's face that stays its own.
_NEAR_PART, _PART_SOFT = 0.035, 0.02
_FEATURES = (mesh.RIGHT_EYE, mesh.LEFT_EYE, mesh.OUTER_LIPS, mesh.RIGHT_BROW, mesh.LEFT_BROW)


PART_RINGS = {
    "mouth": (mesh.OUTER_LIPS,),
    "eyes": (mesh.RIGHT_EYE, mesh.LEFT_EYE),
    "brows": (mesh.RIGHT_BROW, mesh.LEFT_BROW),
}
"""The mesh points about each part of a face that may stay the target's own."""


def face_mask(
    crop: Crop,
    swapped: SwappedCrop,
    feather: float,
    erode: float = 0.0,
    kept: Collection[str] = (),
) -> FloatArray:
    """Soft mask of the visible face, float32, h x w, 0..1, exactly 0 outside the face's outline.

    The outline of the target's landmarks, and the swapped face's where it has its own, where the
    method vouches for its pixels and nothing lies in front of the face; it rises from 0 at the edge
    to 1 over `feather` of the face's size, or from `erode` of that size within the edge. kept:
    parts, of `PART_RINGS`, that stay the target's own. Of a method that bounds itself
    (`SwappedCrop.bounded`) it is the method's own.
    """
    height, width = crop.pixels.shape[:2]
    if not swapped.bounded:
        return _without(kept, crop, swapped.mask)
    outline = silhouette(crop.landmarks, width, height)
    if swapped.outline is not None:
        outline |= silhouette(swapped.outline, width, height)
    outline[outline < _INSIDE] = 0
    trusted = np.minimum(swapped.mask, crop.visible)
    hidden = trusted < 0.5
    feather_px = max(1.0, feather * face_size_px(crop))
    erode_px = erode * face_size_px(crop)
    rise: FloatArray | float = 1.0
    if crop.skin_beyond is not None:
        rise = _rise(outline, feather_px, erode_px, crop.skin_beyond)
    if crop.skin_beyond is None or hidden.any():
        outline[hidden] = 0
        rise = np.minimum(rise, _rise(outline, feather_px, erode_px))
    return _without(kept, crop, np.asarray(rise * rise * (3 - 2 * rise) * trusted, np.float32))


def _without(kept: Collection[str], crop: Crop, mask: FloatArray) -> FloatArray:
    """A mask less the parts that stay the target's own."""
    if kept:
        rings = [ring for part in kept for ring in PART_RINGS[part]]
        near = (_NEAR_PART, _PART_SOFT)
        mask = mask * (1 - _about(rings, crop.landmarks, mask.shape, face_size_px(crop), *near))
    return np.asarray(np.where(mask < _NOTHING, 0, mask), np.float32)


def _rise(
    inside: NDArray[np.uint8],
    feather_px: float,
    erode_px: float = 0.0,
    wide: FloatArray | None = None,
) -> FloatArray:
    """0 at the edge of a mask (not 0 inside, h x w) and so many pixels within it, and 1 from
    `feather_px` further inwards, or up to _WIDER times as many where `wide` is 1."""
    # A border of zeros makes the frame's own edge no edge of the face.
    depth_px = cv2.distanceTransform(inside, cv2.DIST_L2, 3) - np.float32(erode_px)
    if wide is not None:
        depth_px = depth_px / (1 + (_WIDER - 1) * wide)
    return np.asarray(np.clip(depth_px / feather_px, 0, 1), np.float32)


def feature_mask(landmarks: FloatArray, shape: tuple[int, ...], size_px: float) -> FloatArray:
    """Where eyes, brows and lips are, and a little about them: float32, h x w, 0..1.

    landmarks: 478 x 2 or more, in pixels of a picture of this shape; size_px: the face's.
    """
    return _about(_FEATURES, landmarks, shape, size_px, _NEAR_FEATURES, _SOFT)


def _about(
    rings: Iterable[tuple[int, ...]],
    landmarks: FloatArray,
    shape: tuple[int, ...],
    size_px: float,
    near: float,
    soft: float,
) -> FloatArray:
    """Where the hulls of mesh points are, and so much about them, with a soft edge: 0..1."""
    there = np.zeros(shape, np.uint8)
    for ring in rings:
        there |= alignment.fill_hull(landmarks, ring, shape[1], shape[0])
    side = 2 * max(1, round(near * size_px)) + 1
    there = np.asarray(cv2.dilate(there, np.ones((side, side), np.uint8)), np.uint8)
    edge = cv2.GaussianBlur(there, (0, 0), max(0.5, soft * size_px))
    return np.asarray(edge * np.float32(1 / 255), np.float32)


def face_size_px(crop: Crop) -> float:
    """Geometric mean of the face's width and height in the crop, pixels."""
    spans = np.ptp(crop.landmarks[: mesh.SURFACE_POINTS, :2], axis=0)
    return float(np.sqrt(spans[0] * spans[1]))
