"""Jitter: a face that does not move as the target's head does.

Two measures, both against the motion of the target's pixels (optical flow by DIS: Kroeger et al.
2016, "Fast Optical Flow using Dense Inverse Search"), in per cent of the face's size, range from 0.
Jitter follows the landmarks: by how much they leave that motion from one frame to the next. Drift
follows the result's pixels: by how much their own flow leaves it, which shows texture that swims.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.evaluation.metric import Figure, Missing, Readings
from sosie.evaluation.video_series import VideoSeries, mean_of
from sosie.geometry.mesh import OVAL, SURFACE_POINTS
from sosie.types import FloatArray

_LIMITS = (
    "Landmarks and flow have a noise of their own, the same in both videos: the target's own "
    "figure shows how large. A shift that stays is no jitter."
)

FIGURES = (
    Figure(
        name="film_jitter",
        title="Landmark jitter of the result",
        unit="%",
        better="lower",
        range=(0, math.inf),
        summary="By how much of the face's size its landmarks jump from frame to frame beside the "
        "head's motion.",
        formula="mean |p(t-1) - p(t) - flow_target(p(t))| over landmarks and frames, of the face",
        source="Sosie",
        limits=_LIMITS,
        kind="video",
    ),
    Figure(
        name="film_jitter_target",
        title="Landmark jitter of the target",
        unit="%",
        better=None,
        range=(0, math.inf),
        summary="The same of the target's face: what the result's jitter is to be held against.",
        formula="as film_jitter, of the target's landmarks",
        source="Sosie",
        limits=_LIMITS,
        kind="video",
    ),
    Figure(
        name="film_jitter_ratio",
        title="Landmark jitter, relative to the target's",
        unit="",
        better="lower",
        range=(0, math.inf),
        summary="1 where the result's landmarks are as calm as the target's, 2 where half as calm.",
        formula="film_jitter / film_jitter_target",
        source="Sosie",
        limits=_LIMITS,
        kind="video",
    ),
    Figure(
        name="film_drift",
        title="Drift of the result's pixels",
        unit="%",
        better="lower",
        range=(0, math.inf),
        summary="By how much of the face's size its pixels move otherwise than the target's, from "
        "frame to frame.",
        formula="median |flow_result - flow_target| inside the face, mean over frames",
        source="Sosie",
        limits="Smooth skin hardly tells how it moves. What moves with the head and is wrong, such "
        "as a stain, does not show.",
        kind="video",
    ),
)

_REASON = "No face is seen on two successive frames of both videos."
# The outline is torn between the face and what is behind it, and the irises turn.
_FOLLOWED = np.setdiff1d(np.arange(SURFACE_POINTS), OVAL)
# Flow is averaged over so many pixels around a landmark: its noise is finer.
_AROUND_PX = 9


def measure(series: VideoSeries) -> Readings:
    """Means over all frames of the swapped tracks."""
    found: Readings = {
        name: mean_of(series, kept, _REASON)
        for name, kept in (
            ("film_jitter", "jitter"),
            ("film_jitter_target", "jitter_target"),
            ("film_drift", "drift"),
        )
    }
    result, target = found["film_jitter"], found["film_jitter_target"]
    if isinstance(result, Missing) or isinstance(target, Missing) or target <= 0:
        return found | {"film_jitter_ratio": Missing(_REASON)}
    return found | {"film_jitter_ratio": result / target}


def jitter(before: FloatArray, after: FloatArray, flow: FloatArray, face_px: float) -> float:
    """By how much landmarks leave a motion, mean over them, in per cent of the face.

    before, after: 478 x 2, in pixels of the picture that `flow` belongs to. flow: H x W x 2, from
    each place to where that was on the frame before. face_px: size of the face.
    """
    soft = cv2.blur(flow, (_AROUND_PX, _AROUND_PX))
    x, y = after[_FOLLOWED, 0], after[_FOLLOWED, 1]
    motion = cv2.remap(soft, x[None], y[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
    left = before[_FOLLOWED] - after[_FOLLOWED] - motion
    return float(100 * np.hypot(left[:, 0], left[:, 1]).mean() / face_px)


def drift(result: FloatArray, target: FloatArray, face: NDArray[np.bool_], face_px: float) -> float:
    """By how much one flow differs from another inside the face, in per cent of it.

    result, target: H x W x 2. face: bool, H x W. NaN where that is empty.
    """
    if not face.any():
        return math.nan
    apart = (result - target)[face]
    return float(100 * np.median(np.hypot(apart[:, 0], apart[:, 1])) / face_px)
