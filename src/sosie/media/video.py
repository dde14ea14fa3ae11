"""Videos: frames out, and, through `VideoWriter`, the video with changed frames back.

    with open_video("in.mp4") as video, video.writer(path) as writer:
        for frame in video.frames():
            frame.paste(change(frame.to_rgb()))
            writer.write(frame)

A frame stays in the planes that were decoded: only samples under a patch ever change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.error import FFmpegError
from av.stream import Discard

from sosie.errors import InputError, UsageError
from sosie.files import StrPath
from sosie.media.encoders import KEEP
from sosie.media.input_info import VideoSource
from sosie.media.pixel_formats import (
    Colors,
    Converter,
    bit_depth,
    native_format,
)
from sosie.media.place import Place
from sosie.media.probe import (
    LARGE_PIXELS,
    MIN_SIDE_PX,
    Orientation,
    VideoInfo,
    check_frame_size,
    codec_name,
    opened,
    video_info,
    video_origin,
    video_stream,
)
from sosie.media.spool import Spool, Spooled
from sosie.media.truncation import (
    MISSING_S,
    Damage,
    cut_short,
    damaged,
    declared_end,
    decoding,
    missing_from_s,
    readable,
)
from sosie.media.writers import Writer, open_writer
from sosie.types import Patch, Pixels

# A time typed with six decimals means the frame that it was read from.
_TIME_SLACK = Fraction(1, 1_000_000)
# Containers find key frames by decoding time, which may lie this much before the time shown.
_SEEK_EARLIER_S = 2


class VideoFrame:
    """One frame.

    index: from 0, counted from the first frame that is read. time_s: since the video's start.
    pts, time_base: the frame's own timestamp, in the video's clock. width, height: upright.
    """

    __slots__ = ("_native", "_spooled", "_video", "index", "pts", "time_base", "time_s")

    def __init__(self, video: VideoSource, native: Any, index: int) -> None:
        self._video = video
        self._native = native
        self._spooled: Spooled | None = None
        self.index = index
        self.pts: int = native.pts
        self.time_base: Fraction = native.time_base
        self.time_s = float(self.pts * self.time_base - video.origin)

    @property
    def width(self) -> int:
        return self._video.info.width

    @property
    def height(self) -> int:
        return self._video.info.height

    @property
    def native(self) -> Any:
        """The decoded frame, as stored."""
        self.bring_back()
        return self._native

    def put_away(self, spool: Spool) -> None:
        """Leaves the decoded frame to `spool` until it is brought back, which writing to it and
        asking for `native` do too."""
        if self._spooled is None:
            self._native, self._spooled = None, spool.put(self._native, self._video.converter)

    def bring_back(self) -> None:
        """Has the decoded frame in memory again. Raises OutputError where the disk fails."""
        if self._spooled is not None:
            self._native, self._spooled = self._spooled.look(*self._stored_size), None

    def to_rgb(self) -> Pixels:
        """The frame upright: RGB, h x w x 3, uint8; uint16 in 0..65535 where the video has more
        than 8 bits a color."""
        native = self._spooled.look(*self._stored_size) if self._spooled else self._native
        with decoding(self._video.path):
            return self._video.orientation.upright(self._video.converter.to_rgb(native))

    def paste(self, patch: Patch) -> None:
        """Writes the pixels under the patch's mask into this frame, and nothing else.

        Raises ValueError where the patch is not wholly inside the frame, its mask is not of its
        pixels' shape, or its depth is not the frame's.
        """
        height, width = patch.mask.shape
        if patch.pixels.shape != (height, width, 3):
            raise ValueError(f"pixels of {patch.pixels.shape} do not fit a mask of {height, width}")
        if patch.pixels.dtype != (np.uint16 if bit_depth(self.native) > 8 else np.uint8):
            raise ValueError(f"a patch of {patch.pixels.dtype} does not fit the frame's depth")
        if min(patch.x, patch.y) < 0 or patch.x + width > self.width:
            raise ValueError("the patch is not inside the frame")
        if patch.y + height > self.height:
            raise ValueError("the patch is not inside the frame")
        turn = self._video.orientation
        x, y = turn.stored_corner(patch.x, patch.y, (width, height), (self.width, self.height))
        stored = Patch(x, y, turn.stored(patch.pixels), turn.stored(patch.mask))
        self._video.converter.paste(self.native, stored)

    @property
    def _stored_size(self) -> tuple[int, int]:
        """Width and height, not turned: all frames of a video have those of the first."""
        return self._video.first.width, self._video.first.height


class Video:
    """An open video. Made by `open_video`; close it, or use it as a context manager.

    source: all that is known of it. span_s: start and end of the part that is read, seconds since
    the video's start, None for no limit.
    """

    def __init__(
        self, path: Path, start_s: float | None, end_s: float | None, threads: int | None
    ) -> None:
        check_span(start_s, end_s)
        self.path = path
        self.span_s = (start_s, end_s)
        self._threads = threads or 0
        self._damage = Damage()
        self._end = Fraction(0)
        with opened(path) as container:
            stream = video_stream(container, path)
            self._origin = video_origin(container)
            missing = missing_from_s(stream, path, self._origin)
            if missing is not None and (end_s is None or end_s > missing):
                raise InputError(cut_short(path, missing))
            first, rest = self._peek()
            self._pending: tuple[Any, Iterator[Any]] | None = (first, rest)
            orientation, matrix = _orientation(first)
            self.source = VideoSource(
                path=path,
                info=video_info(path, container, stream, first, orientation),
                stream_index=stream.index,
                span_s=self.span_s,
                origin=self._origin,
                first_time=first.pts * first.time_base,
                first=first,
                orientation=orientation,
                display_matrix=matrix,
                native_format=native_format(first),
                profile=stream.profile,
                converter=Converter(Colors.of(first, str(path))),
            )
        if min(self.info.width, self.info.height) < MIN_SIDE_PX:
            self.close()
            raise InputError(
                f"{path} is {self.info.width} x {self.info.height} pixels, too small for a face; "
                f"use a video of at least {MIN_SIDE_PX} pixels a side."
            )

    @property
    def info(self) -> VideoInfo:
        """What the video is."""
        return self.source.info

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what of the video could not be read, as far as it was."""
        note = self._damage.note(self._origin)
        return () if note is None else (note,)

    @property
    def frame_bytes(self) -> int:
        """What a decoded frame takes in memory."""
        return sum(plane.buffer_size for plane in self.source.first.planes)

    @property
    def expected_frames(self) -> int | None:
        """How many frames the part that is read has, about; None where that is unknown."""
        start, end = self.span_s
        total, duration, fps = self.info.frame_count, self.info.duration_s, self.info.fps
        if total is None or (start is None and end is None):
            return total
        if duration is None or not fps:
            return None
        length = min(end if end is not None else duration, duration) - (start or 0)
        return max(1, min(total, round(length * fps)))

    def frames(self) -> Iterator[VideoFrame]:
        """The frames in order. May be called again: each call reads the video anew.

        Raises InputError where the video is damaged, cut short, or changes its size, with the time.
        """
        if self._pending is not None:
            first, rest = self._pending
            self._pending = None
            source: Iterator[Any] = chain([first], rest)
        else:
            source = self._decode()
        yield from self._numbered(source, 0)

    def frames_from(self, place: Place) -> Iterator[VideoFrame]:
        """The frames from one on that an earlier run came to, as `frames` gives them.

        The video is read from a key frame before that one, where that gives the same frame, else
        from its start. Raises InputError as `frames` does, and where the frame is another one now.
        """
        self.close()
        if not place.whole_way:
            start = place.pts * place.time_base - self._origin
            source = self._decode(start)
            frames = self._numbered(source, place.index)
            first = next(frames, None)
            if first is not None and place.is_here(first):
                yield from chain([first], frames)
                return
            source.close()  # type: ignore[attr-defined]
        frames = self._numbered(islice(self._decode(), place.index, None), place.index)
        first = next(frames, None)
        if first is None or not place.is_here(first):
            raise InputError(
                f"{self.path} is not as it was when its work was begun; begin anew with --restart."
            )
        yield from chain([first], frames)

    def _numbered(self, source: Iterator[Any], start: int) -> Iterator[VideoFrame]:
        for index, native in enumerate(source, start):
            if native.format.name != self.source.native_format:
                with decoding(self.path):
                    native = self.source.converter.reformat(native, self.source.native_format)
            yield VideoFrame(self.source, native, index)

    def writer(
        self,
        path: StrPath,
        codec: str = KEEP,
        crf: int = 18,
        preset: str = "veryfast",
        threads: int | None = None,
        shown: StrPath | None = None,
    ) -> Writer:
        """A writer of this video with changed frames: see `sosie.media.encode.VideoWriter`."""
        return open_writer(self.source, Path(path), codec, crf, preset, threads, shown)

    def close(self) -> None:
        """Lets go of the file."""
        if self._pending is not None:
            # The generator, once collected, closes its container; do it now instead.
            self._pending[1].close()  # type: ignore[attr-defined]
            self._pending = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _peek(self) -> tuple[Any, Iterator[Any]]:
        frames = self._decode()
        first = next(frames, None)
        if first is None:
            start, end = self.span_s
            if end is not None:
                raise UsageError(
                    f"{self.path} has no frame from {start or 0} up to {end} s; give a longer part."
                )
            if start:
                raise UsageError(f"{self.path} has no frame at {start} s or later; start earlier.")
            raise InputError(f"{self.path} has no frames; export it again.")
        return first, frames

    def _decode(self, at_s: Fraction | None = None) -> Iterator[Any]:
        """Decoded frames inside the span, all of one size, in order; from `at_s` on where that is
        given."""
        start: float | Fraction | None
        start, end = self.span_s
        start = start if at_s is None else at_s
        lowest = None if start is None else self._origin + Fraction(start) - _TIME_SLACK
        highest = None if end is None else self._origin + Fraction(end) - _TIME_SLACK
        size: tuple[int, int] | None = None
        for frame in _timed(_in_order(self._decode_from(start), lambda: self._damage)):
            time = frame.pts * frame.time_base
            self._damage.frame(time, time + (frame.duration or 0) * frame.time_base)
            if highest is not None and time >= highest:
                return
            if size is None:
                # A stream may say another size than it has.
                check_frame_size(frame.width, frame.height, self.path)
                size = (frame.width, frame.height)
            elif size != (frame.width, frame.height):
                raise InputError(
                    f"{self.path} changes from {size[0]} x {size[1]} to {frame.width} x "
                    f"{frame.height} pixels at {float(time - self._origin):.2f} s; split it there, "
                    f"or convert it to one size first."
                )
            if lowest is None or time >= lowest:
                yield frame
        lost = self._damage.end(self._end)
        if lost is not None:
            raise InputError(damaged(self.path, lost - self._origin))

    def _decode_from(self, start_s: float | Fraction | None) -> Iterator[Any]:
        """Decoded frames from a key frame at or before `start_s`."""
        earlier = _SEEK_EARLIER_S
        while start_s is not None and start_s > earlier:
            frames = self._decode_at(self._origin + Fraction(start_s) - earlier)
            first = next(frames, None)
            # Some containers land after the time that was asked for.
            if first is not None and (first.time or 0.0) - float(self._origin) <= start_s:
                yield first
                yield from frames
                return
            frames.close()  # type: ignore[attr-defined]
            earlier *= 8
        yield from self._decode_at(None)

    def _decode_at(self, seek: Fraction | None) -> Iterator[Any]:
        with opened(self.path) as container:
            stream = video_stream(container, self.path)
            for other in container.streams:
                if other.index != stream.index:
                    other.discard = Discard.all
            size = stream.codec_context.width * stream.codec_context.height
            stream.thread_type = "SLICE" if size > LARGE_PIXELS else "AUTO"
            stream.thread_count = self._threads
            if seek is not None:
                with suppress(FFmpegError):  # no index to seek by: the video is read from its start
                    container.seek(int(seek / stream.time_base), stream=stream)
            yield from self._decode_packets(container, stream)

    def _decode_packets(self, container: Any, stream: Any) -> Iterator[Any]:
        """Decoded frames, without those that are damaged. Raises InputError where the file ends
        before the video does."""
        self._damage = damage = Damage()
        self._end = self._origin
        decoded = is_cut = False
        decoder = _decoder(stream)

        def on_error(error: FFmpegError, is_tried_further: bool) -> None:
            damage.fault(self._end)
            if not is_tried_further:
                raise InputError(damaged(self.path, self._end - self._origin)) from error

        for packet in readable(container, stream, on_error):
            time = self._end if packet.pts is None else packet.pts * packet.time_base
            # Recordings may begin between key frames, and in the middle of a packet.
            is_damaged = packet.is_corrupt and decoded
            is_cut = is_damaged if packet.size else is_cut
            if is_damaged:
                damage.fault(time)
            elif packet.pts is not None:
                self._end = max(self._end, time + (packet.duration or 0) * packet.time_base)
            try:
                frames = decoder.decode(packet)
            except FFmpegError:
                if decoded:
                    damage.fault(time)
                continue
            decoded = decoded or bool(frames)
            for frame in frames:
                if frame.is_corrupt and frame.pts is not None:
                    damage.fault(frame.pts * frame.time_base)
                yield frame
        declared = declared_end(container, stream)
        is_short = declared is not None and self._end < declared - MISSING_S
        # A recording of a broadcast ends anywhere.
        if decoded and (is_short or (is_cut and container.format.name != "mpegts")):
            raise InputError(cut_short(self.path, float(self._end - self._origin)))


def open_video(
    path: StrPath,
    start_s: float | None = None,
    end_s: float | None = None,
    threads: int | None = None,
) -> Video:
    """Opens a video, or the part of it from `start_s` up to, without, `end_s`.

    start_s, end_s: seconds since the video's start; a frame counts by its own timestamp. threads:
    of the decoder; None uses all. Raises InputError where the file is absent, unreadable, cut
    short, has no video stream or no frames, UsageError where no frame lies in the part, or
    its end is not after its start.
    """
    return Video(Path(path), start_s, end_s, threads)


def _decoder(stream: Any) -> Any:
    """What decodes a stream: the stream itself, but for VP8 and VP9 with transparency, which
    FFmpeg's own decoders leave out."""
    name = {"vp9": "libvpx-vp9", "vp8": "libvpx"}.get(codec_name(stream))
    marks = [stream.metadata.get(key) for key in ("alpha_mode", "ALPHA_MODE")]
    if name is None or "1" not in marks:
        return stream
    decoder = av.CodecContext.create(name, "r")
    decoder.thread_count = stream.thread_count
    return decoder


def check_span(start_s: float | None, end_s: float | None) -> None:
    """Raises UsageError where a part of a video cannot be one."""
    start = 0.0 if start_s is None else start_s
    if not (math.isfinite(start) and start >= 0):
        raise UsageError(f"start must be 0 seconds or more, not {start_s}.")
    if end_s is not None and not (math.isfinite(end_s) and end_s > start):
        raise UsageError(f"end ({end_s} s) must come after start ({start} s).")


def _in_order(frames: Iterator[Any], damage: Callable[[], Damage]) -> Iterator[Any]:
    """Frames whose times rise. A decoder that has lost its references gives one too late; the
    MPEG-4 of an AVI comes in order, but two frames may have each other's time."""
    held: Any = None
    for frame in frames:
        if held is not None and None not in (frame.pts, held.pts) and frame.pts < held.pts:
            if damage().is_found:
                held, frame = frame, held
            else:
                held.pts, frame.pts = frame.pts, held.pts
        if held is not None:
            yield held
        held = frame
    if held is not None:
        yield held


def _timed(frames: Iterator[Any]) -> Iterator[Any]:
    """Frames with a timestamp each, strictly rising: what encoders and containers need. Where a
    video has none, or one that does not rise, it goes by the frame before."""
    last: int | None = None
    step = 1
    for frame in frames:
        if frame.pts is None:
            frame.pts = 0 if last is None else last + step
        elif last is not None and frame.pts <= last:
            frame.pts = last + 1
        step = max(frame.duration or step, 1)
        last = frame.pts
        yield frame


def _orientation(frame: Any) -> tuple[Orientation, tuple[int, ...] | None]:
    """How a frame is turned for display, and the display matrix that says so."""
    with suppress(KeyError, ValueError):  # ValueError: side data of a kind that PyAV does not know
        data = bytes(frame.side_data["DISPLAYMATRIX"])
        matrix = tuple(int(value) for value in np.frombuffer(data, np.int32))
        return Orientation.from_matrix(matrix), matrix
    return Orientation(), None
