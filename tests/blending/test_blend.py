"""Joining a swapped face with its target: nothing changes where the mask is 0."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sosie.blending import blend

Blend = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
BLENDS: dict[str, Blend] = {
    "alpha": blend.alpha,
    "multiband": lambda swapped, target, mask: blend.multiband(swapped, target, mask, 100.0),
    "poisson": blend.poisson,
}
each_blend = pytest.mark.parametrize("join", BLENDS.values(), ids=BLENDS)


def disc(side: int, radius: float, soft_px: float = 1.0) -> np.ndarray:
    """A mask: 1 in the middle, falling to exactly 0 at `radius`."""
    r = np.hypot(*(np.indices((side, side)) - (side - 1) / 2))
    rise = np.clip((radius - r) / soft_px, 0, 1)
    return (rise * rise * (3 - 2 * rise)).astype(np.float32)


def grain(side: int, seed: int = 0, around: float = 0.5) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(-0.2, 0.2, (side, side, 3))
    return (around + noise).astype(np.float32)


@each_blend
@settings(max_examples=20)
@given(side=st.integers(12, 90), seed=st.integers(0, 1000), radius=st.floats(2, 40))
def test_nothing_changes_outside_the_mask(join: Blend, side: int, seed: int, radius: float) -> None:
    target, swapped, mask = grain(side, seed), grain(side, seed + 1), disc(side, radius, 4)
    # What is undefined must not leak: nothing of it, however large, may be seen.
    swapped[mask == 0] = 1e6
    joined = join(swapped, target, mask)
    assert joined.shape == target.shape
    assert joined.dtype == np.float32
    assert np.array_equal(joined[mask == 0], target[mask == 0])
    assert np.isfinite(joined).all()
    assert np.abs(joined).max() < 3


@each_blend
def test_equal_pictures_stay_as_they_are(join: Blend) -> None:
    target = grain(80, 3)
    joined = join(target.copy(), target, disc(80, 35, 6))
    assert np.abs(joined - target).max() < 1e-5


@each_blend
def test_an_empty_mask_is_the_target(join: Blend) -> None:
    target = grain(64, 1)
    assert np.array_equal(join(grain(64, 2), target, np.zeros((64, 64), np.float32)), target)


@pytest.mark.parametrize("side", [40, 75, 128])
def test_a_full_mask_is_the_swapped_picture(side: int) -> None:
    target, swapped, full = grain(side, 1), grain(side, 2, 0.7), np.ones((side, side), np.float32)
    assert np.allclose(blend.alpha(swapped, target, full), swapped, atol=1e-6)
    assert np.allclose(blend.multiband(swapped, target, full, 100), swapped, atol=1e-5)


@each_blend
def test_the_swapped_face_stands_in_the_middle(join: Blend) -> None:
    """Its detail, whatever becomes of its shade."""
    target, swapped = grain(160, 4), grain(160, 5)
    joined = join(swapped, target, disc(160, 75, 5))
    fine = [a - cv2.GaussianBlur(a, (0, 0), 2) for a in (joined, swapped)]
    middle = slice(55, 105)
    assert np.abs(fine[0] - fine[1])[middle, middle].max() < 0.02


def test_alpha_is_the_weighted_mean() -> None:
    target, swapped = np.full((2, 2, 3), 0.2, np.float32), np.full((2, 2, 3), 0.6, np.float32)
    mask = np.array([[0, 0.25], [0.5, 1]], np.float32)
    assert np.allclose(
        blend.alpha(swapped, target, mask)[..., 0], [[0.2, 0.3], [0.4, 0.6]], atol=1e-6
    )


def profile(picture: np.ndarray) -> np.ndarray:
    """From the middle to the right edge, mean of the channels."""
    side = picture.shape[0]
    return picture[side // 2, side // 2 :].mean(1)


def test_multiband_mixes_shade_over_more_pixels_than_detail() -> None:
    side, mask = 240, disc(240, 100, 6)
    target = np.full((side, side, 3), 0.3, np.float32)
    step = profile(blend.multiband(target + 0.3, target, mask, 200))
    # A step of shade becomes a slope over about a tenth of the face, inside the mask.
    reached = np.flatnonzero(step < 0.3 + 0.9 * 0.3)[0]
    assert 12 < 100 - reached < 50
    assert step[40] == pytest.approx(0.6, abs=0.03)
    assert np.diff(step[:100]).max() < 0.003
    # Detail stands up to the feather.
    sign = ((np.indices((side, side)).sum(0) % 2) * 2 - 1)[..., None]
    fine = (target + 0.1 * sign).astype(np.float32)
    kept = np.abs(np.diff(profile(blend.multiband(fine, target, mask, 200))))
    assert kept[:92].min() > 0.15


@pytest.mark.parametrize("side", [240, 241, 243])
def test_multiband_leaves_no_line_at_the_edge(side: int) -> None:
    """An alpha blend with the same feather does."""
    mask = disc(side, 100, 6)
    target = np.full((side, side, 3), 0.3, np.float32)
    for size_px in (100.0, 300.0):
        joined = blend.multiband(target + 0.3, target, mask, size_px)
        hard = blend.alpha(target + 0.3, target, mask)
        for edge in (joined, joined[:, ::-1], joined.transpose(1, 0, 2)):
            jump, hard_jump = (np.abs(np.diff(profile(p))).max() for p in (edge, hard))
            assert jump < 0.75 * hard_jump


@pytest.mark.parametrize("side", [160, 161, 166, 167])
def test_multiband_favours_no_side(side: int) -> None:
    """All bands are cut by one and the same outline, wherever the pixels' halving begins."""
    mask = disc(side, 70, 5)
    target = np.full((side, side, 3), 0.3, np.float32)
    joined = blend.multiband(target + 0.3, target, mask, 160)
    for mirrored in (joined[:, ::-1], joined[::-1], joined.transpose(1, 0, 2)):
        assert np.abs(joined - mirrored).max() < 0.12 * 0.3


@settings(max_examples=12)
@given(
    offset=st.tuples(*[st.floats(-0.15, 0.15)] * 3),
    side=st.integers(40, 110),
)
def test_poisson_removes_a_constant_cast(offset: tuple[float, ...], side: int) -> None:
    target = grain(side, 7)
    joined = blend.poisson(
        target + np.array(offset, np.float32), target, disc(side, 0.45 * side, 3)
    )
    assert np.abs(joined - target).max() < 0.01


def test_poisson_spreads_a_ramp_of_difference_over_the_face() -> None:
    """A difference that is harmonic itself is removed too: the membrane takes its very shape."""
    side = 120
    target = grain(side, 8)
    y, x = np.indices((side, side)) / side - 0.5
    ramp = (0.2 * x - 0.15 * y)[..., None].astype(np.float32)
    joined = blend.poisson(target + ramp, target, disc(side, 54, 3))
    assert np.abs(joined - target).max() < 0.02


def test_poisson_keeps_what_is_the_faces_own() -> None:
    """A mark in the middle of the face is no cast."""
    side = 120
    target = np.full((side, side, 3), 0.5, np.float32)
    mark = disc(side, 8, 3)[..., None] * 0.3
    joined = blend.poisson(target + 0.1 + mark, target, disc(side, 54, 3))
    assert joined[60, 60, 0] - 0.5 == pytest.approx(0.3, abs=0.02)
    assert np.abs(joined[60, 75:] - 0.5).max() < 0.02


def test_poisson_stays_in_range() -> None:
    target = np.full((80, 80, 3), 0.95, np.float32)
    swapped = grain(80, 2, 0.4)
    joined = blend.poisson(swapped, target, disc(80, 36, 3))
    assert joined.min() >= 0
    assert joined.max() <= 1


@each_blend
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (5, 40)])
def test_tiny_windows(join: Blend, shape: tuple[int, int]) -> None:
    target, swapped = np.full((*shape, 3), 0.2, np.float32), np.full((*shape, 3), 0.7, np.float32)
    joined = join(swapped, target, np.full(shape, 0.5, np.float32))
    assert joined.shape == (*shape, 3)
    assert ((joined >= 0.2 - 1e-6) & (joined <= 0.7 + 1e-6)).all()
