"""The page and the text of several runs beside one another."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from sosie import foreign
from sosie.evaluation.files import make_folder
from sosie.evaluation.metric import Figure
from sosie.evaluation.report import markdown, page, plots
from sosie.evaluation.report.compare import Comparison, Entry, compare_runs, same_pairs
from sosie.evaluation.report.page import Page
from sosie.evaluation.report.pairs import AGAINST, IDENTITY, label
from sosie.evaluation.report.plots import Spot
from sosie.evaluation.report.sheets import SIDE_PX, Strips, strip
from sosie.evaluation.report.table import ARROWS, grouped, interval, number
from sosie.evaluation.report.write import meanings, save
from sosie.evaluation.results import Line

HTML, MARKDOWN = "comparison.html", "comparison.md"

_SIGNS = {"better": "▲", "worse": "▼", "other": "≠", "level": "≈", "unknown": ""}
_PICTURED = 12
# More results side by side than this cannot be told apart on a page.
_MAX_RESULTS = 6


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
    html, plain = (foreign.inside(out, name, f"The folder {out}") for name in (HTML, MARKDOWN))
    save(html, _html(comparison))
    save(plain, text(comparison))
    return html, plain


def text(comparison: Comparison) -> str:
    """The comparison in Markdown."""
    parts = [f"# {markdown.escape(_title(comparison))}", markdown.escape(_note(comparison))]
    parts.append(table(comparison))
    parts += [f"- {markdown.escape(sentence)}" for sentence in _sentences(comparison)]
    return "\n\n".join(parts) + "\n"


def table(comparison: Comparison) -> str:
    """The table in Markdown, which can be read in a terminal too."""
    heads = ["figure", *map(markdown.cell, comparison.runs)]
    rows = [
        [
            markdown.cell(f"{figure.title} {ARROWS[figure.better]}".rstrip()),
            *(_plain(comparison.entry(name, figure)) for name in comparison.runs),
        ]
        for figure in comparison.figures
    ]
    return markdown.table(heads, rows)


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
    report = Page(_title(comparison), f"Held against {comparison.baseline}.")
    shown = list(comparison.runs.values())
    report.add(
        "figures",
        "Figures",
        page.text(_note(comparison), soft=True),
        page.listed(_sentences(comparison)),
        _table(comparison),
    )
    report.add("plane", "Identity against attributes", page.grid(_planes(comparison)))
    strips, sheet = _sheet(comparison)
    report.add("pairs", "The same pairs", sheet)
    rows = [row for figure in comparison.figures if (row := _any_row(comparison, figure))]
    report.add("meaning", "What the figures mean", meanings(rows))
    records = [page.folded(str(run.folder), page.document(run.config)) for run in shown]
    report.add("record", "Exact configurations", *records)
    return report.html(strips.all() if strips else None)


def _any_row(comparison: Comparison, figure: Figure) -> Any:
    found = (comparison.entry(name, figure).row for name in comparison.runs)
    return next(row for row in found if row is not None)


def _table(comparison: Comparison) -> str:
    heads = ["<th>figure</th>"]
    heads += [f'<th class="n">{escape(name)}</th>' for name in comparison.runs]
    rows = [_any_row(comparison, figure) for figure in comparison.figures]
    cells = []
    for heading, members in grouped(rows).items():
        cells.append(f'<th class="group" colspan="{len(heads)}">{heading}</th>')
        cells += [_cells(comparison, row.figure) for row in members]
    return page.table(heads, cells, held=True)


def _cells(comparison: Comparison, figure: Figure) -> str:
    title = f"{escape(figure.title)} {ARROWS[figure.better]}"
    best = comparison.best(figure)
    cells = [f'<th title="{escape(figure.summary)}">{title}</th>']
    for name in comparison.runs:
        entry = comparison.entry(name, figure)
        if entry.row is None or not entry.row.is_told:
            cells.append('<td class="n">–</td>')
            continue
        told = entry.told
        weight = ' class="best"' if name in best else ""
        value = f"<span{weight}>{number(told.value, figure.unit)}</span>"
        cells.append(f'<td class="n">{value}{_sign(entry)}<br><small>{interval(told)}</small></td>')
    return "".join(cells)


def _sign(entry: Entry) -> str:
    if entry.against is None:
        return ""
    verdict, by = entry.against.verdict, entry.against.by
    said = f"{verdict}: {number(by.value)} ({interval(by)}), {by.count} pairs"
    kind = verdict if verdict in ("better", "worse") else ""
    return f' <span class="{kind}" title="{escape(said)}">{_SIGNS[verdict]}</span>'


def _planes(comparison: Comparison) -> list[str]:
    """Each run as a spot: identity against what it may be bought with."""
    known = {figure.name: figure for figure in comparison.figures}
    drawn = []
    for name in AGAINST:
        if name not in known or IDENTITY not in known:
            continue
        runs = [
            Spot(
                run,
                comparison.entry(run, known[name]).told,
                comparison.entry(run, known[IDENTITY]).told,
            )
            for run in comparison.runs
        ]
        titles = label(known[name]), label(known[IDENTITY])
        told = [run for run in runs if np.isfinite([run.x.value, run.y.value]).all()]
        svg = plots.spots(told, titles)
        drawn.append(page.plot(svg, f"{titles[1]} against {titles[0]}; bars: 95 % intervals."))
    return drawn


def _sheet(comparison: Comparison) -> tuple[Strips | None, str]:
    """The same pairs by every run, evenly chosen from those that all have."""
    runs = list(comparison.runs.items())[:_MAX_RESULTS]
    first = runs[0][1]
    lines = [{line.pair: line for line in run.lines if line.result} for _, run in runs]
    common: Sequence[str] = [line.pair for line in first.lines]
    for (_, run), own in zip(runs, lines, strict=True):
        shared = set(same_pairs(run, first)) & set(own)
        common = [pair for pair in common if pair in shared]
    if first.video is not None or not common:
        return None, ""
    chosen = np.unique(np.linspace(0, len(common) - 1, min(_PICTURED, len(common))).astype(int))

    def make(pair: str) -> bytes:
        others: list[tuple[Path, Line]] = [
            (run.folder, own[pair]) for (_, run), own in zip(runs[1:], lines[1:], strict=True)
        ]
        return strip(first.folder, lines[0][pair], others)

    strips = Strips(make)
    size = ((2 + len(runs)) * SIDE_PX, SIDE_PX)
    parts = [
        page.strip(strips.name(common[place]), size, f"pair {common[place]}") for place in chosen
    ]
    said = f"Each strip: source, target, then {', '.join(name for name, _ in runs)}."
    return strips, page.text(said, soft=True) + f'<div class="strips broad">{"".join(parts)}</div>'
