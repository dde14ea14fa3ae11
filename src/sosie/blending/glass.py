"""The swapped face behind the target's clear lenses: their tint, and what they reflect; or the
spectacles taken off."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.blending.mask import face_size_px
from sosie.geometry import mesh
from sosie.geometry.alignment import fill_polygon
from sosie.types import Crop, FloatArray, Spectacles

# A lens takes light away, color by color. It is told by this percentile of what is beneath, which
# is skin however dark the lids are, and lies between these.
_SKIN, _GAINS = 70, (0.25, 1.0)
# What is brighter under a lens than this percentile of the face's skin, and than its own, by more
# than this (0..1) is light that the lens reflects.
_BRIGHT, _EXCESS = 60, 0.02
# How soft the edge of a lens's effect is, and how far about an open eye it has none, as shares of
# the face.
_SOFT, _EYE = 0.006, 0.01
# Beside the face spectacles are painted out from so far around, as a share of the face.
_AROUND = 0.02
# Percentiles are of pixels that lie about this many a face's side apart; of fewer than the second
# nothing can be told.
_SAMPLES, _LEAST = 160, 12


def seen_through(
    swapped: FloatArray, target: FloatArray, skin: FloatArray, crop: Crop, worn: Spectacles
) -> FloatArray:
    """The swapped face as the target's lenses show it: pixels like `swapped`.

    swapped, target: RGB float32, h x w x 3, 0..1, in the crop. skin: h x w, 0..1, where the swapped
    face shows. Each lens tints it as it tints the target's skin, and adds what it reflects. The
    target's own eyeballs, which a method puts into the swapped face, have come through it already.
    """
    size_px = face_size_px(crop)
    soft_px = max(0.5, _SOFT * size_px)
    margin_px = 1 + round(3 * soft_px)
    eyes = _eyes(crop, size_px, soft_px)
    every = slice(None, None, max(1, round(size_px / _SAMPLES)))
    bright = _percentile(target[every, every][skin[every, every] > 0.5], _BRIGHT)
    pixels = swapped.copy()
    inside = (worn.lenses > worn.lenses.max() / 2).astype(np.uint8)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(inside)
    for number, (x, y, wide, high, _) in zip(range(1, count), boxes[1:], strict=True):
        box = (
            slice(max(0, y - margin_px), y + high + margin_px),
            slice(max(0, x - margin_px), x + wide + margin_px),
        )
        lens = labels[box] == number
        told = (lens & (eyes[box] < 0.5) & (skin[box] > 0))[every, every]
        if np.count_nonzero(told) < _LEAST:
            continue
        usual = _percentile(target[box][every, every][told], _SKIN)
        ours = _percentile(swapped[box][every, every][told], _SKIN)
        gain = np.clip(usual / np.maximum(ours, 1e-3), *_GAINS)
        near = cv2.dilate(lens.astype(np.float32), np.ones((2 * margin_px - 1,) * 2, np.uint8))
        near = (cv2.GaussianBlur(near, (0, 0), soft_px) * (1 - eyes[box]))[..., None]
        reflected = np.maximum(target[box] - np.maximum(usual, bright) - _EXCESS, 0)
        pixels[box] += (pixels[box] * (gain - 1) + reflected) * near
    return pixels


def painted_out(target: FloatArray, spectacles: FloatArray, size_px: float) -> FloatArray:
    """The target without what of its spectacles lies beside the swapped face: arms and wide rims.

    target: RGB float32, h x w x 3, 0..1. spectacles: h x w, not 0 where that is. Narrow as it is,
    what lies around it goes on over it. Returns new pixels.
    """
    hole = np.asarray(spectacles > 0, np.uint8)
    if not hole.any():
        return target
    rows, columns = np.nonzero(hole)
    around_px = max(3, round(_AROUND * size_px))
    top, left = max(0, rows.min() - around_px), max(0, columns.min() - around_px)
    box = slice(top, rows.max() + around_px + 1), slice(left, columns.max() + around_px + 1)
    painted = target.copy()
    for channel in range(3):
        # Of floats it makes noise.
        part = np.rint(np.clip(target[box][..., channel], 0, 1) * 65535).astype(np.uint16)
        filled = cv2.inpaint(part, hole[box], around_px, cv2.INPAINT_TELEA)
        painted[box][..., channel] = np.where(hole[box], filled / 65535, target[box][..., channel])
    return painted


def _eyes(crop: Crop, size_px: float, soft_px: float) -> FloatArray:
    """Where the target's eyes are open, and a little about it: h x w, 0..1."""
    height, width = crop.pixels.shape[:2]
    rings = [crop.landmarks[list(r), :2] for r in (mesh.RIGHT_EYE, mesh.LEFT_EYE)]
    open_eyes = np.maximum(*(fill_polygon(ring, width, height) for ring in rings))
    side = 2 * max(1, round(_EYE * size_px)) + 1
    wide = cv2.dilate(open_eyes, np.ones((side, side), np.uint8)).astype(np.float32) / 255
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), soft_px), np.float32)


def _percentile(colors: NDArray[np.float32], share: float) -> FloatArray:
    """Of each channel of N x 3; 0 of none."""
    if not len(colors):
        return np.zeros(3, np.float32)
    return np.asarray(np.percentile(colors, share, axis=0), np.float32)
