"""How exactly the target's pixels were kept, outside the face and inside."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.evaluation.metric import Figure, Missing, Readings, Settings
from sosie.evaluation.metrics.base import PairMetric
from sosie.evaluation.sample import Sample, surroundings

MAX_PSNR_DB = 100.0
"""Stands for equal pictures, whose PSNR is infinite."""
# Wang et al. 2004: constants of eq. 13 for 255 levels, and the window of section III C.
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_WINDOW_PX, _SIGMA_PX = 11, 1.5
# Larger faces are first reduced to at most this, by a whole factor: SSIM is for one viewing scale,
# and its authors advise to bring pictures to about 256 px first.
_MAX_FACE_PX = 256
_NOTHING = "There is nothing to compare: the face fills the picture, or lies outside of it."
_of_psnr = partial(
    Figure, unit="dB", range=(0, MAX_PSNR_DB), formula="10 log10(255^2 / mean squared error)"
)
_of_ssim = partial(
    Figure,
    unit="",
    range=(-1, 1),
    formula="mean of the SSIM map of gray values in the surroundings of the face (1.8 boxes); a "
    f"face over {_MAX_FACE_PX} px is first reduced by a whole factor",
    source="Wang et al. 2004",
)
_OUTSIDE = "Equal pixels give %s; another tool's compression lowers it as a fault would."
_INSIDE = "A swap has to change the face: high means little was changed, not that it is good."


def _measure_fidelity(sample: Sample, settings: Settings) -> Readings:  # noqa: ARG001
    """Outside the face pixels should be kept whole. Inside they must change: there the figures only
    say how much. SSIM is that of "Image Quality Assessment: From Error Visibility to Structural
    Similarity" (Wang, Bovik, Sheikh and Simoncelli 2004)."""
    inside = sample.inside
    pictures = sample.target.pixels, sample.result.pixels
    face = sample.target.found
    window = surroundings(face, inside.shape[1], inside.shape[0])
    step = max(1, int(np.ceil(face.size_px / _MAX_FACE_PX)))
    near = _reduced(inside[window].astype(np.uint8), step) > 0
    gray = [
        _reduced(np.asarray(cv2.cvtColor(pixels[window], cv2.COLOR_RGB2GRAY), np.uint8), step)
        for pixels in pictures
    ]
    similar = ssim_map(*gray)
    return {
        "psnr_outside": _psnr(*pictures, ~inside),
        "psnr_inside": _psnr(*pictures, inside),
        "ssim_outside": _mean(similar, ~near),
        "ssim_inside": _mean(similar, near),
        "l1_target": cv2.norm(*pictures, cv2.NORM_L1) / pictures[0].size,
    }


def ssim_map(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The SSIM index around every pixel (Wang et al. 2004, eq. 13): float32, H x W, -1..1.

    one, other: gray, uint8, H x W. At the border the picture is mirrored.
    """
    a, b = one.astype(np.float32), other.astype(np.float32)
    mean_a, mean_b, square_a, square_b, product = (
        _windowed(v) for v in (a, b, a * a, b * b, a * b)
    )
    both = mean_a * mean_b
    squares = mean_a * mean_a + mean_b * mean_b
    covariance = product - both
    variances = np.maximum(square_a + square_b - squares, 0)
    light = (2 * both + _C1) / (squares + _C1)
    return np.asarray(light * (2 * covariance + _C2) / (variances + _C2), np.float32)


def _windowed(values: NDArray[np.float32]) -> NDArray[np.float32]:
    size = (_WINDOW_PX, _WINDOW_PX)
    blurred = cv2.GaussianBlur(values, size, _SIGMA_PX, borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred, np.float32)


def _reduced(picture: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """The means of squares of so many pixels."""
    if step == 1:
        return picture
    size = (max(1, picture.shape[1] // step), max(1, picture.shape[0] // step))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _psnr(
    one: NDArray[np.uint8], other: NDArray[np.uint8], where: NDArray[np.bool_]
) -> float | Missing:
    mask = where.astype(np.uint8)
    count = cv2.countNonZero(mask)
    if count == 0:
        return Missing(_NOTHING)
    error = cv2.norm(one, other, cv2.NORM_L2SQR, mask) / (3 * count)
    return MAX_PSNR_DB if error == 0 else min(MAX_PSNR_DB, 10 * float(np.log10(255**2 / error)))


def _mean(values: NDArray[np.float32], where: NDArray[np.bool_]) -> float | Missing:
    if not where.any():
        return Missing(_NOTHING)
    return float(values[where].mean())


FIDELITY = PairMetric(
    group="Realism",
    measure=_measure_fidelity,
    figures={
        "psnr_outside": _of_psnr(
            title="PSNR outside the face",
            better="higher",
            summary="How exactly everything but the face was kept.",
            source="peak signal-to-noise ratio",
            limits=_OUTSIDE % f"{MAX_PSNR_DB:.0f} dB, in place of infinity",
        ),
        "psnr_inside": _of_psnr(
            title="PSNR inside the face",
            better=None,
            summary="How little the pixels of the face were changed.",
            source="peak signal-to-noise ratio",
            limits=_INSIDE,
        ),
        "ssim_outside": _of_ssim(
            title="SSIM outside the face",
            better="higher",
            summary="How well structure around the face was kept.",
            limits=_OUTSIDE % "1",
        ),
        "ssim_inside": _of_ssim(
            title="SSIM inside the face",
            better=None,
            summary="How little the structure of the face was changed.",
            limits=_INSIDE,
        ),
        "l1_target": Figure(
            title="L1 to the target",
            better=None,
            range=(0, 255),
            summary="By how many of 255 levels the result differs from the target on average.",
            formula="mean |result - target| over the whole picture and all channels",
            source="mean absolute difference",
            limits="Depends on how large the face is in the picture; 0 where nothing was swapped.",
        ),
    },
)
