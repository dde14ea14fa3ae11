"""The figures of a run as rows: an estimate of each, and what could not be told."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sosie.evaluation import metrics
from sosie.evaluation.metric import Figure, split_name
from sosie.evaluation.report.run import Run
from sosie.evaluation.statistics import Estimate, Spread, estimate, spread

GROUPS = {
    "Identity": ("identity", "retrieval", "film_identity"),
    "Attributes": ("pose", "expression", "gaze", "openings", "contour", "light"),
    "Realism": ("frechet", "sharpness", "seam", "fidelity", "perceptual"),
    "Video": ("film_fallback", "film_flicker", "film_jitter", "film_timing", "film_shift"),
    "Cost": ("cost",),
}
"""Heading -> the files of `figures.TABLE` whose figures stand under it."""

ARROWS = {"higher": "↑", "lower": "↓", "nearer to 1": "→ 1", None: ""}
"""Which way is better -> its sign in tables."""


@dataclass(frozen=True)
class Row:
    """One figure of a run. estimate: of its mean; a figure of a whole set has no interval unless it
    is a share of the pairs. spread: how the pairs' values lie; None for figures of a set.
    reason: why nothing was told, or the most frequent reason why some pairs had no value."""

    figure: Figure
    estimate: Estimate
    spread: Spread | None
    reason: str

    @property
    def is_told(self) -> bool:
        return math.isfinite(self.estimate.value)


def rows_of(run: Run) -> list[Row]:
    """A row for every figure of a run, in the order of the table."""
    return [_row(run, figure) for figure in run.figures.values()]


def grouped(rows: list[Row]) -> dict[str, list[Row]]:
    """The rows under the headings of GROUPS; figures that are in none come under `Other`."""
    heading_of = {
        figure.name: heading
        for heading, files in GROUPS.items()
        for file in files
        for figure in metrics.load_figures(file).FIGURES
    }
    found: dict[str, list[Row]] = {heading: [] for heading in (*GROUPS, "Other")}
    for row in rows:
        found[heading_of.get(split_name(row.figure.name)[0], "Other")].append(row)
    return {heading: members for heading, members in found.items() if members}


def number(value: float, unit: str = "") -> str:
    """A value with as many digits as say something: `0.512`, `12.3 deg`, `1480`; a dash for NaN."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return f"0 {unit}".rstrip()
    size = abs(float(f"{value:.3g}"))
    digits = 5
    for bound in (0.01, 0.1, 1, 10, 100):
        digits -= size >= bound
    text = f"{value:.{digits}f}"
    sign = "−" if float(text) < 0 else ""
    return f"{sign}{text.removeprefix('-')} {unit}".rstrip()


def interval(told: Estimate) -> str:
    """`0.48 to 0.55`, or nothing where there is no interval."""
    if math.isnan(told.low):
        return ""
    return f"{number(told.low)} to {number(told.high)}"


def _row(run: Run, figure: Figure) -> Row:
    name = figure.name
    reasons = run.reasons(name)
    reason = reasons.most_common(1)[0][0] if reasons else ""
    if name not in run.whole.figures:
        values = run.by_pair(name)
        told = [values.get(line.pair, math.nan) for line in run.lines]
        lies = spread(told) if len(values) > 1 else None
        return Row(figure, estimate(told), lies, reason)
    value = run.whole.figures[name]
    if value is None:
        return Row(figure, estimate([]), None, reason)
    if run.is_share(name):
        share = estimate(run.by_pair(name).values(), share=True)
        low, high = 100 * share.low, 100 * share.high
        return Row(figure, Estimate(value, low, high, share.count), None, reason)
    return Row(figure, Estimate(value, math.nan, math.nan, 1), None, reason)
