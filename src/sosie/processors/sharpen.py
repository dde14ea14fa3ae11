"""`sharpen`: the fine contrast of the target on a face that was swapped softer than it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import cv2
import numpy as np

from sosie.blending.mask import face_size_px
from sosie.errors import UsageError
from sosie.options import SwapOptions
from sosie.processors.base import Card, Request, as_number
from sosie.types import Crop, FloatArray, SwappedCrop

# The finest detail is of this many pixels, and the coarsest that is still detail of this share of
# the face; each band is twice as coarse as the one before.
_FINEST_PX, _COARSEST = 0.6, 0.02
# Contrast is compared over this share of the face: both have eyes there, or skin. A face of so many
# pixels is enough for that.
_AROUND, _AROUND_PX = 0.12, 64
# At most so many times is a band raised. What eight bits cannot show is no contrast to raise.
_MOST, _SLIGHT = 3.0, (0.5 / 255) ** 2
# The range that a pixel must keep to is that of its surroundings of this share of the face.
_NEAR = 0.008
# Beside that it has the deviation of the target's texture: so many times the square of the mean
# root of its detail, in which an edge counts little.
_ROOM = 1.5
# Shares of red, green and blue in luma (Rec. 601).
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class Sharpen:
    """Raises each band of a face's detail to the contrast that the target has there, never beyond.

    A band's contrast is compared around each place, so that skin is held against skin. No pixel
    leaves the range of its surroundings by more than the target's own fine contrast: edges become
    steeper and get no halo. strength: 0..1, how much of the difference is made up.
    """

    card = Card(
        name="sharpen",
        summary="the fine contrast of the target on a face that was swapped softer",
        license="Apache-2.0",
        stage="face",
    )
    providers: Mapping[str, str] = MappingProxyType({})

    def __init__(self, strength: float = 1.0) -> None:
        self._strength = np.float32(strength)

    def process(self, crops: Sequence[Crop], faces: Sequence[SwappedCrop]) -> list[SwappedCrop]:
        """Each face with more detail, where its target has more."""
        return [self._sharpened(crop, face) for crop, face in zip(crops, faces, strict=True)]

    def _sharpened(self, crop: Crop, face: SwappedCrop) -> SwappedCrop:
        size_px = face_size_px(crop)
        target = crop.pixels.astype(np.float32) / np.float32(np.iinfo(crop.pixels.dtype).max)
        inside = face.mask > 0
        shown = np.where(inside[..., None], face.pixels, target)
        weight = face.mask * crop.visible
        ours, theirs = _bands(shown @ _LUMA, size_px), _bands(target @ _LUMA, size_px)
        added = np.zeros(weight.shape, np.float32)
        room = np.zeros(weight.shape, np.float32)
        for mine, other in zip(ours, theirs, strict=True):
            told = np.dstack([mine * mine, other * other, np.sqrt(np.abs(other))])
            power = _around(told, weight, size_px)
            gain = np.sqrt((power[..., 1] + _SLIGHT) / (power[..., 0] + _SLIGHT))
            added += (np.clip(gain, 1, _MOST) - 1) * mine
            room += _ROOM * power[..., 2] ** 2
        before = shown @ _LUMA
        after = _within(before + self._strength * added, before, room, size_px)
        pixels = np.clip(shown + (after - before)[..., None], 0, 1)
        kept = np.where(inside[..., None], pixels, face.pixels)
        return replace(face, pixels=np.asarray(kept, np.float32))


def _bands(luma: FloatArray, size_px: float) -> list[FloatArray]:
    """Detail of a picture (h x w) by how fine it is, the finest first."""
    bands: list[FloatArray] = []
    finer, sigma_px = luma, _FINEST_PX
    while not bands or sigma_px <= _COARSEST * size_px:
        softer = np.asarray(cv2.GaussianBlur(luma, (0, 0), sigma_px), np.float32)
        bands.append(finer - softer)
        finer, sigma_px = softer, 2 * sigma_px
    return bands


def _around(values: FloatArray, weight: FloatArray, size_px: float) -> FloatArray:
    """The weighted mean around each place of h x w x K; 0 far from all weight."""
    height, width = weight.shape
    shrink = min(1.0, _AROUND_PX / size_px)
    size = (max(2, round(width * shrink)), max(2, round(height * shrink)))
    both = np.dstack([values * weight[..., None], weight])
    small = cv2.resize(both, size, interpolation=cv2.INTER_AREA)
    total = cv2.GaussianBlur(small, (0, 0), max(1.0, _AROUND * size_px * shrink))
    means = np.maximum(total[..., :-1], 0) / np.maximum(total[..., -1:], 1e-3)
    return np.asarray(cv2.resize(means, (width, height), interpolation=cv2.INTER_LINEAR))


def _within(luma: FloatArray, before: FloatArray, room: FloatArray, size_px: float) -> FloatArray:
    """`luma` held to the range of what was there around each place, and `room` more."""
    side = 2 * max(1, round(_NEAR * size_px)) + 1
    near = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    low, high = cv2.erode(before, near) - room, cv2.dilate(before, near) + room
    return np.asarray(np.clip(luma, low, high), np.float32)


def _create(request: Request, _: SwapOptions) -> Sharpen:
    request.require()
    if request.value is not None and "=" in request.value:
        raise UsageError(f"The processor sharpen takes its strength, not {request.value!r}.")
    return Sharpen(as_number(request.value, "sharpen", "strength", 1.0, 0, 1))


PROCESSOR = _create
