"""What can be said of many values of one figure: mean, interval, spread, and a difference.

Values are one a pair; what is not a number was not told for that pair, does not enter any mean,
and is counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sosie.evaluation.environment import extra_packages
from sosie.evaluation.metric import Direction

Verdict = Literal["better", "worse", "other", "level", "unknown"]

LEVEL = 0.95
"""Confidence of the intervals."""

MIN_COUNT = 5
"""From fewer values no interval is drawn: resampling a handful makes it far too narrow."""

_RESAMPLES = 2000
# Above this many values the correction of BCa is lost in the interval's own noise.
_MAX_CORRECTED = 2000
# Numbers that a resampling may hold at once.
_MAX_NUMBERS = 4_000_000


@dataclass(frozen=True)
class Estimate:
    """The mean of a figure.

    value: NaN where nothing counted. low, high: its confidence interval, NaN where there are too
    few values for one. count: values that entered. missing: those that were not numbers.
    """

    value: float
    low: float
    high: float
    count: int
    missing: int = 0


@dataclass(frozen=True)
class Spread:
    """How the values of a figure lie: those below which 5, 50 and 95 % of them are."""

    p5: float
    median: float
    p95: float


@dataclass(frozen=True)
class Difference:
    """One run against another on the pairs that both could score.

    by: the mean difference, ours less theirs, with its interval; of a figure that is better nearer
    to 1 that of the distances from 1. verdict: `better` and `worse`
    where the interval leaves out 0, `other` where it does for a figure without a better side,
    `level` where it holds 0, `unknown` where there is none.
    """

    by: Estimate
    verdict: Verdict


def estimate(values: Iterable[float], share: bool = False, seed: int = 0) -> Estimate:
    """The mean of values and its interval of confidence LEVEL.

    The interval is a bootstrap over the values: bias-corrected and accelerated (Efron 1987,
    "Better bootstrap confidence intervals"), plain percentiles for more than 2000 values, where
    both agree. The same values and seed give the same interval. share: the values are 0 or 1 and
    their mean is a share; its interval is Wilson's (1927), for a bootstrap of 20 hits in 20 trials
    would be certain of 100 %. Raises ValueError where such a value is neither.
    """
    given = np.fromiter(values, np.float64)
    told = given[np.isfinite(given)]
    missing = len(given) - len(told)
    if len(told) == 0:
        return Estimate(math.nan, math.nan, math.nan, 0, missing)
    value = float(told.mean())
    if share and not np.isin(told, (0, 1)).all():
        raise ValueError("the values of a share are 0 or 1")
    if len(told) < MIN_COUNT:
        low, high = math.nan, math.nan
    elif share:
        low, high = _wilson(int(told.sum()), len(told))
    elif np.ptp(told) <= 1e-12 * max(1.0, abs(value)):
        low = high = value
    else:
        low, high = _bootstrap(told, seed)
    return Estimate(value, low, high, len(told), missing)


def spread(values: Iterable[float]) -> Spread:
    """How the finite ones of the values lie; all NaN where there are none."""
    told = np.fromiter(values, np.float64)
    told = told[np.isfinite(told)]
    return Spread(
        *(map(float, np.quantile(told, (0.05, 0.5, 0.95))) if len(told) else [math.nan] * 3)
    )


def difference(
    ours: Mapping[str, float],
    theirs: Mapping[str, float],
    better: Direction | None,
    seed: int = 0,
) -> Difference:
    """How much better a figure is in one run than in another.

    ours, theirs: pair -> value. Only pairs with a finite value in both count, so that a run that
    fails on hard pairs gains nothing by it; the others are counted as missing. The interval is a
    bootstrap over the differences of pairs. better: the figure's better side, None for neither.
    """
    common = sorted(set(ours) & set(theirs))
    if better == "nearer to 1":
        apart = (badness(ours[pair], better) - badness(theirs[pair], better) for pair in common)
        by = estimate(apart, seed=seed)
        return Difference(by, _verdict(by, "lower"))
    by = estimate((ours[pair] - theirs[pair] for pair in common), seed=seed)
    return Difference(by, _verdict(by, better))


def badness(value: float, better: Direction | None) -> float:
    """The less, the better; without a better side the value itself."""
    if better == "nearer to 1":
        return abs(value - 1)
    return -value if better == "higher" else value


def ranked(values: Mapping[str, float], better: Direction | None) -> list[str]:
    """The pairs with finite values, best first; without a better side, the smallest value first.

    Of equal values the pair whose name comes first in the alphabet is first.
    """
    told = [(badness(v, better), pair) for pair, v in values.items() if math.isfinite(v)]
    return [pair for _, pair in sorted(told)]


def around_median(order: Sequence[str], count: int) -> list[str]:
    """The `count` pairs in the middle of a ranking; all of them where there are fewer."""
    first = max(0, (len(order) - count + 1) // 2)
    return list(order[first : first + count])


def _verdict(by: Estimate, better: Direction | None) -> Verdict:
    if math.isnan(by.low):
        return "unknown"
    if by.low <= 0 <= by.high:
        return "level"
    if better is None:
        return "other"
    return "better" if (by.value > 0) == (better == "higher") else "worse"


def _wilson(hits: int, count: int) -> tuple[float, float]:
    with extra_packages():
        from scipy.stats import binomtest
    interval = binomtest(hits, count).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def _bootstrap(told: NDArray[np.float64], seed: int) -> tuple[float, float]:
    with extra_packages():
        from scipy.stats import bootstrap
    found = bootstrap(
        (told,),
        np.mean,
        n_resamples=_RESAMPLES,
        batch=max(1, _MAX_NUMBERS // len(told)),
        vectorized=True,
        confidence_level=LEVEL,
        method="BCa" if len(told) <= _MAX_CORRECTED else "percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)
