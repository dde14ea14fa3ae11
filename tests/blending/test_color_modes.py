"""The color transfers of the field: what each promises of the colors' distribution."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.blending.color_modes import MODES
from sosie.options import COLORS

SIDE = 48
LEAST, MOST = 0.3, 0.7
"""Colors so far from black and white that no transfer between such leaves the range."""


def cloud(seed: int, mean: tuple[float, float, float], spread: float) -> np.ndarray:
    """A picture whose colors lie about a mean, more in one direction than in the others."""
    random = np.random.default_rng(seed)
    axes = np.linalg.qr(random.normal(size=(3, 3)))[0] * (1, 0.6, 0.3)
    noise = cv2.GaussianBlur(random.normal(size=(SIDE, SIDE, 3)), (0, 0), 1.0)
    noise /= noise.std((0, 1))
    return np.clip(noise @ (axes * spread) + mean, 0, 1).astype(np.float32)


def disc() -> np.ndarray:
    y, x = np.indices((SIDE, SIDE)) / (SIDE - 1) * 2 - 1
    return np.clip((0.8 - np.hypot(x, y)) * 6, 0, 1).astype(np.float32)


WEIGHT = disc()

color = st.tuples(*[st.floats(LEAST, MOST)] * 3)
clouds = st.builds(cloud, st.integers(0, 1000), color, st.floats(0.015, 0.05))


def moments(picture: np.ndarray, weight: np.ndarray = WEIGHT) -> tuple[np.ndarray, np.ndarray]:
    shares = weight / weight.sum()
    mean = (picture * shares[..., None]).sum((0, 1))
    apart = (picture - mean).reshape(-1, 3)
    return mean, (apart * shares.reshape(-1, 1)).T @ apart


TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)


def lab(picture: np.ndarray) -> np.ndarray:
    """CIE Lab of sRGB under D65, by its definition: OpenCV's reads its curves from tables, and is
    up to 0.3 off."""
    rgb = picture.astype(np.float64)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ TO_XYZ.T / TO_XYZ.sum(1)
    x, y, z = np.moveaxis(np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


@pytest.mark.parametrize("name", ["lct", "mkl"])
@given(ours=clouds, theirs=clouds)
def test_linear_maps_give_mean_and_covariance(name, ours, theirs):
    made = MODES[name](ours, theirs, WEIGHT)
    (mean, spread), (to_mean, to_spread) = moments(made), moments(theirs)
    assert np.abs(mean - to_mean).max() < 1e-4
    # A direction in which a cloud is thinner than an 8-bit step is not stretched.
    assert np.abs(spread - to_spread).max() < 0.02 * to_spread.max() + 2 * (1 / 255) ** 2


@given(ours=clouds, theirs=clouds)
def test_reinhard_gives_mean_and_deviation_of_each_axis_of_lab(ours, theirs):
    made = MODES["rct"](ours, theirs, WEIGHT)
    (mean, spread), (to_mean, to_spread) = moments(lab(made)), moments(lab(theirs))
    assert np.abs(mean - to_mean).max() < 0.15
    ratio = np.sqrt(np.diag(spread) / np.diag(to_spread))
    assert np.abs(ratio - 1).max() < 0.06


@pytest.mark.parametrize("name", ["idt", "sot"])
@given(ours=clouds, theirs=clouds)
def test_transport_gives_the_distribution_along_any_axis(name, ours, theirs):
    made = MODES[name](ours, theirs, WEIGHT)
    inside = WEIGHT == 1
    shares = np.linspace(0.05, 0.95, 19)
    for axis in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0.6, 0.8, 0), (0.57, -0.57, 0.59)):
        before, after, wanted = (
            np.quantile(picture[inside] @ axis, shares) for picture in (ours, made, theirs)
        )
        assert np.abs(after - wanted).max() < 0.012 + 0.1 * np.abs(before - wanted).max()


@pytest.mark.parametrize("name", MODES)
@given(picture=clouds)
def test_a_picture_on_itself_stays(name, picture):
    made = MODES[name](picture, picture, WEIGHT)
    inside = WEIGHT > 0
    assert np.abs(made - picture)[inside].max() < 0.004


@pytest.mark.parametrize("name", MODES)
def test_the_map_that_moves_least_is_the_one_that_says_so(name):
    """Of the two linear maps `mkl` costs no more than `lct`."""
    ours, theirs = cloud(1, (0.4, 0.5, 0.6), 0.05), cloud(2, (0.6, 0.5, 0.4), 0.04)
    cost = {
        k: float((((MODES[k](ours, theirs, WEIGHT) - ours) ** 2).sum(2) * WEIGHT).sum())
        for k in ("mkl", name)
    }
    if name in ("lct", "mkl"):
        assert cost["mkl"] <= cost[name] * (1 + 1e-6)
    assert cost[name] > 0


@pytest.mark.parametrize("name", MODES)
def test_what_says_nothing_is_no_reason_to_fail(name):
    """Plain colors, black and white, and weights that are all 0."""
    random = np.random.default_rng(0)
    noise = random.uniform(0, 1, (SIDE, SIDE, 3)).astype(np.float32)
    for level in (0.0, 0.5, 1.0):
        plain = np.full((SIDE, SIDE, 3), level, np.float32)
        for ours, theirs in ((plain, noise), (noise, plain), (plain, plain)):
            made = MODES[name](ours, theirs, WEIGHT)
            assert np.isfinite(made).all()
            assert made.min() >= 0
            assert made.max() <= 1
            assert made.dtype == np.float32
    nowhere = np.zeros((SIDE, SIDE), np.float32)
    assert np.array_equal(MODES[name](noise, plain, nowhere), noise)


@pytest.mark.parametrize("name", ["idt", "sot"])
def test_what_is_blown_out_gets_the_mean_of_where_it_belongs(name):
    """A third of the face is as bright as can be in one channel, the target's varies there."""
    theirs = cloud(4, (0.6, 0.5, 0.5), 0.04)
    ours = theirs.copy()
    ours[..., 0] = np.minimum(theirs[..., 0] + 0.3, 0.9)
    flat = (ours[..., 0] == np.float32(0.9)) & (WEIGHT == 1)
    assert 0.2 < flat.sum() / (WEIGHT == 1).sum() < 0.8
    made = MODES[name](ours, theirs, WEIGHT)
    assert made[flat][:, 0].mean() == pytest.approx(theirs[flat][:, 0].mean(), abs=0.012)


def test_every_mode_is_a_choice():
    assert set(MODES) == set(COLORS) - {"light", "match", "none"}
