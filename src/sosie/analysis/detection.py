"""Where in a frame faces may be: the detector's answers at one or two sizes, as regions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.detector import Detected, Detector
from sosie.geometry import alignment
from sosie.geometry.head_pose import Region, square_matrix, turned_deg

CLOSE_PX, QUICK_PX, THOROUGH_PX = 320, 640, 1920
"""Longer side of the frame as the detector sees it: at the first for faces that fill the frame, at
the second for most, and in a thorough search also at the third. Its smallest face has 16 px, and
what is larger than about half of `QUICK_PX` is not surely found."""

_MIN_SCORE = 0.3
# A frame of which one side is longer by more than this is looked at in windows of this shape at
# least, at most so many. They overlap by the shorter side: no face is larger.
_LONGEST, _MOST_WINDOWS = 3.0, 12
# A face of which the frame cuts off much is found when there is room around it, as a share of the
# frame, which is then seen at this size.
_ROOM, _ROOMY_PX = 0.4, 320
# For a closer look at one place: views of so many times its size, of this side.
_CLOSE_MARGINS, _VIEW_PX, _UPRIGHT_DEG, _MIN_CLOSE_SCORE = (2.2, 3.2), 128, 45.0, 0.05
# The detector knows cut faces from the edges of pictures, and not from streaks in the middle of
# one. A face of which the frame cuts off so much of its size is seen in views that are moved until
# no more than that share of them lies beyond the edge.
_CUT_SHARE, _CUT_MARGINS, _BEYOND_SHARE = 0.1, (1.6, 1.8), 0.15
# Five points of an upright face, mean of the training faces, in sizes of its landmarks' region
# (`topology.region_of`) around that region's center.
_UPRIGHT_POINTS = np.array(
    [(-0.184, -0.192), (0.184, -0.192), (0.0, 0.027), (-0.16, 0.207), (0.16, 0.207)]
)
# The detector's boxes reach up to the hairline: the region's size as a share of theirs, and how far
# its center lies below theirs, in sizes of the region.
_SIZE_SHARE, _CENTER_DOWN = 0.9, 0.07


@dataclass(frozen=True)
class Detection:
    """A place where a face may be. score: the detector's confidence, 0..1."""

    region: Region
    score: float


def find(
    detector: Detector, frame: NDArray[np.uint8], thorough: bool, min_score: float = _MIN_SCORE
) -> list[Detection]:
    """Places where faces may be, best first, each once.

    frame: RGB uint8, H x W x 3. thorough: see `Analyzer.analyze`. min_score: of the detector, 0..1.
    """
    found = []
    for x0, y0, part in _windows(frame):
        for one in _find_in(detector, part, thorough, min_score):
            place = replace(one.region, x=one.region.x + x0, y=one.region.y + y0)
            found.append(replace(one, region=place))
    return _merged(found)


def _windows(frame: NDArray[np.uint8]) -> list[tuple[int, int, NDArray[np.uint8]]]:
    """The parts of a frame that are searched, each with its left and top edge: all of it, or, of a
    panorama, one after another along its longer side."""
    height, width = frame.shape[:2]
    longer, shorter = max(height, width), min(height, width)
    if longer <= _LONGEST * shorter:
        return [(0, 0, frame)]
    needed = (longer + (_MOST_WINDOWS - 1) * shorter) / _MOST_WINDOWS
    side = int(np.ceil(max(_LONGEST * shorter, needed)))
    count = int(np.ceil((longer - side) / (side - shorter))) + 1
    starts = np.linspace(0, longer - side, count).astype(int)
    if width > height:
        return [(int(at), 0, frame[:, at : at + side]) for at in starts]
    return [(0, int(at), frame[at : at + side]) for at in starts]


def _find_in(
    detector: Detector, frame: NDArray[np.uint8], thorough: bool, min_score: float
) -> list[Detection]:
    """As `find`, in one window; places may come twice."""
    longer = max(frame.shape[:2])
    # Smaller pictures are enlarged to the first.
    sides = {min(max(longer, CLOSE_PX), side) for side in (CLOSE_PX, QUICK_PX)}
    if thorough:
        sides.add(min(max(longer, CLOSE_PX), THOROUGH_PX))
    found = [
        one for side in sorted(sides) for one in _look(detector, frame, side / longer, min_score)
    ]
    if not found:
        # Made small before room is laid around it: of a long frame that would be a large square.
        scale = _ROOMY_PX / (longer + 2 * round(_ROOM * longer))
        found = _look(detector, frame, scale, min_score, room=round(_ROOM * longer * scale))
    return found


def is_cut(frame: NDArray[np.uint8], region: Region) -> bool:
    """Whether the frame's edge cuts off a good part of a face: a tenth of its size or more."""
    return _moved_inside(frame, region, region.size_px, _CUT_SHARE) != region


def upright_score(detector: Detector, frame: NDArray[np.uint8], region: Region) -> float:
    """How sure the detector is of an upright face at a place that is made upright, 0..1."""
    cut = is_cut(frame, region)
    scores = []
    for margin in _CUT_MARGINS if cut else _CLOSE_MARGINS:
        shown = region
        if cut:
            shown = _moved_inside(frame, region, region.size_px * margin, _BEYOND_SHARE)
        scores.append(_close_score(detector, frame, region, shown, margin))
    return float(np.mean(scores))


def _moved_inside(
    frame: NDArray[np.uint8], region: Region, side_px: float, beyond_share: float
) -> Region:
    """The region moved so that of the square of that side about it, upright in the frame, no more
    than a share lies beyond the frame; in its middle where the frame is smaller than that."""
    height, width = frame.shape[:2]
    reach = (0.5 - beyond_share) * side_px
    x, y = (
        float(np.clip(at, min(reach, size / 2), max(size - reach, size / 2)))
        for at, size in ((region.x + 0.5, width), (region.y + 0.5, height))
    )
    return replace(region, x=x - 0.5, y=y - 0.5)


def _close_score(
    detector: Detector, frame: NDArray[np.uint8], region: Region, shown: Region, margin: float
) -> float:
    """The best score of an upright face at a region, in a view about another, `shown`."""
    matrix = square_matrix(shown, margin, _VIEW_PX)
    square = np.asarray(alignment.warp(frame, matrix, _VIEW_PX, _VIEW_PX), np.uint8)
    middle = alignment.transform_points([(region.x, region.y)], matrix)[0]
    size = _VIEW_PX / margin
    scores = [
        seen.score
        for seen in map(_detection, detector.detect(square, _MIN_CLOSE_SCORE))
        if np.hypot(seen.region.x - middle[0], seen.region.y - middle[1]) < size / 2
        and abs(seen.region.roll_deg) < _UPRIGHT_DEG
        and 0.5 < seen.region.size_px / size < 2
    ]
    return max(scores, default=0.0)


def _look(
    detector: Detector, frame: NDArray[np.uint8], scale: float, min_score: float, room: int = 0
) -> list[Detection]:
    """What the detector sees in a scaled frame. room: of how many pixels, of the scaled frame, its
    edge is repeated around it."""
    height, width = frame.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = frame if size == (width, height) else cv2.resize(frame, size, interpolation=how)
    if room:
        small = cv2.copyMakeBorder(small, room, room, room, room, cv2.BORDER_REPLICATE)
    across, down = width / size[0], height / size[1]
    found = []
    for seen in map(_detection, detector.detect(np.asarray(small, np.uint8), min_score)):
        region = Region(
            (seen.region.x - room + 0.5) * across - 0.5,
            (seen.region.y - room + 0.5) * down - 0.5,
            seen.region.size_px * (across + down) / 2,
            seen.region.roll_deg,
        )
        found.append(Detection(region, seen.score))
    return found


def _detection(seen: Detected) -> Detection:
    """A box with five points as the region of the face's landmarks."""
    matrix = alignment.fit_similarity(_UPRIGHT_POINTS, seen.points5)
    roll_deg = float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
    # The box bounds a profile better than its points do, which lie close together.
    size_px = _SIZE_SHARE * float(max(seen.box[2] - seen.box[0], seen.box[3] - seen.box[1]))
    down = _CENTER_DOWN * size_px
    x = float(seen.box[0] + seen.box[2]) / 2 - down * float(np.sin(np.radians(roll_deg)))
    y = float(seen.box[1] + seen.box[3]) / 2 + down * float(np.cos(np.radians(roll_deg)))
    return Detection(Region(x, y, size_px, roll_deg), seen.score)


def _merged(found: list[Detection]) -> list[Detection]:
    kept: list[Detection] = []
    for one in sorted(found, key=lambda one: one.score, reverse=True):
        if not any(_same(one.region, other.region) for other in kept):
            kept.append(one)
    return kept


def _same(a: Region, b: Region) -> bool:
    """One place and tilt. Different tilts are kept apart: which is right, the landmarks decide."""
    size = min(a.size_px, b.size_px)
    apart = np.hypot(a.x - b.x, a.y - b.y)
    turned = abs(turned_deg(a.roll_deg, b.roll_deg))
    return bool(apart < size / 2 and max(a.size_px, b.size_px) < 2 * size and turned < 60)
