"""`sosie dataset import`: the sets of other tools, turned into sets of Sosie's."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from sosie.app.cli.arguments import AsJson, offering
from sosie.app.cli.dataset_extract import summary
from sosie.app.cli.output import note_progress, print_json, video_progress
from sosie.datasets import dataset_packages
from sosie.datasets.extract.options import ExtractOptions, template_name
from sosie.errors import NoFaceError, SosieError, UsageError, nearest

_TOOLS = ("dfl", "faceswap")


def import_(
    tool: Annotated[
        str,
        typer.Argument(
            help="Whose they are: dfl (DeepFaceLab's aligned JPEG and PNG) or faceswap (extracted "
            "PNG, or frames with their alignments.fsa).",
            autocompletion=offering(lambda: _TOOLS),
        ),
    ],
    folder: Annotated[
        Path, typer.Argument(help="Folder of the pictures; those in it count.", show_default=False)
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the set; it may exist.")],
    person: Annotated[
        str | None,
        typer.Option(help="Whose all these faces are: their folder in the set."),
    ] = None,
    align: Annotated[
        str, typer.Option(help="Alignment template of the set's pictures.")
    ] = "dfl-whole-face",
    size: Annotated[int, typer.Option(help="Side of the set's pictures, 112 to 1024.")] = 512,
    picture: Annotated[
        str, typer.Option("--format", help="Of the set's pictures: png, jpg or webp.")
    ] = "png",
    as_json: AsJson = False,
) -> None:
    """Turn the faces of DeepFaceLab or faceswap into a set.

    Nothing in their files is run. The faces are found again by the landmarks that these hold, and
    measured anew; masks are not kept.
    """
    if tool not in _TOOLS:
        raise UsageError(f"Unknown tool {tool!r}: {nearest(tool, _TOOLS)}.")
    with dataset_packages():
        from sosie.app.dataset_imports import of_deepfacelab, of_faceswap
        from sosie.datasets.extract.job import extract
        from sosie.datasets.extract.writer import safe_name

    if person is not None and safe_name(person) != person:
        raise UsageError(
            f"{person!r} cannot be the name of a person's folder: try {safe_name(person)!r}."
        )
    # Somebody has chosen these faces already.
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
    gather = of_deepfacelab if tool == "dfl" else of_faceswap
    inputs, refused, ignored = gather(folder, person or "")
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
