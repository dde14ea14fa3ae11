"""What all videos have in common, whatever they are read from."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sosie.errors import InputError, UsageError
from sosie.files import StrPath
from sosie.media.base_writer import Writer
from sosie.media.encoders import KEEP
from sosie.media.input_info import VideoSource
from sosie.media.probe import MIN_SIDE_PX, VideoInfo
from sosie.media.writers import open_writer


class BaseVideo(ABC):
    """An open video, or a part of one. Close it, or use it as a context manager.

    source: all that is known of it. span_s: start and end of the part that is read, seconds since
    the video's start, None for no limit.
    """

    source: VideoSource

    def __init__(self, path: Path, start_s: float | None, end_s: float | None) -> None:
        """Raises UsageError where the end of the part is not after its start."""
        _check_span(start_s, end_s)
        self.path = path
        self.span_s = (start_s, end_s)
        self._pending: tuple[Any, Iterator[Any]] | None = None

    @property
    def info(self) -> VideoInfo:
        """What the video is."""
        return self.source.info

    @property
    def frame_bytes(self) -> int:
        """What a decoded frame takes in memory."""
        return sum(plane.buffer_size for plane in self.source.first.planes)

    def writer(
        self,
        path: StrPath,
        codec: str = KEEP,
        crf: int = 18,
        preset: str = "veryfast",
        threads: int | None = None,
        shown: StrPath | None = None,
    ) -> Writer:
        """A writer of this video with changed frames, as a video, a sequence or an animation: see
        `sosie.media.video_write.VideoWriter`."""
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

    @abstractmethod
    def _decode(self) -> Iterator[Any]:
        """What is decoded of the part, from its start on."""

    def _peek(self) -> Any:
        """The first that is decoded. It stays to be read."""
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
        self._pending = (first, frames)
        return first

    def _decode_once(self) -> Iterator[Any]:
        """As `_decode`, going on from what was peeked at."""
        if self._pending is None:
            return self._decode()
        first, rest = self._pending
        self._pending = None
        return chain([first], rest)

    def _require_in_part(self, times_s: Sequence[float], last_s: float | None = None) -> None:
        """Raises UsageError where a time is not in the part, or after the end of the video's last
        frame, where that is known."""
        start, end = self.span_s[0] or 0.0, self.span_s[1]
        for time in times_s:
            if not (math.isfinite(time) and start <= time and (end is None or time < end)):
                to = "on" if end is None else f"up to {end:g} s"
                raise UsageError(
                    f"The time {time:g} s is not in the part of {self.path} from {start:g} s {to}; "
                    f"give one that is."
                )
            if last_s is not None and time >= last_s:
                raise UsageError(
                    f"{self.path} ends at {last_s:.2f} s and has no frame at {time:g} s; give an "
                    f"earlier time."
                )

    def _require_room_for_a_face(self) -> None:
        if min(self.info.width, self.info.height) < MIN_SIDE_PX:
            self.close()
            raise InputError(
                f"{self.path} is {self.info.width} x {self.info.height} pixels, too small for a "
                f"face; use a video of at least {MIN_SIDE_PX} pixels a side."
            )


def _check_span(start_s: float | None, end_s: float | None) -> None:
    """Raises UsageError where a part of a video cannot be one."""
    start = 0.0 if start_s is None else start_s
    if not (math.isfinite(start) and start >= 0):
        raise UsageError(f"start must be 0 seconds or more, not {start_s}.")
    if end_s is not None and not (math.isfinite(end_s) and end_s > start):
        raise UsageError(f"end ({end_s} s) must come after start ({start} s).")
