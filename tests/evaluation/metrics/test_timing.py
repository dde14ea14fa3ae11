"""Frames, times, sound and shifts of videos with known faults."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from sosie.evaluation.metric import Missing
from sosie.evaluation.metrics.timing import MAX_SHIFT, TIMING, shift
from sosie.evaluation.video_frames import VideoSeries
from sosie.media.packet_list import Inventory, StreamPackets

PICTURE = StreamPackets("video", "h264", None, (b"p",), 0.0, 4.0)
SOUND = StreamPackets("audio", "aac", "eng", (b"a", b"b", b"c", b"d"), 0.0, 4.0)


def video(*sounds: StreamPackets) -> Inventory:
    return Inventory(PICTURE, (0.0, 0.04), sounds)


def measured(target: Inventory, result: Inventory, **values):
    return TIMING.measure(VideoSeries(target, result, **{"apart_ms": [0.0], **values}))


def test_an_unharmed_video():
    found = measured(video(SOUND), video(SOUND))
    assert found == {
        "video_frames_missing": 0,
        "video_frames_added": 0,
        "video_timing": 0,
        "video_sound_kept": 100,
        "video_sound_shift": 0,
        "video_sound_length": 0,
    }
    assert set(found) == set(TIMING.figures)


def test_frames_and_times():
    found = measured(video(SOUND), video(SOUND), missing=2, added=1, apart_ms=[0, -80.0, 20.0])
    assert (found["video_frames_missing"], found["video_frames_added"]) == (2, 1)
    assert found["video_timing"] == 80


def test_lost_sound():
    found = measured(video(SOUND), video())
    assert found["video_sound_kept"] == 0
    assert found["video_sound_shift"] == found["video_sound_length"]
    assert found["video_sound_shift"] == Missing("The result has no sound.")


def test_one_of_two_streams_is_lost():
    other = replace(SOUND, hashes=(b"x", b"y"))
    assert measured(video(SOUND, other), video(SOUND))["video_sound_kept"] == 50


def test_shifted_and_shortened_sound():
    late = measured(video(SOUND), video(replace(SOUND, start_s=0.15, end_s=4.15)))
    assert late["video_sound_shift"] == pytest.approx(150)
    assert late["video_sound_length"] == pytest.approx(0, abs=1e-9)
    short = measured(video(SOUND), video(replace(SOUND, hashes=(b"a", b"b"), end_s=3.5)))
    assert short["video_sound_kept"] == 50
    assert short["video_sound_length"] == pytest.approx(500)


def test_a_shift_is_one_against_the_picture():
    later = Inventory(replace(PICTURE, start_s=0.2), (0.2,), (replace(SOUND, start_s=0.2),))
    assert measured(video(SOUND), later)["video_sound_shift"] == pytest.approx(0)


def test_what_cannot_be_told_has_its_reason():
    silent = measured(video(), video())
    assert silent["video_sound_kept"] == Missing("The target has no sound.")
    untimed = measured(video(SOUND), video(replace(SOUND, start_s=None)))
    assert untimed["video_sound_shift"] == Missing("A sound stream has no timestamps.")
    assert measured(video(), video(), apart_ms=[])["video_timing"] == Missing(
        "No frames were paired."
    )


def test_figures_are_of_videos():
    assert all(
        figure.kind == "video" and math.isfinite(figure.range[0])
        for figure in TIMING.figures.values()
    )


def wandering(frames: int = 60, seed: int = 0) -> np.ndarray:
    """Frames that wander, N x 64."""
    steps = np.random.default_rng(seed).normal(0, 3, (frames, 64))
    return 128 + np.cumsum(steps, axis=0)


@pytest.mark.parametrize("step", [0, 1, 5, MAX_SHIFT])
def test_a_late_video_is_late_by_its_frames(step):
    whole = wandering(80)
    target, result = whole[20:70], whole[20 - step : 70 - step]
    assert shift(target, result) == step
    assert shift(result, target) == step


def test_another_face_and_noise_do_not_hide_it():
    rng = np.random.default_rng(9)
    whole = wandering(80)
    result = 0.8 * whole[18:68] + 20 + rng.normal(0, 1.5, (50, 64))
    result[:, :20] = wandering(50, seed=5)[:, :20]
    assert shift(whole[20:70], result) == 2


def test_what_repeats_itself_is_not_taken_for_late():
    loop = np.tile(wandering(6), (10, 1))
    assert shift(loop, loop) == 0


def test_what_cannot_be_told_of_a_shift_has_its_reason():
    still = np.full((40, 64), 90.0)
    assert shift(still, still) == Missing("Hardly anything moves in the video.")
    assert shift(wandering(40, 1), wandering(40, 2)) == Missing(
        "The videos change too differently to tell."
    )
