"""Arithmetic of pictures by a plane of weights, and wide blurs.

NumPy multiplies a picture by a plane in loops over its three channels, which takes several times as
long as the multiplication; here the plane is laid thrice first. Pictures are float32, h x w x 3,
planes float32, h x w.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.types import FloatArray

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Shares of red, green and blue in luma (Rec. 601)."""

# A blur of this many pixels and more is worked out on a reduced picture, where it has as many.
_WIDE_PX = 2.5


def times(picture: FloatArray, plane: FloatArray) -> FloatArray:
    """The picture, each channel multiplied by the plane."""
    return np.asarray(cv2.multiply(picture, cv2.merge([plane] * 3)), np.float32)


def scaled(picture: FloatArray, plane: FloatArray) -> FloatArray:
    """`times` in place, for a picture that is not needed as it was."""
    cv2.multiply(picture, cv2.merge([plane] * 3), dst=picture)
    return picture


def plus(picture: FloatArray, plane: FloatArray) -> FloatArray:
    """The picture with the plane added to each channel."""
    return np.asarray(cv2.add(picture, cv2.merge([plane] * 3)), np.float32)


def mixed(under: FloatArray, over: FloatArray, share: FloatArray) -> FloatArray:
    """The weighted mean of two pictures: `over` by its share (0..1), else `under`."""
    change = np.subtract(over, under, order="C")
    cv2.multiply(change, cv2.merge([share] * 3), dst=change)
    change += under
    return np.asarray(change, np.float32)


def planes(picture: FloatArray) -> list[FloatArray]:
    """The channels of a picture of any number, each h x w."""
    return [np.asarray(plane, np.float32) for plane in cv2.split(picture)]


def luma(picture: FloatArray) -> FloatArray:
    """h x w."""
    return np.asarray(cv2.transform(picture, LUMA[None]), np.float32)


def blurred(picture: FloatArray, sigma_px: float) -> FloatArray:
    """The picture, or a plane, under a Gaussian: a wide one is worked out on a reduced copy, for
    what it leaves is smooth."""
    shrink = int(sigma_px / _WIDE_PX)
    height, width = picture.shape[:2]
    small: NDArray[Any] = picture
    if shrink > 1 and min(height, width) >= 2 * shrink:
        size = (-(-width // shrink), -(-height // shrink))
        padded = cv2.copyMakeBorder(
            picture, 0, size[1] * shrink - height, 0, size[0] * shrink - width, cv2.BORDER_REPLICATE
        )
        small = cv2.resize(padded, size, interpolation=cv2.INTER_AREA)
        # The means over squares, and the way back between them, blur as well: by these variances.
        sigma_px = float(np.sqrt(max((sigma_px / shrink) ** 2 - 1 / 12 - 1 / 6, 0.25)))
    soft = cv2.GaussianBlur(small, (0, 0), sigma_px)
    if small is picture:
        return np.asarray(soft, np.float32)
    full = (size[0] * shrink, size[1] * shrink)
    wide = cv2.resize(soft, full, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(wide[:height, :width])
