"""A shift is found whatever else differs, and none where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.evaluation.metric import Missing
from sosie.evaluation.metrics.timing import MAX_SHIFT, shift


def video(frames: int = 60, seed: int = 0) -> np.ndarray:
    """Frames that wander, N x 64."""
    steps = np.random.default_rng(seed).normal(0, 3, (frames, 64))
    return 128 + np.cumsum(steps, axis=0)


@pytest.mark.parametrize("step", [0, 1, 5, MAX_SHIFT])
def test_a_late_video_is_late_by_its_frames(step):
    whole = video(80)
    target, result = whole[20:70], whole[20 - step : 70 - step]
    assert shift(target, result) == step
    assert shift(result, target) == step


def test_another_face_and_noise_do_not_hide_it():
    rng = np.random.default_rng(9)
    whole = video(80)
    result = 0.8 * whole[18:68] + 20 + rng.normal(0, 1.5, (50, 64))
    result[:, :20] = video(50, seed=5)[:, :20]
    assert shift(whole[20:70], result) == 2


def test_what_repeats_itself_is_not_taken_for_late():
    loop = np.tile(video(6), (10, 1))
    assert shift(loop, loop) == 0


def test_what_cannot_be_told_has_its_reason():
    still = np.full((40, 64), 90.0)
    assert shift(still, still) == Missing("Hardly anything moves in the video.")
    assert shift(video(40, 1), video(40, 2)) == Missing(
        "The videos change too differently to tell."
    )
