"""A stream of frames, from a camera or a program, without its future."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.analysis.analyzer import Analyzer
from sosie.analysis.tracking.tracks import FaceTracker, Tracked
from sosie.errors import UsageError
from sosie.swapping.frame import Assigner, FrameSwapper
from sosie.timing import Stopwatch
from sosie.types import Pixels


@dataclass(frozen=True)
class _Frame:
    pixels: Pixels

    def to_rgb(self) -> Pixels:
        return self.pixels


class SwapStream:
    """Swaps frames one by one: `push` takes one and returns one, `lookahead` frames later.

    Of one stream only one thread may push at a time; another one meets a UsageError. As a context
    manager it forgets its faces at the end. See `FaceSwapper.stream`.
    """

    def __init__(
        self,
        swapper: FrameSwapper,
        assigner: Assigner,
        analyzer: Analyzer,
        fps: float,
        lookahead: int,
    ) -> None:
        """Raises UsageError where fps is not above 0, or lookahead below 0."""
        if not np.isfinite(fps) or fps <= 0:
            raise UsageError(f"fps must be above 0, not {fps}.")
        if lookahead < 0:
            raise UsageError(f"lookahead must be 0 or more, not {lookahead}.")
        self.lookahead = lookahead
        self._swapper, self._assigner = swapper, assigner
        self._tracker: FaceTracker[_Frame] = FaceTracker(analyzer, float(fps), lookahead)
        self._ready: deque[Tracked[_Frame]] = deque()
        self._watch = Stopwatch()
        self._shape: tuple[int, ...] | None = None
        self._dtype: np.dtype[Any] | None = None
        self._pushed = 0
        self._finished = False
        self._busy = threading.Lock()

    def push(self, frame: NDArray[Any]) -> NDArray[Any] | None:
        """Take the next frame and return the one that went in `lookahead` frames before, swapped.

        frame: RGB, h x w x 3, uint8 or uint16; it is not changed. Returns a new array of the same
        shape and type; None while the first `lookahead` frames come in. A frame without a face to
        swap comes back as it was. Raises UsageError on anything else, on a frame of another size or
        type than the first, and after `finish`.
        """
        with self._alone():
            if self._finished:
                raise UsageError("The stream has ended; open another one for more frames.")
            self._require_like_the_first(frame)
            self._pushed += 1
            self._ready.extend(self._tracker.push(_Frame(frame.copy())))
            if self._pushed <= self.lookahead:
                return None
            return self._swapped(self._ready.popleft())

    def finish(self) -> list[NDArray[Any]]:
        """The frames that are still held, swapped, in order. No more can be pushed."""
        with self._alone():
            if self._finished:
                return []
            self._finished = True
            held = [*self._ready, *self._tracker.finish()]
            self._ready.clear()
            return [self._swapped(one) for one in held]

    @property
    def seconds(self) -> dict[str, float]:
        """Busy time so far by stage, and `total`, the time since the stream was opened."""
        return self._watch.report()

    def __enter__(self) -> SwapStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._finished = True
        self._ready.clear()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise UsageError(
                "Another thread is pushing into this stream; push from one thread, or open a "
                "stream for each."
            )
        try:
            yield
        finally:
            self._busy.release()

    def _require_like_the_first(self, frame: NDArray[Any]) -> None:
        if (
            not isinstance(frame, np.ndarray)
            or frame.ndim != 3
            or frame.shape[2] != 3
            or frame.dtype not in (np.uint8, np.uint16)
            or 0 in frame.shape
        ):
            what = getattr(frame, "shape", None), getattr(frame, "dtype", type(frame).__name__)
            raise UsageError(
                f"A frame must be an array of h x w x 3 in uint8 or uint16, RGB, not {what[0]} in "
                f"{what[1]}."
            )
        if self._shape is None:
            self._shape, self._dtype = frame.shape, frame.dtype
        elif frame.shape != self._shape or frame.dtype != self._dtype:
            raise UsageError(
                f"The stream began with frames of {self._shape} in {self._dtype}, and this one has "
                f"{frame.shape} in {frame.dtype}; open another stream for it."
            )

    def _swapped(self, tracked: Tracked[_Frame]) -> NDArray[Any]:
        frame, faces = tracked
        pixels = frame.pixels.copy() if self.lookahead else frame.pixels
        claims = self._assigner.assign(faces)
        self._swapper.swap(pixels, claims, faces, self._watch)
        return pixels
