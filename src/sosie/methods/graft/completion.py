"""The source made whole: what hides a photo's face is replaced by what lies under it, most likely.

Several photos of one person tell one another's hidden parts first; the model of face texture tells
the rest. What a photo shows stays its own, pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.parser import MARGIN, SIDE_PX, FaceParts, square_matrix
from sosie.blending.pixel_math import LUMA, planes
from sosie.geometry import alignment, head_pose, mesh
from sosie.geometry.morphable_model import silhouette
from sosie.methods.base import Source
from sosie.methods.graft import unwrap
from sosie.methods.graft.source_texture import seen_points
from sosie.methods.graft.texture_model import texture_model
from sosie.methods.graft.warp import Field
from sosie.types import FloatArray

_FACE_PX = SIDE_PX / MARGIN
"""A face's size in the square that all of this is worked out in; lengths are shares of it."""

# From these shares of a pixel on it shows such a thing, which hides so much more around it: a rim
# has an edge and a shadow, hair has strands.
_HIDES = {
    "spectacles": (0.35, 0.035),
    "hair": (0.35, 0.035),
    "hat": (0.5, 0.022),
    "thing": (0.5, 0.02),
    "beyond": (0.5, 0.02),
}
# The same for all but spectacles together: the parser may be sure that it sees no skin, and not of
# what it is.
_ANY = (0.35, 0.02)
# Skin of a brow from this share on is no hair that hides it.
_BROW = 0.8
# So near the face's edge pixels show some of what lies beside it: what is told further inside
# counts there too.
_RIM_PX = 4
_SOFT = 0.008
# What lies within this share of the face of hair that is told is its strands or its shade, where it
# is darker than this many times the skin around, which is told over the third. Only above the eyes:
# below them it may be a beard.
_STRAND_REACH, _STRAND_DARK, _STRAND_AROUND = 0.09, 0.9, 0.1
# The photo is filled so far past the face's edge, so that the edge itself can be resampled.
_PAST = 0.03
# Between what hides and the skin that a fill is joined to lies so much; the joint fades over the
# second, and is left out as the head turns away.
_GUARD, _JOINT = 0.03, 0.05
_TURNED_DEG = (20.0, 28.0)
# Over this many pixels of the layout the light of two photos is told apart; and how far detail of
# the own mirror side is believed.
_LIGHT_UV_PX, _MIRRORED = 12.0, 0.5
_COLOR_UV_PX = 16.0
# Of a face that shows less than this share of itself nothing is made.
_LEAST_SEEN = 0.1
# The layout is drawn so many times as large for what is filled in.
TIMES = 3
# Skin has no more fine contrast than this (of 1) an octave; what shows more is hair, or small.
_MOST_GRAIN = 0.008
_BROWS = (mesh.RIGHT_BROW, mesh.LEFT_BROW)


@dataclass(frozen=True)
class Completed:
    """A source photo made whole.

    source: the photo with what was hidden filled in, and all of the face visible. fill: RGB 0..1,
    in the unwrapped layout, TIMES as large: the whole face, for what is turned away; None where too
    little of the face is seen to tell it. hidden: h x w as the photo, 0..1, what was filled.
    trust: HEIGHT x WIDTH, 0..1, which places of the layout the fill rests on.
    """

    source: Source
    fill: FloatArray | None
    hidden: FloatArray
    trust: FloatArray


@dataclass(frozen=True)
class _Seen:
    """What one photo shows: its square (RGB 0..1) and the mesh in it, what hides the face there,
    and by spectacles; its texture in the layout, and the weight of each pixel."""

    square: FloatArray
    points: FloatArray
    hidden: FloatArray
    spectacles: FloatArray
    texture: FloatArray
    weight: FloatArray


def complete(sources: Sequence[Source], keep: Collection[str] = ()) -> list[Completed]:
    """Photos of one person made whole, in the same order.

    keep: what stays on, of `options.KEPT`. A source without parts is one that hides
    nothing but what `visible` says.
    """
    seen = [_see(source, keep) for source in sources]
    return [_completed(source, number, seen) for number, source in enumerate(sources)]


def hidden_parts(
    parts: FaceParts, landmarks: FloatArray, keep: Collection[str] = ()
) -> tuple[FloatArray, FloatArray]:
    """What of a face is hidden, with its edges and shadows, and what by spectacles: two views,
    SIDE_PX x SIDE_PX, 0 or 1, on the square of the face with these landmarks."""
    points = alignment.transform_points(landmarks, square_matrix(head_pose.region_of(landmarks)))
    inside = (silhouette(points, SIDE_PX, SIDE_PX) > 127).astype(np.uint8)
    depth_px = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    brows = _hulls(points, _BROWS)
    shares = {
        "spectacles": parts.frame + parts.lens,
        "hair": np.where(brows & (parts.skin > _BROW), 0, parts.hair),
        "hat": parts.hat,
        "thing": parts.thing,
        "beyond": parts.beyond,
    }
    laid = {}
    for name, (least, wider) in _HIDES.items():
        there = (shares[name] > least) & (depth_px > 0) & (name not in keep)
        laid[name] = cv2.dilate(there.astype(np.uint8), _disc(wider))
    least, wider = _ANY
    others = [shares[name] for name in ("hair", "hat", "thing", "beyond") if name not in keep]
    there = (np.sum(others, axis=0) > least) & (depth_px > 0)
    laid["any"] = cv2.dilate(there.astype(np.uint8), _disc(wider))
    hidden = _outwards(np.maximum.reduce(list(laid.values())), depth_px)
    return hidden.astype(np.float32), laid["spectacles"].astype(np.float32)


def _see(source: Source, keep: Collection[str]) -> _Seen:
    landmarks = source.face.landmarks
    matrix = square_matrix(head_pose.region_of(landmarks))
    top = np.float32(np.iinfo(source.pixels.dtype).max)
    square = alignment.warp(source.pixels, matrix, SIDE_PX, SIDE_PX).astype(np.float32) / top
    points = alignment.transform_points(landmarks, matrix)
    if source.parts is None:
        shown = alignment.warp(source.visible, matrix, SIDE_PX, SIDE_PX)
        told = np.asarray(1 - shown, np.float32)
        spectacles = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    else:
        told, spectacles = hidden_parts(source.parts, landmarks, keep)
        if "hair" not in keep:
            told = _with_strands(told, source.parts, square, points)
    # A picture has an end.
    there = np.ones(source.pixels.shape[:2], np.float32)
    framed = alignment.warp(there, matrix, SIDE_PX, SIDE_PX, cv2.BORDER_CONSTANT)
    hidden = np.asarray(np.where(framed < 0.99, 1, told), np.float32)
    weight = unwrap.unwrap(1 - hidden, points) * unwrap.spread(seen_points(source, points))
    return _Seen(
        square,
        points,
        hidden,
        spectacles,
        unwrap.unwrap(square, points),
        np.asarray(weight * unwrap.inside(), np.float32),
    )


def _with_strands(
    told: FloatArray, parts: FaceParts, square: FloatArray, points: FloatArray
) -> FloatArray:
    """What hides the face, and the strands and the shade that hair leaves beyond what is told.

    Arguments and result are views, SIDE_PX x SIDE_PX. A fringe thins out into strands that the
    parser calls skin, and what is left of them stands as a second brow on another forehead.
    """
    hair = ((parts.hair > _HIDES["hair"][0]) & (told > 0)).astype(np.uint8)
    near = cv2.dilate(hair, _disc(_STRAND_REACH)) > 0
    eyes = points[[*mesh.RIGHT_EYE, *mesh.LEFT_EYE], 1].min()
    near &= np.arange(SIDE_PX)[:, None] < eyes
    plain = silhouette(points, SIDE_PX, SIDE_PX) > 127
    plain &= ~_hulls(points, (*_BROWS, mesh.RIGHT_EYE, mesh.LEFT_EYE))
    clear = np.asarray((1 - told) * plain, np.float32)
    luma = square @ LUMA
    # Bright skin tells what skin is like; strands would darken the mean.
    sigma_px = _STRAND_AROUND * _FACE_PX
    for _ in range(2):
        total = cv2.GaussianBlur(clear, (0, 0), sigma_px) + np.float32(1e-3)
        around = cv2.GaussianBlur(luma * clear, (0, 0), sigma_px) / total
        clear = np.asarray(clear * (luma > _STRAND_DARK * around), np.float32)
    dark = (luma < _STRAND_DARK * around) & near & plain
    joined = (dark | (told > 0)).astype(np.uint8)
    _, labels = cv2.connectedComponents(joined)
    touching = np.unique(labels[told > 0])
    strands = (dark & np.isin(labels, touching)).astype(np.uint8)
    wider = cv2.dilate(strands, _disc(_ANY[1] / 2)) * plain
    return np.maximum(told, wider.astype(np.float32))


def _hulls(points: FloatArray, rings: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
    """The inside of features in the square: SIDE_PX x SIDE_PX."""
    filled = [alignment.fill_hull(points, ring, SIDE_PX, SIDE_PX) > 127 for ring in rings]
    return np.asarray(np.logical_or.reduce(filled), np.bool_)


def _completed(source: Source, number: int, seen: list[_Seen]) -> Completed:
    own = seen[number]
    if own.weight[unwrap.inside()].mean() < _LEAST_SEEN:
        nothing = np.zeros(source.visible.shape, np.float32)
        return Completed(source, None, nothing, own.weight)
    texture, weight = _fused(own, [other for k, other in enumerate(seen) if k != number])
    told, trust = texture_model().fill(texture, weight)
    # Paint, or a lamp of a color that no face of the model had, goes on where it is not seen.
    told = told + _smooth(texture - told, trust, _COLOR_UV_PX)
    size = (unwrap.WIDTH * TIMES, unwrap.HEIGHT * TIMES)
    # What the model cannot tell: of the other photos, and where they show nothing of the other
    # side of the face. Of that the light is not taken, since the model tells it.
    theirs = np.maximum(weight - own.weight, 0)
    detail = (texture - told) * np.maximum(trust, theirs)[..., None]
    flipped = _MIRRORED * trust[:, ::-1] * (1 - weight)
    detail += _without_light((texture - told)[:, ::-1], flipped)
    larger = cv2.resize(_continued(told + detail), size, interpolation=cv2.INTER_CUBIC)
    fill = np.asarray(np.clip(larger, 0, 1), np.float32)
    offset = _joint(source, own, fill, trust)
    whole, hidden = _filled(source, own, fill, offset)
    return Completed(whole, fill, hidden, trust)


def _fused(own: _Seen, others: list[_Seen]) -> tuple[FloatArray, FloatArray]:
    """The own texture and weight, and where they end the other photos', in the own light."""
    if not others:
        return own.texture, own.weight
    total = np.full_like(own.weight, 1e-6)
    summed = np.zeros_like(own.texture)
    for other in others:
        shared = own.weight * other.weight
        light = _smooth((own.texture - other.texture), shared, _LIGHT_UV_PX)
        summed += (other.texture + light) * other.weight[..., None]
        total += other.weight
    theirs = np.minimum(total, 1) * (1 - own.weight)
    weight = own.weight + theirs
    mixed = own.texture * own.weight[..., None] + summed / total[..., None] * theirs[..., None]
    return np.asarray(mixed / np.maximum(weight, 1e-6)[..., None], np.float32), weight


def _continued(texture: FloatArray) -> FloatArray:
    """An unwrapped texture that goes on past the face's edge as it is at the edge."""
    # The outermost pixels are sampled in part from beyond the face.
    beyond = (~unwrap.inside()).astype(np.uint8)
    outside = cv2.dilate(beyond, np.ones((3, 3), np.uint8))
    _, nearest = cv2.distanceTransformWithLabels(
        outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.zeros((int(nearest.max()) + 1, 3), np.float32)
    by_label[nearest[outside == 0]] = texture[outside == 0]
    return np.asarray(np.where(outside[..., None] > 0, by_label[nearest], texture), np.float32)


def _without_light(detail: FloatArray, weight: FloatArray) -> FloatArray:
    slow = _smooth(detail, weight, _LIGHT_UV_PX / 3)
    return np.asarray((detail - slow) * weight[..., None], np.float32)


def _smooth(values: FloatArray, weight: FloatArray, sigma_px: float) -> FloatArray:
    """The local mean of values (h x w x 3) under a weight; far from all weight the mean of all."""
    mean = (values * weight[..., None]).sum((0, 1)) / max(float(weight.sum()), 1e-6)
    total = cv2.GaussianBlur(weight, (0, 0), sigma_px) + 1e-3
    blurred = cv2.GaussianBlur((values - mean) * weight[..., None], (0, 0), sigma_px)
    return np.asarray(mean + blurred / total[..., None], np.float32)


def _joint(source: Source, own: _Seen, fill: FloatArray, trust: FloatArray) -> FloatArray:
    """What is added to a fill so that it meets the skin around it: SIDE_PX x SIDE_PX x 3.

    It is measured a guard band away from what hides, where pixels fit a face, and fades inwards.
    Lenses leave no skin between rims to measure, and the far rim of a turned face is not skin.
    """
    field = Field(own.points, SIDE_PX, SIDE_PX)
    places = unwrap.places()
    x, y = planes(field.spread(places))
    drawn = cv2.remap(fill, (x + 0.5) * TIMES - 0.5, (y + 0.5) * TIMES - 0.5, cv2.INTER_LINEAR)
    fits = cv2.remap(trust, x, y, cv2.INTER_LINEAR)
    clear = np.asarray(1 - cv2.dilate(own.hidden, _disc(_GUARD)), np.float32)
    weight = np.asarray(clear * fits, np.float32)
    sigma_px = _JOINT * _FACE_PX
    # So much weight is laid on no offset, that it fades where no skin is near.
    total = cv2.GaussianBlur(weight, (0, 0), sigma_px) + np.float32(0.02)
    apart = np.asarray((own.square - drawn) * weight[..., None], np.float32)
    offset = cv2.GaussianBlur(apart, (0, 0), sigma_px) / total[..., None]
    near, far = _TURNED_DEG
    turned = np.clip((abs(source.face.pose.yaw) - near) / (far - near), 0, 1)
    glass = cv2.GaussianBlur(own.spectacles, (0, 0), _GUARD * _FACE_PX)
    return np.asarray(offset * (1 - glass)[..., None] * np.float32(1 - turned), np.float32)


def _filled(
    source: Source, own: _Seen, fill: FloatArray, offset: FloatArray
) -> tuple[Source, FloatArray]:
    """The photo with what is hidden filled, and what was, h x w."""
    pixels = source.pixels
    height, width = pixels.shape[:2]
    top = np.float32(np.iinfo(pixels.dtype).max)
    back = alignment.invert(square_matrix(head_pose.region_of(source.face.landmarks)))

    def placed(view: FloatArray) -> FloatArray:
        laid = cv2.warpAffine(view, back, (width, height), flags=cv2.INTER_LINEAR)
        return np.asarray(laid, np.float32)

    soft = cv2.GaussianBlur(cv2.dilate(own.hidden, _disc(_SOFT)), (0, 0), _SOFT * _FACE_PX)
    field = Field(source.face.landmarks, width, height)
    outline = (silhouette(source.face.landmarks, width, height) > 0).astype(np.uint8)
    reach_px = max(1, round(_PAST * source.face.size_px))
    inside = cv2.dilate(outline, np.ones((2 * reach_px + 1, 2 * reach_px + 1), np.uint8))
    hidden = np.asarray(placed(np.asarray(soft, np.float32)) * inside, np.float32)
    places = unwrap.places()
    x, y = planes(field.spread((places + 0.5) * TIMES - 0.5))
    drawn = cv2.remap(fill, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    photo = np.asarray(pixels * np.float32(1 / top), np.float32)
    made = drawn + placed(offset) + _grain(photo, hidden, inside)[..., None]
    mixed = photo + (made - photo) * hidden[..., None]
    whole = np.rint(np.clip(mixed, 0, 1) * top).astype(pixels.dtype)
    visible = np.maximum(source.visible, np.asarray(inside, np.float32))
    return replace(source, pixels=whole, visible=visible, parts=None), hidden


def _grain(photo: FloatArray, hidden: FloatArray, inside: NDArray[Any]) -> FloatArray:
    """Noise as strong, octave by octave, as the fine detail of the skin that is seen: h x w."""
    luma = photo @ LUMA
    noise = np.random.default_rng(0).standard_normal(luma.shape, np.float32)
    seen = (inside > 0) & (hidden < 0.01)
    grain = np.zeros_like(luma)
    if not seen.any():
        return grain
    for sigma_px in (0.7, 1.4):
        bands = [_band(np.asarray(a, np.float32), sigma_px) for a in (luma, noise)]
        # Of a normal distribution three in ten differ by less than this many deviations; lids, lips
        # and strands are among the other seven.
        height = float(np.percentile(np.abs(bands[0][seen]), 30)) / 0.385
        grain += bands[1] / max(float(bands[1].std()), 1e-6) * np.float32(min(height, _MOST_GRAIN))
    return grain


def _band(picture: FloatArray, sigma_px: float) -> FloatArray:
    """What of a picture is coarser than one Gaussian and finer than that of twice the width."""
    fine = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma_px), np.float32)
    coarse = np.asarray(cv2.GaussianBlur(picture, (0, 0), 2 * sigma_px), np.float32)
    return np.asarray(fine - coarse, np.float32)


def _outwards(mask: NDArray[np.uint8], depth_px: NDArray[Any]) -> NDArray[np.uint8]:
    """The mask further inside than the rim, and at each other pixel what it is at the nearest of
    those."""
    within = depth_px > _RIM_PX
    if not within.any():
        return mask
    _, nearest = cv2.distanceTransformWithLabels(
        (~within).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.zeros(int(nearest.max()) + 1, np.uint8)
    by_label[nearest[within]] = mask[within]
    return np.asarray(np.maximum(mask, by_label[nearest]), np.uint8)


def _disc(share: float) -> NDArray[np.uint8]:
    """A disc whose radius is this share of the face."""
    side = 2 * max(1, round(share * _FACE_PX)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
