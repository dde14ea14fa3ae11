"""The target of a swap over time: a video, a sequence of pictures or an animation."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path

from sosie.media.animation import is_animation, open_animation
from sosie.media.output_folder import PendingFolder, atomic_folder
from sosie.media.picture_video import Pictures
from sosie.media.sequence import open_sequence
from sosie.media.sequence_names import (
    USUAL_FPS,
    SequenceName,
    folder_sequence,
    parse_fps,
    sequence_name,
)
from sosie.media.video import Video, open_video
from sosie.output import PendingOutput, atomic_output


def open_target(
    path: Path,
    start_s: float | None = None,
    end_s: float | None = None,
    threads: int | None = None,
    fps: str | None = None,
) -> Video | Pictures:
    """Opens what moves: a video, an animation, or numbered pictures, by a pattern or their folder.

    fps: of numbered pictures. Raises the errors of `open_video`.
    """
    sequence = target_sequence(path)
    if sequence is not None:
        return open_sequence(sequence, parse_fps(fps or USUAL_FPS), start_s, end_s)
    if is_animation(path):
        return open_animation(path, start_s, end_s)
    return open_video(path, start_s, end_s, threads)


def target_sequence(path: Path) -> SequenceName | None:
    """The sequence that a target stands for, None for one of another kind. Raises InputError for a
    folder without one."""
    if os.path.isdir(path):  # noqa: PTH112 (Path.is_dir raises at a long name)
        return folder_sequence(path)
    return sequence_name(path)


def result_path(target: Path, output: Path) -> Path:
    """The output with a sequence's own names where it is a folder, or a name without an ending."""
    sequence = target_sequence(target)
    if sequence is None or output.suffix or sequence_name(output) is not None:
        return output
    return output / Path(sequence.pattern).name


def pending_result(
    output: Path, overwrite: bool
) -> AbstractContextManager[PendingOutput] | AbstractContextManager[PendingFolder]:
    """What a result is written to until it is whole: a file, or a folder of numbered pictures."""
    if sequence_name(output) is not None:
        return atomic_folder(output)
    return atomic_output(output, overwrite)
