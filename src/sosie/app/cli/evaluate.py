"""`sosie eval`: swaps measured, and the models against their bounds and their teachers."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sosie.app.cli.arguments import AsJson, Overwrite, offering
from sosie.app.cli.eval_one import pair, video
from sosie.app.cli.eval_protocol import protocol
from sosie.app.cli.eval_run import run, score
from sosie.app.cli.output import note_progress, print_json
from sosie.app.cli.train import library_notes, require_folder
from sosie.errors import OutputError
from sosie.recipes import extra_packages
from sosie.recipes.evaluate import TABLE, measure, require_measurement

if TYPE_CHECKING:
    from sosie.recipes.evaluate import Row

app = typer.Typer(no_args_is_help=True)
for _command in (pair, run, score, video, protocol):
    app.command()(_command)

_HEADINGS = ("model", "figure", "Sosie", "teacher", "bound", "")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs, such as runs/*.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for comparison.html and comparison.md; left out, none is made."),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="Run that the others are compared with; left out, the first."),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Compare runs in one table; with --out, on a page too.

    Differences use the pairs that both runs could score. Folders that hold no run are left out.
    """
    from sosie.evaluation.report.compare import HTML, compare_runs, entries, text, write_pages

    if out is not None and (out / HTML).exists() and not overwrite:
        raise OutputError(f"{out / HTML} exists already; give another --out, or --overwrite.")
    found = compare_runs(runs, baseline)
    written = None if out is None else write_pages(found, out)
    if as_json:
        print_json(
            {
                "baseline": found.baseline,
                "runs": {name: str(run.folder) for name, run in found.runs.items()},
                "skipped": [str(path) for path in found.skipped],
                "notes": list(found.notes),
                "figures": entries(found),
                "report": None if written is None else str(written[0]),
            }
        )
        return
    print(text(found), end="")
    if written is not None:
        print(f"\nThe page: {written[0]}")


@app.command()
def analysis(
    data: Annotated[Path, typer.Option(help="Folder of the archives of pictures.")],
    teachers: Annotated[Path, typer.Option(help="Folder of the teachers.")],
    only: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Measure this alone: {', '.join(TABLE)}; repeatable.",
            autocompletion=offering(lambda: TABLE),
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Pictures, pairs or frames at most, for a trial.")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder for what is prepared once; left out, one of the user's."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that prepare pictures; left out, one for each core."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the analysis models on people whom training never saw, with the teachers beside."""
    for name in only or ():
        require_measurement(name)
    for folder, flag in ((data, "--data"), (teachers, "--teachers")):
        require_folder(folder, flag)
    from sosie.evaluation.environment import machine
    from sosie.training.recipe import Materials

    materials = Materials(data, teachers, cache or _user_cache(), workers or os.cpu_count() or 1)
    rows: list[Row] = []
    with library_notes(), extra_packages():
        for name in TABLE:
            if not only or name in only:
                note_progress(f"Measuring {name} ...")
                rows += measure(name, materials, limit)
    if as_json:
        print_json({"machine": machine(), "limit": limit, "rows": list(map(_entry, rows))})
    else:
        print(table(rows))


def table(rows: Sequence[Row]) -> str:
    """The rows as a table for a terminal, which is one in Markdown too."""
    cells = [_HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADINGS))]
    lines = [_line(line, widths) for line in cells]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    bounded = [row.hit for row in rows if row.hit is not None]
    return "\n".join(
        [lines[0], rule, *lines[1:], "", f"{sum(bounded)} of {len(bounded)} bounds are reached."]
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.rjust(width) if 2 <= column <= 4 else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join(padded)} |"


def _cells(row: Row) -> tuple[str, ...]:
    bound = "" if row.bound is None else f"{row.direction} {_number(row.bound, row.unit)}"
    teacher = "" if row.teacher is None else _number(row.teacher, row.unit)
    reached = {None: "", True: "hit", False: "miss"}[row.hit]
    return (row.model, row.figure, _number(row.value, row.unit), teacher, bound, reached)


def _number(value: float, unit: str) -> str:
    return f"{value:.4g} {unit}".rstrip()


def _entry(row: Row) -> dict[str, Any]:
    """The row for JSON, which has no word for what is not a number."""
    entries = {**dataclasses.asdict(row), "hit": row.hit}
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in entries.items()
    }


def _user_cache() -> Path:
    folder = os.environ.get("XDG_CACHE_HOME")
    return (Path(folder) if folder else Path.home() / ".cache") / "sosie"
