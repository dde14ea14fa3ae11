"""Opens a video for reading and says what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Discard, Disposition
from numpy.typing import NDArray

from sosie.errors import InputError
from sosie.files import StrPath, require_file
from sosie.media.truncation import decoding

MIN_SIDE_PX = 16
"""No side of a video may be shorter."""

MAX_PIXELS = 10_000_000
"""No frame may have more pixels (4K): decoder, encoder and what is between hold some fifty."""

MAX_SIDE_PX = 16_384
"""No side of a frame may be longer: H.264 ends there."""

LARGE_PIXELS = 4_000_000
"""Frames of more pixels are decoded without working on several at once, each of which is held."""

_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails
# Demuxers that make "video" of a text, or that follow a list to other files.
_NO_VIDEO = ("tty", "hls", "concat", "dash", "ffmetadata")
_UNSPECIFIED = 2


@dataclass(frozen=True)
class ColorTags:
    """Color tags as numbers of ITU-T H.273, None where the video has none.

    full_range: whether luma spans 0..255 and not 16..235.
    """

    primaries: int | None
    transfer: int | None
    matrix: int | None
    full_range: bool | None


@dataclass(frozen=True)
class TrackInfo:
    """A stream of a video besides its video.

    kind: `audio`, `subtitle`, `data`, `attachment`, `picture` (cover art), `video` (a second one).
    """

    index: int
    kind: str
    codec: str
    language: str | None
    title: str | None
    default: bool
    forced: bool


@dataclass(frozen=True)
class Orientation:
    """How stored pixels become upright: rows and columns swapped, then mirrored.

    swap: exchange x and y. mirror_x, mirror_y: reverse that axis of the upright picture.
    """

    swap: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def from_matrix(cls, matrix: tuple[int, ...]) -> Orientation:
        """From FFmpeg's display matrix: nine 16.16 numbers. Turns that are no multiple of 90
        degrees are left alone."""
        a, b, c, d = (round(matrix[i] / 65536) for i in (0, 1, 3, 4))
        if (abs(a), abs(b), abs(c), abs(d)) == (0, 1, 1, 0):
            return cls(True, c < 0, b < 0)
        if (abs(a), abs(b), abs(c), abs(d)) == (1, 0, 0, 1):
            return cls(False, a < 0, d < 0)
        return cls()

    @property
    def is_mirrored(self) -> bool:
        """Whether this is more than a turn."""
        return (self.swap + self.mirror_x + self.mirror_y) % 2 == 1

    def upright(self, array: NDArray[Any]) -> NDArray[Any]:
        """h x w [x c] as stored -> as seen; contiguous."""
        return np.ascontiguousarray(self._mirror(array.swapaxes(0, 1) if self.swap else array))

    def stored(self, array: NDArray[Any]) -> NDArray[Any]:
        """h x w [x c] as seen -> as stored; a view."""
        array = self._mirror(array)
        return array.swapaxes(0, 1) if self.swap else array

    def stored_corner(
        self, x: int, y: int, size: tuple[int, int], frame: tuple[int, int]
    ) -> tuple[int, int]:
        """Top left corner as stored of a rectangle of `size` at (x, y) as seen, in a frame of
        `frame` as seen; sizes are width and height."""
        x = frame[0] - x - size[0] if self.mirror_x else x
        y = frame[1] - y - size[1] if self.mirror_y else y
        return (y, x) if self.swap else (x, y)

    def _mirror(self, array: NDArray[Any]) -> NDArray[Any]:
        return array[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]


@dataclass(frozen=True)
class VideoInfo:
    """What a video is.

    width, height: in pixels, upright (rotation applied). sample_aspect: width over height of a
    pixel as seen. fps: average. frame_count: of the whole video; an estimate where the container
    does not say, None where it cannot be estimated. duration_s: of the whole video, None if
    unknown.
    pixel_format: FFmpeg's name. bit_depth: of a color sample. rotation_deg: counter-clockwise
    turn that a player makes. tracks: every other stream.
    """

    path: Path
    container: str
    codec: str
    width: int
    height: int
    sample_aspect: Fraction
    fps: Fraction | None
    frame_count: int | None
    duration_s: float | None
    pixel_format: str
    bit_depth: int
    color: ColorTags
    rotation_deg: int
    tracks: tuple[TrackInfo, ...]


def open_input(path: Path) -> Any:
    """A container for reading. Raises InputError where there is none to be read."""
    path = require_file(path, "video")
    with decoding(path):
        # Absolute, so that a colon in the name is not taken for a protocol.
        container = av.open(str(path.absolute()), "r", metadata_errors="surrogateescape")
    name = container.format.name
    if name in _NO_VIDEO or name == "image2" or name.endswith("_pipe"):
        container.close()
        kind = "not a video" if name in _NO_VIDEO else "a picture and not a video"
        raise InputError(f"{path} is {kind}; give a video such as .mp4, .mov or .mkv.")
    return container


def video_stream(container: Any, path: Path) -> Any:
    """The video's video: not its cover art. Raises InputError where there is none, or its frames
    are too large."""
    streams = [s for s in container.streams.video if not s.disposition & _PICTURES]
    if not streams:
        raise InputError(
            f"{path} has no video stream, only {_stream_names(container)}; give a video with video."
        )
    chosen = next((s for s in streams if s.disposition & Disposition.default), streams[0])
    if chosen.codec_context is None or chosen.codec_context.codec is None:
        raise InputError(
            f"{path} has video in a codec that cannot be decoded; convert it to H.264 first."
        )
    check_frame_size(chosen.codec_context.width, chosen.codec_context.height, path)
    return chosen


def check_frame_size(width: int, height: int, path: Path) -> None:
    """Raises InputError where frames of this size are larger than is read."""
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{path} has frames of {width} x {height} pixels ({width * height / 1e6:.0f} "
            f"megapixels), and the limit is {MAX_PIXELS / 1e6:.0f}; make it smaller first."
        )
    if max(width, height) > MAX_SIDE_PX:
        raise InputError(
            f"{path} has frames of {width} x {height} pixels, and the limit is {MAX_SIDE_PX} a "
            f"side; make it smaller first."
        )


def _stream_names(container: Any) -> str:
    names = sorted({"cover art" if s.type == "video" else s.type for s in container.streams})
    return " and ".join(names) if names else "an empty container"


def is_cover(stream: Any) -> bool:
    """Whether a stream is an attached picture (cover art)."""
    return stream.type == "video" and bool(stream.disposition & _PICTURES)


def is_chapter_track(stream: Any) -> bool:
    """Whether a stream is an MP4's text track of chapter names, which its demuxer discards."""
    return bool(stream.type == "data" and stream.discard == Discard.all)


def codec_name(stream: Any) -> str:
    """FFmpeg's name of a stream's codec, `unknown` where it has no decoder for it."""
    codec = getattr(stream.codec_context, "codec", None)
    name = getattr(codec, "canonical_name", None) or getattr(stream, "name", None)
    return str(name or "unknown")


def video_origin(container: Any) -> Fraction:
    """The timestamp, in seconds, that players show as the video's start."""
    return Fraction(container.start_time or 0, av.time_base)


def video_info(path: Path, container: Any, stream: Any, frame: Any, turn: Orientation) -> VideoInfo:
    """What a video is, from its container, video stream and first decoded frame."""
    aspect = Fraction(stream.sample_aspect_ratio or 0) or Fraction(1)
    width, height = frame.width, frame.height
    if turn.swap:
        width, height, aspect = height, width, 1 / aspect
    fps = stream.average_rate or stream.guessed_rate or None
    duration = _duration_s(container, stream)
    count = stream.frames or None
    if count is None and duration is not None and fps:
        count = round(duration * fps)
    return VideoInfo(
        path=path,
        container=container.format.name,
        codec=codec_name(stream),
        width=width,
        height=height,
        sample_aspect=aspect,
        fps=fps,
        frame_count=count,
        duration_s=None if duration is None else float(duration),
        pixel_format=frame.format.name,
        bit_depth=max(c.bits for c in frame.format.components),
        color=_color_tags(frame),
        rotation_deg=frame.rotation,
        tracks=tuple(_track(s) for s in container.streams if s.index != stream.index),
    )


def _duration_s(container: Any, stream: Any) -> Fraction | None:
    if stream.duration is not None and stream.time_base:
        return Fraction(stream.duration * stream.time_base)
    if container.duration is not None:
        return Fraction(container.duration, av.time_base)
    return None


def _color_tags(frame: Any) -> ColorTags:
    def tag(value: int) -> int | None:
        return None if int(value) == _UNSPECIFIED else int(value)

    return ColorTags(
        tag(frame.color_primaries),
        tag(frame.color_trc),
        tag(frame.colorspace),
        {1: False, 2: True}.get(int(frame.color_range)),
    )


def _track(stream: Any) -> TrackInfo:
    return TrackInfo(
        index=stream.index,
        kind="picture" if is_cover(stream) else stream.type,
        codec=codec_name(stream),
        language=stream.metadata.get("language"),
        title=stream.metadata.get("title"),
        default=bool(stream.disposition & Disposition.default),
        forced=bool(stream.disposition & Disposition.forced),
    )


@contextmanager
def opened(path: StrPath) -> Iterator[Any]:
    """`open_input` as a context manager, within which `decoding` holds."""
    path = Path(path)
    container = open_input(path)
    try:
        with decoding(path):
            yield container
    finally:
        container.close()
