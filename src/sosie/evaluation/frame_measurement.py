"""One face on one frame of two videos: its pixels cut out upright, and what they tell."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.analyzer import Analyzer
from sosie.evaluation.metrics.untouched_frames import is_untouched
from sosie.evaluation.metrics.video_flicker import flicker
from sosie.evaluation.metrics.video_jitter import drift, jitter
from sosie.geometry import alignment, head_pose
from sosie.geometry.morphable_model import silhouette
from sosie.types import Face, FloatArray

SIDE_PX, FACE_PX = 256, 160.0
"""Side of the squares that a face is cut out by, and the size of the face in them."""

# What was swapped may reach past the face by this much, and is not taken for its surroundings.
_RIM_PX = 33
_PRESET = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM

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
class Seen:
    """A tracked face on one frame. place: where the tracker puts it. target, result: as the
    landmark network reads it in each video, not smoothed; None where it finds none."""

    frame: Frame
    place: Face
    target: Face | None
    result: Face | None


def see(frame: Frame, place: Face, analyzer: Analyzer) -> Seen:
    """Read one tracked face in both videos, in the same square, so that both are read alike."""
    region = head_pose.region_of(place.landmarks)
    result = None if frame.result is None else analyzer.landmarks(frame.result, region)
    return Seen(frame, place, analyzer.landmarks(frame.target, region), result)


class Moments:
    """Measures faces. Holds no state but the flow's buffers."""

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(_PRESET)

    def measure(self, seen: Seen, before: Seen | None) -> dict[str, float]:
        """What is told of a face on a frame, by the names of `video_series.MOMENTS`.

        before: the same track on the frame before; None where it was not seen there.
        """
        if seen.frame.result is None:
            return {}
        square = Square.of(seen.place, seen.frame)
        target, result = square.cut(seen.frame.target), square.cut(seen.frame.result)
        apart = np.abs(target.astype(np.float32) - result).mean(2)
        inside = float(apart[square.face].mean()) if square.face.any() else math.nan
        around = float(np.median(apart[square.around])) if square.around.any() else math.nan
        told = {
            "difference": inside,
            "surroundings": around,
            "untouched": float(is_untouched(inside, around)),
            "found": float(seen.result is not None),
        }
        if before is None or before.frame.result is None:
            return told
        target_before = square.cut(before.frame.target)
        result_before = square.cut(before.frame.result)
        motion = self._motion(target, target_before)
        own = self._motion(result, result_before)
        told["flicker_target"] = flicker(target_before, target, motion, square.face)
        told["flicker"] = flicker(result_before, result, own, square.face)
        told["drift"] = drift(own, motion, square.face, FACE_PX)
        for name, last, now in (
            ("jitter_target", before.target, seen.target),
            ("jitter", before.result, seen.result),
        ):
            if last is not None and now is not None:
                told[name] = jitter(square.points(last), square.points(now), motion, FACE_PX)
        return told

    def _motion(self, after: Picture, before: Picture) -> FloatArray:
        """H x W x 2: from each place of `after` to where that was in `before`."""
        now, last = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (after, before))
        still = np.zeros((*now.shape[:2], 2), np.float32)
        return np.asarray(self._flow.calc(now, last, still), np.float32)


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
