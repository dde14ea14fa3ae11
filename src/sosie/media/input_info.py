"""What a writer has to know of the video that it writes anew."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from sosie.media.pixel_formats import Converter
from sosie.media.probe import Orientation, VideoInfo, open_input


@dataclass(frozen=True)
class VideoSource:
    """An open video, as its reader found it.

    stream_index: of the video among the streams. span_s: start and end of the part, seconds since
    the video's start. origin, first_time: timestamps of the video's start and of the part's first
    frame, in seconds. first: that frame. display_matrix: nine numbers, None where there is none.
    native_format: pixel format of the frames that will come. profile: of the video's codec, as
    FFmpeg's decoder names it.
    """

    path: Path
    info: VideoInfo
    stream_index: int
    span_s: tuple[float | None, float | None]
    origin: Fraction
    first_time: Fraction
    first: Any
    orientation: Orientation
    display_matrix: tuple[int, ...] | None
    native_format: str
    profile: str | None

    def open(self) -> Any:
        """Its container, with all its tracks. Raises InputError."""
        return open_input(self.path)

    converter: Converter


class NativeFrame(Protocol):
    """A frame with its planes.

    changed: the rectangle outside of which nothing was changed since it was read, x0, y0, x1, y1 in
    pixels of the upright frame, the end not included; None where nothing was.
    """

    @property
    def changed(self) -> tuple[int, int, int, int] | None: ...

    @property
    def native(self) -> Any: ...
