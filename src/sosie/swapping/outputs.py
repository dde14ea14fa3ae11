"""Where the results of a swap go: checked before any work is done."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from sosie.errors import InterruptedSwapError, SosieError, UsageError
from sosie.files import StrPath
from sosie.media.comparison import compare_videos, comparison_path
from sosie.media.image_write import photo_format
from sosie.media.input_info import VideoSource
from sosie.media.sequence_names import sequence_name
from sosie.media.targets import result_path, target_sequence
from sosie.media.watch_file import check_watch
from sosie.media.writers import check_written
from sosie.options import SwapOptions
from sosie.output import check_output
from sosie.swapping.layers import LayerWriter, check_layers, open_layers
from sosie.swapping.work import WorkFolder, is_being_placed
from sosie.types import Progress


def check_photo(output: StrPath, inputs: Sequence[StrPath], options: SwapOptions) -> None:
    """Raises an error where a photo's result, or what goes with it, cannot be written."""
    check_output(output, inputs, options.overwrite)
    photo_format(output)
    if options.layers is not None or options.masks is not None:
        raise UsageError("Layers and masks belong to videos and sequences: leave them out.")
    _check_company(Path(output), True, inputs, options)


def check_video(
    target: StrPath, output: StrPath, inputs: Sequence[StrPath], options: SwapOptions
) -> Path:
    """The path of a video's result. Raises an error where that, or what goes with it, cannot be
    written."""
    place = result_path(Path(target), Path(output))
    replaced = options.overwrite or is_being_placed(place, options.work)
    check_written(place, options.codec, options.crf, options.preset, replaced)
    if options.stages is not None:
        raise UsageError(
            "Stages are shown of photos: leave stages out, or swap a frame of the video."
        )
    if options.layers is not None:
        check_layers(Path(options.layers), replaced)
    check_place(place, Path(target), inputs, options.overwrite)
    _check_company(place, False, inputs, options)
    return place


def check_place(place: Path, target: Path, inputs: Sequence[StrPath], overwrite: bool) -> None:
    """Raises an error where a video's result cannot lie at a place: a file, or the pattern of
    numbered frames, whose folder is made."""
    if sequence_name(place) is None:
        check_output(place, inputs, overwrite)
    elif place.parent.resolve() in {Path(one).resolve() for one in _folders(target)}:
        raise UsageError(
            f"The frames of the result would lie among those of the target, in {place.parent}; "
            f"give another folder."
        )


def _check_company(
    place: Path, is_photo: bool, inputs: Sequence[StrPath], options: SwapOptions
) -> None:
    """Checks the comparison and the picture to watch."""
    taken = [*inputs, place]
    if options.compare is not None:
        comparison = comparison_path(place, is_photo)
        check_output(comparison, taken, options.overwrite)
        taken.append(comparison)
    if options.watch is not None:
        check_watch(options.watch, taken, options.overwrite)


def compare_result(
    target: Path,
    result: Path,
    options: SwapOptions,
    on_progress: Callable[[Progress], None] | None,
    cancel: threading.Event | None,
) -> tuple[str | None, tuple[str, ...]]:
    """The path of a video's comparison, where one is asked for, and notes on it. It is made of the
    finished result, which nothing that happens here can harm."""
    if options.compare is None:
        return None, ()
    output = comparison_path(result, is_photo=False)
    is_cancelled = (cancel or threading.Event()).is_set
    try:
        notes = compare_videos(
            *(target, result, output, options.compare, options, on_progress, is_cancelled)
        )
    except KeyboardInterrupt:
        raise InterruptedSwapError(
            f"Stopped while the comparison was being made: the result, {result}, is whole, and "
            f"`sosie compare` makes the comparison."
        ) from None
    except SosieError as error:
        error.add_note(f"The result, {result}, is whole: only its comparison is missing.")
        raise
    return str(output), notes


def layer_writer(
    source: VideoSource, options: SwapOptions, work: WorkFolder | None
) -> AbstractContextManager[LayerWriter | None]:
    """What writes the layers of a video, where any are asked for. work: where they are kept until
    all are there."""
    if options.layers is None:
        return nullcontext()
    kept = None if work is None else work.folder_of_layers()
    return open_layers(source, Path(options.layers), kept)


def require_paths(**paths: object) -> None:
    """Raises UsageError on what only a photo in memory may be."""
    for name, path in paths.items():
        if not isinstance(path, str | os.PathLike):
            raise UsageError(
                f"The {name} must be a path, not a {type(path).__name__}; give the name of a file."
            )


def _folders(target: Path) -> tuple[Path, ...]:
    sequence = target_sequence(target)
    return () if sequence is None else (sequence.folder,)
