"""Pictures that are shown one after the other, read as a video is: sequences and animations."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from sosie.errors import InputError
from sosie.media.base_video import BaseVideo
from sosie.media.linear import LinearConverter, is_linear
from sosie.media.picture_source import Picture, PictureSource
from sosie.media.pixel_formats import Colors, Converter, native_format
from sosie.media.place import Place, changed_since
from sosie.media.probe import ColorTags, Orientation, VideoInfo, check_frame_size
from sosie.media.video import VideoFrame

# A time typed with six decimals means the picture that it was read from.
_SLACK = Fraction(1, 1_000_000)


class PictureReader(Protocol):
    """Reads pictures in order.

    path: what messages call them. kind, codec: what they are in, and how they are packed. fps: a
    second, about. count: how many. times_s: when each begins. end_s: when the last one ends. loop,
    first_number: as in PictureSource.
    """

    path: Path
    kind: str
    codec: str
    fps: Fraction
    count: int
    times_s: list[Fraction]
    end_s: float
    loop: int | None
    first_number: int | None

    def pictures(
        self, start_s: float | Fraction, end_s: float | None, skip: int
    ) -> Iterator[Picture]:
        """Those of a part, but for so many at its start."""


class Pictures(BaseVideo):
    """Pictures as a video."""

    source: PictureSource

    def __init__(self, reader: PictureReader, start_s: float | None, end_s: float | None) -> None:
        super().__init__(reader.path, start_s, end_s)
        self.notes: tuple[str, ...] = ()
        self._reader = reader
        native = self._peek().native
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
        self._require_room_for_a_face()

    @property
    def expected_frames(self) -> int | None:
        """How many frames the part that is read has, about."""
        return self._reader.count if self.span_s == (None, None) else None

    def frames(self) -> Iterator[VideoFrame]:
        """The frames in order. Raises InputError where one has another size or format."""
        yield from self._numbered(self._decode_once(), 0)

    def frames_from(self, place: Place) -> Iterator[VideoFrame]:
        """The frames from one on that an earlier run came to, as `frames` gives them. Raises
        InputError as that does, and where the frame is another one now."""
        self.close()
        frames = self._numbered(self._decode(place.index), place.index)
        first = next(frames, None)
        if first is None or not place.is_here(first):
            raise changed_since(self.path)
        yield from chain([first], frames)

    def _numbered(self, pictures: Iterator[Picture], start: int) -> Iterator[VideoFrame]:
        for index, picture in enumerate(pictures, start):
            yield self._frame(picture, index)

    def frames_at(
        self,
        times_s: Sequence[float],
        counted: bool = False,  # noqa: ARG002 (all are, since their times are known)
    ) -> Iterator[VideoFrame]:
        """As `sosie.media.video.Video.frames_at`."""
        self._require_in_part(times_s, self._reader.end_s)
        times = self._times()
        known: set[int] = set()
        for time in times_s:
            index = max(0, bisect_right(times, Fraction(time) + _SLACK) - 1)
            if index not in known:
                known.add(index)
                picture = next(self._reader.pictures(times[index], None, 0))
                yield self._frame(picture, index)

    def spread_times(self, count: int) -> list[float]:
        """As `sosie.media.video.Video.spread_times`; never one picture twice."""
        times = self._times()
        chosen = {len(times) * (2 * number + 1) // (2 * count) for number in range(count)}
        return [float(times[index]) for index in sorted(chosen)]

    def _times(self) -> list[Fraction]:
        """When the pictures of the part begin."""
        start, end = self.span_s
        low = Fraction(start or 0) - _SLACK
        high = None if end is None else Fraction(end) - _SLACK
        return [t for t in self._reader.times_s if t >= low and (high is None or t < high)]

    def _frame(self, picture: Picture, index: int) -> VideoFrame:
        source = self.source
        wanted = (source.first.width, source.first.height, source.first.format.name)
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
        return VideoFrame(source, native, index)

    def _decode(self, skip: int = 0) -> Iterator[Picture]:
        start, end = self.span_s
        return self._reader.pictures(start or 0.0, end, skip)


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
