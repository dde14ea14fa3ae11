from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from sosie.evaluation.metric import Missing
from sosie.evaluation.metrics.fidelity import ssim_map
from sosie.evaluation.sample import AnalyzedImage, Sample


def noisy(side=200, seed=0):
    return np.random.default_rng(seed).integers(40, 200, (side, side, 3), np.uint8)


def test_equal_pictures_are_perfect(untouched, measured):
    assert measured("fidelity", untouched) == {
        "psnr_outside": 100,
        "psnr_inside": 100,
        "ssim_outside": pytest.approx(1, abs=1e-5),
        "ssim_inside": pytest.approx(1, abs=1e-5),
        "l1_target": 0,
    }


def test_a_known_difference(pictures, measured):
    target = noisy()
    found = measured("fidelity", pictures(target, target + np.uint8(10)))
    assert found["psnr_outside"] == pytest.approx(10 * np.log10(255**2 / 100))
    assert found["psnr_inside"] == pytest.approx(10 * np.log10(255**2 / 100))
    assert found["l1_target"] == 10


def test_psnr_is_that_of_scikit_image(pictures, measured):
    target, result = noisy(), noisy(seed=1)
    sample = pictures(target, result)
    found, inside = measured("fidelity", sample), sample.inside
    for name, where in (("psnr_inside", inside), ("psnr_outside", ~inside)):
        wanted = peak_signal_noise_ratio(target[where], result[where], data_range=255)
        assert found[name] == pytest.approx(wanted), name
    assert found["l1_target"] == pytest.approx(np.abs(target.astype(int) - result).mean())


def test_ssim_is_that_of_scikit_image(astronaut):
    gray = cv2.cvtColor(astronaut, cv2.COLOR_RGB2GRAY)
    soft = cv2.GaussianBlur(gray, (0, 0), 1.0)
    _, wanted = structural_similarity(
        gray, soft, data_range=255, gaussian_weights=True, use_sample_covariance=False, full=True
    )
    found = ssim_map(gray, soft)
    inner = np.s_[8:-8, 8:-8]
    assert np.abs(found - wanted)[inner].max() < 1e-3


def test_only_the_side_that_was_changed_is_charged(pictures, measured):
    target = noisy()
    sample = pictures(target, target)
    for inside in (True, False):
        result = target.copy()
        result[sample.inside == inside] ^= 8
        found = measured("fidelity", pictures(target, result))
        kept, lost = ("outside", "inside") if inside else ("inside", "outside")
        assert found[f"psnr_{kept}"] == 100
        assert found[f"psnr_{lost}"] < 40
        assert found[f"ssim_{kept}"] > found[f"ssim_{lost}"]


def test_more_noise_is_less_alike(astronaut, astronaut_look, measured):
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 1, astronaut.shape)
    found = []
    for level in (1, 4, 12):
        result = np.clip(astronaut + level * grain, 0, 255).astype(np.uint8)
        look = AnalyzedImage(result, "noisy", astronaut_look.face)
        found.append(measured("fidelity", Sample(astronaut_look, astronaut_look, look)))
    for name in ("psnr_outside", "psnr_inside", "ssim_outside", "ssim_inside"):
        assert np.all(np.diff([f[name] for f in found]) < 0), name
    assert np.all(np.diff([f["l1_target"] for f in found]) > 0)


def test_a_swap_keeps_what_is_outside(swapped, measured):
    found = measured("fidelity", swapped)
    assert found["psnr_outside"] > 40 > found["psnr_inside"]
    assert found["ssim_outside"] > 0.98 > found["ssim_inside"]


def test_large_faces_are_reduced_first(pictures, measured):
    """Detail of single pixels in a face of 450 px is not seen at the scale of SSIM."""
    target = np.full((900, 900, 3), 120, np.uint8)
    result = target.copy()
    result[::2, ::2], result[1::2, 1::2] = 140, 100
    assert measured("fidelity", pictures(target, result, 140))["ssim_inside"] > 0.99
    assert measured("fidelity", pictures(target, result, 60))["ssim_inside"] < 0.5


def test_a_picture_that_is_all_face_has_no_outside(pictures, measured):
    found = measured("fidelity", pictures(noisy(60), noisy(60), unit_px=120))
    assert isinstance(found["psnr_outside"], Missing)
    assert isinstance(found["ssim_outside"], Missing)
    assert found["l1_target"] == 0
