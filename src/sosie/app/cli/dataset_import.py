"""`sosie dataset import`: the sets of other tools, turned into sets of Sosie's."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from sosie.app.cli.arguments import AsJson
from sosie.app.cli.dataset_extract import summary
from sosie.app.cli.output import note_progress, print_json, video_progress
from sosie.datasets import dataset_packages
from sosie.datasets.extract.options import ExtractOptions, template_name
from sosie.errors import NoFaceError, SosieError, UsageError

Folder = Annotated[
    Path, typer.Argument(help="Folder of the pictures; those in it count.", show_default=False)
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of the set; it may exist.")]
Person = Annotated[
    str | None,
    typer.Option(help="Whose all these faces are: their folder in the set. Left out, unsorted."),
]
Align = Annotated[str, typer.Option(help="Alignment template of the set's pictures.")]
Size = Annotated[int, typer.Option(help="Side of the set's pictures, 112 to 1024.")]
Format = Annotated[str, typer.Option("--format", help="Of the pictures: png, jpg or webp.")]

_ALIGN, _SIZE, _FORMAT = "dfl-whole-face", 512, "png"

app = typer.Typer(no_args_is_help=True)


@app.command()
def dfl(
    *,
    folder: Folder,
    out: Out,
    person: Person = None,
    align: Align = _ALIGN,
    size: Size = _SIZE,
    picture: Format = _FORMAT,
    as_json: AsJson = False,
) -> None:
    """Turn DeepFaceLab's aligned faces (JPEG, PNG) into a set.

    Nothing in them is run. The faces are found again by the landmarks that they hold, and measured
    anew; masks are not kept.
    """
    _run("dfl", folder, out, person, align, size, picture, as_json)


@app.command(name="faceswap")
def of_faceswap(
    *,
    folder: Folder,
    out: Out,
    person: Person = None,
    align: Align = _ALIGN,
    size: Size = _SIZE,
    picture: Format = _FORMAT,
    as_json: AsJson = False,
) -> None:
    """Turn faceswap's extracted faces (PNG), or frames with their alignments.fsa, into a set.

    Nothing in them is run. The faces are found again, in frames by the landmarks of the alignment
    file, and measured anew; masks are not kept.
    """
    _run("faceswap", folder, out, person, align, size, picture, as_json)


def _run(
    tool: str,
    folder: Path,
    out: Path,
    person: str | None,
    align: str,
    size: int,
    picture: str,
    as_json: bool,
) -> None:
    with dataset_packages():
        from sosie.app.dataset_imports import TOOLS
        from sosie.datasets.extract.job import extract
        from sosie.datasets.extract.writer import safe_name

    if person is not None and safe_name(person) != person:
        raise UsageError(
            f"{person!r} cannot be the name of a person's folder: try {safe_name(person)!r}."
        )
    options = ExtractOptions(
        align=template_name(align),
        size_px=size,
        picture=picture.lower(),
        min_face=0,
        max_tilt_deg=None,
        min_share=None,
        max_blur_px=None,
        min_visible=None,
        max_turn_deg=None,
    )
    note_progress(f"Reading what the pictures in {folder} hold ...")
    inputs, refused, ignored = TOOLS[tool](folder, person or "")
    report = extract(inputs, out, options, video_progress)
    report = dataclasses.replace(report, failures=(*refused, *report.failures))
    for failure in report.failures:
        print(f"sosie: {failure.error}", file=sys.stderr)
    if not report.total and not report.failures:
        raise NoFaceError("None of the faces that the pictures tell of was found in them.")
    if as_json:
        print_json({**dataclasses.asdict(report), "ignored": [str(path) for path in ignored]})
    else:
        print(summary(report, len(ignored)))
    if report.failures:
        raise typer.Exit(SosieError.exit_code)
