"""Ways to join the swapped face with the target. Each leaves the target alone where mask is 0.

Pixels are RGB float32, h x w x 3, 0..1; masks float32, h x w, 0..1.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.blending.pixel_math import mixed, times
from sosie.types import FloatArray

# The widest band that is mixed softly, as a share of the face's size.
_WIDEST_BAND = 0.06
# How far within the edge a band begins, in its own pixels.
_BAND_START = 0.5
_SMOOTHINGS = 24


def alpha(swapped: FloatArray, target: FloatArray, mask: FloatArray) -> FloatArray:
    """The plain weighted mean."""
    return mixed(target, swapped, mask)


def multiband(
    swapped: FloatArray, target: FloatArray, mask: FloatArray, size_px: float
) -> FloatArray:
    """Each band of detail is mixed over a width that fits it: fine detail sharply, shade softly.

    Burt and Adelson, "A multiresolution spline with application to image mosaics", 1983. The
    mix is linear, so that only the pyramid of the difference is built.
    """
    inside = (mask > 0).astype(np.uint8)
    depth_px = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
    # Outside the mask the swapped pixels mean nothing; there the difference is none.
    band: NDArray[Any] = times(swapped - target, inside.astype(np.float32))
    bands: list[NDArray[Any]] = [band]
    weights: list[NDArray[Any]] = [mask]
    soft: NDArray[Any] = mask
    for level in range(1, 1 + int(np.log2(max(_WIDEST_BAND * size_px, 1)))):
        if min(band.shape[:2]) < 4:
            break
        # By the same steps, which halve about the first pixel: a resize would be shifted to them.
        band, soft, depth_px = cv2.pyrDown(band), cv2.pyrDown(soft), cv2.pyrDown(depth_px)
        bands.append(band)
        # A soft band spreads over its own width: it starts that far within the edge, so that
        # nothing of it is left to be cut off there.
        weights.append(soft * np.clip(depth_px / 2**level - _BAND_START, 0, 1))
    joined: NDArray[Any] = times(bands[-1], weights[-1])
    for coarser, finer, weight in zip(bands[:0:-1], bands[-2::-1], weights[-2::-1], strict=True):
        size = (finer.shape[1], finer.shape[0])
        detail = np.asarray(finer - cv2.pyrUp(coarser, dstsize=size), np.float32)
        joined = cv2.pyrUp(joined, dstsize=size) + times(detail, weight)
    return target + times(np.asarray(joined, np.float32), inside.astype(np.float32))


def poisson(swapped: FloatArray, target: FloatArray, mask: FloatArray) -> FloatArray:
    """Keep the swapped face's gradients and take the target's colors at the edge.

    Perez, Gangnet and Blake, "Poisson image editing", 2003, eq. 3 and 4: the correction is the
    membrane that spans the difference along the edge. It is solved from coarse to fine.
    """
    inside = mask > 0.5
    corrected = swapped + _membrane(target - swapped, inside)
    return alpha(np.clip(corrected, 0, 1), target, mask)


def _membrane(difference: FloatArray, inside: NDArray[Any]) -> FloatArray:
    """Harmonic inside, equal to `difference` on the first pixels within the edge."""
    core = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    rim = inside & ~core
    return _solve(np.where(rim[..., None], difference, 0), rim.astype(np.float32))


def _solve(fixed: FloatArray, known: FloatArray) -> FloatArray:
    """Fill where `known` is 0 by relaxation, starting from the solution at half the size."""
    height, width = known.shape
    if min(height, width) > 8:
        size = (max(2, width // 2), max(2, height // 2))
        coarse_known = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
        coarse = cv2.resize(fixed, size, interpolation=cv2.INTER_AREA)
        coarse = coarse / np.maximum(coarse_known, 1e-6)[..., None]
        coarse *= (coarse_known > 0)[..., None]
        start: NDArray[Any] = _solve(coarse, (coarse_known > 0).astype(np.float32))
        start = cv2.resize(start, (width, height), interpolation=cv2.INTER_LINEAR)
    else:
        total = max(float(known.sum()), 1e-6)
        start = np.broadcast_to(fixed.sum((0, 1)) / total, fixed.shape)
    free = (known == 0)[..., None]
    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4
    solution: NDArray[Any] = np.where(free, start, fixed).astype(np.float32)
    for _ in range(_SMOOTHINGS):
        around = cv2.filter2D(solution, -1, cross, borderType=cv2.BORDER_REPLICATE)
        solution = np.where(free, around, fixed)
    return solution
