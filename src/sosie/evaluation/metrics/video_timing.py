"""Frames, times and sound: whether the video around the face is whole.

Told by the packets and timestamps of both files, without decoding the sound. 0 differences and
100 per cent of the sound's packets are what a video has that was not harmed.
"""

from __future__ import annotations

import math

import numpy as np

from sosie.evaluation.metric import Figure, Missing, Readings
from sosie.evaluation.video_series import VideoSeries
from sosie.media.packet_list import Inventory, StreamPackets, kept_share

_PACKETS = "packets and timestamps of the files, by FFmpeg's demuxers"

FIGURES = (
    Figure(
        name="film_frames_missing",
        title="Frames that are missing",
        unit="",
        better="lower",
        range=(0, math.inf),
        summary="How many frames of the target have no counterpart in the result.",
        formula="frames paired one by one where both videos have equally many, else by their times",
        source=_PACKETS,
        limits="A frame that was replaced by its neighbor is not missing.",
        kind="video",
    ),
    Figure(
        name="film_frames_added",
        title="Frames that are too many",
        unit="",
        better="lower",
        range=(0, math.inf),
        summary="How many frames of the result stand for none of the target.",
        formula="as film_frames_missing, of the result",
        source=_PACKETS,
        limits="As for missing frames.",
        kind="video",
    ),
    Figure(
        name="film_timing",
        title="Timing: largest shift of a frame",
        unit="ms",
        better="lower",
        range=(0, math.inf),
        summary="By how much a frame is shown earlier or later than in the target, at most.",
        formula="max |time in the result - time in the target|, each since its video's start",
        source=_PACKETS,
        limits="Containers round times, by half a millisecond in .mkv.",
        kind="video",
    ),
    Figure(
        name="film_sound_kept",
        title="Sound that was kept as it is",
        unit="%",
        better="higher",
        range=(0, 100),
        summary="Which share of the sound's packets is found in the result, bit for bit.",
        formula="share of a sound stream's packets that the result has, mean over the target's",
        source=_PACKETS,
        limits="Sound that was encoded again is kept by 0 %, however good it sounds, and so is "
        "sound that another container frames otherwise.",
        kind="video",
    ),
    Figure(
        name="film_sound_shift",
        title="Sound: shift against the picture",
        unit="ms",
        better="lower",
        range=(0, math.inf),
        summary="By how much the sound begins earlier or later than it does in the target.",
        formula="max over streams of |start of sound - start of picture, result less target|",
        source=_PACKETS,
        limits="Only the start: sound that drifts away later shows in its length. Encoders that "
        "lead in with silence may state it or not.",
        kind="video",
    ),
    Figure(
        name="film_sound_length",
        title="Sound: difference in length",
        unit="ms",
        better="lower",
        range=(0, math.inf),
        summary="By how much the sound lasts shorter or longer than in the target.",
        formula="max over streams of |length in the result - length in the target|",
        source=_PACKETS,
        limits="Encoders pad up to one packet of silence, about 20 ms.",
        kind="video",
    ),
)

_SILENT = "The target has no sound."
_LOST = "The result has no sound."
_UNTIMED = "A sound stream has no timestamps."


def measure(series: VideoSeries) -> Readings:
    """Figures of the two files; frames count over the whole video, whoever is seen."""
    apart = series.apart_ms
    return {
        "film_frames_missing": float(series.missing),
        "film_frames_added": float(series.added),
        "film_timing": float(np.abs(apart).max()) if apart else Missing("No frames were paired."),
        **_sound(series.target, series.result),
    }


def _sound(target: Inventory, result: Inventory) -> Readings:
    """Each sound stream of the target is held against the result's by its place among them."""
    before, after = target.sounds, result.sounds
    if not before:
        names = ("film_sound_kept", "film_sound_shift", "film_sound_length")
        return dict.fromkeys(names, Missing(_SILENT))
    kept = 100 * float(np.mean([kept_share(stream, after) for stream in before]))
    pairs = list(zip(before, after, strict=False))
    shifts = [
        _apart_ms(_lead_s(one, target.picture), _lead_s(other, result.picture))
        for one, other in pairs
    ]
    lengths = [_apart_ms(_length_s(one), _length_s(other)) for one, other in pairs]
    return {
        "film_sound_kept": kept,
        "film_sound_shift": _most(shifts),
        "film_sound_length": _most(lengths),
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
