"""The whole of compose: outside the mask the frame is the target to the bit, whatever is chosen."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from sosie.blending.composer import ComposeOptions, compose
from sosie.blending.mask import face_mask
from sosie.blending.paste import paste
from sosie.geometry.alignment import warp
from sosie.options import BLENDS, COLORS
from sosie.types import Crop, Face, SwappedCrop

CropOf = Callable[..., Crop]
SwappedWith = Callable[..., SwappedCrop]


@dataclass(frozen=True)
class Makers:
    """What the tests here build their scenes with."""

    face: Callable[..., Face]
    crop: CropOf
    swapped: SwappedWith
    textured: Callable[..., np.ndarray]


@pytest.fixture
def make(
    model_face: Callable[..., Face],
    crop_of: CropOf,
    swapped_with: SwappedWith,
    textured: Callable[..., np.ndarray],
) -> Makers:
    return Makers(model_face, crop_of, swapped_with, textured)


every_choice = pytest.mark.parametrize(("blend", "color"), list(itertools.product(BLENDS, COLORS)))


def deep(picture: np.ndarray, dtype: type) -> np.ndarray:
    if dtype is np.uint8:
        return picture
    noise = np.random.default_rng(9).integers(0, 257, picture.shape)
    return (picture.astype(np.uint16) * 256 + noise.astype(np.uint16)).astype(np.uint16)


@every_choice
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_outside_the_mask_the_target_stands_to_the_bit(
    make: Makers, blend: str, color: str, dtype: type
) -> None:
    frame = deep(make.textured(180, 160), dtype)
    before = frame.copy()
    face = make.face(15, 0, 10, unit_px=30, center=(95, 80))
    crop = make.crop(frame, face, window=(30, 15, 165, 150))
    pixels = make.textured(135, 135, 5).astype(np.float32) / 255
    vouched = np.ones((135, 135), np.float32)
    vouched[:, 90:] = 0
    pixels[vouched == 0] = np.nan  # undefined where the method does not vouch
    pixels = np.nan_to_num(pixels, nan=7.0)
    swapped = make.swapped(crop, pixels, vouched)
    options = ComposeOptions(blend, color, "none", 0.04)
    patch = compose(frame, crop, swapped, options)
    assert np.array_equal(frame, before)
    assert patch.pixels.dtype == dtype
    result = frame.copy()
    paste(result, patch)
    mask = np.zeros(frame.shape[:2], np.float32)
    mask[15:150, 30:165] = face_mask(crop, swapped, 0.04)
    assert np.array_equal(result[mask == 0], frame[mask == 0])
    changed = (result != frame).any(-1)
    assert changed[mask == 1].mean() > 0.9
    assert np.array_equal(compose(frame, crop, swapped, options).pixels, patch.pixels)


@every_choice
def test_a_face_like_the_target_changes_next_to_nothing(
    make: Makers, blend: str, color: str
) -> None:
    frame = make.textured(160, 160)
    crop = make.crop(frame, make.face(unit_px=30, center=(80, 75)))
    swapped = make.swapped(crop, frame.astype(np.float32) / 255)
    patch = compose(frame, crop, swapped, ComposeOptions(blend, color, "none", 0.03))
    assert np.abs(patch.pixels.astype(int) - frame).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_through_a_turned_and_smaller_crop(make: Makers, dtype: type) -> None:
    """As a network's aligned crop goes: the face is painted where it is, and only there."""
    frame = deep(make.textured(240, 220), dtype)
    face = make.face(0, 0, 35, unit_px=36, center=(130, 105))
    angle = np.radians(-35)
    turn = 0.6 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.column_stack([turn, np.array([64, 60]) - turn @ (130, 105)])
    crop = make.crop(frame, face, matrix=matrix, pixels=warp(frame, matrix, 128, 128))
    swapped = make.swapped(crop, (0.9, 0.1, 0.5))
    patch = compose(frame, crop, swapped, ComposeOptions("alpha", "none", "none", 0.05))
    result = frame.copy()
    paste(result, patch)
    top = np.iinfo(dtype).max
    painted = np.abs(result / top - (0.9, 0.1, 0.5)).max(-1) < 0.01
    inner = make.crop(frame, make.face(0, 0, 35, unit_px=31, center=(130, 105)))
    outer = make.crop(frame, make.face(0, 0, 35, unit_px=40, center=(130, 105)))
    everywhere = make.swapped(inner, (0, 0, 0))
    assert painted[face_mask(inner, everywhere, 0) == 1].all()
    outside = face_mask(outer, everywhere, 0) == 0
    assert np.array_equal(result[outside], frame[outside])


def test_the_targets_own_parts_are_not_lit_twice(make: Makers) -> None:
    """Eyes that come from the target have its light already."""
    frame = np.full((160, 160, 3), (60, 40, 30), np.uint8)
    crop = make.crop(frame, make.face(unit_px=30, center=(80, 75)))
    pixels = np.full((160, 160, 3), (0.9, 0.7, 0.6), np.float32)
    own = np.zeros((160, 160), np.float32)
    own[60:66, 60:72] = 1
    pixels[own == 1] = np.array((200, 210, 220)) / 255
    for color in COLORS:
        swapped = make.swapped(crop, pixels, 1.0, own)
        patch = compose(frame, crop, swapped, ComposeOptions("alpha", color, "none", 0.03))
        assert np.array_equal(np.unique(patch.pixels[own == 1], axis=0), [(200, 210, 220)])
    # And they have no say in what light the rest gets.
    for color in ("light", "match"):
        options = ComposeOptions("alpha", color, "none", 0)
        a, b = (
            compose(frame, crop, make.swapped(crop, eyes, 1.0, own), options)
            for eyes in (pixels, np.where(own[..., None] == 1, np.float32(0.2), pixels))
        )
        skin = (own == 0) & a.mask
        assert np.abs(a.pixels[skin].astype(int) - b.pixels[skin]).max() <= 1


@pytest.mark.parametrize("color", COLORS)
def test_a_face_that_its_method_has_lit_keeps_its_light(make: Makers, color: str) -> None:
    frame = make.textured(160, 160)
    crop = make.crop(frame, make.face(unit_px=40, center=(80, 80)))
    lit = np.full((160, 160, 3), 0.25, np.float32)
    swapped = make.swapped(crop, lit, 1.0, np.ones((160, 160), np.float32))
    patch = compose(frame, crop, swapped, ComposeOptions("alpha", color, "none", 0.02))
    assert (patch.pixels[75:85, 75:85] == 64).all()


def test_a_face_without_any_visible_part_changes_nothing(make: Makers) -> None:
    frame = np.full((120, 120, 3), 90, np.uint8)
    hidden = np.zeros((120, 120), np.float32)
    crop = make.crop(frame, make.face(unit_px=25, center=(60, 60)), visible=hidden)
    for blend, color in itertools.product(BLENDS, COLORS):
        patch = compose(
            frame, crop, make.swapped(crop, (1, 0, 0)), ComposeOptions(blend, color, "none", 0.03)
        )
        assert not patch.mask.any()
        assert np.array_equal(patch.pixels, frame)


def test_a_smooth_deep_face_stays_smooth(make: Makers) -> None:
    """16 bits: no steps of 256."""
    ramp = np.tile(np.linspace(20000, 24000, 160).astype(np.uint16)[None, :, None], (160, 1, 3))
    crop = make.crop(ramp, make.face(unit_px=30, center=(80, 75)))
    swapped = make.swapped(crop, ramp[:, ::-1].astype(np.float32) / 65535)
    for blend in BLENDS:
        patch = compose(ramp, crop, swapped, ComposeOptions(blend, "none", "none", 0.03))
        row = patch.pixels[75, 55:100, 0].astype(int)
        assert len(np.unique(row)) > 40
        assert np.abs(np.diff(row)).max() < 60
