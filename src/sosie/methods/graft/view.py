"""What geometry makes of a crop, what the network is shown of it, and what becomes of its answer.

The network looks at an upright square around the face. It answers with a slow change of light and
a finer change of detail; both are enlarged onto the crop, whose own sharpness stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.blending.color_transfer import transfer_light
from sosie.blending.pixel_math import blurred, luma, mixed, planes, plus, times
from sosie.geometry import alignment, head_pose
from sosie.geometry.morphable_model import Points, face_shape, silhouette
from sosie.methods.graft.source_texture import PreparedPhoto
from sosie.methods.graft.warp import Field, own_parts, textured
from sosie.types import FloatArray, Pixels

SIDE_PX, MARGIN = 256, 1.3
"""Side of the network's square in pixels, and in sizes of the face (`topology.region_of`)."""

CHANNELS = (
    *("base red", "base green", "base blue", "known"),
    *("around red", "around green", "around blue", "shown", "own"),
    *("normal x", "normal y", "place x", "place y"),
)
"""What the network is shown of each pixel; see `shown_to_network`."""

LIGHT_PX = 64
"""Side of the network's map of light."""

FINE, FINE_GAIN, FLOOR = 0.02, 1.1, 0.04
"""Fine detail is what varies over less than the first, as a share of the face; how far it may grow
with the light; and what is added to both sides of a ratio of lights."""

MOST_COLOR = 1.5
"""Color grows with luma, but not more than so many times: what is nearly black has only noise."""

# The target's light: what varies over more than this share of the face. Its features are smaller.
_LIGHT_SIGMA = 0.18
# Near a gap, hair or whatever makes it is still in the picture: by this share of the face a gap is
# taken larger than it is known to be, with an edge as soft as the second.
_GAP_RIM, _GAP_SOFT = 0.02, 0.006
# The light is worked out at about this many pixels a face's side.
_BLURRED_PX = 48
# Places on the mean face reach this far from its middle (canonical).
_FARTHEST = 2.0


@dataclass(frozen=True)
class Draft:
    """A crop's face as geometry makes it, without a network. All float32, 0..1, h x w as the crop.

    base: RGB, h x w x 3: the source's texture in about the target's light; where the source shows
        nothing, that light alone; the target's own eyes and mouth. Beyond the face it has no
        meaning.
    known: how far `base` is the source's texture or the target's own parts.
    own: where it is the target's own parts.
    shown: where the face is seen in the target: inside its outline, with nothing in front.
    light: RGB, h x w x 3: the target's pixels where the face is shown, blurred until they tell
        nobody's features.
    field: the swapped face's mesh, in pixels of the crop.
    """

    base: FloatArray
    known: FloatArray
    own: FloatArray
    shown: FloatArray
    light: FloatArray
    field: Field


def draft(
    photo: PreparedPhoto,
    pixels: Pixels,
    landmarks: FloatArray,
    points: FloatArray,
    visible: FloatArray,
    over: FloatArray | None = None,
    expression: float = 0.0,
) -> Draft:
    """pixels: the target, RGB, h x w x 3, uint8 or uint16. landmarks: its own, 478 x 3; points:
    those of the swapped face. visible: h x w, 0 where something lies in front of the target. over:
    h x w, 1 where spectacles do or a beard, beneath which the face is to go on: the network is not
    shown them, or the colors of rims and hair would spread over the face. expression: how much
    of the source's own eyes and mouth, and so of its expression, the face has, 0..1."""
    height, width = pixels.shape[:2]
    target = as_unit(pixels)
    field = Field(points, width, height)
    texture, known = textured(photo, field)
    own, moved = own_parts(pixels, landmarks, points)
    own *= np.float32(1 - expression)
    inside = silhouette(landmarks, width, height)
    shown = np.asarray(inside * np.float32(1 / 255) * visible, np.float32)
    size_px = float(head_pose.region_of(landmarks).size_px)
    skin = shown * (1 - own) if over is None else shown * (1 - over) * (1 - own)
    if expression:
        # The target's light is read of its own face, and falls on all of the new one.
        wider = inside | silhouette(points, width, height)
        shown = np.asarray(wider * np.float32(1 / 255) * visible, np.float32)
    known = _kept_off_gaps(known, size_px)
    lit = transfer_light(texture, target, skin * known, size_px)
    light = _blurred(target, skin, size_px)
    base = mixed(mixed(light, lit, known), moved, own)
    return Draft(base, np.maximum(known, own), own, shown, light, field)


def square(landmarks: FloatArray) -> alignment.Matrix:
    """Crop -> the network's square, for a face with these landmarks (478 x 3, in the crop)."""
    return head_pose.square_matrix(head_pose.region_of(landmarks), MARGIN, SIDE_PX)


def shown_to_network(made: Draft, pixels: Pixels, matrix: alignment.Matrix) -> NDArray[np.uint8]:
    """SIDE_PX x SIDE_PX x len(CHANNELS), uint8.

    pixels: the crop. matrix: crop -> square. Channels in 0..255: the draft's base and how far it is
    known; the target around the face, and within it only its blurred light; where the face is
    shown, and where it is the target's own; the mesh's normals (128 for 0) and each pixel's place
    on the mean face, which tell from where light comes and what part of a face is to be there.
    """
    around = mixed(as_unit(pixels), made.light, made.shown)
    layers = (*planes(made.base), made.known, *planes(around), made.shown, made.own)
    # By four channels, which is the most that is warped in one go.
    laid = [
        _laid(_as_bytes(np.asarray(cv2.merge(layers[k : k + 4]), np.float32)), matrix)
        for k in range(0, len(layers), 4)
    ]
    surface = _as_bytes(_surface(made.field, matrix))
    return np.asarray(np.dstack([*laid, surface]), np.uint8)


def corrected(
    made: Draft, light: FloatArray, detail: FloatArray, matrix: alignment.Matrix
) -> FloatArray:
    """The draft's base with the network's answer applied: RGB float32, h x w x 3, unbounded.

    light: LIGHT_PX x LIGHT_PX x 6, gain and offset of each color; detail: SIDE_PX x SIDE_PX x 3;
    matrix: crop -> square. The result is base * (1 + gain) + offset + detail, but what is fine in
    the base has one gain for all channels, and keeps its contrast to the light.
    """
    height, width = made.base.shape[:2]
    gain, offset = (
        laid_over(light[..., k : k + 3], SIDE_PX, matrix, width, height) for k in (0, 3)
    )
    sigma_px = max(0.5, FINE * SIDE_PX / MARGIN / alignment.scale_of(matrix))
    slow = blurred(made.base, sigma_px)
    fine = made.base - slow
    # In place: these are pictures of the crop's own size.
    gain += 1
    common = _mean(gain)
    lit = np.multiply(gain, slow, out=gain)
    lit += offset
    # By its offset the network can take the light without the contrast, but not the reverse: fine
    # detail follows the light, and no channel of it more than another.
    kept = np.clip((_mean(lit) + FLOOR) / (_mean(slow) + FLOOR), 0, FINE_GAIN)
    lit += times(fine, np.maximum(kept, common))
    lit += laid_over(detail, SIDE_PX, matrix, width, height)
    return lit


def in_base_color(made: Draft, pixels: FloatArray) -> FloatArray:
    """The luma of `pixels` (the network's, h x w x 3) with the color that the draft's base has at
    that luma: RGB float32, h x w x 3, unbounded.

    The network is right about light and shade. Of color it is unsure where it is dark: lashes and
    the folds of lids came out violet, which people see before all else.
    """
    before, after = luma(made.base), np.clip(luma(pixels), 0, 1)
    gain = np.minimum((after + FLOOR) / (before + FLOOR), MOST_COLOR)
    return plus(times(made.base, gain), after - before * gain)


def as_unit(pixels: Pixels) -> FloatArray:
    """RGB uint8 or uint16 as float32 in 0..1."""
    return np.asarray(pixels * np.float32(1 / np.iinfo(pixels.dtype).max), np.float32)


def _as_bytes(picture: FloatArray) -> NDArray[np.uint8]:
    """0..1 as 0..255, rounded; what lies below 0 or above 1 is cut off."""
    return np.asarray(cv2.convertScaleAbs(np.maximum(picture, 0), alpha=255), np.uint8)


def _laid(picture: NDArray[np.uint8], matrix: alignment.Matrix) -> NDArray[np.uint8]:
    """A picture of the crop in the network's square."""
    if picture.shape[:2] == (SIDE_PX, SIDE_PX) and np.array_equal(matrix, np.eye(2, 3)):
        return picture
    return np.asarray(alignment.warp(picture, matrix, SIDE_PX, SIDE_PX), np.uint8)


def laid_over(
    answer: FloatArray, side_px: int, matrix: alignment.Matrix, width: int, height: int
) -> FloatArray:
    """An answer of a network (a square map of any side) laid over the crop. side_px: of the
    network's square; matrix: crop -> square."""
    shrink = answer.shape[0] / side_px
    to_map = np.array([[shrink, 0, 0.5 * shrink - 0.5], [0, shrink, 0.5 * shrink - 0.5]])
    placed = cv2.warpAffine(
        np.ascontiguousarray(answer),
        alignment.compose(to_map, matrix),
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(placed, np.float32)


def _kept_off_gaps(known: FloatArray, size_px: float) -> FloatArray:
    """How far the source is known (h x w, 0..1), less what lies at the rim of a gap."""
    side = 2 * round(_GAP_RIM * size_px) + 1
    inner = cv2.erode(known, np.ones((side, side), np.uint8), borderType=cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(inner, (0, 0), max(0.5, _GAP_SOFT * size_px))
    return np.asarray(np.minimum(soft, known), np.float32)


def _blurred(target: FloatArray, weight: FloatArray, size_px: float) -> FloatArray:
    """The local mean of the target under a weight, by a wide Gaussian; far from all weight the mean
    of all. Same shapes as in `Draft`."""
    shrink = min(1.0, _BLURRED_PX / max(size_px, 1.0))
    height, width = weight.shape
    size = (max(2, round(width * shrink)), max(2, round(height * shrink)))
    weighted = cv2.resize(times(target, weight), size, interpolation=cv2.INTER_AREA)
    total = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    mean = weighted.sum((0, 1)) / max(float(total.sum()), 1e-6)
    sigma = _LIGHT_SIGMA * size_px * shrink
    weighted, total = (cv2.GaussianBlur(a, (0, 0), sigma) for a in (weighted, total))
    far = np.float32(1e-3)
    local = ((weighted + far * mean) / (total + far)[..., None]).astype(np.float32)
    wide = cv2.resize(local, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(wide, np.float32)


def _surface(field: Field, matrix: alignment.Matrix) -> FloatArray:
    """Normals and places of the mesh in the square, SIDE_PX x SIDE_PX x 4, 0..1. matrix: crop ->
    square."""
    points = alignment.transform_points(field.points, matrix)
    values = np.column_stack([normals(points)[:, :2], places()]).astype(np.float32)
    return field.spread_onto(values * np.float32(0.5), matrix, SIDE_PX, SIDE_PX) + np.float32(0.5)


def _mean(picture: FloatArray) -> FloatArray:
    """Of the three channels: h x w."""
    return np.asarray(cv2.transform(picture, np.full((1, 3), 1 / 3, np.float32)), np.float32)


def normals(points: NDArray[Any]) -> Points:
    """Unit normals of the mesh at its points (478 x 3), towards the camera where z < 0: 478 x 3."""
    shape = face_shape()
    corners = np.asarray(points, np.float64)[shape.triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    # Clockwise triangles in a left-handed frame: the product points away from the camera.
    corner, each = shape.triangles.T.ravel(), -np.tile(across, (3, 1))
    total = np.stack([np.bincount(corner, axis, len(points)) for axis in each.T], axis=1)
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9))


@cache
def places() -> Points:
    """x and y of each point on the mean face, about -1..1."""
    return np.asarray(face_shape().mean[:, :2] / _FARTHEST)
