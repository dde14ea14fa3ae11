"""The frames of a video as they are decoded: in order, of one size, and what is damaged told of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError
from av.stream import Discard

from sosie.errors import InputError
from sosie.media.probe import LARGE_PIXELS, check_frame_size, codec_name, opened, video_stream
from sosie.media.truncation import (
    ALPHA_MODE,
    MISSING_S,
    Damage,
    cut_short,
    damaged,
    declared_end,
    passed_over,
    readable,
)

# A time typed with six decimals means the frame that it was read from.
_TIME_SLACK = Fraction(1, 1_000_000)
# Containers find key frames by decoding time, which may lie this much before the time shown.
_SEEK_EARLIER_S = 2


class VideoDecoder:
    """Decodes a video, or a part of it, as often as it is asked for.

    damage: what was met in the decoding that was begun last.
    """

    def __init__(
        self,
        path: Path,
        origin: Fraction,
        span_s: tuple[float | None, float | None],
        threads: int | None,
    ) -> None:
        """origin: timestamp of the video's start, seconds. span_s: start and end of the part,
        seconds since that, None for no limit. threads: None uses all."""
        self.damage = Damage(self._holes)
        self._path, self._origin, self._span_s = path, origin, span_s
        self._threads = threads or 0
        self._end = Fraction(0)
        self._found_holes: list[tuple[Fraction, Fraction]] | None = None

    def frames(self, at_s: Fraction | None = None) -> Iterator[Any]:
        """Decoded frames inside the span, all of one size, in order; from `at_s` on where that is
        given."""
        start = self._span_s[0] if at_s is None else at_s
        return self._from(start, start)

    def shown_at(self, at_s: Fraction) -> tuple[Any, Any]:
        """The frame of the span that is shown at a time, seconds since the video's start, and the
        one after it: None where it is the last. Before the first frame that one is shown."""
        shown: Any = None
        for frame in self._from(at_s, self._span_s[0]):
            if shown is not None and frame.pts * frame.time_base > self._highest(at_s):
                return shown, frame
            shown = frame
        return shown, None

    def last_s(self) -> float:
        """When the last frame begins, seconds since the video's start, by its packets alone."""
        last = self._origin
        with opened(self._path) as container:
            stream = video_stream(container, self._path)
            for packet in readable(container, stream, lambda _error, _is_tried_further: None):
                if packet.pts is not None:
                    last = max(last, packet.pts * packet.time_base)
        return float(last - self._origin)

    def _holes(self) -> list[tuple[Fraction, Fraction]]:
        """Where FFmpeg passes over broken bytes in silence."""
        if self._found_holes is None:
            with opened(self._path) as container:
                self._found_holes = passed_over(container)
        return self._found_holes

    def _highest(self, at_s: Fraction | float) -> Fraction:
        """The highest timestamp that a frame at a time may have."""
        return self._origin + Fraction(at_s) + _TIME_SLACK

    def _from(
        self, begin_s: float | Fraction | None, low_s: float | Fraction | None
    ) -> Iterator[Any]:
        """Decoded frames from `low_s` up to the span's end, all of one size, in order, of a
        decoding that begins at a key frame at or before `begin_s`."""
        end = self._span_s[1]
        lowest = None if low_s is None else self._origin + Fraction(low_s) - _TIME_SLACK
        highest = None if end is None else self._origin + Fraction(end) - _TIME_SLACK
        size: tuple[int, int] | None = None
        for frame in _timed(_in_order(self._decode_from(begin_s), lambda: self.damage)):
            time = frame.pts * frame.time_base
            self.damage.frame(time, time + (frame.duration or 0) * frame.time_base)
            if highest is not None and time >= highest:
                return
            if size is None:
                # A stream may say another size than it has.
                check_frame_size(frame.width, frame.height, self._path)
                size = (frame.width, frame.height)
            elif size != (frame.width, frame.height):
                raise InputError(
                    f"{self._path} changes from {size[0]} x {size[1]} to {frame.width} x "
                    f"{frame.height} pixels at {float(time - self._origin):.2f} s; split it there, "
                    f"or convert it to one size first."
                )
            if lowest is None or time >= lowest:
                yield frame
        lost = self.damage.end(self._end)
        if lost is not None:
            raise InputError(damaged(self._path, lost - self._origin))

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
        with opened(self._path) as container:
            stream = video_stream(container, self._path)
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
        self.damage = damage = Damage(self._holes)
        self._end = self._origin
        decoded = is_cut = False
        decoder = _decoder(stream)

        def on_error(error: FFmpegError, is_tried_further: bool) -> None:
            damage.fault(self._end)
            if not is_tried_further:
                raise InputError(damaged(self._path, self._end - self._origin)) from error

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
            raise InputError(cut_short(self._path, float(self._end - self._origin)))


def _decoder(stream: Any) -> Any:
    """What decodes a stream: the stream itself, but for VP8 and VP9 with transparency, which
    FFmpeg's own decoders leave out."""
    name = {"vp9": "libvpx-vp9", "vp8": "libvpx"}.get(codec_name(stream))
    marks = [stream.metadata.get(key) for key in ALPHA_MODE]
    if name is None or "1" not in marks:
        return stream
    decoder = av.CodecContext.create(name, "r")
    decoder.thread_count = stream.thread_count
    return decoder


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
