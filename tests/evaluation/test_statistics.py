"""Estimates against closed forms, and comparisons against what is known beforehand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.evaluation.statistics import (
    around_median,
    difference,
    estimate,
    ranked,
    spread,
)

numbers = st.floats(-1e3, 1e3).map(lambda value: round(value, 3))


def test_the_interval_of_a_normal_sample_is_the_known_one():
    values = np.random.default_rng(5).normal(3, 2, 400)
    found = estimate(values)
    half = 1.96 * values.std(ddof=1) / math.sqrt(len(values))
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(8)
    samples = [estimate(rng.exponential(1, 40)) for _ in range(120)]
    covered = sum(found.low <= 1 <= found.high for found in samples)
    assert 105 <= covered <= 120


def test_what_is_not_told_is_counted_and_does_not_enter():
    found = estimate([1, 2, 3, 4, 5, math.nan, math.inf])
    assert (found.value, found.count, found.missing) == (3, 5, 2)
    empty = estimate([math.nan])
    assert math.isnan(empty.value)
    assert (empty.count, empty.missing) == (0, 1)


@pytest.mark.parametrize("count", [1, 4])
def test_a_handful_has_no_interval(count):
    found = estimate(range(count))
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_equal_values_leave_no_doubt():
    found = estimate([0.25] * 9)
    assert (found.value, found.low, found.high) == (0.25, 0.25, 0.25)


def test_a_share_has_the_interval_of_wilson():
    # Wilson's center and half width for 8 of 20 at z = 1.96, worked out by hand.
    found = estimate([1] * 8 + [0] * 12, share=True)
    assert (found.low, found.high) == pytest.approx((0.2188, 0.6134), abs=2e-4)
    sure = estimate([1] * 20, share=True)
    assert sure.low == pytest.approx(0.8389, abs=2e-4)
    with pytest.raises(ValueError, match="0 or 1"):
        estimate([0.5], share=True)


def test_many_values_take_percentiles_and_agree():
    values = np.random.default_rng(1).normal(0, 1, 2500)
    found = estimate(values)
    half = 1.96 / math.sqrt(2500)
    assert found.high - found.low == pytest.approx(2 * half, rel=0.15)


@given(st.lists(numbers, min_size=5, max_size=30), st.floats(-50, 50), st.integers(0, 5))
def test_an_interval_moves_with_its_values(values, shift, seed):
    found = estimate(values, seed=seed)
    assert found == estimate(values, seed=seed)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    moved = estimate([value + shift for value in values], seed=seed)
    assert moved.value == pytest.approx(found.value + shift, abs=1e-6)


def test_spread_of_known_values():
    found = spread([*range(101), math.nan])
    assert (found.p5, found.median, found.p95) == (5, 50, 95)
    assert math.isnan(spread([]).median)
    assert spread([2]).p95 == 2


def made(shift: float, noise: float = 0.02) -> tuple[dict[str, float], dict[str, float]]:
    """Values of two runs over the same pairs, which differ far more among themselves."""
    rng = np.random.default_rng(3)
    hard = rng.normal(0, 1, 40)
    ours = {f"{i:04}": float(value + shift) for i, value in enumerate(hard)}
    theirs = {
        pair: value - shift + float(step)
        for (pair, value), step in zip(ours.items(), rng.normal(0, noise, 40), strict=True)
    }
    return ours, theirs


@pytest.mark.parametrize(
    ("shift", "better", "verdict"),
    [
        (0.1, "higher", "better"),
        (0.1, "lower", "worse"),
        (-0.1, "lower", "better"),
        (0.1, None, "other"),
        (0.0, "higher", "level"),
    ],
)
def test_a_paired_difference_is_found_under_far_larger_spread(shift, better, verdict):
    found = difference(*made(shift), better)
    assert found.verdict == verdict
    assert found.by.value == pytest.approx(shift, abs=0.02)


def test_only_pairs_that_both_have_count():
    ours, theirs = made(0.1)
    del ours["0000"]
    theirs["0001"] = math.nan
    theirs["new"] = 100.0
    found = difference(ours, theirs, "higher")
    assert (found.by.count, found.by.missing) == (38, 1)
    assert found.verdict == "better"
    assert difference({"a": 1.0}, {"a": 0.0}, "higher").verdict == "unknown"


def test_ranking_and_its_middle():
    values = {"c": 3.0, "a": 1.0, "e": math.nan, "b": 3.0, "d": 2.0}
    assert ranked(values, "higher") == ["b", "c", "d", "a"]
    assert ranked(values, "lower") == ranked(values, None) == ["a", "d", "b", "c"]
    assert around_median(list("abcdefg"), 3) == list("cde")
    assert around_median(list("ab"), 5) == list("ab")


def test_of_what_is_best_at_1_neither_more_nor_less_is_better():
    values = {"soft": 0.6, "right": 0.98, "noisy": 1.5, "ringing": 3.0}
    assert ranked(values, "nearer to 1") == ["right", "soft", "noisy", "ringing"]
    rng = np.random.default_rng(0)
    level = {f"{k}": 1 + rng.normal(0, 0.02) for k in range(20)}
    sharper = {pair: value + 0.5 for pair, value in level.items()}
    softer = {pair: value - 0.5 for pair, value in level.items()}
    for other in (sharper, softer):
        assert difference(other, level, "nearer to 1").verdict == "worse"
        assert difference(level, other, "nearer to 1").verdict == "better"
