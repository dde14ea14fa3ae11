"""`sosie reenact`: a person's photo moved by another's video."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from sosie.app.cli.arguments import AsJson, Overwrite, offering, parse_time
from sosie.app.cli.output import print_json, video_progress


def _methods() -> list[str]:
    from sosie.reenactment import reenactor_names

    return reenactor_names()


def _motions() -> tuple[str, ...]:
    from sosie.reenactment.options import MOTIONS

    return MOTIONS


def reenact(
    *,
    source: Annotated[
        Path, typer.Option("--source", "-s", help="Photo whose largest face is to move.")
    ],
    driver: Annotated[
        Path,
        typer.Option(
            "--driver",
            "-d",
            help="Video or numbered frames of who moves it, or a photo.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Video to write; a photo where the driver is one."),
    ],
    method: Annotated[
        str,
        typer.Option(help="What moves the photo.", autocompletion=offering(_methods)),
    ] = "mesh",
    weights: Annotated[
        str | None, typer.Option(help="Folder or file of the method's weights, where it has any.")
    ] = None,
    motion: Annotated[
        str,
        typer.Option(
            help="`relative` adds what changes since the driver's first frame to the photo's own "
            "pose and expression; `absolute` takes the driver's as they are.",
            autocompletion=offering(_motions),
        ),
    ] = "relative",
    expression: Annotated[
        float, typer.Option(help="How much of the driver's expression to take, 0..1.5.")
    ] = 1.0,
    pose: Annotated[
        float, typer.Option(help="How much of the turns of the driver's head to take, 0..1.5.")
    ] = 1.0,
    retarget: Annotated[
        str,
        typer.Option(
            help="For `portrait`: open `eyes`, `lips` or `eyes,lips` as far as the driver's are.",
        ),
    ] = "",
    stitch: Annotated[
        bool,
        typer.Option(help="For `portrait`: keep shoulders and hair where the photo has them."),
    ] = True,
    faces: Annotated[
        str, typer.Option(help="Which face drives: `largest`, or its position from the left.")
    ] = "largest",
    start: Annotated[
        str | None, typer.Option(help="Start of the part of the driver, seconds or a timecode.")
    ] = None,
    end: Annotated[str | None, typer.Option(help="End of that part.")] = None,
    sequence: Annotated[
        str | None, typer.Option(help="Frame rate of a driver of numbered images.")
    ] = None,
    codec: Annotated[
        str, typer.Option(help="Video encoder, as FFmpeg names it; `keep`: the driver's.")
    ] = "keep",
    crf: Annotated[int, typer.Option(help="Constant rate factor, 0 (best) to 63.")] = 18,
    preset: Annotated[
        str, typer.Option(help="Delivery, encoder's speed, or both, as in `sosie swap`.")
    ] = "veryfast",
    threads: Annotated[
        int | None, typer.Option(help="Processor threads; left out, all are used.")
    ] = None,
    provider: Annotated[str, typer.Option(help="Execution provider for all networks.")] = "cpu",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Move a person's photo as the face of a video moves, with the video's sound."""
    from sosie.reenactment.job import reenact as run
    from sosie.reenactment.options import ReenactOptions

    options = ReenactOptions(
        method=method,
        weights=weights,
        motion=motion,
        expression=expression,
        pose=pose,
        retarget=retarget,
        stitch=stitch,
        faces=faces,
        start_s=None if start is None else parse_time(start),
        end_s=None if end is None else parse_time(end),
        sequence=sequence,
        codec=codec,
        crf=crf,
        preset=preset,
        threads=threads,
        provider=provider,
        overwrite=overwrite,
    )
    with video_progress(driver.name) as on_progress:
        report = run(source, driver, output, options, on_progress=on_progress)
    if as_json:
        print_json(dataclasses.asdict(report))
        return
    if report.frames == 1:
        print(f"{report.output}: moved in {report.seconds['total']:.1f} s")
    else:
        print(
            f"{report.output}: {report.moved} of {report.frames} frames moved in "
            f"{report.seconds['total']:.1f} s ({report.fps:.1f} fps)"
        )
    for note in report.notes:
        print(f"  {note}")
