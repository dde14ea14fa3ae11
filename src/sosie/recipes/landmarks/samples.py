"""Training samples of the landmark network: a cached face as the run time may come to see it.

A sample is a square of SIDE_PX pixels about a face, upright and filled to two thirds but for the
errors of who laid it: a detector's box, or the landmarks of the frame before. About one in eight
shows no face that could be read: the square is tilted too far, lies beside the face or on a part of
it, on what the detector took for a face, or shows a picture without one.

Some faces are cut off by the frame's edge. The run time cuts its squares out of a frame with
`geometry.crop`, which repeats the frame's last row or column beyond its edge, so that a square
shows streaks there, at right angles to the edge.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.landmarker import SIDE_PX, cut_square, square_matrix
from sosie.geometry import alignment
from sosie.geometry.head_pose import MIRROR, Region, region_of, turned_deg
from sosie.recipes.augmentation import as_photographed
from sosie.recipes.occluders.simple import add_occluders

Pixels = NDArray[np.uint8]

# Share of the edges that are as those of a frame are to a face in it, upright or nearly; the
# others lie anyhow. Deviation of the former, in degrees.
_LEVEL, _TILT_DEG = 0.8, 12.0


@dataclass(frozen=True)
class FrameEdge:
    """A straight edge in a picture: pixels p with outwards @ p > reach lie beyond it.

    outwards: x, y, unit length, at right angles to the edge.
    """

    outwards: NDArray[np.float64]
    reach: float


def any_direction(rng: np.random.Generator) -> NDArray[np.float64]:
    """Where out of the frame is, seen from a face: left, right, up or down, and a bit askew."""
    angle_deg = 90.0 * float(rng.integers(4)) + float(rng.normal(0, _TILT_DEG))
    if rng.random() >= _LEVEL:
        angle_deg = float(rng.uniform(0, 360))
    angle = np.radians(angle_deg)
    return np.array([np.cos(angle), np.sin(angle)])


def edge_across(
    points: NDArray[np.float32], outwards: NDArray[np.float64], hidden: float
) -> FrameEdge:
    """The edge that leaves a share `hidden` of a face's extent beyond it. points: N x 2 or more."""
    along = points[:, :2] @ outwards
    return FrameEdge(outwards, float(along.max() - hidden * np.ptp(along)))


def cut_off(pixels: Pixels, edge: FrameEdge) -> Pixels:
    """A picture (uint8, H x W x 3) with what the edge shows repeated in all that lies beyond it."""
    height, width = pixels.shape[:2]
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    across, down = (np.float32(value) for value in edge.outwards)
    beyond = np.maximum(across * x[None, :] + down * y[:, None] - np.float32(edge.reach), 0)
    return np.asarray(
        cv2.remap(
            pixels,
            x[None, :] - across * beyond,
            y[:, None] - down * beyond,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )


# Shares of the samples: no face; of the faces, a square laid by a detector, and one laid badly.
_NO_FACE, _ROUGH, _BAD = 0.14, 0.26, 0.06
# Of the squares without a face, those of what the detector took for one.
_HARD_NEGATIVE = 0.5
# Shares of the squares that show things before the face, and that are left as they were cut.
_OCCLUDED, _PLAIN = 0.2, 0.35
# Up to this error of the tilt there is a face to be read, from the other on there is none; between
# them nothing is asked of the presence.
_READ_DEG, _UNREAD_DEG = 50.0, 70.0
# Share of the squares that the frame's edge cuts, with or without a face. As for the tilt, with so
# much of the face's extent beyond the edge it is to be read, and with so much it is not.
_CUT, _READ_HIDDEN, _UNREAD_HIDDEN = 0.15, 0.58, 0.72
# Share of the cut faces of which less than half is left, or nearly.
_SLIVERS = 0.15
# How far a detector takes a cut face's middle for that of what is left of it, as a share of what
# lies beyond the edge.
_PULL = 0.6
_CORNERS = np.array([(x, y) for x in (0, SIDE_PX - 1) for y in (0, SIDE_PX - 1)], np.float32)


@dataclass(frozen=True)
class LabeledFace:
    """A cached face. crop: uint8, square, RGB; landmarks: 478 x 3, its pixels; expression: 52."""

    crop: Pixels
    landmarks: NDArray[np.float32]
    expression: NDArray[np.float32]

    def mirrored(self, expression_mirror: NDArray[np.intp]) -> LabeledFace:
        """The mirror image. expression_mirror: each weight's counterpart on the other side."""
        landmarks = self.landmarks[MIRROR].copy()
        landmarks[:, 0] = self.crop.shape[1] - 1 - landmarks[:, 0]
        return LabeledFace(
            np.asarray(cv2.flip(self.crop, 1), np.uint8),
            landmarks,
            self.expression[expression_mirror],
        )


def make_sample(
    face: LabeledFace,
    other: LabeledFace,
    rng: np.random.Generator,
    hard_negative: tuple[Pixels, Region] | None = None,
) -> dict[str, NDArray[Any]]:
    """One sample. other: another face, which may lend a piece to hide a part of this one.
    hard_negative: a picture and a place in it that is taken for a face and is none.

    pixels: uint8, SIDE_PX x SIDE_PX x 3, RGB. points: float32, 478 x 3, pixels of the square.
    expression: float32, 52, NaN where unknown. presence: float32, 1 a face, 0 none, NaN where
    either is right. readable: float32, 1 where the points are to be learned, else 0.
    """
    outwards, hidden = _frame_edge(rng)
    if rng.random() < _NO_FACE:
        if hard_negative is not None and rng.random() < _HARD_NEGATIVE:
            pixels, points = _negative_square(*hard_negative, rng), np.zeros_like(face.landmarks)
        else:
            pixels, points = without_face(face, other, rng)
        presence = readable = 0.0
    else:
        region, tilt_deg = laid(region_of(face.landmarks), rng)
        if hidden:
            region = _pulled(region, outwards, hidden, rng)
        pixels, points = cut(face, region)
        presence = _presence(tilt_deg, hidden)
        readable = float(hidden < _UNREAD_HIDDEN)
        if rng.random() < _OCCLUDED:
            pixels = add_occluders(pixels, points, other.crop, rng)
    if rng.random() >= _PLAIN:
        pixels = as_photographed(pixels, rng)
    if hidden:
        # Noise and compression are the video's; the square is cut out of it afterwards.
        about = points if points.any() else _CORNERS
        pixels = cut_off(pixels, edge_across(about, outwards, hidden))
    return {
        "pixels": np.ascontiguousarray(pixels),
        "points": points,
        "expression": face.expression.astype(np.float32),
        "presence": np.array(presence, np.float32),
        "readable": np.array(readable, np.float32),
    }


def cut(face: LabeledFace, region: Region) -> tuple[Pixels, NDArray[np.float32]]:
    """The square of a region of a face's crop, and the landmarks in it."""
    matrix = square_matrix(region)
    return _square(face.crop, matrix), alignment.transform_points(face.landmarks, matrix)


def _square(picture: Pixels, matrix: NDArray[np.float64]) -> Pixels:
    size, how = (SIDE_PX, SIDE_PX), cv2.INTER_LINEAR
    pixels = cv2.warpAffine(picture, matrix, size, flags=how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(pixels, np.uint8)


def laid(region: Region, rng: np.random.Generator) -> tuple[Region, float]:
    """A face's region as somebody finds it, and the error of its tilt in degrees."""
    kind = rng.random()
    if kind < _BAD:
        shift = rng.uniform(-0.22, 0.22, 2)
        growth, turn_deg = rng.uniform(-0.35, 0.35), rng.uniform(-65, 65)
        return _moved(region, shift, growth, turn_deg), float(turn_deg)
    if kind < _BAD + _ROUGH:
        moved = laid_roughly(region, rng)
        return moved, turned_deg(region.roll_deg, moved.roll_deg)
    shift = rng.normal(0, 0.02, 2)
    growth, turn_deg = rng.normal(0, 0.025), rng.normal(0, 2.5)
    return _moved(region, shift, growth, turn_deg), float(turn_deg)


def laid_roughly(region: Region, rng: np.random.Generator) -> Region:
    """A face's region as a detector finds it."""
    turn_deg = float(np.clip(rng.normal(0, 9), -22, 22))
    return _moved(region, rng.uniform(-0.12, 0.12, 2), rng.uniform(-0.15, 0.15), turn_deg)


def _moved(region: Region, shift: NDArray[np.float64], growth: float, turn_deg: float) -> Region:
    """shift: in sizes of the region; growth: natural logarithm of the factor."""
    return Region(
        region.x + float(shift[0]) * region.size_px,
        region.y + float(shift[1]) * region.size_px,
        region.size_px * float(np.exp(growth)),
        region.roll_deg + turn_deg,
    )


def _presence(tilt_deg: float, hidden: float) -> float:
    """Of a face laid with an error of its tilt, and with a share beyond the frame's edge."""
    if abs(tilt_deg) >= _UNREAD_DEG or hidden >= _UNREAD_HIDDEN:
        return 0.0
    return 1.0 if abs(tilt_deg) <= _READ_DEG and hidden <= _READ_HIDDEN else float("nan")


def _frame_edge(rng: np.random.Generator) -> tuple[NDArray[np.float64], float]:
    """Where the frame ends, a direction, and how much of the face is beyond; mostly nothing."""
    if rng.random() >= _CUT:
        return np.zeros(2), 0.0
    most = 0.9 if rng.random() < _SLIVERS else _READ_HIDDEN
    least = _READ_HIDDEN if most > _READ_HIDDEN else 0.05
    return any_direction(rng), float(rng.uniform(least, most))


def _pulled(
    region: Region, outwards: NDArray[np.float64], hidden: float, rng: np.random.Generator
) -> Region:
    """The region of a face that the frame cuts, as a detector finds it: drawn to what is left.

    outwards: a direction in the square.
    """
    roll = np.radians(region.roll_deg)
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return _moved(region, -rng.uniform(0, _PULL) * hidden / 2 * (turn @ outwards), 0.0, 0.0)


def without_face(
    face: LabeledFace, other: LabeledFace, rng: np.random.Generator
) -> tuple[Pixels, NDArray[np.float32]]:
    """A square in which no upright face is to be seen, and points that mean nothing."""
    region = region_of(face.landmarks)
    kind = rng.random()
    if kind < 0.35:
        region = laid(region, rng)[0]
        turned = rng.choice((-1, 1)) * rng.uniform(_UNREAD_DEG, 180)
        region = replace(region, roll_deg=region.roll_deg + float(turned))
    elif kind < 0.6:
        region = _beside(region, rng)
    elif kind < 0.75:
        region = _part_of(region, rng)
    else:
        pixels = _shuffled(other.crop, rng) if kind < 0.88 else _texture(rng)
        return pixels, np.zeros_like(face.landmarks)
    return cut(face, region)


def _negative_square(picture: Pixels, region: Region, rng: np.random.Generator) -> Pixels:
    """What is no face, in a square laid as a detector or the frame before lays it."""
    pixels, _ = cut_square(picture, laid(region, rng)[0])
    return np.asarray(cv2.flip(pixels, 1), np.uint8) if rng.random() < 0.5 else pixels


def _beside(region: Region, rng: np.random.Generator) -> Region:
    """A square that a cached crop still holds and that has at most an edge of the face."""
    angle, size = rng.uniform(0, 2 * np.pi), region.size_px * rng.uniform(0.25, 0.7)
    # The squares' margin of a half and the face's own half: from there on the two are apart.
    away = 0.5 * region.size_px + 0.6 * size
    return Region(
        region.x + float(np.cos(angle)) * away,
        region.y + float(np.sin(angle)) * away,
        size,
        float(rng.uniform(-180, 180)),
    )


def _part_of(region: Region, rng: np.random.Generator) -> Region:
    x, y = rng.uniform(-0.35, 0.35, 2) * region.size_px
    size = region.size_px * rng.uniform(0.15, 0.4)
    return Region(
        region.x + float(x), region.y + float(y), size, region.roll_deg + float(rng.normal(0, 30))
    )


def _shuffled(crop: Pixels, rng: np.random.Generator) -> Pixels:
    """A picture cut into squares that change places and are turned."""
    cells = int(rng.integers(3, 7))
    side = crop.shape[0] // cells
    whole = crop[: side * cells, : side * cells].reshape(cells, side, cells, side, 3)
    pieces = whole.transpose(0, 2, 1, 3, 4).reshape(cells * cells, side, side, 3)
    pieces = np.rot90(pieces[rng.permutation(len(pieces))], int(rng.integers(4)), (1, 2))
    mixed = pieces.reshape(cells, cells, side, side, 3).transpose(0, 2, 1, 3, 4)
    mixed = np.ascontiguousarray(mixed.reshape(side * cells, side * cells, 3))
    return np.asarray(cv2.resize(mixed, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8)


def _texture(rng: np.random.Generator) -> Pixels:
    """Colored blobs or checks, coarse or fine."""
    cells = int(rng.integers(2, 24))
    coarse = rng.integers(0, 256, (cells, cells, 3), np.uint8)
    how = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(rng.integers(3))]
    return np.asarray(cv2.resize(coarse, (SIDE_PX, SIDE_PX), interpolation=how), np.uint8)
