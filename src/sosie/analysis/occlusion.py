"""What of a face is visible, and what of it may be painted over, from what the parser tells.

The two differ in spectacles: a rim hides the face, and yet the face goes on beneath it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.parser import MARGIN, SIDE_PX, FaceParts, square_matrix
from sosie.geometry.alignment import invert, transform_points
from sosie.geometry.head_pose import region_of
from sosie.geometry.morphable_model import silhouette
from sosie.types import FloatArray, Spectacles

_FACE_PX = SIDE_PX / MARGIN
"""A face's size in a view; the lengths below are in pixels of it."""

# At a face's edge the parser tells of neck and hair what lies beside it: within this distance of
# the edge, what is told further inside counts.
_RIM_PX = 4
# What it says there holds up to this far past the edge, so that the edge itself can be resampled,
# and averaged with that of the next frame.
_PAST_PX = 5
_SOFT_PX = 0.8
# What is told of successive frames is averaged over about this many, so that it does not flicker.
_AVERAGED = 3
# The shares of skin up to which a place is hidden and from which it is visible. On validation
# people's photos with things before them 93 % of what is seen is visible then, and 6 % of what is
# hidden; at 0.15 and 0.5 that is 96 and 14 %.
_HIDDEN, _VISIBLE = 0.4, 0.8
# From this share on a pixel shows spectacles; theirs is widened by this much of the face, since
# a rim has an edge and a shadow, and gaps of up to this much of it are closed.
_SPECTACLES, _WIDER, _GAP = 0.35, 0.012, 0.05
# This much of the face at a lens's edge counts as its rim, which may be too thin to be seen; from
# the first to the second share of lens a pixel is inside.
_INNER, _INSIDE = 0.012, (0.35, 0.65)
# Whether skin goes on beyond the face's edge is told over this share of the face.
_BEYOND = 0.025
# What lies before a face covers this much of it beyond its own outline.
_EDGE = 0.01
# What is rim by this share is all rim, so that no pixel of one changes.
_ALL = 0.95
# Lenses of a mean opacity up to the first are clear, from the second opaque. Among validation
# people clear ones have up to 0.31, tinted ones through which eyes are seen 0.31 to 0.4, sunglasses
# from 0.46.
_CLEAR, _OPAQUE = 0.3, 0.4


def all_visible() -> FloatArray:
    """The view of a face with nothing in front of it."""
    return np.ones((SIDE_PX, SIDE_PX), np.float32)


def visible(parts: FaceParts, landmarks: FloatArray) -> FloatArray:
    """The visible share on an upright picture of the face: float32, SIDE_PX x SIDE_PX, 0..1.

    parts: of the face with these landmarks (478 x 3). 1 outside the face, where nothing is judged.
    A lens hides as much as it is opaque, and a rim takes its edge with it. The face always stands
    at the same place in the view.
    """
    through = parts.lens * (1 - parts.lens_opacity)
    view = _judged(np.asarray(parts.skin + through, np.float32), landmarks)
    return view * (1 - _widened(parts.frame > _SPECTACLES))


def paintable(parts: FaceParts, landmarks: FloatArray) -> FloatArray:
    """The share of a target's face that may be painted over, as `visible`: what is in front of it
    stays, sunglasses with their edges too. Beneath spectacles with clear lenses it may be painted
    all over, since they are laid over it afterwards: see `clear_spectacles`."""
    worn = _worn(parts)
    if _clearness(parts) > 0:
        beneath = parts.skin + worn * (parts.frame + parts.lens)
        return _judged(np.asarray(beneath, np.float32), landmarks)
    return _judged(parts.skin, landmarks) * (1 - worn)


def clear_spectacles(parts: FaceParts) -> Spectacles | None:
    """A target's spectacles as views, 0 beyond them; None where it wears none with clear lenses.

    Rims cover the face, with their edges and what was not seen of a rim at a lens's edge. How clear
    lenses are is told of both together: one eye must not be another person's than its neighbor.
    """
    worn, clear = _worn(parts), _clearness(parts)
    if clear == 0 or not worn.any():
        return None
    lens = cv2.morphologyEx(parts.lens, cv2.MORPH_CLOSE, _disc(_GAP / 2))
    inside = np.clip(
        (cv2.erode(lens, _disc(_INNER)) - _INSIDE[0]) / (_INSIDE[1] - _INSIDE[0]), 0, 1
    )
    lenses = np.asarray(cv2.GaussianBlur(inside, (0, 0), _SOFT_PX) * clear, np.float32)
    cover = np.minimum(worn * (1 - lenses) / _ALL, 1)
    return Spectacles(np.asarray(cover, np.float32), lenses)


def _worn(parts: FaceParts) -> FloatArray:
    """Where spectacles are, lenses and gaps in their rims included: float32, 0..1."""
    told = (parts.frame + parts.lens > _SPECTACLES).astype(np.uint8)
    return _widened(cv2.morphologyEx(told, cv2.MORPH_CLOSE, _disc(_GAP / 2)) > 0)


def _clearness(parts: FaceParts) -> float:
    """How far the lenses of a pair count as clear, 0..1; 0 where there are none."""
    area = float(parts.lens.sum())
    if area < 1:
        return 0.0
    opacity = float((parts.lens * parts.lens_opacity).sum()) / area
    return float(np.clip((_OPAQUE - opacity) / (_OPAQUE - _CLEAR), 0, 1))


def _widened(spectacles: NDArray[np.bool_]) -> FloatArray:
    """Where spectacles are, and their edge: float32, 0..1."""
    wide = cv2.dilate(spectacles.astype(np.float32), _disc(_WIDER))
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), _SOFT_PX), np.float32)


def skin_beyond(parts: FaceParts, landmarks: FloatArray) -> FloatArray:
    """How far skin goes on beyond the face's edge nearby, as a forehead does up to the hair: a
    view, 0..1, that means something near the edge."""
    outside = 1 - surface(landmarks).astype(np.float32)
    sigma_px = _BEYOND * _FACE_PX
    there = cv2.GaussianBlur(parts.skin * outside, (0, 0), sigma_px)
    return np.asarray(there / (cv2.GaussianBlur(outside, (0, 0), sigma_px) + 1e-3), np.float32)


def covered(landmarks: FloatArray, others: Sequence[FloatArray]) -> FloatArray:
    """The share of a face over which the surfaces of other faces lie, as a view. others: the
    landmarks of each (478 x 3), in the same picture."""
    matrix = square_matrix(region_of(landmarks))
    view = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    for other in others:
        view |= silhouette(transform_points(other, matrix), SIDE_PX, SIDE_PX)
    # Their edges too: a pixel there shows both.
    wide = cv2.dilate(view, _disc(_EDGE)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), _SOFT_PX) * np.float32(1 / 255), np.float32)


def shares(parts: FaceParts, landmarks: FloatArray) -> dict[str, float]:
    """The shares of a face's surface, 0..1, that `hair`, `spectacles`, a `hat` and another `thing`
    lie over."""
    inside = surface(landmarks) > 0
    laid = {
        "hair": parts.hair,
        "spectacles": parts.frame + parts.lens,
        "hat": parts.hat,
        "thing": parts.thing,
    }
    return {
        name: float(plane[inside].mean()) if inside.any() else 0.0 for name, plane in laid.items()
    }


def averaged(before: FaceParts | None, parts: FaceParts, frames: int) -> FaceParts:
    """The parts of a face over time, after a new look. before: what this was at the last one.
    frames: how many came before this one."""
    return parts if before is None else before.towards(parts, 1 / min(max(frames, 1), _AVERAGED))


def place_view(
    view: FloatArray, landmarks: FloatArray, width: int, height: int, beyond: float = 1
) -> FloatArray:
    """A view laid over the face with these landmarks (478 x 3, in pixels of a picture): float32,
    height x width as the picture; `beyond` outside the view."""
    back = cv2.warpAffine(
        view,
        invert(square_matrix(region_of(landmarks))),
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(beyond,),
    )
    return np.asarray(back, np.float32)


def surface(landmarks: FloatArray) -> NDArray[np.uint8]:
    """Where in a view the face's surface is: 1 on 0."""
    points = transform_points(landmarks, square_matrix(region_of(landmarks)))
    return (silhouette(points, SIDE_PX, SIDE_PX) > 127).astype(np.uint8)


def _judged(seen: FloatArray, landmarks: FloatArray) -> FloatArray:
    """A view from the share of each pixel that shows the face."""
    inside = surface(landmarks)
    told = carried_outwards(seen, inside)
    told = np.asarray(cv2.GaussianBlur(told, (0, 0), _SOFT_PX), np.float32)
    view = np.clip((told - _HIDDEN) / (_VISIBLE - _HIDDEN), 0, 1)
    near = cv2.dilate(inside, np.ones((2 * _PAST_PX + 1, 2 * _PAST_PX + 1), np.uint8))
    view[near == 0] = 1
    return view


def carried_outwards(mask: FloatArray, inside: NDArray[np.uint8]) -> FloatArray:
    """The mask within the rim of `inside` (1 on 0), and at each other pixel what it is at the
    nearest of those; 1 everywhere where the rim leaves nothing."""
    depth_px = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    within = depth_px > _RIM_PX
    _, nearest = cv2.distanceTransformWithLabels(
        (~within).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.ones(int(nearest.max()) + 1, np.float32)
    by_label[nearest[within]] = mask[within]
    return np.asarray(by_label[nearest], np.float32)


def _disc(share: float) -> NDArray[np.uint8]:
    """A disc whose radius is this share of the face."""
    side = 2 * max(1, round(share * _FACE_PX)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
