"""Cameras and codecs change a picture, but not where things are in it."""

from __future__ import annotations

import cv2
import numpy as np

from sosie.analysis.landmarker import SIDE_PX
from sosie.recipes.camera_degradation import as_photographed


def test_light_lenses_and_files_do_not_move_the_picture() -> None:
    """The middle of a bright spot stays, but for what noise and light from a side do to it."""
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] - (SIDE_PX - 1) / 2
    spot = 60 + 150 * np.exp(-(x**2 + y**2) / (2 * 8**2))
    pixels = np.repeat(spot[..., None], 3, 2).astype(np.uint8)
    shifts, changed = [], 0
    for seed in range(400):
        after = as_photographed(pixels, np.random.default_rng(seed))
        assert after.shape == pixels.shape
        assert after.dtype == np.uint8
        changed += not np.array_equal(after, pixels)
        gray = cv2.GaussianBlur(after.astype(float).mean(2), (0, 0), 2)
        bright = np.clip(gray - 0.6 * gray.max() - 0.4 * gray.min(), 0, None)
        shifts.append(((bright * x).sum() / bright.sum(), (bright * y).sum() / bright.sum()))
    assert changed > 300
    assert np.median(np.abs(shifts)) < 0.05
    assert np.quantile(np.abs(shifts), 0.8) < 0.4
    assert np.abs(np.median(shifts, axis=0)).max() < 0.02
