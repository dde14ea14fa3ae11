"""Pictures that are shown one after the other, read as a video is: sequences and animations."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from sosie.errors import InputError, UsageError
from sosie.files import StrPath
from sosie.media.encoders import KEEP
from sosie.media.linear import LinearConverter, is_linear
from sosie.media.picture_source import Picture, PictureSource
from sosie.media.pixel_formats import Colors, Converter, native_format
from sosie.media.probe import ColorTags, Orientation, VideoInfo, check_frame_size
from sosie.media.video import VideoFrame, check_span
from sosie.media.writers import Writer, open_writer


class PictureReader(Protocol):
    """Reads pictures in order.

    path: what messages call them. kind, codec: what they are in, and how they are packed. fps: a
    second, about. count: how many. end_s: when the last one ends. loop, first_number: as in
    PictureSource.
    """

    path: Path
    kind: str
    codec: str
    fps: Fraction
    count: int
    end_s: float
    loop: int | None
    first_number: int | None

    def pictures(self, start_s: float, end_s: float | None) -> Iterator[Picture]: ...


class Pictures:
    """Pictures as a video: as `sosie.media.video.Video`, to be closed like one."""

    def __init__(self, reader: PictureReader, start_s: float | None, end_s: float | None) -> None:
        check_span(start_s, end_s)
        self.path = reader.path
        self.span_s = (start_s, end_s)
        self.notes: tuple[str, ...] = ()
        self._reader = reader
        first = next(reader.pictures(start_s or 0.0, end_s), None)
        if first is None:
            raise UsageError(
                f"{reader.path} has no frame from {start_s or 0} s on that part; it is "
                f"{reader.end_s:.2f} s long."
            )
        native = first.native
        check_frame_size(native.width, native.height, reader.path)
        linear = is_linear(native.format.name)
        chosen = native.format.name if linear else native_format(native)
        self.source = PictureSource(
            path=reader.path,
            info=_info(reader, native),
            stream_index=0,
            span_s=self.span_s,
            origin=Fraction(0),
            first_time=native.pts * native.time_base,
            first=native,
            orientation=Orientation(),
            display_matrix=None,
            native_format=chosen,
            profile=None,
            converter=LinearConverter() if linear else Converter(Colors.of(native, "")),
            loop=reader.loop,
            first_number=reader.first_number,
        )

    @property
    def info(self) -> VideoInfo:
        """What the video is."""
        return self.source.info

    @property
    def frame_bytes(self) -> int:
        """What a frame takes in memory."""
        return sum(plane.buffer_size for plane in self.source.first.planes)

    @property
    def expected_frames(self) -> int | None:
        """How many frames the part that is read has, about."""
        return self._reader.count if self.span_s == (None, None) else None

    def frames(self) -> Iterator[VideoFrame]:
        """The frames in order. Raises InputError where one has another size or format."""
        source, start, end = self.source, *self.span_s
        wanted = (source.first.width, source.first.height, source.first.format.name)
        for index, picture in enumerate(self._reader.pictures(start or 0.0, end)):
            native, name = picture.native, picture.file or self.path
            found = (native.width, native.height, native.format.name)
            if found != wanted:
                raise InputError(
                    f"{name} has {found[0]} x {found[1]} pixels ({found[2]}), and the frames "
                    f"before it {wanted[0]} x {wanted[1]} ({wanted[2]}); make them alike first."
                )
            if picture.file is not None:
                source.files[native.pts] = picture.file
            if picture.photo is not None:
                source.kept[native.pts] = picture.photo
            if found[2] != source.native_format:
                native = source.converter.reformat(native, source.native_format)
            yield VideoFrame(source, native, index)

    def writer(
        self,
        path: StrPath,
        codec: str = KEEP,
        crf: int = 18,
        preset: str = "veryfast",
        threads: int | None = None,
        shown: StrPath | None = None,
    ) -> Writer:
        """A writer of these pictures, changed, as a video, a sequence or an animation."""
        return open_writer(self.source, Path(path), codec, crf, preset, threads, shown)

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _info(reader: PictureReader, first: Any) -> VideoInfo:
    return VideoInfo(
        path=reader.path,
        container=reader.kind,
        codec=reader.codec,
        width=first.width,
        height=first.height,
        sample_aspect=Fraction(1),
        fps=reader.fps,
        frame_count=reader.count,
        duration_s=reader.end_s,
        pixel_format=first.format.name,
        bit_depth=max(c.bits for c in first.format.components),
        color=ColorTags(None, None, None, None),
        rotation_deg=0,
        tracks=(),
    )
