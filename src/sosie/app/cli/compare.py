"""`sosie compare`: a result beside its target, as a video or a photo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sosie.app.cli.arguments import AsJson, Overwrite, offering, parse_time
from sosie.app.cli.output import print_json, video_progress
from sosie.app.cli.swap_flags import flag_for
from sosie.errors import InputError, UsageError, nearest
from sosie.options import COMPARISONS, SwapOptions


def compare(
    target: Annotated[Path, typer.Argument(help="Photo, video or numbered frames.")],
    result: Annotated[Path, typer.Argument(help="What a swap made of it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Video or photo to write.")],
    layout: Annotated[
        str,
        typer.Option(
            help="`side`: both side by side; `wipe`: one picture, parted by a border that moves.",
            autocompletion=offering(lambda: COMPARISONS),
        ),
    ] = "side",
    start: flag_for("start_s") = None,  # type: ignore[valid-type]
    end: flag_for("end_s") = None,  # type: ignore[valid-type]
    sequence: flag_for("sequence") = None,  # type: ignore[valid-type]
    codec: flag_for("codec") = SwapOptions.codec,  # type: ignore[valid-type]
    crf: flag_for("crf") = SwapOptions.crf,  # type: ignore[valid-type]
    preset: flag_for("preset") = SwapOptions.preset,  # type: ignore[valid-type]
    threads: flag_for("threads") = None,  # type: ignore[valid-type]
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Show a result beside its target, frame by frame, with the result's sound.

    --start and --end are those of the swap: the part of the target that the result shows.
    """
    if layout not in COMPARISONS:
        raise UsageError(f"Unknown layout {layout!r}: {nearest(layout, COMPARISONS)}.")
    from sosie.media.comparison import compare_photos, compare_videos
    from sosie.media.kinds import require_kind

    kinds = ["video" if path.is_dir() else require_kind(path) for path in (target, result)]
    if kinds[0] != kinds[1]:
        raise InputError(
            f"{target} is a {kinds[0]} and {result} a {kinds[1]}; give a result of that target."
        )
    options = SwapOptions(
        start_s=None if start is None else parse_time(start),
        end_s=None if end is None else parse_time(end),
        sequence=sequence,
        codec=codec,
        crf=crf,
        preset=preset,
        threads=threads,
        overwrite=overwrite,
    )
    notes: tuple[str, ...] = ()
    if kinds[0] == "photo":
        compare_photos(target, result, output, layout, overwrite)
    else:
        with video_progress(output.name) as on_progress:
            notes = compare_videos(target, result, output, layout, options, on_progress)
    if as_json:
        print_json({"output": str(output), "layout": layout, "notes": list(notes)})
    else:
        print("\n".join([str(output), *(f"  {note}" for note in notes)]))
