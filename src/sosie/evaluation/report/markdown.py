"""The report as a text in Markdown: for a terminal, a review, a repository."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence

from sosie.evaluation.report.run import (
    ARROWS,
    Row,
    Run,
    grouped,
    interval,
    number,
    rows_of,
)
from sosie.evaluation.report.sentences import counted, reasons_of, subtitle, title, verdict

_HEADS = ("figure", "value", "95 % interval", "median", "pairs")


def report(run: Run, note: str) -> str:
    """The whole text: what was found in words, then the table."""
    rows = rows_of(run)
    told = [row for row in rows if row.is_told]
    parts = [f"# {escape(title(run))}", escape(subtitle(run))]
    parts += ["\n".join(f"- {escape(sentence)}" for sentence in verdict(rows)), note]
    for heading, members in grouped(told).items():
        parts += [f"## {heading}", table(_HEADS, [_cells(row) for row in members])]
    parts += ["## What could not be told", _untold(run, rows)]
    # The same JSON, in which no tag can begin.
    record = json.dumps(run.config, indent=1).replace("<", "\\u003c")
    parts += ["## Exact configuration", f"```json\n{record}\n```"]
    return "\n\n".join(part for part in parts if part) + "\n"


def video_summary(run: Run) -> str:
    """What the figures of a video come to, and the figures, for a terminal."""
    rows = rows_of(run)
    told = [_cells(row)[:2] for row in rows if row.is_told]
    parts = ("\n".join(verdict(rows)), table(_HEADS[:2], told), _untold(run, rows))
    return "\n\n".join(part for part in parts if part)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table. The first column is of words, the others of numbers."""
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    rule = [f"{'-' * (width - 1)}{'-' if not at else ':'}" for at, width in enumerate(widths)]
    return "\n".join(_line(line, widths) for line in [heads, rule, *rows])


def escape(content: str) -> str:
    """A text from a file as it may stand in Markdown: no tag, link, picture or new line begins in
    it."""
    flat = html.escape(" ".join(content.split()), quote=False)
    return flat.replace("](", "]\\(").replace("]:", "]\\:").replace("`", "\\`")


def cell(content: str) -> str:
    """A text as it may stand in a cell."""
    return escape(content).replace("|", "\\|")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        content.rjust(width) if at else content.ljust(width)
        for at, (content, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join(padded)} |"


def _cells(row: Row) -> tuple[str, ...]:
    title = cell(f"{row.figure.title} {ARROWS[row.figure.better]}".rstrip())
    median = number(row.spread.median) if row.spread else ""
    count = str(row.estimate.count) if row.spread or row.estimate.count > 1 else ""
    value = number(row.estimate.value, row.figure.unit)
    return title, value, interval(row.estimate), median, count


def _untold(run: Run, rows: Sequence[Row]) -> str:
    items = counted(run)
    items += [f"Pair {line.pair}: {line.error}" for line in run.failed]
    items += [
        f"Pair {line.pair} shows no face: {', '.join(line.no_face)}"
        for line in run.lines
        if line.no_face
    ]
    items += [item for row in rows for item in reasons_of(run, row)]
    return "\n".join(f"- {escape(item)}" for item in items)
