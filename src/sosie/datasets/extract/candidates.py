"""One frame or photo -> its faces, measured, judged and cut out. Frames do not matter to one
another here, so several can be looked at at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.analyzer import Analyzer, to_8_bit, without_doubles
from sosie.analysis.quality import sharpness
from sosie.datasets.extract import measurements, rules
from sosie.datasets.extract.measurements import Light
from sosie.datasets.extract.options import ExtractOptions
from sosie.geometry import alignment
from sosie.types import Face, FloatArray, Pixels

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
    """What a frame shows. too_small: how many faces were left out for their size."""

    faces: tuple[Found, ...]
    too_small: int


def look(pixels: Pixels, analyzer: Analyzer, options: ExtractOptions) -> Look:
    """The faces of a frame (RGB, H x W x 3, uint8 or uint16), from left to right."""
    frame = to_8_bit(pixels)
    faces = _faces(frame, analyzer, options)
    large = [
        (position, face)
        for position, face in enumerate(faces)
        if _side_in_frame(face, options) >= options.min_face_px
    ]
    found = tuple(_found(frame, face, position, analyzer, options) for position, face in large)
    return Look(found, len(faces) - len(large))


def _faces(frame: NDArray[np.uint8], analyzer: Analyzer, options: ExtractOptions) -> list[Face]:
    """All faces that are large enough, and perhaps smaller ones, from left to right.

    They are searched in a copy in which the smallest that counts is just found surely.
    """
    least_px = options.min_face_px * rules.usual_share(options.align)
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
        "tilted": rules.tilt_deg(face),
        "small": rules.share(face, alignment.scale_of(matrix), side_px),
        "blurred": blur_px,
        "covered": min(seen.face, seen.feature),
        "turned": rules.turn_deg(face),
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
        rejected=rules.rejection(told, options),
    )
