"""Where in a frame to show the detector what: views of several sizes, places and tilts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie import geometry
from sosie.analysis.networks import FaceNetworks
from sosie.analysis.topology import Region, turned_deg

_MIN_SCORE_THOROUGH, _MIN_SCORE_QUICK = 0.4, 0.5
# The detector sees faces from a sixteenth of its view; the overlap of the tiles is that much of
# the whole frame, so that no face falls between the two sizes of view.
_TILE_SHARE = 1 / 4
_TILE_OVERLAP = 0.25
_TILED_FROM_PX = 640
# For a closer look at one place: views of so many times its size, tilts that count as upright.
_CLOSE_MARGINS, _UPRIGHT_DEG, _MIN_CLOSE_SCORE = (3.0, 4.0), 45.0, 0.05
_TILTS_DEG = (0.0, 90.0, 180.0, 270.0)


@dataclass(frozen=True)
class Detection:
    """A place where a face may be. score: the detector's confidence, 0..1."""

    region: Region
    score: float


def find(networks: FaceNetworks, frame: NDArray[np.uint8], thorough: bool) -> list[Detection]:
    """Places where faces may be, best first, each once.

    frame: RGB uint8, H x W x 3. thorough: see `Analyser.analyse`.
    """
    height, width = frame.shape[:2]
    longer = max(height, width)
    centre = ((width - 1) / 2, (height - 1) / 2)
    places = [(*centre, float(longer))]
    if thorough and longer > _TILED_FROM_PX:
        places += [(x, y, longer * _TILE_SHARE) for x, y in _tiles(width, height)]
    tilts = _TILTS_DEG if thorough else _TILTS_DEG[:1]
    min_score = _MIN_SCORE_THOROUGH if thorough else _MIN_SCORE_QUICK
    views = [Region(*place, tilt) for place in places for tilt in tilts]
    found = _look(networks, frame, views, min_score)
    if not found:
        # A face that fills the frame is seen when it is made to fill less of the view.
        views = [Region(*centre, longer * 2, tilt) for tilt in tilts]
        found = _look(networks, frame, views, min_score)
    return _merged(found)


def upright_score(networks: FaceNetworks, frame: NDArray[np.uint8], region: Region) -> float:
    """How sure the detector is of an upright face at a place that is made upright, 0..1."""
    views = [replace(region, size_px=region.size_px * margin) for margin in _CLOSE_MARGINS]
    scores = []
    for view in views:
        here = [
            seen.score
            for seen in _look(networks, frame, [view], _MIN_CLOSE_SCORE)
            if np.hypot(seen.region.x - region.x, seen.region.y - region.y) < region.size_px / 2
            and abs(turned_deg(seen.region.roll_deg, region.roll_deg)) < _UPRIGHT_DEG
        ]
        scores.append(max(here, default=0.0))
    return float(np.mean(scores))


def square_matrix(
    x: float, y: float, size_px: float, roll_deg: float, side_px: float
) -> NDArray[np.float64]:
    """Frame -> upright square: the tilted square around x, y fills `side_px` pixels each way."""
    scale = side_px / size_px
    cosine, sine = scale * np.cos(np.radians(roll_deg)), scale * np.sin(np.radians(roll_deg))
    turn = np.array([[cosine, sine], [-sine, cosine]])
    return np.column_stack([turn, (side_px - 1) / 2 - turn @ (x, y)])


def _look(
    networks: FaceNetworks, frame: NDArray[np.uint8], views: list[Region], min_score: float
) -> list[Detection]:
    side = networks.detector_px
    matrices = [square_matrix(v.x, v.y, v.size_px, v.roll_deg, side) for v in views]
    squares = [
        np.asarray(geometry.warp(frame, matrix, side, side, cv2.BORDER_CONSTANT), np.uint8)
        for matrix in matrices
    ]
    found = []
    answers = networks.detect(squares, min_score)
    for view, matrix, seen in zip(views, matrices, answers, strict=True):
        back, scale = geometry.invert(matrix), view.size_px / side
        for one in seen:
            x, y = geometry.transform_points([[one.x, one.y]], back)[0]
            roll_deg = turned_deg(-view.roll_deg, one.roll_deg)
            region = Region(float(x), float(y), one.size_px * scale, roll_deg)
            found.append(Detection(region, one.score))
    return found


def _tiles(width: int, height: int) -> Iterator[tuple[float, float]]:
    """Centres of overlapping squares that cover the frame."""
    side = max(width, height) * _TILE_SHARE
    for y in _centres(height, side):
        for x in _centres(width, side):
            yield float(x), float(y)


def _centres(length: int, side: float) -> NDArray[np.float64]:
    if side >= length:
        return np.array([(length - 1) / 2])
    count = int(np.ceil((length - side) / (side * (1 - _TILE_OVERLAP)))) + 1
    return np.linspace(side / 2, length - side / 2, count) - 0.5


def _merged(found: list[Detection]) -> list[Detection]:
    kept: list[Detection] = []
    for one in sorted(found, key=lambda one: one.score, reverse=True):
        if not any(_same(one.region, other.region) for other in kept):
            kept.append(one)
    return kept


def _same(a: Region, b: Region) -> bool:
    """One place and tilt. Different tilts are kept apart: which is right, the mesh decides."""
    size = min(a.size_px, b.size_px)
    apart = np.hypot(a.x - b.x, a.y - b.y)
    turned = abs(turned_deg(a.roll_deg, b.roll_deg))
    return bool(apart < size / 2 and max(a.size_px, b.size_px) < 2 * size and turned < 60)
