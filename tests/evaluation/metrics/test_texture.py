from __future__ import annotations

import cv2
import numpy as np
import pytest

from sosie.evaluation.metric import Missing
from sosie.evaluation.sample import Triple


def skin(contrast, exposure=1.0, side=240):
    noise = np.random.default_rng(0).normal(0, 1, (side, side, 1))
    noise = cv2.GaussianBlur(noise, (0, 0), 1.5)[..., None]
    tone = np.array([180, 140, 120]) * exposure
    return np.clip(tone * (1 + contrast * noise / noise.std()), 0, 255).astype(np.uint8)


def contrast_of(pictures, measured, source, result):
    triple = pictures(source, result, 60)
    return measured("texture", Triple(triple.source, triple.source, triple.result))["skin_contrast"]


def test_as_much_texture_in_any_exposure_is_one(pictures, measured):
    assert contrast_of(pictures, measured, skin(0.05), skin(0.05)) == pytest.approx(1)
    darker = contrast_of(pictures, measured, skin(0.05), skin(0.05, 0.5))
    assert darker == pytest.approx(1, abs=0.15)


def test_blurred_and_carved_skin_are_both_away_from_one(pictures, measured):
    smooth = cv2.GaussianBlur(skin(0.05), (0, 0), 3)
    assert contrast_of(pictures, measured, skin(0.05), smooth) < 0.5
    assert contrast_of(pictures, measured, skin(0.05), skin(0.1)) > 1.7


def test_a_source_without_texture_is_no_measure(pictures, measured):
    told = contrast_of(pictures, measured, np.full((240, 240, 3), 120, np.uint8), skin(0.05))
    assert isinstance(told, Missing)


def test_colors_in_a_gray_picture_are_told(pictures, measured):
    gray = np.repeat(cv2.cvtColor(skin(0.05), cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    sepia = np.rint(gray * np.array([1.0, 0.9, 0.7])).astype(np.uint8)
    assert measured("texture", pictures(gray, gray, 60))["tint_error"] < 0.1
    assert measured("texture", pictures(sepia, sepia, 60))["tint_error"] < 0.7
    pink = gray.copy()
    pink[..., 0] = np.minimum(pink[..., 0].astype(int) + 15, 255)
    assert measured("texture", pictures(gray, pink, 60))["tint_error"] > 4


def test_a_picture_with_colors_has_no_tint(untouched, measured):
    assert isinstance(measured("texture", untouched)["tint_error"], Missing)
