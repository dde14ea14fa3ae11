"""`sharpen` brings a soft face to its target's contrast: never beyond, and without halos."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sosie.options import SwapOptions
from sosie.processors import create_processor

INNER = slice(70, 186)


def textured(seed: int = 0) -> np.ndarray:
    """Skin-like noise of two scales, RGB uint8, 256 x 256 x 3."""
    noise = np.random.default_rng(seed).normal(size=(256, 256)).astype(np.float32)
    fine = cv2.GaussianBlur(noise, (0, 0), 1)
    gray = 128 + 10 * fine / fine.std()
    return np.clip(np.rint(gray), 0, 255).astype(np.uint8)[..., None].repeat(3, 2)


def sharpened(crop, face, strength=1.0):
    return create_processor(f"sharpen:{strength}", SwapOptions()).process([crop], [face])[0]


def contrast(pixels: np.ndarray) -> float:
    gray = np.asarray(pixels, np.float32)[..., 1]
    return float((gray - cv2.GaussianBlur(gray, (0, 0), 2))[INNER, INNER].std())


def test_a_soft_face_comes_nearer_to_its_targets_contrast_and_not_beyond(swapped_face):
    target = textured()
    soft = cv2.GaussianBlur(textured(1).astype(np.float32) / 255, (0, 0), 1)
    crop, face = swapped_face(target, soft)
    wanted, before = contrast(target / 255), contrast(soft)
    half, whole = (contrast(sharpened(crop, face, s).pixels) for s in (0.5, 1))
    assert before < 0.6 * wanted
    assert before < half < whole
    assert 0.75 * wanted < whole < 1.05 * wanted


def test_a_face_as_sharp_as_its_target_stays_as_it_is(swapped_face):
    target = textured()
    crop, face = swapped_face(target, textured(2) / 255)
    assert np.abs(sharpened(crop, face).pixels - face.pixels).max() < 0.02
    softer = cv2.GaussianBlur(target, (0, 0), 3)
    crop, face = swapped_face(softer, textured(2) / 255)
    assert np.array_equal(sharpened(crop, face).pixels, face.pixels)


def test_an_edge_becomes_steeper_and_gets_no_halo(swapped_face):
    target = np.full((256, 256, 3), 90, np.uint8)
    target[:, 128:] = 170
    soft = cv2.GaussianBlur(target.astype(np.float32) / 255, (0, 0), 2)
    crop, face = swapped_face(target, soft)
    made = sharpened(crop, face).pixels[128, :, 0]
    before = soft[128, :, 0]
    assert np.abs(np.diff(made)).max() > 1.3 * np.abs(np.diff(before)).max()
    room = 0.02 * (170 - 90) / 255
    assert made.max() < before.max() + room
    assert made.min() > before.min() - room
    # Away from the edge there is nothing to raise.
    assert np.allclose(made[60:110], before[60:110], atol=1 / 255)


def test_pixels_outside_the_face_are_left(swapped_face):
    soft = cv2.GaussianBlur(textured(1).astype(np.float32) / 255, (0, 0), 1)
    soft[:20] = np.nan
    crop, face = swapped_face(textured(), soft)
    made = sharpened(crop, face)
    outside = face.mask == 0
    assert np.array_equal(made.pixels[outside], face.pixels[outside], equal_nan=True)
    assert np.isfinite(made.pixels[~outside]).all()


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_strength_nought_changes_nothing(swapped_face, depth):
    target = textured().astype(depth) * depth(1 if depth is np.uint8 else 257)
    crop, face = swapped_face(target, textured(1) / 255)
    assert np.allclose(sharpened(crop, face, 0).pixels, face.pixels, atol=1e-6)
