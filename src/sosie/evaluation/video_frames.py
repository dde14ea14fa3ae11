"""Two videos frame by frame: which frame of the result stands for which of the target, each tracked
face on such a pair, and what is kept of all while they are read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.tracking.shots import HasPixels
from sosie.evaluation.metric import Missing
from sosie.geometry import alignment, head_pose
from sosie.geometry.morphable_model import silhouette
from sosie.media.packet_list import Inventory
from sosie.types import Face, FloatArray, Pixels

SIDE_PX, FACE_PX = 256, 160.0
"""Side of the squares that a face is cut out by, and the size of the face in them."""

# What was swapped may reach past the face by this much, and is not taken for its surroundings.
_RIM_PX = 33

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """One frame of both videos. index: in the target, from 0. target, result: RGB uint8, of one
    size, H x W x 3; result is None where the video has none for this frame."""

    index: int
    time_s: float
    target: Picture
    result: Picture | None


@dataclass(frozen=True)
class Step:
    """A face's frame before, in the square of the frame, and the motion since: H x W x 2, from each
    place to where that was before."""

    target: Picture
    result: Picture
    target_motion: FloatArray
    result_motion: FloatArray


@dataclass(frozen=True)
class Sight:
    """A tracked face on one frame that both videos have.

    place: where the tracker puts it. target_face, result_face: as the landmark network reads it in
    each video, in the same square and not smoothed; None where it finds none. before: the same
    track on the frame before; None where it was not seen there in both.
    identities: network's name -> vectors of the target's face and of the result's, where they were
    described on this frame. sources: network's name -> vector of the source.
    """

    frame: Frame
    place: Face
    target_face: Face | None = None
    result_face: Face | None = None
    before: Sight | None = None
    identities: Mapping[str, tuple[FloatArray, FloatArray]] = field(default_factory=dict)
    sources: Mapping[str, FloatArray] = field(default_factory=dict)

    @cached_property
    def square(self) -> Square:
        return Square.of(self.place, self.frame)

    @cached_property
    def target(self) -> Picture:
        """The target's square, RGB uint8, SIDE_PX x SIDE_PX x 3."""
        return self.square.cut(self.frame.target)

    @cached_property
    def result(self) -> Picture:
        """The result's, which must be there."""
        assert self.frame.result is not None
        return self.square.cut(self.frame.result)

    @cached_property
    def step(self) -> Step | None:
        """What came before; None where nothing did."""
        if self.before is None or self.before.frame.result is None:
            return None
        target = self.square.cut(self.before.frame.target)
        result = self.square.cut(self.before.frame.result)
        return Step(target, result, _motion(self.target, target), _motion(self.result, result))


def _motion(after: Picture, before: Picture) -> FloatArray:
    """H x W x 2: from each place of `after` to where that was in `before`."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    now, last = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (after, before))
    still = np.zeros((*now.shape[:2], 2), np.float32)
    return np.asarray(flow.calc(now, last, still), np.float32)


@dataclass(frozen=True)
class Square:
    """The upright square around a face. matrix: frame -> square, 2 x 3. face, around: bool,
    SIDE_PX x SIDE_PX: the face's pixels, and those of its surroundings that the frame has."""

    matrix: NDArray[np.float64]
    face: NDArray[np.bool_]
    around: NDArray[np.bool_]

    @classmethod
    def of(cls, place: Face, frame: Frame) -> Square:
        region = head_pose.region_of(place.landmarks)
        matrix = head_pose.square_matrix(region, SIDE_PX / FACE_PX, SIDE_PX)
        points = alignment.transform_points(place.landmarks, matrix)
        surface = silhouette(points, SIDE_PX, SIDE_PX)
        height, width = frame.target.shape[:2]
        corners = np.array([(0, 0), (width, 0), (width, height), (0, height)]) - 0.5
        shown = alignment.fill_polygon(
            alignment.transform_points(corners, matrix), SIDE_PX, SIDE_PX, antialiased=False
        )
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_RIM_PX, _RIM_PX))
        rim = cv2.dilate(surface, kernel)
        return cls(matrix, (surface > 127) & (shown > 0), (rim == 0) & (shown > 0))

    def cut(self, picture: Picture) -> Picture:
        """The square, RGB uint8, SIDE_PX x SIDE_PX x 3, antialiased."""
        return np.asarray(alignment.crop(picture, self.matrix, SIDE_PX), np.uint8)

    def points(self, face: Face) -> FloatArray:
        """The face's landmarks in the square, 478 x 2."""
        return alignment.transform_points(face.landmarks[:, :2], self.matrix)


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
