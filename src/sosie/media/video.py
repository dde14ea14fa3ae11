"""Videos: frames out, and, through `VideoWriter`, the video with changed frames back.

    with open_video("in.mp4") as video, video.writer(path) as writer:
        for frame in video.frames():
            frame.paste(change(frame.to_rgb()))
            writer.write(frame)

A frame stays in the planes that were decoded: only samples under a patch ever change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from sosie.errors import InputError
from sosie.files import StrPath
from sosie.media.base_video import BaseVideo
from sosie.media.input_info import VideoSource
from sosie.media.pixel_formats import (
    Box,
    Colors,
    Converter,
    bit_depth,
    native_format,
)
from sosie.media.place import Place, changed_since
from sosie.media.probe import (
    Orientation,
    opened,
    video_info,
    video_origin,
    video_stream,
)
from sosie.media.spool import Spool, Spooled
from sosie.media.truncation import (
    cut_short,
    decoding,
    missing_from_s,
)
from sosie.media.video_decode import VideoDecoder
from sosie.types import Patch, Pixels

# Times are given in seconds, and are not quite those of a clock of fractions.
_TIME_SLACK_S = 1e-6
# How far a container may be wrong about its length; and what a video has that tells no rate.
_DURATION_SLACK_S, _USUAL_FPS = 1.0, 25


class VideoFrame:
    """One frame.

    index: from 0, counted from the first frame that is read. time_s: since the video's start.
    pts, time_base: the frame's own timestamp, in the video's clock. width, height: upright.
    changed: the rectangle that holds all patches so far, x0, y0, x1, y1; None without any.
    """

    __slots__ = ("_native", "_spooled", "_video", "changed", "index", "pts", "time_base", "time_s")

    def __init__(self, video: VideoSource, native: Any, index: int) -> None:
        self._video = video
        self._native = native
        self._spooled: Spooled | None = None
        self.index = index
        self.pts: int = native.pts
        self.time_base: Fraction = native.time_base
        self.time_s = float(self.pts * self.time_base - video.origin)
        self.changed: tuple[int, int, int, int] | None = None

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

    def parts_to_rgb(self, boxes: Sequence[Box]) -> Pixels:
        """As `to_rgb`, but black beyond some boxes (of the upright frame, inside it): what nobody
        looks at is not converted."""
        native, size = self.native, (self.width, self.height)
        deep = bit_depth(native) > 8
        pixels = np.zeros((self.height, self.width, 3), np.uint16 if deep else np.uint8)
        turn = self._video.orientation
        for x0, y0, x1, y1 in boxes:
            width, height = x1 - x0, y1 - y0
            x, y = turn.stored_corner(x0, y0, (width, height), size)
            across, down = (height, width) if turn.swap else (width, height)
            with decoding(self._video.path):
                part = self._video.converter.part_to_rgb(native, (x, y, x + across, y + down))
            pixels[y0:y1, x0:x1] = turn.upright(part)
        return pixels

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
        x0, y0, x1, y1 = self.changed or (patch.x, patch.y, patch.x, patch.y)
        ends = max(x1, patch.x + width), max(y1, patch.y + height)
        self.changed = (min(x0, patch.x), min(y0, patch.y), *ends)

    @property
    def _stored_size(self) -> tuple[int, int]:
        """Width and height, not turned: all frames of a video have those of the first."""
        return self._video.first.width, self._video.first.height


class Video(BaseVideo):
    """A video of a file. Made by `open_video`."""

    def __init__(
        self, path: Path, start_s: float | None, end_s: float | None, threads: int | None
    ) -> None:
        super().__init__(path, start_s, end_s)
        with opened(path) as container:
            stream = video_stream(container, path)
            self._origin = video_origin(container)
            self._decoder = VideoDecoder(path, self._origin, self.span_s, threads)
            missing = missing_from_s(stream, path, self._origin)
            if missing is not None and (end_s is None or end_s > missing):
                raise InputError(cut_short(path, missing))
            first = self._peek()
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
        self._require_room_for_a_face()

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what of the video could not be read, as far as it was."""
        note = self._decoder.damage.note(self._origin)
        return () if note is None else (note,)

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
        yield from self._numbered(self._decode_once(), 0)

    def frames_from(self, place: Place) -> Iterator[VideoFrame]:
        """The frames from one on that an earlier run came to, as `frames` gives them.

        The video is read from a key frame before that one, where that gives the same frame, else
        from its start. Raises InputError as `frames` does, and where the frame is another one now.
        """
        self.close()
        if not place.whole_way:
            start = place.pts * place.time_base - self._origin
            source = self._decoder.frames(start)
            frames = self._numbered(source, place.index)
            first = next(frames, None)
            if first is not None and place.is_here(first):
                yield from chain([first], frames)
                return
            source.close()  # type: ignore[attr-defined]
        frames = self._numbered(islice(self._decode(), place.index, None), place.index)
        first = next(frames, None)
        if first is None or not place.is_here(first):
            raise changed_since(self.path)
        yield from chain([first], frames)

    def frames_at(self, times_s: Sequence[float], counted: bool = False) -> Iterator[VideoFrame]:
        """The frames that are shown at some times of the part, each once, in order of time.

        times_s: ascending, seconds since the video's start. counted: whether each has the index
        that `frames` gives it; the video is then read from the part's start on, else from a key
        frame before each time, and the indices mean nothing. Raises UsageError where a time is not
        in the part, and InputError as `frames` does.
        """
        duration = self.info.duration_s
        # What a container states may be less than there is.
        self._require_in_part(times_s, None if duration is None else duration + _DURATION_SLACK_S)
        known: set[int] = set()
        for frame in self._walked(times_s) if counted else map(self._sought, times_s):
            if frame.pts not in known:
                known.add(frame.pts)
                yield frame

    def spread_times(self, count: int) -> list[float]:
        """Times of `count` frames, evenly over the part: the middles of as many equal lengths."""
        start, end = self.span_s[0] or 0.0, self.span_s[1]
        duration = self.info.duration_s
        if duration is None:
            duration = self._decoder.last_s()
        length = max(0.0, min(duration, end if end is not None else duration) - start)
        return [start + length * (number + 0.5) / count for number in range(count)]

    def _sought(self, time_s: float) -> VideoFrame:
        """The frame that is shown at a time, read from a key frame before it."""
        shown, after = self._decoder.shown_at(Fraction(time_s))
        if shown is None:
            raise InputError(f"{self.path} has no frame at {time_s:g} s; export it again.")
        (frame,) = self._numbered(iter([shown]), 0)
        if after is None:
            self._require_before_end(time_s, frame)
        return frame

    def _walked(self, times_s: Sequence[float]) -> Iterator[VideoFrame]:
        """The same frames, found by reading all from the part's start on."""
        left = list(times_s)
        shown: VideoFrame | None = None
        for frame in self.frames():
            while left and shown is not None and frame.time_s > left[0] + _TIME_SLACK_S:
                left.pop(0)
                yield shown
            if not left:
                return
            shown = frame
        for time in left:
            assert shown is not None, "a video has frames"
            self._require_before_end(time, shown)
            yield shown

    def _require_before_end(self, time_s: float, last: VideoFrame) -> None:
        """Raises UsageError where the last frame is not shown any more at a time."""
        length = (last.native.duration or 0) * last.time_base or 1 / (self.info.fps or _USUAL_FPS)
        self._require_in_part([time_s], last.time_s + float(length))

    def _decode(self) -> Iterator[Any]:
        return self._decoder.frames()

    def _numbered(self, source: Iterator[Any], start: int) -> Iterator[VideoFrame]:
        for index, native in enumerate(source, start):
            if native.format.name != self.source.native_format:
                with decoding(self.path):
                    native = self.source.converter.reformat(native, self.source.native_format)
            yield VideoFrame(self.source, native, index)


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


def _orientation(frame: Any) -> tuple[Orientation, tuple[int, ...] | None]:
    """How a frame is turned for display, and the display matrix that says so."""
    with suppress(KeyError, ValueError):  # ValueError: side data of a kind that PyAV does not know
        data = bytes(frame.side_data["DISPLAYMATRIX"])
        matrix = tuple(int(value) for value in np.frombuffer(data, np.int32))
        return Orientation.from_matrix(matrix), matrix
    return Orientation(), None
