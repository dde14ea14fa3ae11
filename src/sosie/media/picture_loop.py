"""A few pictures from memory, written as an animation or as a video without sound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sosie.errors import OutputError, UsageError
from sosie.output import atomic_output, not_written

_ANIMATIONS = {".gif": "GIF", ".apng": "PNG"}
_VIDEOS = (".mp4", ".mkv", ".mov")
MOVING = (*_ANIMATIONS, *_VIDEOS)
"""Endings of what moves."""


def write_loop(
    pictures: Sequence[NDArray[np.uint8]], path: Path, fps: int, overwrite: bool = False
) -> None:
    """Write pictures (RGB, h x w x 3, of one size, with even sides) as a file that moves; an
    animation begins again at its end.

    Raises UsageError for an ending that is not in MOVING, OutputError where it cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in MOVING:
        raise UsageError(f"{path} is not of {', '.join(MOVING)}: name it {path.stem}.gif.")
    try:
        with atomic_output(path, overwrite) as pending:
            if ending in _ANIMATIONS:
                _write_animation(pictures, pending.path, _ANIMATIONS[ending], fps)
            else:
                _write_video(pictures, pending.path, fps)
    except OSError as error:
        raise OutputError(not_written(path, error)) from error


def _write_animation(
    pictures: Sequence[NDArray[np.uint8]], path: Path, form: str, fps: int
) -> None:
    first, *rest = [Image.fromarray(one) for one in pictures]
    first.save(path, form, save_all=True, append_images=rest, duration=round(1000 / fps), loop=0)


def _write_video(pictures: Sequence[NDArray[np.uint8]], path: Path, fps: int) -> None:
    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "18"}
        for number, pixels in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
