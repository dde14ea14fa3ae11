"""Several runs beside one another: one table, one page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from sosie.errors import InputError, UsageError, nearest
from sosie.evaluation.metric import Figure
from sosie.evaluation.report import plots
from sosie.evaluation.report.plots import Drawn, Spot
from sosie.evaluation.report.run import (
    ARROWS,
    Row,
    Run,
    grouped,
    in_order,
    interval,
    number,
    read_run,
    rows_of,
)
from sosie.evaluation.report.sheets import Strips
from sosie.evaluation.report.text import cell, escape, markdown_table
from sosie.evaluation.report.write import AGAINST, IDENTITY, label, render, save
from sosie.evaluation.results import LINES, Line
from sosie.evaluation.statistics import Difference, Estimate, badness, difference
from sosie.output import make_folder

_SAME = ("score", "weights", "versions")
"""What of two configurations must be the same for their figures to be comparable."""


HTML, MARKDOWN = "comparison.html", "comparison.md"

_SIGNS = {"better": "▲", "worse": "▼", "other": "≠", "level": "≈", "unknown": ""}
_PICTURED = 12
# More results side by side than this cannot be told apart on a page.
_MAX_RESULTS = 6


@dataclass(frozen=True)
class Entry:
    """One figure of one run. row: None where the run does not have it. against: how it differs from
    the baseline on the pairs that both could score; None where that cannot be told."""

    row: Row | None
    against: Difference | None

    @property
    def told(self) -> Estimate:
        return self.row.estimate if self.row else Estimate(math.nan, math.nan, math.nan, 0)


@dataclass(frozen=True)
class Comparison:
    """Runs with names that tell them apart, in the order that they were given.

    baseline: the name of that which the others are held against. skipped: files and folders that
    hold no run. notes: sentences on what makes the runs less comparable.
    """

    runs: dict[str, Run]
    baseline: str
    skipped: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    _rows: dict[str, dict[str, Row]] = field(default_factory=dict)

    @cached_property
    def figures(self) -> list[Figure]:
        """All figures that a run of them could tell, in the order of the table."""
        return in_order(
            {name for rows in self._rows.values() for name, row in rows.items() if row.is_told}
        )

    def entry(self, name: str, figure: Figure) -> Entry:
        """A figure of the run of that name."""
        return self._entries[name, figure.name]

    def best(self, figure: Figure) -> list[str]:
        """The runs with the best value as it is printed; none without a better side or a rival."""
        told = {name: self.entry(name, figure).told.value for name in self.runs}
        told = {name: value for name, value in told.items() if math.isfinite(value)}
        if figure.better is None or len(told) < 2:
            return []
        told = {name: badness(value, figure.better) for name, value in told.items()}
        best = min(told.values())
        close = [name for name, value in told.items() if math.isclose(value, best, rel_tol=1e-9)]
        return close if len(close) < len(told) else []

    @cached_property
    def _entries(self) -> dict[tuple[str, str], Entry]:
        return {
            (name, figure.name): Entry(
                self._rows[name].get(figure.name), self._against(name, figure)
            )
            for name in self.runs
            for figure in self.figures
        }

    def _against(self, name: str, figure: Figure) -> Difference | None:
        """None for the baseline itself, and for figures that no single pair has."""
        if name == self.baseline:
            return None
        ours, theirs = self.runs[name], self.runs[self.baseline]
        common = same_pairs(ours, theirs)
        values = [run.by_pair(figure.name) for run in (ours, theirs)]
        kept = [{pair: one[pair] for pair in common if pair in one} for one in values]
        if not (kept[0] and kept[1]) or ours.video is not None:
            return None
        # A share is in per cent where a single pair has 0 or 1.
        scale = 100 if ours.is_share(figure.name) else 1
        scaled = [{pair: scale * value for pair, value in one.items()} for one in kept]
        return difference(scaled[0], scaled[1], figure.better)


def compare_runs(folders: Sequence[Path], baseline: str | None = None) -> Comparison:
    """The runs in some folders; those that hold none are left out and named in `skipped`.

    baseline: the name of a run; None takes the first. Raises InputError where there are fewer than
    two runs, or those of videos and of pairs are mixed, UsageError for an unknown baseline.
    """
    visible = [folder for folder in folders if not folder.name.startswith(".")]
    skipped = tuple(folder for folder in visible if not (folder / LINES).is_file())
    found = [read_run(folder) for folder in visible if folder not in skipped]
    if len(found) < 2:
        raise InputError(
            f"Of these {len(visible)} folders {len(found)} hold a run; give two or more, such as "
            f"`runs/*`."
        )
    if len({run.video is None for run in found}) > 1:
        raise InputError("Some of the runs are of videos and some of pairs; compare them apart.")
    runs = dict(zip(_names(found), found, strict=True))
    if baseline is None:
        baseline = next(iter(runs))
    if baseline not in runs:
        raise UsageError(f"Unknown baseline {baseline!r}: {nearest(baseline, runs)}.")
    rows = {name: {row.figure.name: row for row in rows_of(run)} for name, run in runs.items()}
    return Comparison(runs, baseline, skipped, tuple(_notes(runs, baseline)), rows)


def same_pairs(one: Run, other: Run) -> list[str]:
    """The ids under which both runs have the same pair, in order."""
    mine, theirs = ({line.pair: line for line in run.lines} for run in (one, other))
    common = [pair for pair in mine if pair in theirs]
    if _digest(one) == _digest(other):
        return common
    return [pair for pair in common if _pictures(mine[pair]) == _pictures(theirs[pair])]


def _digest(run: Run) -> str | None:
    """Of its list of pairs."""
    digest: str | None = run.config["pairs"].get("sha256")
    return digest


def _pictures(line: Line) -> tuple[Any, ...]:
    """What tells a pair of another list with the same id; pictures may lie in other folders."""
    names = [None if name is None else PurePath(name).name for name in (line.source, line.target)]
    return (*names, line.source_person, line.target_person)


def _names(runs: Sequence[Run]) -> list[str]:
    """The runs' names; where two are alike, with the folder above, or a number."""
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        names = [f"{run.folder.resolve().parent.name}/{run.folder.name}" for run in runs]
    counted = [names[: place + 1].count(name) for place, name in enumerate(names)]
    return [
        name if count == 1 else f"{name} ({count})"
        for name, count in zip(names, counted, strict=True)
    ]


def _notes(runs: dict[str, Run], baseline: str) -> list[str]:
    """What makes the runs less comparable with the baseline."""
    base = runs[baseline]
    said = []
    for name, run in runs.items():
        if name == baseline:
            continue
        different = [key for key in _SAME if run.config.get(key) != base.config.get(key)]
        if run.video is not None:
            different = [key for key in different if key != "score"]
        if different:
            said.append(f"{name} was scored with other {' and '.join(different)} than {baseline}.")
        common = len(same_pairs(run, base))
        if run.video is None and common < max(len(run.lines), len(base.lines)):
            said.append(
                f"{name} and {baseline} have {common} pairs in common, of {len(run.lines)} and "
                f"{len(base.lines)}: their means are over different pairs, differences over the "
                f"common ones."
            )
        elif run.video is not None and _digest(run) != _digest(base):
            said.append(f"{name} is of another video, or with another source, than {baseline}.")
    return said


def write_comparison(
    folders: Sequence[Path], out: Path, baseline: str | None = None
) -> tuple[Path, Path]:
    """Write `comparison.html` and `comparison.md` of the runs in some folders into a folder.

    Returns their paths; earlier ones are replaced. Raises as `compare_runs`, OutputError where the
    folder cannot be written to, UnavailableError where a package of the extra `eval` is absent.
    """
    return write_pages(compare_runs(folders, baseline), out)


def write_pages(comparison: Comparison, out: Path) -> tuple[Path, Path]:
    """As `write_comparison`, of runs that were compared already."""
    make_folder(out)
    files = (HTML, _html(comparison)), (MARKDOWN, text(comparison))
    return save(out, f"The folder {out}", *files)


def text(comparison: Comparison) -> str:
    """The comparison in Markdown."""
    parts = [f"# {escape(_title(comparison))}", escape(_note(comparison))]
    parts.append(table(comparison))
    parts += [f"- {escape(sentence)}" for sentence in _sentences(comparison)]
    return "\n\n".join(parts) + "\n"


def table(comparison: Comparison) -> str:
    """The table in Markdown, which can be read in a terminal too."""
    heads = ["figure", *map(cell, comparison.runs)]
    rows = [
        [
            cell(f"{figure.title} {ARROWS[figure.better]}".rstrip()),
            *(_plain(comparison.entry(name, figure)) for name in comparison.runs),
        ]
        for figure in comparison.figures
    ]
    return markdown_table(heads, rows)


def entries(comparison: Comparison) -> list[dict[str, Any]]:
    """The table for JSON: an object a figure and run; numbers that are not told are null."""
    return [
        {"figure": figure.name, "run": name, **_entry(comparison.entry(name, figure))}
        for figure in comparison.figures
        for name in comparison.runs
    ]


def _entry(entry: Entry) -> dict[str, Any]:
    told, by = entry.told, entry.against
    numbers = {
        "value": told.value,
        "low": told.low,
        "high": told.high,
        "difference": by.by.value if by else None,
        "difference_low": by.by.low if by else None,
        "difference_high": by.by.high if by else None,
    }
    known = {
        key: value if value is not None and np.isfinite(value) else None
        for key, value in numbers.items()
    }
    return {**known, "pairs": told.count, "verdict": by.verdict if by else None}


def _title(comparison: Comparison) -> str:
    return f"Comparison of {', '.join(comparison.runs)}"


def _note(comparison: Comparison) -> str:
    if any(run.video for run in comparison.runs.values()):
        return "↑ more is better, ↓ less is better. A video is one sample: it has no interval."
    return (
        f"Mean over each run's pairs and its 95 % interval; bold: the best value. Signs: against "
        f"{comparison.baseline}, by bootstrap over the pairs that both could score: ▲ better, "
        f"▼ worse, ≠ different, ≈ the interval of the difference holds 0. Out of twenty signs one "
        f"may be chance."
    )


def _sentences(comparison: Comparison) -> list[str]:
    failed = [
        f"{name}: {len(run.failed)} of {len(run.lines)} pairs could not be scored."
        for name, run in comparison.runs.items()
        if run.failed
    ]
    skipped = [f"{path} holds no run and was left out." for path in comparison.skipped]
    return [*comparison.notes, *failed, *skipped]


def _plain(entry: Entry) -> str:
    if entry.row is None or not entry.row.is_told:
        return "–"
    told, unit = entry.told, entry.row.figure.unit
    between = interval(told)
    sign = _SIGNS[entry.against.verdict] if entry.against else ""
    return " ".join(
        part for part in (number(told.value, unit), between and f"({between})", sign) if part
    )


def _html(comparison: Comparison) -> str:
    runs = dict(list(comparison.runs.items())[:_MAX_RESULTS])
    first, *others = runs.values()
    strips = Strips(first, others)
    return render(
        "comparison.html",
        title=_title(comparison),
        subtitle=f"Held against {comparison.baseline}.",
        comparison=comparison,
        runs=comparison.runs,
        note=_note(comparison),
        sentences=_sentences(comparison),
        groups=grouped([_any_row(comparison, figure) for figure in comparison.figures]),
        signs=_SIGNS,
        planes=list(_planes(comparison)),
        pictured=list(runs),
        shown=[(strips.name(pair), f"pair {pair}") for pair in _shown(list(runs.values()))],
        strips=strips,
    )


def _any_row(comparison: Comparison, figure: Figure) -> Row:
    found = (comparison.entry(name, figure).row for name in comparison.runs)
    return next(row for row in found if row is not None)


def _planes(comparison: Comparison) -> Iterator[Drawn]:
    """Each run as a spot: identity against what it may be bought with."""
    known = {figure.name: figure for figure in comparison.figures}
    for name in AGAINST:
        if name not in known or IDENTITY not in known:
            continue
        both = known[name], known[IDENTITY]
        spots = [
            Spot(run, *(comparison.entry(run, f).told for f in both)) for run in comparison.runs
        ]
        told = [spot for spot in spots if np.isfinite([spot.x.value, spot.y.value]).all()]
        titles = label(both[0]), label(both[1])
        said = f"{titles[1]} against {titles[0]}; bars: 95 % intervals."
        yield Drawn(plots.spots(told, titles), said)


def _shown(runs: Sequence[Run]) -> list[str]:
    """Pairs that all runs have, evenly chosen; none of videos."""
    first, common = runs[0], [line.pair for line in runs[0].lines]
    for run in runs:
        shared = set(same_pairs(run, first)) & {line.pair for line in run.lines if line.result}
        common = [pair for pair in common if pair in shared]
    if first.video is not None or not common:
        return []
    chosen = np.unique(np.linspace(0, len(common) - 1, min(_PICTURED, len(common))).astype(int))
    return [common[place] for place in chosen]
