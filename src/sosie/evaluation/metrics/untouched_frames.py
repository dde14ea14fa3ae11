"""Frames that fell back to the target: the face is there and was not swapped, or was lost.

A flash of the target's own face is what viewers notice first. Shares of the frames on which the
target's face is seen, in per cent, range 0..100.
"""

from __future__ import annotations

import math

from sosie.evaluation.metric import Figure, Missing, Readings
from sosie.evaluation.video_series import VideoSeries, mean_of

FIGURES = (
    Figure(
        name="film_fallback",
        title="Frames that fell back to the target",
        unit="%",
        better="lower",
        range=(0, 100),
        summary="On which share of its frames the face is the target's own, as it was.",
        formula="share of frames whose difference inside the face is no more than coding explains: "
        "2 gray levels and twice the median difference around the face, at most 8 in all",
        source="Sosie",
        limits="A swap so faint that it changes a few gray levels passes for none. A face that was "
        "never swapped, beside one that was, is taken to be left alone on purpose.",
        kind="video",
    ),
    Figure(
        name="film_lost",
        title="Frames on which the result has no face",
        unit="%",
        better="lower",
        range=(0, 100),
        summary="On which share of its frames the target's face is seen and none is found in the "
        "result at that place.",
        formula="share of frames without a face by Sosie's landmark network in the target's square",
        source="Sosie",
        limits="A face that is no longer one to a network may still look like one, and the other "
        "way round.",
        kind="video",
    ),
)

_REASON = "No frame shows a face in both videos."
_FLOOR, _NOISE_FACTOR, _MAX_NOISE = 2.0, 2.0, 3.0


def measure(series: VideoSeries) -> Readings:
    """Shares over all frames of the swapped tracks."""
    untouched = mean_of(series, "untouched", _REASON)
    found = mean_of(series, "found", _REASON)
    return {
        "film_fallback": untouched if isinstance(untouched, Missing) else 100 * untouched,
        "film_lost": found if isinstance(found, Missing) else 100 * (1 - found),
    }


def is_untouched(inside: float, around: float) -> bool:
    """Whether a face is the target's own: its difference is one of coding.

    inside: mean difference of result and target in the face, gray levels of 255. around: median
    difference around it, where nothing was swapped: what the encoder did; NaN where none is seen.
    """
    noise = 0.0 if math.isnan(around) else min(around, _MAX_NOISE)
    return inside <= _FLOOR + _NOISE_FACTOR * noise
