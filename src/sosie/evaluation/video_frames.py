"""Two videos frame by frame: which frame of the result stands for which of the target, and each
tracked face on such a pair, cut out upright."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.tracking.shots import HasPixels
from sosie.geometry import alignment, head_pose
from sosie.geometry.morphable_model import silhouette
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
