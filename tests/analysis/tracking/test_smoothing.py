"""Smoothing takes jitter away, and nothing of what moves, and never leans to past or future."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.analysis.tracking.smoothing import REACH_FRAMES, neighborhood, smooth_at
from sosie.geometry.mesh import LEFT_EYE, RIGHT_EYE
from sosie.types import Face

NOISE_PX = 0.15


@pytest.fixture(scope="module")
def still(astronaut_face: Face) -> np.ndarray:
    """A face of 250 px that does not move, 61 x 478 x 3."""
    points = astronaut_face.landmarks * np.float32(250 / astronaut_face.size_px)
    return np.repeat(points[None], 61, 0)


def noise(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, NOISE_PX, shape).astype(np.float32)


def smoothed(series: np.ndarray) -> np.ndarray:
    neighbors = neighborhood(series[0])
    return np.stack([smooth_at(series, i, neighbors) for i in range(len(series))])


def test_jitter_of_a_still_face(still: np.ndarray) -> None:
    result = smoothed(still + noise(still.shape))[REACH_FRAMES:-REACH_FRAMES]
    error = (result - still[REACH_FRAMES:-REACH_FRAMES])[..., :2]
    assert error.std() < 0.45 * NOISE_PX


def test_blink_keeps_its_depth_and_moment(still: np.ndarray) -> None:
    clean = still.copy()
    for ring in (RIGHT_EYE, LEFT_EYE):
        lids = list(ring)
        middle = clean[:, lids, 1].mean(1, keepdims=True)
        closing = np.ones(61, np.float32)
        closing[28:33] = 0.5, 0.1, 0.1, 0.4, 0.8
        clean[:, lids, 1] = middle + (clean[:, lids, 1] - middle) * closing[:, None]
    result = smoothed(clean + noise(clean.shape))

    def opening(series: np.ndarray) -> np.ndarray:
        return series[:, 145, 1] - series[:, 159, 1]

    kept = opening(result)
    depth = (kept[:20].mean() - kept[28:33]) / (opening(clean)[0] - opening(clean)[28:33])
    assert np.all(depth > 0.9)
    assert abs(int(kept.argmin()) - 29.5) <= 1
    # Nothing of it before or after.
    assert np.abs(kept[20:27] - opening(clean)[0]).max() < 4 * NOISE_PX


def test_speech_is_not_damped(still: np.ndarray) -> None:
    clean = still.copy()
    lip = [14, 87, 317, 178, 402, 17, 84, 314]
    time = np.arange(61)
    clean[:, lip, 1] += (6 + 6 * np.sin(2 * np.pi * time / 6))[:, None].astype(np.float32)
    result = smoothed(clean + noise(clean.shape))
    swing = np.ptp(result[10:50, lip, 1], axis=0)
    assert np.all(swing > 0.97 * np.ptp(clean[10:50, lip, 1], axis=0))


@pytest.mark.parametrize("speed_px", [0.5, 3, 20])
def test_even_motion_is_followed_exactly(still: np.ndarray, speed_px: float) -> None:
    clean = still.copy()
    clean[..., 0] += (speed_px * np.arange(61))[:, None].astype(np.float32)
    error = (smoothed(clean + noise(clean.shape)) - clean)[REACH_FRAMES:-REACH_FRAMES, :, 0]
    assert abs(error.mean()) < 0.2 * NOISE_PX
    assert error.std() < 0.5 * NOISE_PX


def test_jerk_is_not_smeared(still: np.ndarray) -> None:
    clean = still.copy()
    clean[30:, :, 0] += 15
    clean[30:, :, 1] -= 4
    error = np.abs(smoothed(clean + noise(clean.shape)) - clean)[..., :2].mean((1, 2))
    assert error.max() < 1.5 * NOISE_PX


def test_turn_and_growth_of_the_head(still: np.ndarray) -> None:
    clean = still.copy()
    center = clean[0, :, :2].mean(0)
    for i in range(61):
        angle, scale = np.radians(1.5 * i), 1.01**i
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        clean[i, :, :2] = (clean[i, :, :2] - center) @ turn.T + center
        clean[i, :, 2] *= scale
    error = np.abs(smoothed(clean + noise(clean.shape)) - clean)[REACH_FRAMES:-REACH_FRAMES]
    # 45 degrees and a third of the size in a second: paths so bent that no line is exact.
    assert error[..., :2].mean() < 2 * NOISE_PX
    assert error[..., 2].mean() < 2 * NOISE_PX


@given(st.integers(0, 2**32 - 1), st.floats(0, 3))
def test_time_backwards_is_the_same_backwards(
    still: np.ndarray, seed: int, wobble_px: float
) -> None:
    rng = np.random.default_rng(seed)
    series = still[:17] + noise(still[:17].shape, seed)
    series = series + np.cumsum(rng.normal(0, wobble_px, (17, 1, 3)), 0).astype(np.float32)
    neighbors = neighborhood(series[0])
    forward = smooth_at(series, 8, neighbors)
    backward = smooth_at(series[::-1], 8, neighbors)
    assert np.allclose(forward, backward, atol=1e-3)


def test_ends_of_a_track_are_left_alone(still: np.ndarray) -> None:
    series = still + noise(still.shape)
    neighbors = neighborhood(series[0])
    assert np.array_equal(smooth_at(series, 0, neighbors), series[0])
    assert np.array_equal(smooth_at(series, 60, neighbors), series[60])
    assert np.array_equal(smooth_at(series[:1], 0, neighbors), series[0])
