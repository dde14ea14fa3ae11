"""The sections of a report that only runs over pairs have: plots and contact sheets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sosie.evaluation.metric import Figure
from sosie.evaluation.report import page, plots
from sosie.evaluation.report.page import Page
from sosie.evaluation.report.run import Run
from sosie.evaluation.report.sheets import SIDE_PX, Places, Strips, places, strip
from sosie.evaluation.report.table import Row, number

IDENTITY, IDENTITIES = "identity_source", ("identity_source", "identity_target", "identity_limit")
AGAINST = ("pose_error", "expression_error", "gaze_error", "light_error")
"""Figures that identity is drawn against: what a swap loses where it gains likeness."""

# A cloud or a distribution of fewer points shows nothing.
_LEAST_POINTS = 3


def add_sections(report: Page, run: Run, rows: Sequence[Row]) -> None:
    """Add plots."""
    report.add("against", "Identity against attributes", page.grid(_scatters(run)))
    report.add("distributions", "Distributions", page.grid(_distributions(run, rows)))


def add_pictures(report: Page, run: Run, rows: Sequence[Row]) -> dict[str, bytes]:
    """Add contact sheets; returns the pictures that they show, by name."""
    by_pair = {line.pair: line for line in run.lines}
    strips = Strips(lambda pair: strip(run.folder, by_pair[pair]))
    told = [row for row in rows if row.figure.kind == "pair" and row.is_told]
    sheets = [_sheet(run, row.figure, strips, first=row is told[0]) for row in told]
    note = "Each strip: source, target, result. Pairs by their value of one figure."
    report.add("sheets", "Best, median and worst pairs", page.text(note, soft=True), *sheets)
    return strips.all()


def label(figure: Figure) -> str:
    """A figure's title for an axis."""
    return f"{figure.title} ({figure.unit})" if figure.unit else figure.title


def _scatters(run: Run) -> list[str]:
    identity = run.by_pair(IDENTITY)
    drawn = []
    for name in AGAINST:
        other = run.by_pair(name)
        common = [pair for pair in identity if pair in other]
        if len(common) < _LEAST_POINTS:
            continue
        x, y = [other[pair] for pair in common], [identity[pair] for pair in common]
        titles = label(run.figures[name]), label(run.figures[IDENTITY])
        svg = plots.scatter(x, y, titles)
        said = f"{titles[1]} against {titles[0]}; {len(common)} pairs, dashed: medians."
        drawn.append(page.plot(svg, said + _correlation(x, y)))
    return drawn


def _correlation(x: Sequence[float], y: Sequence[float]) -> str:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return ""
    return f" Correlation {number(float(np.corrcoef(x, y)[0, 1]))}."


def _distributions(run: Run, rows: Sequence[Row]) -> list[str]:
    words = {"identity_source": "to source", "identity_target": "to target"}
    groups: dict[str, Sequence[float]] = {
        words.get(name, "two real photos"): list(values.values())
        for name in IDENTITIES
        if len(values := run.by_pair(name)) >= _LEAST_POINTS
    }
    drawn = []
    if groups:
        svg = plots.histogram(groups, "cosine similarity")
        drawn.append(
            page.plot(
                svg,
                "Identity of results, and of two real photos of one person; dashed: medians.",
            )
        )
    for row in rows:
        told = list(run.by_pair(row.figure.name).values())
        is_pairs = row.figure.kind == "pair" and row.figure.name not in IDENTITIES
        if is_pairs and len(told) >= _LEAST_POINTS:
            svg = plots.histogram({"": told}, label(row.figure))
            drawn.append(page.plot(svg, f"{row.figure.title}; {len(told)} pairs."))
    return drawn


def _sheet(run: Run, figure: Figure, strips: Strips, first: bool) -> str:
    found = places(run, figure)
    parts = []
    for heading, pairs in _headed(figure, found):
        if pairs:
            parts.append(f"<h3>{heading}</h3>")
            parts.append(page.strips(_strip(run, figure, strips, pair) for pair in pairs))
    return page.folded(figure.title, *parts, is_open=first)


def _headed(figure: Figure, found: Places) -> list[tuple[str, list[str]]]:
    words = ("Best", "Median", "Worst") if figure.better else ("Smallest", "Median", "Largest")
    return list(zip(words, (found.best, found.median, found.worst), strict=True))


def _strip(run: Run, figure: Figure, strips: Strips, pair: str) -> str:
    value = number(run.by_pair(figure.name)[pair], figure.unit)
    return page.strip(strips.name(pair), (3 * SIDE_PX, SIDE_PX), f"{pair}: {value}")
