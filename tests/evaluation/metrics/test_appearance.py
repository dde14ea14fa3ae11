"""Light, sharpness, texture and color on pictures with a known answer."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.color import rgb2lab

from sosie.evaluation.metric import Missing, MissingFigureError
from sosie.evaluation.sample import AnalyzedImage, Sample


def plain(level, side=200):
    return np.full((side, side, 3), level, np.uint8)


def apart(one, other):
    """CIE 1976 difference of two colors."""
    colors = np.array([[one, other]], np.uint8)
    lab = rgb2lab(colors)[0]
    return float(np.linalg.norm(lab[0] - lab[1]))


def test_equal_pictures_are_perfect(untouched, measured):
    assert measured("light", untouched) == {"light_error": 0, "shading_error": 0}


@pytest.mark.parametrize("color", [(150, 150, 150), (60, 60, 60), (140, 110, 100)])
def test_a_plain_change_of_color(color, pictures, measured):
    found = measured("light", pictures(plain(120), plain(color)))
    assert found["light_error"] == pytest.approx(apart((120,) * 3, color), rel=0.02)
    assert found["shading_error"] == pytest.approx(0, abs=0.05)


def test_light_from_one_side_is_shading(pictures, measured):
    ramp = np.linspace(-40, 40, 200)[None, :, None]
    steep = [
        np.clip(120 + k * ramp + np.zeros((200, 1, 3)), 0, 255).astype(np.uint8) for k in (0.5, 1)
    ]
    weak, strong = (measured("light", pictures(plain(120), lit, 55)) for lit in steep)
    assert 2 < weak["shading_error"] < strong["shading_error"]
    # Lightness averages out over the face, its unevenness does not.
    assert strong["shading_error"] == pytest.approx(strong["light_error"], rel=0.1)


def test_detail_is_no_light(pictures, measured):
    stripes = plain(120)
    stripes[:, ::4], stripes[:, 1::4] = 140, 140
    stripes[:, 2::4], stripes[:, 3::4] = 100, 100
    found = measured("light", pictures(plain(120), stripes))
    assert found["light_error"] < 1


def test_a_darker_face_raises_the_error(swapped, astronaut, pictures, measured):
    dark = [(astronaut * share).astype(np.uint8) for share in (1, 0.9, 0.7, 0.5)]
    found = [measured("light", pictures(astronaut, d, 60))["light_error"] for d in dark]
    assert np.all(np.diff(found) > 2)


def test_pictures_of_two_sizes_are_refused(faces, pictures, measured):
    sample = pictures(plain(120), plain(120, 100))
    with pytest.raises(MissingFigureError, match="200 x 200 px and the result of 100 x 100"):
        measured("light", sample)


def waves(cycles_a_px, side=240):
    """Gray waves across the picture."""
    line = 128 + 100 * np.sin(2 * np.pi * cycles_a_px * np.arange(side))
    return np.repeat(np.repeat(line[None, :, None], side, 0), 3, 2).round().astype(np.uint8)


def share(cycles_a_px, sigma_px=1.5):
    """Of a wave's contrast, what a Gaussian takes away."""
    return 1 - np.exp(-2 * (np.pi * sigma_px * cycles_a_px) ** 2)


def blurred(pixels, sigma_px):
    return cv2.GaussianBlur(pixels, (0, 0), sigma_px) if sigma_px else pixels


def test_equal_pictures_are_equally_sharp(untouched, measured):
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
            Sample(
                astronaut_look,
                astronaut_look,
                AnalyzedImage(blurred(astronaut, s), "blurred", astronaut_look.face),
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


def skin(contrast, exposure=1.0, side=240):
    noise = np.random.default_rng(0).normal(0, 1, (side, side, 1))
    noise = cv2.GaussianBlur(noise, (0, 0), 1.5)[..., None]
    tone = np.array([180, 140, 120]) * exposure
    return np.clip(tone * (1 + contrast * noise / noise.std()), 0, 255).astype(np.uint8)


def contrast_of(pictures, measured, source, result):
    sample = pictures(source, result, 60)
    return measured("texture", Sample(sample.source, sample.source, sample.result))["skin_contrast"]


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
