"""Two videos frame by frame: which frame of the result stands for which of the target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from sosie.analysis.tracking.shots import HasPixels
from sosie.types import Pixels


class Timed(HasPixels, Protocol):
    """A frame with its time, as `sosie.media.video` reads it."""

    @property
    def index(self) -> int:
        """From 0."""

    @property
    def time_s(self) -> float:
        """Since the video's start."""


@dataclass(frozen=True)
class FramePair:
    """A frame of the target, and the result's that stands for it; None where there is none.

    It passes for the target's frame in `sosie.analysis.tracking.tracks.track_video`.
    """

    target: Timed
    result: Timed | None

    def to_rgb(self) -> Pixels:
        return self.target.to_rgb()


class Pairing:
    """Pairs the frames of two videos as they are read.

    in_order: the first with the first and so on, for videos of equally many frames. Otherwise the
    result's frame nearest in time, if it is no more than half a frame away.
    missing: frames of the target without one so far; added: the result's that were passed over.
    apart_ms: by how much the times of each pair differ, the result's less the target's.
    """

    def __init__(self, in_order: bool, frame_s: float, start_s: float = 0.0) -> None:
        """frame_s: the time from one frame of the target to the next. start_s: the time in the
        target at which the result begins."""
        self.missing = 0
        self.added = 0
        self.apart_ms: list[float] = []
        self._in_order = in_order
        self._reach_s = frame_s / 2
        self._start_s = start_s

    def pairs(self, target: Iterable[Timed], result: Iterable[Timed]) -> Iterator[FramePair]:
        """Every frame of the target in order. Reads both videos once, side by side."""
        rest = iter(result)
        matched = self._ordered(target, rest) if self._in_order else self._timed(target, rest)
        for frame, found in matched:
            if found is None:
                self.missing += 1
            else:
                self.apart_ms.append(1000 * (found.time_s - self._shown_s(frame)))
            yield FramePair(frame, found)
        self.added += sum(1 for _ in rest)

    def _ordered(
        self, target: Iterable[Timed], rest: Iterator[Timed]
    ) -> Iterator[tuple[Timed, Timed | None]]:
        for frame in target:
            yield frame, next(rest, None)

    def _timed(
        self, target: Iterable[Timed], rest: Iterator[Timed]
    ) -> Iterator[tuple[Timed, Timed | None]]:
        waiting = next(rest, None)
        for frame in target:
            best: Timed | None = None
            while waiting is not None and waiting.time_s < self._shown_s(frame) + self._reach_s:
                if self._nearer(waiting, best, frame):
                    best = waiting
                waiting = next(rest, None)
                self.added += 1
            self.added -= best is not None
            yield frame, best
        self.added += waiting is not None

    def _nearer(self, one: Timed, best: Timed | None, frame: Timed) -> bool:
        """Whether a frame of the result is within reach, and nearer than the best so far."""
        shown_s = self._shown_s(frame)
        away = abs(one.time_s - shown_s)
        if best is None:
            return away <= self._reach_s
        return away < abs(best.time_s - shown_s)

    def _shown_s(self, frame: Timed) -> float:
        """When a frame of the target is shown in the result's time."""
        return frame.time_s - self._start_s
