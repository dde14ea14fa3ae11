"""What is kept of two videos while they are read: numbers by track and frame, and sums."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.evaluation.metric import Missing
from sosie.media.packet_list import Inventory
from sosie.types import FloatArray

# A track of which less is changed was left alone on purpose, if another was swapped.
_LEAST_CHANGED = 0.1


@dataclass
class Sights:
    """Recognition vectors of one track, summed: what their mean similarity needs.

    total: sum of unit vectors, float64. count: how many.
    """

    total: NDArray[np.float64] | float = 0.0
    count: int = 0

    def add(self, vector: FloatArray) -> None:
        """vector: float32, 1-D, of unit length."""
        self.total = self.total + vector.astype(np.float64)
        self.count += 1

    @property
    def pairs(self) -> int:
        return self.count * (self.count - 1) // 2

    @property
    def likeness(self) -> float:
        """Mean cosine similarity of two different sights of the track; NaN of fewer than two.

        In closed form: the squared length of the sum is the sum over all ordered pairs, of which
        each vector with itself gives 1.
        """
        if self.count < 2:
            return math.nan
        square = float(np.sum(np.square(self.total)))
        return (square - self.count) / (self.count * (self.count - 1))


@dataclass
class TrackSeries:
    """One person's face in one scene of the target, on the frames on which it was seen.

    frames: their numbers in the target, from 0; times_s: seconds since its start.
    values: name of a metric's value -> one a frame, NaN where it was not told.
    sights: network's name -> those of the result; sights_target: of the target, on the same frames.
    """

    track: int
    scene: int
    frames: list[int] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)
    sights: dict[str, Sights] = field(default_factory=dict)
    sights_target: dict[str, Sights] = field(default_factory=dict)
    area: float = 0.0

    def add(self, frame: int, time_s: float, moment: dict[str, float], area: float) -> None:
        """One more frame. area: of the face, in square pixels."""
        for name in moment:
            self.values.setdefault(name, [math.nan] * len(self.frames))
        self.frames.append(frame)
        self.times_s.append(time_s)
        for name, values in self.values.items():
            values.append(moment.get(name, math.nan))
        self.area += area

    def of(self, name: str) -> NDArray[np.float64]:
        """The values of that name, one a frame."""
        return np.array(self.values.get(name, [math.nan] * len(self.frames)), np.float64)

    @property
    def changed_share(self) -> float:
        """On which share of its frames the face was changed, 0..1."""
        untouched = self.of("untouched")
        told = untouched[np.isfinite(untouched)]
        return float(1 - told.mean()) if len(told) else 0.0


@dataclass
class VideoSeries:
    """All that the figures of a video are made of.

    target, result: what the files hold. tracks: by number, every face of the target.
    frames: of the target, as decoded. missing: of those, for which the result has none. added:
    frames of the result that stand for none of the target. apart_ms: by how much each frame's time
    differs in the result, in milliseconds. networks: names of those that saw the source.
    kept: metric's name -> what it keeps of each frame that both have.
    """

    target: Inventory
    result: Inventory
    tracks: dict[int, TrackSeries] = field(default_factory=dict)
    frames: int = 0
    missing: int = 0
    added: int = 0
    apart_ms: list[float] = field(default_factory=list)
    networks: tuple[str, ...] = ()
    kept: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def judged(self) -> list[TrackSeries]:
        """The tracks that count as swapped, in order: those of which at least a tenth was changed.

        Where none was, the most prominent one: it was to be swapped, and was not.
        """
        tracks = [self.tracks[number] for number in sorted(self.tracks)]
        changed = [track for track in tracks if track.changed_share >= _LEAST_CHANGED]
        if changed or not tracks:
            return changed
        return [max(tracks, key=lambda track: track.area)]

    def values(self, name: str) -> NDArray[np.float64]:
        """The finite values of that name over all judged tracks."""
        parts = [track.of(name) for track in self.judged]
        joined = np.concatenate(parts) if parts else np.zeros(0)
        return np.asarray(joined[np.isfinite(joined)])


def mean_of(series: VideoSeries, name: str, reason: str) -> float | Missing:
    """The mean over the judged tracks' frames, or, where there is no value, the reason."""
    values = series.values(name)
    return float(values.mean()) if len(values) else Missing(reason)
