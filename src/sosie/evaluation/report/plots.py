"""Plots as SVG that stands in a page: their text and axes have the page's own color, so that they
can be read in light and in dark, and are as wide as the page lets them."""

from __future__ import annotations

import io
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.evaluation.environment import extra_packages
from sosie.evaluation.statistics import Estimate

COLORS = ("#2f7fd1", "#d9722e", "#2f9e6e", "#b05cc6", "#c9a227", "#d1495b", "#3aa6b9", "#8a8f98")
"""Of series, in order: each is told from a white and from a black page."""

_SIZE_IN = (4.5, 3.1)
# Stands for the page's own color until the SVG is written; nothing else has it.
_INK = "#010203"
# So many points or steps are drawn at most: more make a page heavy and show nothing.
_MAX_POINTS, _MAX_STEPS = 1500, 300
_BINS = 6, 30


@dataclass(frozen=True)
class Drawn:
    """A plot as SVG, and what it shows."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Series:
    """A named line over time. Where a gap is longer than the usual step, the line is broken."""

    name: str
    times_s: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True)
class Spot:
    """A run in the plane of two figures, with both intervals."""

    name: str
    x: Estimate
    y: Estimate


def scatter(x: Sequence[float], y: Sequence[float], titles: tuple[str, str]) -> str:
    """Pairs in the plane of two figures, and the medians of both. titles: of x and of y."""
    figure, axes = _axes()
    step = max(1, math.ceil(len(x) / _MAX_POINTS))
    axes.scatter(x[::step], y[::step], s=11, color=COLORS[0], alpha=0.55, linewidths=0)
    axes.axvline(float(np.median(x)), color=COLORS[1], linewidth=1, linestyle=(0, (4, 3)))
    axes.axhline(float(np.median(y)), color=COLORS[1], linewidth=1, linestyle=(0, (4, 3)))
    return _svg(figure, axes, titles)


def histogram(groups: Mapping[str, Sequence[float]], title: str) -> str:
    """How values are distributed: a step line a group, over bins that all groups share."""
    figure, axes = _axes()
    joined = np.concatenate([np.asarray(values, np.float64) for values in groups.values()])
    low, high = _reach(joined)
    bins = int(np.clip(2 * math.sqrt(max(map(len, groups.values()))), *_BINS))
    edges = np.linspace(low, high, bins + 1)
    for color, (name, values) in zip(COLORS, groups.items(), strict=False):
        counts = np.histogram(np.clip(values, low, high), edges)[0]
        axes.stairs(counts, edges, fill=True, color=color, alpha=0.3)
        axes.stairs(counts, edges, color=color, linewidth=1.3, label=name)
        axes.axvline(float(np.median(values)), color=color, linewidth=1, linestyle=(0, (4, 3)))
    return _svg(figure, axes, (title, "pairs"), legend=len(groups) > 1)


def over_time(lines: Sequence[Series], title: str) -> str:
    """Figures along a video. Long videos are shown by the means of stretches of equal length."""
    figure, axes = _axes(wide=True)
    for color, line in zip(COLORS, lines, strict=False):
        times, values = _thinned(np.asarray(line.times_s), np.asarray(line.values))
        axes.plot(times, values, color=color, linewidth=1.2, label=line.name)
        alone = _alone(values)
        axes.plot(times[alone], values[alone], ".", color=color, markersize=3)
    axes.margins(x=0.01)
    return _svg(figure, axes, ("seconds", title), legend=len(lines) > 1)


def spots(runs: Sequence[Spot], titles: tuple[str, str]) -> str:
    """Runs in the plane of two figures, with their intervals."""
    figure, axes = _axes()
    for number, run in enumerate(runs):
        color = COLORS[number % len(COLORS)]
        axes.errorbar(
            run.x.value,
            run.y.value,
            xerr=_reach_of(run.x),
            yerr=_reach_of(run.y),
            color=color,
            marker="os^D"[number // len(COLORS) % 4],
            markersize=5,
            linewidth=1,
            linestyle="",
            label=run.name,
        )
    return _svg(figure, axes, titles, legend=True)


def _axes(wide: bool = False) -> tuple[Any, Any]:
    with extra_packages():
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    width, height = _SIZE_IN
    figure = Figure(figsize=(width * 1.1 if wide else width, height * 0.8 if wide else height))
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_INK)
    axes.tick_params(colors=_INK, labelsize=9)
    axes.grid(color=_INK, alpha=0.12, linewidth=0.6)
    return figure, axes


def _svg(figure: Any, axes: Any, titles: tuple[str, str], legend: bool = False) -> str:
    """The figure as an SVG element, which is the same for the same figure."""
    with extra_packages():
        import matplotlib
    axes.set_xlabel(titles[0], color=_INK, fontsize=9.5)
    axes.set_ylabel(titles[1], color=_INK, fontsize=9.5)
    texts = [axes.xaxis.label, axes.yaxis.label]
    if legend:
        # Above the plot: within it, it hides what is drawn.
        columns = 3 if len(axes.get_legend_handles_labels()[1]) > 2 else 2
        names = axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=columns,
            fontsize=8.5,
            frameon=False,
            labelcolor=_INK,
            borderpad=0,
            columnspacing=1.2,
        )
        texts += names.get_texts()
    for text in texts:
        # Names are no formulas, whatever signs they hold.
        text.set_parse_math(False)
    buffer = io.StringIO()
    settings = {"svg.fonttype": "none", "svg.hashsalt": "sosie"}
    with matplotlib.rc_context(settings):
        figure.tight_layout(pad=0.5)
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    return _fit_for_page(buffer.getvalue())


def _fit_for_page(text: str) -> str:
    """A file of matplotlib's as a part of a page that holds several of them."""
    svg = text[text.index("<svg") :]
    # Clip paths of several plots would have the same names, and the page would mix them up.
    unique = f"s{zlib.crc32(svg.encode()):x}"
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{unique}-", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: ([0-9.]+)px [^;\"]*", r"font: \1px sans-serif", svg)
    return svg.replace(_INK, "currentColor").strip()


def _reach(values: NDArray[np.float64]) -> tuple[float, float]:
    """From where to where values are drawn: a few far outliers must not squeeze the others, and
    count in the outermost bins."""
    low, high = np.quantile(values, (0.005, 0.995))
    width = high - low
    low, high = max(values.min(), low - width), min(values.max(), high + width)
    if high - low < 1e-9:
        return float(low) - 0.5, float(high) + 0.5
    return float(low), float(high)


def _reach_of(told: Estimate) -> list[list[float]] | None:
    if math.isnan(told.low):
        return None
    return [[max(0.0, told.value - told.low)], [max(0.0, told.high - told.value)]]


def _thinned(
    times_s: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means of stretches where there are more values than can be seen; NaN where a line breaks."""
    told = np.isfinite(values)
    times_s, values = times_s[told], values[told]
    if len(times_s) > _MAX_STEPS:
        edges = np.linspace(0, len(times_s), _MAX_STEPS + 1).astype(int)
        parts = [slice(start, end) for start, end in pairwise(edges)]
        times_s = np.array([times_s[part].mean() for part in parts])
        values = np.array([values[part].mean() for part in parts])
    steps = np.diff(times_s)
    if len(steps) == 0:
        return times_s, values
    breaks = np.flatnonzero(steps > 4 * np.median(steps)) + 1
    return np.insert(times_s, breaks, times_s[breaks]), np.insert(values, breaks, math.nan)


def _alone(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which values have no neighbor that a line could lead to."""
    told = np.isfinite(values)
    padded = np.concatenate([[False], told, [False]])
    return np.asarray(told & ~padded[:-2] & ~padded[2:])
