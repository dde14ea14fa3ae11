"""`sosie preview`: some frames of a target swapped, as a sheet to look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sosie.app.cli import swap_flags as flags
from sosie.app.cli.arguments import AsJson, offering, parse_map, parse_time
from sosie.app.cli.output import note_progress, print_json
from sosie.app.input_kinds import expand
from sosie.errors import UsageError, nearest
from sosie.options import SwapOptions

if TYPE_CHECKING:
    from sosie.types import PreviewFrame

_CROPS = ("face", "frame")


@flags.takes_options
def preview(
    *,
    source: flags.Source = None,
    reference: flags.Reference = None,
    people: flags.People = None,
    target: Annotated[
        Path, typer.Option("--target", "-t", help="Photo, video or numbered frames to look at.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Picture to write (.jpg, .png, ...); left out, it lies beside the target.",
        ),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(help="Time of a frame, in seconds or as a timecode; repeat it for more."),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(help="Instead, how many frames, evenly over the video.")
    ] = None,
    crop: Annotated[
        str,
        typer.Option(
            help="What to show: `face`, each new face large in a row of its own, or `frame`, the "
            "whole of each frame.",
            autocompletion=offering(lambda: _CROPS),
        ),
    ] = "face",
    options: SwapOptions,
    as_json: AsJson = False,
) -> None:
    """Swap one frame or some, and show source, target, result and mask side by side.

    Options are those of `sosie swap`; those of writing, such as --codec, change nothing here.
    """
    if crop not in _CROPS:
        raise UsageError(f"Unknown crop {crop!r}: {nearest(crop, _CROPS)}.")
    times = [parse_time(text) for text in at] if at else None
    maps = [parse_map(text) for text in people or ()]
    sources = expand(source) if source else None
    pairs = [(person, expand(by)) for person, by in maps]
    sheet = output or _beside(target)

    from sosie.media.image_write import photo_format, save_photo
    from sosie.media.photo import array_photo
    from sosie.output import check_output
    from sosie.pipeline import FaceSwapper
    from sosie.swapping.preview import TargetFrames
    from sosie.swapping.preview_sheet import draw_preview

    photo_format(sheet)
    given = [target, *(sources or ()), *(path for who, by in pairs for path in (who, *by))]
    check_output(sheet, given, options.overwrite)
    told: list[dict[str, Any]] = []
    with closing(TargetFrames(target, options, times, frames)) as reading:
        swapper = FaceSwapper(sources, options, reference=reference, people=pairs or None)
        drawn = draw_preview(_told(swapper.preview_frames(reading), told), crop)
    save_photo(array_photo(drawn), sheet, overwrite=options.overwrite)
    if as_json:
        print_json({"target": str(target), "output": str(sheet), "frames": told})
    else:
        count = "1 frame" if len(told) == 1 else f"{len(told)} frames"
        faces = sum(one["faces"] for one in told)
        print(f"{sheet}: {count}, {faces} {'face' if faces == 1 else 'faces'} swapped")
        for one in told:
            if one["note"] is not None:
                print(f"  at {one['time_s']:.3f} s: {one['note']}")


def _told(frames: Iterable[PreviewFrame], told: list[dict[str, Any]]) -> Iterator[PreviewFrame]:
    """The same frames, with what is to be said of each added to `told`."""
    for frame in frames:
        time_s = None if frame.time_s is None else round(frame.time_s, 6)
        told.append({"time_s": time_s, "faces": len(frame.faces), "note": frame.note})
        note_progress(f"frame {len(told)} done")
        yield frame


def _beside(target: Path) -> Path:
    """`clip.preview.jpg` beside `clip.mp4`."""
    from sosie.media.sequence_names import sequence_name

    if sequence_name(target) is not None:
        folder = target.parent.absolute()
        return folder.with_name(f"{folder.name}.preview.jpg")
    absolute = target.absolute() if not target.name else target
    return absolute.with_name(f"{absolute.stem}.preview.jpg")
