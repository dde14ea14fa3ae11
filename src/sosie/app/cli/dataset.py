"""`sosie dataset`: from videos and photos to sets of faces, and a set on one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sosie import foreign
from sosie.app.cli.dataset_classify import classify
from sosie.app.cli.dataset_clean import clean
from sosie.app.cli.dataset_cluster import cluster
from sosie.app.cli.dataset_extract import extract
from sosie.app.cli.dataset_import import import_
from sosie.app.cli.dataset_pack import merge, pack, split, unpack, verify
from sosie.app.cli.output import note_progress, print_json
from sosie.datasets import dataset_packages
from sosie.output import check_output

if TYPE_CHECKING:
    from sosie.datasets.report import SetFindings


def report(
    folder: Annotated[Path, typer.Argument(help="Folder of the set.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="The page; left out, report.html in the set.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Write a page on the people of a set, what it shows of them and what it lacks."""
    with dataset_packages():
        from sosie.datasets.report import examine, write_report
        from sosie.datasets.transactions import hold_set

        with hold_set(folder, change=False) as store:
            beside = foreign.inside(folder, "report.html", f"The set {folder}")
            page = check_output(out or beside, overwrite=True)
            note_progress("Looking at every person ...")
            findings = examine(store)
            write_report(findings, page)
    if as_json:
        print_json(figures(findings, page))
    else:
        print(
            f"{page}: {findings.faces} faces of {len(findings.people)} people, "
            f"{page.stat().st_size / 1e6:.1f} MB; open it in a browser."
        )


def figures(findings: SetFindings, page: Path) -> dict[str, Any]:
    """The figures of the page, for JSON."""
    return {
        "page": str(page),
        "faces": findings.faces,
        "inputs": findings.inputs,
        "rejected": findings.rejected,
        "splits": findings.splits,
        "people": [
            {
                "name": person.name,
                "faces": person.covered.faces,
                "inputs": person.inputs,
                "completeness": round(person.covered.completeness, 2),
                "parts": {name: round(value, 4) for name, value in person.covered.parts.items()},
                "doubles": person.doubles,
                "wishes": [wish.text for wish in person.wishes],
            }
            for person in findings.people
        ],
        "unsorted": findings.unsorted.covered.faces if findings.unsorted else 0,
        "suggestions": findings.suggestions,
    }


app = typer.Typer(no_args_is_help=True)
for _command in (
    extract,
    cluster,
    clean,
    report,
    pack,
    unpack,
    verify,
    merge,
    split,
    classify,
):
    app.command()(_command)
app.command("import")(import_)
