"""The folder of a run, read for its report: its lines, and its figures as rows of a table."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from sosie import foreign
from sosie.errors import InputError, UsageError
from sosie.evaluation import metrics
from sosie.evaluation.metric import Figure, split_name, variant_name
from sosie.evaluation.metrics import Scored
from sosie.evaluation.metrics.base import Group
from sosie.evaluation.results import LINES, SET, VIDEO, Line, read_config, read_lines
from sosie.evaluation.statistics import Estimate, Spread, estimate, spread
from sosie.evaluation.video_record import VideoRecord, read_video_record

_SHARES = {"retrieval_top1": 1.0, "retrieval_top5": 5.0}
"""Figure of a set that is a share of the pairs -> the rank up to which a pair counts."""

_RANK = "retrieval_rank"
_SET_FORM: dict[Any, Any] = {"figures": {str: (float, None)}, "reasons": {str: str}}


ARROWS = {"higher": "↑", "lower": "↓", "nearer to 1": "→ 1", None: ""}
"""Which way is better -> its sign in tables."""


@dataclass(frozen=True)
class Run:
    """A finished run. whole: figures of the set, and the cost. video: where it is one of a
    video."""

    folder: Path
    config: dict[str, Any]
    lines: tuple[Line, ...]
    whole: Scored
    video: VideoRecord | None = None

    @property
    def name(self) -> str:
        return str(self.config.get("name") or self.folder.name)

    @property
    def failed(self) -> list[Line]:
        """The pairs that could not be scored."""
        return [line for line in self.lines if line.error is not None]

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """What the run measured or could not tell, described, in the order of the table."""
        names = {name for line in self.lines for name in line.figures} | set(self.whole.figures)
        return {figure.name: figure for figure in in_order(names)}

    def by_pair(self, name: str) -> dict[str, float]:
        """Pair -> value of a figure about pairs, where it is told. Of a share of pairs: 0 or 1 for
        every pair that took part."""
        base, variant = split_name(name)
        if base in _SHARES:
            return self._hits(variant_name(_RANK, variant), _SHARES[base])
        found = {line.pair: line.figures.get(name) for line in self.lines}
        return {pair: value for pair, value in found.items() if value is not None}

    def is_share(self, name: str) -> bool:
        """Whether the figure is the percentage of pairs for which `by_pair` has a 1."""
        return split_name(name)[0] in _SHARES and bool(self.by_pair(name))

    def reasons(self, name: str) -> Counter[str]:
        """Why a figure was not told -> on how many pairs; failed pairs count with their error."""
        if name in self.whole.figures:
            return Counter({self.whole.reasons[name]: 1} if name in self.whole.reasons else {})
        told = (line.error or line.reasons.get(name) for line in self.lines)
        return Counter(reason for reason in told if reason)

    def _hits(self, rank: str, best: float) -> dict[str, float]:
        """A pair whose result shows no face has no rank, and is no hit."""
        ranks = {line.pair: line.figures[rank] for line in self.lines if rank in line.figures}
        return {pair: float(value is not None and value <= best) for pair, value in ranks.items()}


def read_run(folder: Path) -> Run:
    """The run in a folder. Raises InputError where there is none that can be read."""
    if not (folder / LINES).is_file():
        raise InputError(f"{folder} holds no {LINES}; give the folder of a run.")
    config = read_config(folder)
    video = read_video_record(folder) if config.get("kind") == VIDEO else None
    return Run(folder, config, tuple(read_lines(folder)), _read_set(folder), video)


def in_order(names: set[str]) -> list[Figure]:
    """Descriptions of figures in the order of the table, each variant after its own.

    A name that this version of Sosie does not know is described by itself, and comes last.
    """
    order = list(metrics.all_figures())
    described = []
    for name in sorted(names):
        base = split_name(name)[0]
        place = order.index(base) if base in order else len(order)
        described.append((place, name, _described(name)))
    return [figure for _, _, figure in sorted(described, key=lambda entry: entry[:2])]


def _described(name: str) -> Figure:
    try:
        return metrics.describe_figure(name)
    except UsageError:
        said = "A figure of another version of Sosie."
        return Figure(name=name, title=name, better=None, summary=said, formula="")


def _read_set(folder: Path) -> Scored:
    file = folder / SET
    if not file.is_file():
        # A run that was stopped has lines and no whole yet.
        return Scored()
    kept = foreign.read_json(file, _SET_FORM, "run it anew")
    return Scored(dict(kept["figures"]), dict(kept["reasons"]))


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
    """The rows under the headings of their metrics; those of no known metric come last."""
    every = metrics.load_metrics().values()
    group_of = {name: one.group for one in every for name in one.figures}
    found: dict[str, list[Row]] = {heading: [] for heading in get_args(Group)}
    for row in rows:
        found[group_of.get(split_name(row.figure.name)[0], "Other")].append(row)
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
