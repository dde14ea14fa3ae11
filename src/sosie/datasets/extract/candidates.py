"""One frame or photo -> its faces, measured, judged by rules and cut out.

Frames do not matter to one another here, so several can be looked at at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.analyzer import Analyzer, to_8_bit, without_doubles
from sosie.analysis.quality import sharpness
from sosie.datasets import hints
from sosie.datasets.extract import measurements
from sosie.datasets.extract.measurements import Light
from sosie.datasets.extract.options import ExtractOptions
from sosie.datasets.hints import Hint
from sosie.geometry import alignment, head_pose
from sosie.geometry.morphable_model import face_shape
from sosie.types import Face, FloatArray, Pixels

REASONS = MappingProxyType(
    {
        "tilted": "the head is tilted",
        "small": "the face fills little of the picture",
        "blurred": "out of focus, or moving",
        "covered": "something hides the face, or the frame's edge cuts it off",
        "turned": "turned away from the camera",
    }
)
"""Name of a rule, and of the folder of what it rejects -> what it means. In this order they are
asked; the first that holds names the folder."""

# In a template that shows the mean face smaller than this, so much smaller may faces be.
_USUAL_SHARE = 0.5


def tilt_deg(face: Face) -> float:
    """By how much the head is tilted in the frame, 0..180. The line of the eyes tells, and with it
    that from forehead to chin, as a profile's eyes are nearly behind one another."""
    return abs(head_pose.tilt_deg(face.landmarks))


def turn_deg(face: Face) -> float:
    """The angle between where the face looks and the camera, 0..180: a full profile has 90."""
    yaw, pitch = np.radians([face.pose.yaw, face.pose.pitch])
    return float(np.degrees(np.arccos(np.clip(np.cos(yaw) * np.cos(pitch), -1, 1))))


def share(face: Face, pixels_a_pixel: float, side_px: int) -> float:
    """The longer side of the face as a share of the picture's side.

    pixels_a_pixel: by how much the picture enlarges the frame.
    """
    return face.size_px * pixels_a_pixel / side_px


def rejection(figures: Mapping[str, float], options: ExtractOptions) -> str:
    """The first rule by which a face is rejected, "" where none holds.

    figures: by the names of REASONS: the tilt in degrees, the share of the picture, the blur in
    pixels, how much is seen (0..1), the turn in degrees.
    """
    most = {
        "tilted": options.max_tilt_deg,
        "blurred": options.max_blur_px,
        "turned": options.max_turn_deg,
    }
    least = {"small": options.min_share, "covered": options.min_visible}
    if least["small"] is not None:
        least["small"] *= min(1.0, usual_share(options.align) / _USUAL_SHARE)
    for reason in REASONS:
        high, low = most.get(reason), least.get(reason)
        if high is not None and figures[reason] > high:
            return reason
        if low is not None and figures[reason] < low:
            return reason
    return ""


@cache
def usual_share(template: str) -> float:
    """The longer side of the mean face as a share of the picture's side."""
    mean = face_shape().mean.astype(np.float32)[:, :2]
    matrix = alignment.align_matrix(head_pose.five_points(mean), template, 1)
    return float(np.ptp(mean, axis=0).max()) * alignment.scale_of(matrix)


_WHOLE = 1e-6
# The detector knows faces from 16 px on, and misses few of this size.
_SURELY_FOUND_PX = 28.0
_LEAST_SIDE_PX = 320


@dataclass(frozen=True)
class Found:
    """A face, as it is to be stored.

    position: its place among all faces of the frame, from the left. picture: RGB uint8, side x
    side x 3. matrix: frame -> picture. rejected: the rule that rejects it, or "".
    """

    position: int
    frame_width: int
    frame_height: int
    face: Face
    picture: NDArray[np.uint8]
    matrix: NDArray[np.float64]
    identity: FloatArray
    sharpness: float
    blur_px: float
    light: Light
    visible: float
    phash: int
    rejected: str

    @property
    def clarity(self) -> float:
        """Of several pictures of a face, the one with the highest is the best to have."""
        return self.visible * self.sharpness


@dataclass(frozen=True)
class Look:
    """What a frame shows. too_small: how many faces were left out for their size. unconfirmed: how
    many another tool told of that were not found."""

    faces: tuple[Found, ...]
    too_small: int
    unconfirmed: int = 0


def look(
    pixels: Pixels, analyzer: Analyzer, options: ExtractOptions, hint: Hint | None = None
) -> Look:
    """The faces of a frame (RGB, H x W x 3, uint8 or uint16), from left to right; those alone that
    another tool knew of, where there is a hint."""
    frame = to_8_bit(pixels)
    unconfirmed = 0
    if hint is None:
        faces = _faces(frame, analyzer, options)
    else:
        faces = _hinted(frame, analyzer, options, hint)
        told = hint.unread + (1 if hint.faces is None else len(hint.faces))
        unconfirmed = told - len(faces)
    large = [
        (position, face)
        for position, face in enumerate(faces)
        if _side_in_frame(face, options) >= options.min_face_px
    ]
    found = tuple(_found(frame, face, position, analyzer, options) for position, face in large)
    return Look(found, len(faces) - len(large), unconfirmed)


def _hinted(
    frame: NDArray[np.uint8], analyzer: Analyzer, options: ExtractOptions, hint: Hint
) -> list[Face]:
    """The faces that another tool knew of, as far as they are found, from left to right."""
    if hint.faces is None:
        middle = np.array(frame.shape[1::-1]) / 2
        near = sorted(
            _faces(frame, analyzer, options),
            key=lambda face: float(np.linalg.norm(face.center - middle)),
        )
        return near[:1]
    found = []
    for points in hint.faces:
        region = hints.region_of(points)
        # Points that all coincide are no face's.
        face = analyzer.confirm(frame, region) if region.size_px >= 1 else None
        if face is not None and hints.agrees(face, points):
            found.append(face)
    return sorted(found, key=lambda face: face.center)


def _faces(frame: NDArray[np.uint8], analyzer: Analyzer, options: ExtractOptions) -> list[Face]:
    """All faces that are large enough, and perhaps smaller ones, from left to right.

    They are searched in a copy in which the smallest that counts is just found surely.
    """
    least_px = options.min_face_px * usual_share(options.align)
    scale = min(1.0, _SURELY_FOUND_PX / max(least_px, 1.0))
    size = round(frame.shape[1] * scale), round(frame.shape[0] * scale)
    if min(size) < _LEAST_SIDE_PX:
        size = frame.shape[1], frame.shape[0]
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    by = frame.shape[1] / size[0]
    found = []
    for seen in analyzer.detect(np.asarray(small, np.uint8)):
        region = replace(
            seen.region,
            x=(seen.region.x + 0.5) * by - 0.5,
            y=(seen.region.y + 0.5) * by - 0.5,
            size_px=seen.region.size_px * by,
        )
        face = analyzer.confirm(frame, region)
        if face is not None:
            found.append(face)
    return sorted(without_doubles(found), key=lambda face: face.center)


def _side_in_frame(face: Face, options: ExtractOptions) -> float:
    """Side of the template's square in pixels of the frame."""
    matrix = alignment.align_matrix(face.points5, options.align, options.size_px)
    return options.size_px / max(alignment.scale_of(matrix), _WHOLE)


def _found(
    frame: NDArray[np.uint8],
    face: Face,
    position: int,
    analyzer: Analyzer,
    options: ExtractOptions,
) -> Found:
    side_px = options.size_px
    if not options.enlarge:
        side_px = max(1, min(side_px, int(_side_in_frame(face, options) + _WHOLE)))
    matrix = alignment.align_matrix(face.points5, options.align, side_px)
    own = measurements.own_scale(frame, face)
    view = analyzer.visible(frame, face.landmarks)
    seen = measurements.seen(view, face, frame.shape[1], frame.shape[0])
    blur_px = measurements.blur_px(own)
    told = {
        "tilted": tilt_deg(face),
        "small": share(face, alignment.scale_of(matrix), side_px),
        "blurred": blur_px,
        "covered": min(seen.face, seen.feature),
        "turned": turn_deg(face),
    }
    return Found(
        position=position,
        frame_width=frame.shape[1],
        frame_height=frame.shape[0],
        face=face,
        picture=np.asarray(alignment.crop(frame, matrix, side_px), np.uint8),
        matrix=matrix,
        identity=analyzer.identify(frame, face),
        sharpness=sharpness(frame, face),
        blur_px=blur_px,
        light=measurements.light(own),
        visible=seen.face,
        phash=measurements.phash(frame, face),
        rejected=rejection(told, options),
    )
