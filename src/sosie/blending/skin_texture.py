"""Fine texture of skin: pores, grain and compression of the target, where the swapped face has
less."""

from __future__ import annotations

import cv2
import numpy as np

from sosie.blending.color_transfer import LUMA
from sosie.blending.mask import feature_mask
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


def match_texture(
    swapped: FloatArray,
    target: FloatArray,
    mask: FloatArray,
    landmarks: FloatArray,
    size_px: float,
) -> FloatArray:
    """Add the target's fine luma to `swapped` where that has less contrast than the target around.

    A source that is smaller or softer than the target leaves skin without pores or grain in a sharp
    picture, which people see at once. The target's own fine detail lies where it must in a video,
    and has the target's light.

    swapped, target: RGB float32, h x w x 3, 0..1. mask: h x w, 0..1, where the swapped face shows.
    landmarks: 478 x 2 or more, the target's, in pixels. Returns new pixels, 0..1.
    """
    skin = mask * (1 - feature_mask(landmarks, mask.shape, size_px))
    # Nothing is finer than a pixel.
    if float(skin.sum()) < _LEAST_PX or _FINE * size_px < _LEAST_SIGMA_PX:
        return swapped
    shrink = min(1.0, _AROUND_PX / size_px)
    size = (max(2, round(mask.shape[1] * shrink)), max(2, round(mask.shape[0] * shrink)))
    around_px = max(1.0, _AROUND * size_px * shrink)
    small = cv2.resize(skin, size, interpolation=cv2.INTER_AREA)
    total = cv2.GaussianBlur(small, (0, 0), around_px) + np.float32(1e-3)
    ours, theirs = (_fine(pixels @ LUMA, _FINE * size_px) for pixels in (swapped, target))
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
    return np.asarray(np.clip(swapped + (added * skin)[..., None], 0, 1), np.float32)


def _fine(luma: FloatArray, sigma_px: float) -> FloatArray:
    """What is left of luma (h x w) without its blurred self."""
    return np.asarray(luma - cv2.GaussianBlur(luma, (0, 0), sigma_px), np.float32)
