from __future__ import annotations

import cv2
import numpy as np
import pytest

from sosie.evaluation.metric import Missing
from sosie.evaluation.sample import Look, Triple


def waves(cycles_a_px, side=240):
    """Gray waves across the picture."""
    line = 128 + 100 * np.sin(2 * np.pi * cycles_a_px * np.arange(side))
    return np.repeat(np.repeat(line[None, :, None], side, 0), 3, 2).round().astype(np.uint8)


def share(cycles_a_px, sigma_px=1.5):
    """Of a wave's contrast, what a Gaussian takes away."""
    return 1 - np.exp(-2 * (np.pi * sigma_px * cycles_a_px) ** 2)


def blurred(pixels, sigma_px):
    return cv2.GaussianBlur(pixels, (0, 0), sigma_px) if sigma_px else pixels


def test_equal_pictures_are_perfect(untouched, measured):
    assert measured("sharpness", untouched) == {"sharpness": 1, "sharpness_pixels": 1}


@pytest.mark.parametrize(("before", "after"), [(0.1, 0.05), (0.05, 0.15)])
def test_waves_of_known_frequency(before, after, pictures, measured):
    found = measured("sharpness", pictures(waves(before), waves(after), 60))
    assert found["sharpness_pixels"] == pytest.approx(share(after) / share(before), rel=0.05)
    assert (found["sharpness"] > 1) == (after > before)


def test_a_known_blur(pictures, measured):
    """A Gaussian leaves a wave its shape; of two waves it takes more of the finer one."""
    mixed = (waves(0.02).astype(int) + waves(0.2)) // 2
    sharp = mixed.astype(np.uint8)
    found = measured("sharpness", pictures(sharp, blurred(sharp, 1.0), 60))["sharpness_pixels"]
    left = [np.exp(-2 * (np.pi * 1.0 * f) ** 2) for f in (0.02, 0.2)]
    fine = np.hypot(share(0.02) * left[0], share(0.2) * left[1]) / np.hypot(*left)
    start = np.hypot(share(0.02), share(0.2)) / np.hypot(1, 1)
    assert found == pytest.approx(fine / start, rel=0.1)


def test_blur_lowers_both(astronaut, astronaut_look, swapped, measured):
    found = [
        measured(
            "sharpness",
            Triple(
                astronaut_look,
                astronaut_look,
                Look(blurred(astronaut, s), "blurred", astronaut_look.face),
            ),
        )
        for s in (0, 0.7, 1.5, 3)
    ]
    for name in ("sharpness", "sharpness_pixels"):
        assert np.all(np.diff([f[name] for f in found]) < -0.05), name


def test_an_enlarged_small_face_has_no_fine_pixels(astronaut, pictures, measured):
    small = cv2.resize(astronaut, (128, 128), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, (512, 512), interpolation=cv2.INTER_CUBIC)
    found = measured("sharpness", pictures(astronaut, large, 60))
    assert found["sharpness_pixels"] < 0.6


def test_a_target_without_detail_is_said(pictures, measured):
    flat = np.full((200, 200, 3), 90, np.uint8)
    found = measured("sharpness", pictures(flat, waves(0.1, 200)))
    assert found["sharpness"] == found["sharpness_pixels"]
    assert isinstance(found["sharpness"], Missing)
    assert "target has no detail" in found["sharpness"].reason
