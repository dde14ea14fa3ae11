"""The swapped face behind the target's spectacles: what their lenses do, and what they hide."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie import face_mesh
from sosie.compose.mask import face_size_px
from sosie.geometry import fill_polygon
from sosie.types import Crop, FloatArray

# A lens takes light away, color by color; another skin and a little haze may add some.
_GAINS = (0.25, 1.15)
# What is brighter under a lens than this percentile of the face's skin, by the first of these
# differences (0..1), begins to be a reflection, and by the second is one.
_BRIGHT, _REFLECTION = 75, (0.08, 0.2)
# How soft a reflection's edge is, and how far about an open eye nothing counts, its white above
# all, as shares of the face.
_SOFT, _EYE = 0.006, 0.01
# Of a lens that shows fewer pixels nothing can be told.
_LEAST_PX = 12


def seen_through(
    swapped: FloatArray, target: FloatArray, skin: FloatArray, crop: Crop
) -> tuple[FloatArray, FloatArray]:
    """The swapped face as the lenses of `crop.spectacles` show it, and what hides it.

    swapped, target: RGB float32, h x w x 3, 0..1, in the crop. skin: h x w, 0..1, where the swapped
    face shows. Returns pixels like `swapped`, tinted as each lens tints the target's skin, and how
    much of them spectacles hide, h x w, 0..1: their cover, and what a lens reflects. The target's
    own eyeballs, which a method puts into the swapped face, have come through the lens already.
    """
    worn = crop.spectacles
    if worn is None or not (worn.lenses > 0.5).any():
        return swapped, np.zeros_like(skin) if worn is None else worn.cover
    size_px = face_size_px(crop)
    soft_px = max(0.5, _SOFT * size_px)
    eyes = _eyes(crop, size_px)
    bright = _percentile(target[skin > 0.5], _BRIGHT)
    pixels, over = swapped.copy(), worn.cover.copy()
    count, labels = cv2.connectedComponents((worn.lenses > 0.5).astype(np.uint8))
    for number in range(1, count):
        inside = labels == number
        told = inside & (eyes < 0.5) & (skin > 0.5)
        if np.count_nonzero(told) < _LEAST_PX:
            continue
        usual = _percentile(target[told], 50)
        gain = np.clip(usual / np.maximum(_percentile(swapped[told], 50), 1e-3), *_GAINS)
        # With the soft edge of the lens.
        near = cv2.dilate(inside.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        pixels[near] *= 1 + (gain - 1) * (1 - eyes[near, None])
        excess = (target - np.maximum(usual, bright)).max(2)
        share = np.clip((excess - _REFLECTION[0]) / (_REFLECTION[1] - _REFLECTION[0]), 0, 1)
        share = cv2.GaussianBlur(np.asarray(share * (1 - eyes), np.float32), (0, 0), soft_px)
        over[near] = np.maximum(over[near], share[near])
    return np.asarray(pixels, np.float32), over


def _eyes(crop: Crop, size_px: float) -> FloatArray:
    """Where the target's eyes are open, and a little about it: h x w, 0..1."""
    height, width = crop.pixels.shape[:2]
    rings = [crop.landmarks[list(r), :2] for r in (face_mesh.RIGHT_EYE, face_mesh.LEFT_EYE)]
    open_eyes = np.maximum(*(fill_polygon(ring, width, height) for ring in rings))
    side = 2 * max(1, round(_EYE * size_px)) + 1
    wide = cv2.dilate(open_eyes, np.ones((side, side), np.uint8)).astype(np.float32) / 255
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), max(0.5, _SOFT * size_px)), np.float32)


def _percentile(colors: NDArray[np.float32], share: float) -> FloatArray:
    """Of each channel of N x 3; 0 of none."""
    if not len(colors):
        return np.zeros(3, np.float32)
    return np.asarray(np.percentile(colors, share, axis=0), np.float32)
