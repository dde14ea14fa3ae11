"""Fine detail as the target has it: features as sharp, and skin with its pores, grain and
compression, where the swapped face has less."""

from __future__ import annotations

import cv2
import numpy as np

from sosie.blending.color_transfer import in_range
from sosie.blending.pixel_math import luma, plus
from sosie.geometry import alignment, mesh
from sosie.types import FloatArray

# Texture is what is finer than this share of the face: pores, grain, compression. A band up to
# 0.009 has wrinkles in it, and cost 0.006 of likeness.
_FINE = 0.0045
# Its contrast is told over this share of the face, at about so many pixels a face's side.
_AROUND, _AROUND_PX = 0.07, 96
# It is brought to the target's contrast around the place, but to no more than so many times
# what the target's skin usually has: stubble and strands of hair are not texture of skin.
_MOST_USUAL = 1.3
# Of the target's detail no more than this share is taken, and of what stands out further than so
# many deviations little: a mole or an edge is the target's own.
_MOST_TAKEN, _OUTSTANDING = 0.9, 2.0
# Less than so many pixels of skin tell nothing, and of a narrower blur nothing is left.
_LEAST_PX, _LEAST_SIGMA_PX = 50, 0.4
# Sharpness of features is what varies over less than these shares of the face, from the finer to
# the coarser, but over no less than so many pixels. It grows to at most so many times what it was.
_SHARP, _LEAST_SHARP_PX, _MOST_SHARP = (0.0035, 0.008), (0.6, 1.2), 1.8
# Skin, and what moves with the target (eyeballs and teeth), get this share of it.
_SHARP_SKIN, _SHARP_OWN = 0.5, 0.5
# Added to both sides of a ratio of variances.
_SLIGHT = 1e-6
_OPENINGS = (mesh.RIGHT_EYE, mesh.LEFT_EYE, mesh.INNER_LIPS)


def match_sharpness(
    swapped: FloatArray,
    target: FloatArray,
    mask: FloatArray,
    features: FloatArray,
    landmarks: FloatArray,
    size_px: float,
) -> FloatArray:
    """Sharpen `swapped` until its brows, lids and lips are about as sharp as the target's.

    Features of a soft source, or of one that was enlarged or reduced, stand out in a sharp picture.
    Nothing is blurred: a face that is sharper already stays. landmarks: 478 x 2 or more, the
    target's, in pixels. Other arguments and result as for `match_texture`.
    """
    own = np.zeros(mask.shape, np.uint8)
    for ring in _OPENINGS:
        own |= alignment.fill_hull(landmarks, ring, mask.shape[1], mask.shape[0])
    share = own * np.float32(1 / 255)
    told = mask * features * (1 - share)
    total = float(told.sum())
    if total < _LEAST_PX:
        return swapped
    left, there = luma(swapped), luma(target)
    added = np.zeros_like(left)
    for of_face, least_px in zip(_SHARP, _LEAST_SHARP_PX, strict=True):
        sigma_px = max(least_px, of_face * size_px)
        ours, theirs = (_fine(plane, sigma_px) for plane in (left, there))
        has, wanted = (float((band * band * told).sum()) / total for band in (ours, theirs))
        gain = np.sqrt((wanted + _SLIGHT) / (has + _SLIGHT))
        added += np.float32(np.clip(gain, 1, _MOST_SHARP) - 1) * ours
        left, there = left - ours, there - theirs
    where = mask * (_SHARP_SKIN + (1 - _SHARP_SKIN) * features) * (1 - _SHARP_OWN * share)
    return in_range(plus(swapped, added * where))


def match_texture(
    swapped: FloatArray,
    target: FloatArray,
    mask: FloatArray,
    features: FloatArray,
    size_px: float,
) -> FloatArray:
    """Add the target's fine luma to `swapped` where that has less contrast than the target around.

    A source that is smaller or softer than the target leaves skin without pores or grain in a sharp
    picture, which people see at once. The target's own fine detail lies where it must in a video,
    and has the target's light.

    swapped, target: RGB float32, h x w x 3, 0..1. mask: h x w, 0..1, where the swapped face shows.
    features: h x w, 0..1, where the target's eyes, brows and lips are (`mask.feature_mask`).
    Returns new pixels, 0..1.
    """
    skin = mask * (1 - features)
    # Nothing is finer than a pixel.
    if float(skin.sum()) < _LEAST_PX or _FINE * size_px < _LEAST_SIGMA_PX:
        return swapped
    shrink = min(1.0, _AROUND_PX / size_px)
    size = (max(2, round(mask.shape[1] * shrink)), max(2, round(mask.shape[0] * shrink)))
    around_px = max(1.0, _AROUND * size_px * shrink)
    small = cv2.resize(skin, size, interpolation=cv2.INTER_AREA)
    total = cv2.GaussianBlur(small, (0, 0), around_px) + np.float32(1e-3)
    ours, theirs = (_fine(luma(pixels), _FINE * size_px) for pixels in (swapped, target))
    power = [cv2.resize(b * b * skin, size, interpolation=cv2.INTER_AREA) for b in (ours, theirs)]
    has, there = (cv2.GaussianBlur(p, (0, 0), around_px) / total for p in power)
    usual = float(np.median(there[small > 0.5])) if (small > 0.5).any() else 0.0
    lack = np.minimum(there, _MOST_USUAL * usual) - has
    taken = np.sqrt(np.maximum(lack, 0) / (there + np.float32(1e-9)))
    limit = _OUTSTANDING * np.sqrt(there) + np.float32(1e-6)
    share, bound = (
        cv2.resize(a, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
        for a in (np.minimum(taken, _MOST_TAKEN), limit)
    )
    added = share * bound * np.tanh(theirs / bound)
    return np.clip(plus(swapped, added * skin), 0, 1)


def _fine(plane: FloatArray, sigma_px: float) -> FloatArray:
    """What is left of a plane without its blurred self."""
    return np.asarray(plane - cv2.GaussianBlur(plane, (0, 0), sigma_px), np.float32)
