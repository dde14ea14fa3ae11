"""The report of one run: `report.html` and `report.md` in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from sosie import foreign
from sosie.evaluation.report import markdown, page, pairs, video
from sosie.evaluation.report.page import Page
from sosie.evaluation.report.run import Run, read_run
from sosie.evaluation.report.sentences import counted, reasons_of, subtitle, title, verdict
from sosie.evaluation.report.table import ARROWS, Row, grouped, interval, number, rows_of
from sosie.evaluation.statistics import MIN_COUNT
from sosie.output import atomic_output

HTML, MARKDOWN = "report.html", "report.md"

NOTE = (
    "Value: mean over the pairs. Behind it the 95 % confidence interval, by bootstrap over the "
    f"pairs; fewer than {MIN_COUNT} have none, nor have figures of the whole set. "
    "↑ more is better, ↓ less is better, → 1 nearer to 1 is better, no arrow: neither is by itself."
)
VIDEO_NOTE = "↑ more is better, ↓ less is better, no arrow: what the others are to be held against."


def write_report(folder: Path) -> tuple[Path, Path]:
    """Make the report of a run, of pairs or of a video, from its folder.

    Returns the paths of the page and of the text; earlier ones are replaced. Raises InputError
    where the folder holds no run, OutputError where it cannot be written to, and UnavailableError
    where a package of the extra `eval` is absent.
    """
    run = read_run(folder)
    rows = rows_of(run)
    report = Page(title(run), subtitle(run))
    note = NOTE if run.video is None else VIDEO_NOTE
    strips: dict[str, bytes] = {}
    if run.video is None:
        strips = pairs.add_pictures(report, run, rows)
    else:
        video.add_pictures(report, run.video)
    report.add("verdict", "In words", page.listed(verdict(rows)))
    report.add("figures", "Figures", page.text(note, soft=True), _table(run, rows))
    if run.video is None:
        pairs.add_sections(report, run, rows)
    else:
        video.add_sections(report, run.video)
    report.add("meaning", "What the figures mean", meanings(rows))
    report.add("untold", "What could not be told", _untold(run, rows))
    report.add("record", "Exact configuration", *_record(run))
    html, markdown_file = (
        foreign.inside(folder, name, f"The run {folder}") for name in (HTML, MARKDOWN)
    )
    save(html, report.html(strips))
    save(markdown_file, markdown.report(run, rows, note))
    return html, markdown_file


def save(file: Path, content: str) -> None:
    """Write a text, whole or not at all; it replaces one that is there."""
    with atomic_output(file, overwrite=True) as pending:
        pending.path.write_text(content, "utf-8")


def meanings(rows: Sequence[Row]) -> str:
    """Of every figure: what it means, how it is computed, whose it is and what it cannot tell."""
    entries = []
    for heading, members in grouped(list(rows)).items():
        items = "".join(
            f"<dt>{escape(figure.title)} {ARROWS[figure.better]}</dt><dd>{escape(figure.summary)}"
            f"<br><small>{escape(figure.formula)} ({escape(figure.source)}). "
            f"<b>Limits:</b> {escape(figure.limits)}</small></dd>"
            for figure in (row.figure for row in members)
        )
        entries.append(page.folded(heading, f"<dl>{items}</dl>"))
    return "\n".join(entries)


def _table(run: Run, rows: Sequence[Row]) -> str:
    if run.video is not None:
        heads = ["<th>figure</th>", '<th class="n">value</th>']
    else:
        heads = [
            "<th>figure</th>",
            '<th class="n">value</th>',
            '<th class="n roomy">95 % interval</th>',
            '<th class="n roomy">median</th>',
            '<th class="n roomy">5 to 95 % of pairs</th>',
            '<th class="n roomy">pairs</th>',
        ]
    cells = []
    for heading, members in grouped([row for row in rows if row.is_told]).items():
        cells.append(f'<th class="group" colspan="{len(heads)}">{heading}</th>')
        cells += [_cells(run, row) for row in members]
    return page.table(heads, cells)


def _cells(run: Run, row: Row) -> str:
    figure, told, lies = row.figure, row.estimate, row.spread
    value = f"<b>{number(told.value, figure.unit)}</b>"
    cells = [
        f'<th title="{escape(figure.summary)}">{escape(figure.title)} {ARROWS[figure.better]}</th>',
        f'<td class="n">{value}<small class="tight">{interval(told)}</small></td>',
    ]
    if run.video is not None:
        return "".join(cells)
    cells.append(f'<td class="n roomy">{interval(told)}</td>')
    if lies is None:
        cells.append('<td class="roomy"></td>' * 2)
    else:
        cells.append(f'<td class="n roomy">{number(lies.median)}</td>')
        cells.append(f'<td class="n roomy">{number(lies.p5)} to {number(lies.p95)}</td>')
    of_set = lies is None and told.count <= 1
    count = "" if of_set else f"{told.count}" + (f" of {len(run.lines)}" if told.missing else "")
    cells.append(f'<td class="n roomy">{count}</td>')
    return "".join(cells)


def _untold(run: Run, rows: Sequence[Row]) -> str:
    parts = [page.text(sentence) for sentence in counted(run)]
    failed = [f"{line.pair}: {line.error}" for line in run.failed]
    if failed:
        parts.append(
            page.folded(f"Pairs that could not be scored ({len(failed)})", page.listed(failed))
        )
    hidden = [f"{line.pair}: {', '.join(line.no_face)}" for line in run.lines if line.no_face]
    if hidden:
        heading = f"Pairs with a picture that shows no face ({len(hidden)})"
        parts.append(page.folded(heading, page.listed(hidden)))
    untold = [item for row in rows for item in reasons_of(run, row)]
    if untold:
        parts.append(page.folded(f"Figures without a value ({len(untold)})", page.listed(untold)))
    return "\n".join(parts)


def _record(run: Run) -> list[str]:
    parts = []
    pairs_sha = run.config["pairs"].get("sha256")
    heads = ["<th>what</th>", "<th>SHA-256</th>"]
    weights = {"pairs": pairs_sha, **run.config["weights"]}
    cells = [
        f"<th>{escape(str(name))}</th><td><code>{escape(str(digest))}</code></td>"
        for name, digest in weights.items()
    ]
    parts.append(page.table(heads, cells))
    parts.append(page.folded("config.json", page.document(run.config)))
    return parts
