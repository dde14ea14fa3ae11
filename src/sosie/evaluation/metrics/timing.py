"""Whether the video around the face is whole: frames, times, sound, and what is shown when."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.evaluation.metric import Figure, Missing, Readings
from sosie.evaluation.metrics.base import FrameMetric
from sosie.evaluation.video_frames import Frame, Picture, VideoSeries
from sosie.media.packet_list import Inventory, StreamPackets, kept_share

_PACKETS = "packets and timestamps of the files, by FFmpeg's demuxers"
_SILENT = "The target has no sound."
_LOST = "The result has no sound."
_UNTIMED = "A sound stream has no timestamps."


def _measure_timing(series: VideoSeries) -> Readings:
    """Told by the packets and timestamps of both files, without decoding the sound."""
    apart = series.apart_ms
    return {
        "video_frames_missing": float(series.missing),
        "video_frames_added": float(series.added),
        "video_timing": float(np.abs(apart).max()) if apart else Missing("No frames were paired."),
        **_sound(series.target, series.result),
    }


def _sound(target: Inventory, result: Inventory) -> Readings:
    """Each sound stream of the target is held against the result's by its place among them."""
    before, after = target.sounds, result.sounds
    if not before:
        names = ("video_sound_kept", "video_sound_shift", "video_sound_length")
        return dict.fromkeys(names, Missing(_SILENT))
    kept = 100 * float(np.mean([kept_share(stream, after) for stream in before]))
    pairs = list(zip(before, after, strict=False))
    shifts = [
        _apart_ms(_lead_s(one, target.picture), _lead_s(other, result.picture))
        for one, other in pairs
    ]
    lengths = [_apart_ms(_length_s(one), _length_s(other)) for one, other in pairs]
    return {
        "video_sound_kept": kept,
        "video_sound_shift": _most(shifts),
        "video_sound_length": _most(lengths),
    }


def _most(apart_ms: list[float | None]) -> float | Missing:
    if not apart_ms:
        return Missing(_LOST)
    told = [value for value in apart_ms if value is not None]
    return max(told) if len(told) == len(apart_ms) else Missing(_UNTIMED)


def _apart_ms(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else 1000 * abs(one - other)


def _lead_s(sound: StreamPackets, picture: StreamPackets) -> float | None:
    if sound.start_s is None or picture.start_s is None:
        return None
    return sound.start_s - picture.start_s


def _length_s(sound: StreamPackets) -> float | None:
    return None if sound.start_s is None or sound.end_s is None else sound.end_s - sound.start_s


TIMING = FrameMetric(
    group="Video",
    measure=_measure_timing,
    figures={
        "video_frames_missing": Figure(
            title="Frames that are missing",
            summary="How many frames of the target have no counterpart in the result.",
            formula="frames paired one by one where both videos have equally many, else by their "
            "times",
            source=_PACKETS,
            limits="A frame that was replaced by its neighbor is not missing.",
        ),
        "video_frames_added": Figure(
            title="Frames that are too many",
            summary="How many frames of the result stand for none of the target.",
            formula="as video_frames_missing, of the result",
            source=_PACKETS,
            limits="As for missing frames.",
        ),
        "video_timing": Figure(
            title="Timing: largest shift of a frame",
            unit="ms",
            summary="By how much a frame is shown earlier or later than in the target, at most.",
            formula="max |time in the result - time in the target|, each since its video's start",
            source=_PACKETS,
            limits="Containers round times, by half a millisecond in .mkv.",
        ),
        "video_sound_kept": Figure(
            title="Sound that was kept as it is",
            unit="%",
            better="higher",
            range=(0, 100),
            summary="Which share of the sound's packets is found in the result, bit for bit.",
            formula="share of a sound stream's packets that the result has, mean over the target's",
            source=_PACKETS,
            limits="Sound that was encoded again is kept by 0 %, however good it sounds, and so is "
            "sound that another container frames otherwise.",
        ),
        "video_sound_shift": Figure(
            title="Sound: shift against the picture",
            unit="ms",
            summary="By how much the sound begins earlier or later than it does in the target.",
            formula="max over streams of |start of sound - start of picture, result less target|",
            source=_PACKETS,
            limits="Only the start: sound that drifts away later shows in its length. Encoders "
            "that lead in with silence may state it or not.",
        ),
        "video_sound_length": Figure(
            title="Sound: difference in length",
            unit="ms",
            summary="By how much the sound lasts shorter or longer than in the target.",
            formula="max over streams of |length in the result - length in the target|",
            source=_PACKETS,
            limits="Encoders pad up to one packet of silence, about 20 ms.",
        ),
    },
)


MAX_SHIFT = 12
"""Shifts up to so many frames are looked for."""
_LEAST_FRAMES = 8
# Changes below this, in gray levels, are the encoder's and not the video's.
_STILL = 0.15
_LEAST_ALIKE = 0.3
_SMALL_PX = 16


def _keep_shown(frame: Frame) -> tuple[NDArray[np.float16], ...]:
    """Both pictures small and gray, flat."""
    assert frame.result is not None
    return _small(frame.target), _small(frame.result)


def _small(picture: Picture) -> NDArray[np.float16]:
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(gray, (_SMALL_PX, _SMALL_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float16).ravel()


def _measure_shift(series: VideoSeries) -> Readings:
    """A frame lost at the start and one repeated at the end leave every timestamp right, and the
    lips late: what changes from frame to frame is compared at every shift up to MAX_SHIFT
    frames."""
    kept = series.kept.get("shift", [])
    if len(kept) < _LEAST_FRAMES:
        return {"video_shift": Missing("The video is too short to tell.")}
    target, result = (np.array([shown[place] for shown in kept], np.float64) for place in (0, 1))
    return {"video_shift": shift(target, result)}


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


SHIFT = FrameMetric(
    group="Video",
    keep=_keep_shown,
    measure=_measure_shift,
    figures={
        "video_shift": Figure(
            title="Shift of what is shown",
            unit="frames",
            range=(0, MAX_SHIFT),
            summary="By how many frames the result shows things earlier or later than the target, "
            "whatever the timestamps say.",
            formula="|k| that maximizes the correlation of the changes of target(t) and result(t + "
            "k), pictures of 16 x 16",
            limits="Whole frames, one value for the video: a shift that begins midway shows only "
            "where it holds for most of what moves. Not told of videos in which hardly anything "
            "moves.",
        ),
    },
)
