"""The soft erosion that ends a swap: where the new face shows, and the mask that it fills."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.types import FloatArray

KERNEL_PX, KERNEL_AT_PX = 21, 256
"""The kernel's side, for a picture of the other size; smaller ones have smaller kernels."""

THRESHOLD = 0.6

_NOTHING = 1e-5


def soft_erosion(
    mask: NDArray[np.bool_], threshold: float = THRESHOLD
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """A face's mask (S x S) -> how much of the new face shows (float32, 0..1), and where it does
    wholly.

    The mask is averaged with a kernel that falls off as a cone. Where the mean is `threshold` or
    more the mask is 1; beyond, the mean is divided by that. Outside the picture is no face.
    """
    kernel = cone(round(KERNEL_PX * len(mask) / KERNEL_AT_PX / 2))
    mean = cv2.filter2D(mask.astype(np.float32), -1, kernel, borderType=cv2.BORDER_CONSTANT)
    hard = mean >= np.float32(threshold)
    soft = np.where(hard, np.float32(1), mean / np.float32(threshold))
    # Far from the face a filter by Fourier's way leaves next to nothing, which is to be nothing.
    soft[soft < _NOTHING] = 0
    return np.asarray(np.clip(soft, 0, 1), np.float32), np.asarray(hard)


def cone(reach_px: int) -> FloatArray:
    """A kernel of 2 reach_px + 1 squared that falls in a line from its middle to 0 at its corners,
    and adds up to 1."""
    steps = np.arange(-reach_px, reach_px + 1)
    distance = np.hypot(*np.meshgrid(steps, steps))
    kernel = distance.max() - distance
    if reach_px == 0:
        kernel = np.ones((1, 1))
    return np.asarray(kernel / kernel.sum(), np.float32)
