"""Flicker: how much a face changes from frame to frame beside its motion.

The frame before is brought onto the frame by the video's own optical flow (DIS: Kroeger et al.
2016, "Fast Optical Flow using Dense Inverse Search"); what still differs inside the face is the
flicker. The idea is the warping error of Lai et al. 2018, "Learning Blind Video Temporal
Consistency". Range from 0; the target flickers too (noise, compression, light), so that the ratio
counts. In faces of 160 px, whatever their size in the video.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.evaluation.metric import Figure, Missing, Readings
from sosie.evaluation.video_series import VideoSeries, mean_of
from sosie.types import FloatArray

_LIMITS = (
    "A smooth face has less to differ, so that less than the target's own is no merit. The result "
    "went through another encoder than the target, whose noise counts as well. Slow changes, over "
    "a second, do not show."
)

FIGURES = (
    Figure(
        name="film_flicker",
        title="Flicker of the result",
        unit="levels",
        better="lower",
        range=(0, 255),
        summary="How much the swapped face changes from frame to frame beside its motion.",
        formula="mean |frame - frame before, moved by the video's own DIS flow| inside the face",
        source="warping error, Lai et al. 2018",
        limits=_LIMITS,
        kind="video",
    ),
    Figure(
        name="film_flicker_target",
        title="Flicker of the target",
        unit="levels",
        better=None,
        range=(0, 255),
        summary="The same of the target's face: what the result's flicker is to be held against.",
        formula="as film_flicker, of the target",
        source="warping error, Lai et al. 2018",
        limits=_LIMITS,
        kind="video",
    ),
    Figure(
        name="film_flicker_ratio",
        title="Flicker, relative to the target's",
        unit="",
        better="lower",
        range=(0, math.inf),
        summary="1 where the swapped face flickers as the target's does, 2 where twice as much.",
        formula="film_flicker / film_flicker_target",
        source="Sosie",
        limits=_LIMITS,
        kind="video",
    ),
)

_REASON = "No face is seen on two successive frames of both videos."
# Less than this, in gray levels, is what rounding leaves of a still clip: no flicker to divide by.
_STILL = 0.05


def measure(series: VideoSeries) -> Readings:
    """Means over all frames of the swapped tracks."""
    found: Readings = {
        name: mean_of(series, kept, _REASON)
        for name, kept in (("film_flicker", "flicker"), ("film_flicker_target", "flicker_target"))
    }
    return found | {
        "film_flicker_ratio": ratio(found["film_flicker"], found["film_flicker_target"])
    }


def ratio(result: float | Missing, target: float | Missing) -> float | Missing:
    """The result's flicker as a multiple of the target's."""
    if isinstance(result, Missing) or isinstance(target, Missing):
        return Missing(_REASON)
    if target < _STILL:
        return Missing("The target does not flicker at all, as no recorded face does.")
    return result / target


def flicker(
    before: NDArray[np.uint8], after: NDArray[np.uint8], flow: FloatArray, face: NDArray[np.bool_]
) -> float:
    """The flicker between two pictures of one face, in gray levels of 255; NaN without pixels.

    before, after: RGB, H x W x 3. flow: H x W x 2, from each place of `after` to where that was in
    `before`. face: bool, H x W, which pixels of `after` count.
    """
    height, width = face.shape
    x, y = flow[..., 0] + np.arange(width), flow[..., 1] + np.arange(height)[:, None]
    seen = face & (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    if not seen.any():
        return math.nan
    moved = cv2.remap(
        before.astype(np.float32), x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR
    )
    return float(np.abs(moved - after)[seen].mean())
