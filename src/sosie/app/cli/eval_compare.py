"""`sosie eval compare`: several runs in one table, on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sosie.app.cli.arguments import AsJson, Overwrite
from sosie.app.cli.output import print_json
from sosie.errors import OutputError


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
