"""Gray, sepia and other pictures of one tint, and pictures with colors."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sosie.blending.tint import measure_tint, no_tint

RAMP = np.tile(np.linspace(10, 240, 96), (80, 1))


def picture_of(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(np.dstack([red, green, blue]), 0, 255)).astype(np.uint8)


SEPIA = picture_of(RAMP * 1.05 + 8, RAMP * 0.9 + 5, RAMP * 0.68)
COLORED = np.random.default_rng(0).random((40, 40, 3)).astype(np.float32)


def test_a_gray_picture_makes_gray_to_the_bit() -> None:
    result = measure_tint(picture_of(RAMP, RAMP, RAMP)).applied(COLORED)
    assert np.array_equal(result[..., 0], result[..., 1])
    assert np.array_equal(result[..., 0], result[..., 2])
    assert result.std() > 0.05


@pytest.mark.parametrize("deep", [False, True])
def test_sepia_makes_sepia_of_the_same_luma(deep: bool) -> None:
    pixels = SEPIA.astype(np.uint16) * 257 if deep else SEPIA
    tint = measure_tint(pixels)
    assert tint.strength == 1
    gray = np.repeat((RAMP / 255)[..., None], 3, axis=2).astype(np.float32)
    result = tint.applied(gray)
    weights = np.array([0.299, 0.587, 0.114])
    assert np.abs(result @ weights - gray @ weights)[:, :-5].max() < 0.01
    # What the picture has at that luma.
    luma = SEPIA @ weights / 255
    for channel in (0, 2):
        expected = np.interp(gray[0, 5:-5, 0], luma[0], SEPIA[0, :, channel] / 255)
        assert np.abs(result[0, 5:-5, channel] - expected).max() < 0.02


def test_noise_of_a_scan_and_of_jpeg_is_no_color() -> None:
    large = np.kron(SEPIA, np.ones((4, 4, 1)))
    noisy = large + np.random.default_rng(1).normal(0, 6, large.shape)
    noisy = np.clip(noisy, 0, 255).astype(np.uint8)
    ok, data = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 70])
    assert ok
    assert measure_tint(cv2.imdecode(data, cv2.IMREAD_COLOR)).strength > 0.9


def test_colors_stay() -> None:
    """Pale skin with lips and a green wall: a small part of the picture is enough."""
    portrait = picture_of(RAMP, RAMP * 0.9, RAMP * 0.85)
    portrait[50:58, 30:60] = (190, 110, 115)
    portrait[:, :8] = (90, 130, 90)
    tint = measure_tint(portrait)
    assert tint.strength == 0
    assert np.array_equal(tint.applied(COLORED), COLORED)


def test_the_way_from_one_tint_to_another_is_gradual() -> None:
    half = no_tint().towards(measure_tint(SEPIA), 0.5)
    assert half.strength == pytest.approx(0.5)
