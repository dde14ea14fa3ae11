"""Whether the result shows each moment when the target does: a frame lost at the start and one
repeated at the end leave every timestamp right, and the lips late.

What changes from frame to frame is compared between the videos, at every shift up to MAX_SHIFT
frames: the shift at which both change alike is the result's. Range 0..MAX_SHIFT frames, 0 is right.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sosie.evaluation.metric import Figure, Missing, Readings
from sosie.evaluation.video_series import VideoSeries

MAX_SHIFT = 12
"""Shifts up to so many frames are looked for."""

FIGURES = (
    Figure(
        name="film_shift",
        title="Shift of what is shown",
        unit="frames",
        better="lower",
        range=(0, MAX_SHIFT),
        summary="By how many frames the result shows things earlier or later than the target, "
        "whatever the timestamps say.",
        formula="|k| that maximizes the correlation of the changes of target(t) and result(t + k), "
        "pictures of 16 x 16",
        source="Sosie",
        limits="Whole frames, one value for the video: a shift that begins midway shows only where "
        "it holds for most of what moves. Not told of videos in which hardly anything moves.",
        kind="video",
    ),
)

_LEAST_FRAMES = 8
# Changes below this, in gray levels, are the encoder's and not the video's.
_STILL = 0.15
_LEAST_ALIKE = 0.3


def measure(series: VideoSeries) -> Readings:
    """The shift over all frames that both videos have."""
    if len(series.shown) < _LEAST_FRAMES:
        return {"film_shift": Missing("The video is too short to tell.")}
    target, result = (
        np.array([shown[place] for shown in series.shown], np.float64) for place in (0, 1)
    )
    return {"film_shift": shift(target, result)}


def shift(target: NDArray[np.float64], result: NDArray[np.float64]) -> float | Missing:
    """By how many frames one video is before or behind another.

    target, result: small pictures, one a frame, N x values, gray levels of 255.
    """
    before, after = np.diff(target, axis=0), np.diff(result, axis=0)
    if np.sqrt(np.mean(before**2)) < _STILL:
        return Missing("Hardly anything moves in the video.")
    reach = min(MAX_SHIFT, len(before) // 3)
    alike = {step: _alike(before, after, step) for step in range(-reach, reach + 1)}
    # Of equally good ones the smallest: a video that repeats itself is not taken for a late one.
    best = max(alike, key=lambda step: (alike[step], -abs(step)))
    if alike[best] < _LEAST_ALIKE:
        return Missing("The videos change too differently to tell.")
    return float(abs(best))


def _alike(before: NDArray[np.float64], after: NDArray[np.float64], step: int) -> float:
    """Correlation of two videos' changes, -1..1, the second taken `step` frames later."""
    count = len(before) - abs(step)
    one = before[max(0, -step) :][:count].ravel()
    other = after[max(0, step) :][:count].ravel()
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    return round(float(one @ other) / size, 6) if size > 0 else 0.0
