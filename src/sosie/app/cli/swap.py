"""`sosie swap`: a source's face into a photo, a film, or every one of a folder."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sosie.app.cli.arguments import parse_map, parse_time
from sosie.app.cli.output import film_progress, note_progress, print_json
from sosie.app.folder import Failure, check_folders, folder_exit_code, media_in, swap_each
from sosie.app.targets import Kind, require_kind
from sosie.options import SwapOptions

if TYPE_CHECKING:
    from sosie.pipeline import Swap
    from sosie.types import SwapReport

DEFAULTS = SwapOptions()


def _option(name: str) -> Any:
    """A flag for the field `name` of SwapOptions, with the words of its docstring as help."""
    pattern = rf"^    (?:\w+, )*{name}(?:, \w+)*: (.+(?:\n        .+)*)"
    described = re.search(pattern, SwapOptions.__doc__ or "", re.MULTILINE)
    text = " ".join(described[1].split()) if described else ""
    return typer.Option(help=text.replace("None ", "left out, "))


def swap(
    *,
    source: Annotated[
        list[Path] | None,
        typer.Option("--source", "-s", help="Photo of the face to put in, or several of them."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            help="Photo of the person whose face is to be replaced: nobody else's is. Of several "
            "faces in it the largest counts."
        ),
    ] = None,
    people: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="PERSON=SOURCE",
            help="Instead of a source: a reference photo and the source for that person, "
            "person.jpg=source.jpg or person.jpg=a.jpg,b.jpg. Repeat it for several people.",
        ),
    ] = None,
    target: Annotated[
        Path, typer.Option("--target", "-t", help="Photo, film or folder to put it into.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write; for a folder, a folder.")
    ],
    method: Annotated[str, _option("method")] = DEFAULTS.method,
    model: Annotated[str | None, _option("model")] = DEFAULTS.model,
    weights: Annotated[str | None, _option("weights")] = DEFAULTS.weights,
    interface: Annotated[str | None, _option("interface")] = DEFAULTS.interface,
    encoder: Annotated[str | None, _option("encoder")] = DEFAULTS.encoder,
    converter: Annotated[str | None, _option("converter")] = DEFAULTS.converter,
    faces: Annotated[str, _option("faces")] = DEFAULTS.faces,
    shape: Annotated[float, _option("shape")] = DEFAULTS.shape,
    blend: Annotated[str, _option("blend")] = DEFAULTS.blend,
    colour: Annotated[str, _option("colour")] = DEFAULTS.colour,
    mask_feather: Annotated[float, _option("mask_feather")] = DEFAULTS.mask_feather,
    start: Annotated[str | None, _option("start_s")] = None,
    end: Annotated[str | None, _option("end_s")] = None,
    codec: Annotated[str | None, _option("codec")] = DEFAULTS.codec,
    crf: Annotated[int, _option("crf")] = DEFAULTS.crf,
    preset: Annotated[str, _option("preset")] = DEFAULTS.preset,
    threads: Annotated[int | None, _option("threads")] = DEFAULTS.threads,
    provider: Annotated[str, _option("provider")] = DEFAULTS.provider,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = (
        DEFAULTS.overwrite
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON report.")] = False,
) -> None:
    """Put a face into a photo, a film, or all photos and films of a folder.

    Times are seconds (90.5) or timecodes (1:30, 00:01:30.5).
    """
    options = SwapOptions(
        method=method,
        model=model,
        weights=weights,
        interface=interface,
        encoder=encoder,
        converter=converter,
        faces=faces,
        shape=shape,
        blend=blend,
        colour=colour,
        mask_feather=mask_feather,
        start_s=None if start is None else parse_time(start),
        end_s=None if end is None else parse_time(end),
        codec=codec,
        crf=crf,
        preset=preset,
        threads=threads,
        provider=provider,
        overwrite=overwrite,
    )
    pairs = [parse_map(text) for text in people] if people else None

    def job() -> Swap:
        from sosie.pipeline import Swap

        return Swap(source or None, options, reference=reference, people=pairs)

    if target.is_dir():
        raise typer.Exit(_swap_folder(job, target, output, as_json))
    kind = require_kind(target)
    report = swap_file(job(), target, kind, output)
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        print(summary(report))


def swap_file(job: Swap, target: Path, kind: Kind, output: Path) -> SwapReport:
    """Swap one photo or film, with progress on a terminal."""
    if kind == "photo":
        return job.photo(target, output)
    with film_progress(target.name) as on_progress:
        return job.film(target, output, on_progress)


def summary(report: SwapReport) -> str:
    """What a report says, in one line and a line for each person found by a reference and each of
    its notes."""
    total_s = report.seconds.get("total", 0.0)
    if report.frames == 1:
        faces = "1 face" if report.face_count == 1 else f"{report.face_count} faces"
        line = f"{report.output}: {faces} swapped in {total_s:.1f} s"
    else:
        line = (
            f"{report.output}: {report.swapped_frames} of {report.frames} frames swapped "
            f"in {total_s:.1f} s ({report.fps:.1f} fps)"
        )
    people = [
        f"{person.reference}: {', '.join(person.source_photos)} in {person.face_count} "
        f"{'face' if person.face_count == 1 else 'faces'}, similarity {person.similarity:.2f}"
        for person in report.people
        if person.face_count
    ]
    return "\n".join([line, *(f"  {further}" for further in (*people, *report.notes))])


def _swap_folder(make_job: Callable[[], Swap], target: Path, output: Path, as_json: bool) -> int:
    check_folders(target, output)
    media, ignored = media_in(target)
    job = make_job()
    reports: list[SwapReport] = []
    failures: list[Failure] = []
    outcomes = swap_each(media, output, lambda path, kind, out: swap_file(job, path, kind, out))
    for number, outcome in enumerate(outcomes, 1):
        if isinstance(outcome, Failure):
            failures.append(outcome)
            print(f"sosie: {outcome.error}", file=sys.stderr)
        else:
            reports.append(outcome)
            if not as_json:
                print(summary(outcome))
        note_progress(f"{number} of {len(media)} done")
    code = folder_exit_code(failures)
    if as_json:
        print_json(
            {
                "swapped": [dataclasses.asdict(report) for report in reports],
                "failed": [dataclasses.asdict(failure) for failure in failures],
                "ignored": [str(path) for path in ignored],
                "exit_code": code,
            }
        )
    else:
        if ignored:
            print(f"ignored, neither photo nor film: {', '.join(path.name for path in ignored)}")
        print(f"{len(reports)} of {len(media)} swapped into {output}")
    return code
