"""Training samples of the landmark network: a cached face as the run time may come to see it.

A sample is a square of SIDE_PX pixels about a face, upright and filled to two thirds but for the
errors of who laid it: a detector's box, or the landmarks of the frame before. About one in eight
shows no face that could be read: the square is tilted too far, lies beside the face or on a part
of it, or shows a picture without one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie import geometry
from sosie.analysis.landmarker import SIDE_PX, square_matrix
from sosie.analysis.topology import MIRROR, Region, region_of, turned_deg
from sosie.training.analysis.landmarks.occluders import add_occluders
from sosie.training.analysis.photographed import as_photographed

Pixels = NDArray[np.uint8]

# Shares of the samples: no face; of the faces, a square laid by a detector, and one laid badly.
_NO_FACE, _ROUGH, _BAD = 0.12, 0.26, 0.06
# Shares of the squares that show things before the face, and that are left as they were cut.
_OCCLUDED, _PLAIN = 0.2, 0.35
# Up to this error of the tilt there is a face to be read, from the other on there is none; between
# them nothing is asked of the presence.
_READ_DEG, _UNREAD_DEG = 50.0, 70.0


@dataclass(frozen=True)
class LabelledFace:
    """A cached face. crop: uint8, square, RGB; landmarks: 478 x 3, its pixels; expression: 52."""

    crop: Pixels
    landmarks: NDArray[np.float32]
    expression: NDArray[np.float32]

    def mirrored(self, expression_mirror: NDArray[np.intp]) -> LabelledFace:
        """The mirror image. expression_mirror: each weight's counterpart on the other side."""
        landmarks = self.landmarks[MIRROR].copy()
        landmarks[:, 0] = self.crop.shape[1] - 1 - landmarks[:, 0]
        return LabelledFace(
            np.asarray(cv2.flip(self.crop, 1), np.uint8),
            landmarks,
            self.expression[expression_mirror],
        )


def make_sample(
    face: LabelledFace, other: LabelledFace, rng: np.random.Generator
) -> dict[str, NDArray[Any]]:
    """One sample. other: another face, which may lend a piece to hide a part of this one.

    pixels: uint8, SIDE_PX x SIDE_PX x 3, RGB. points: float32, 478 x 3, pixels of the square.
    expression: float32, 52, NaN where unknown. presence: float32, 1 a face, 0 none, NaN where
    either is right. readable: float32, 1 where the points are to be learned, else 0.
    """
    if rng.random() < _NO_FACE:
        pixels, points = without_face(face, other, rng)
        presence = readable = 0.0
    else:
        region, tilt_deg = laid(region_of(face.landmarks), rng)
        pixels, points = cut(face, region)
        presence, readable = _seen_at(tilt_deg), 1.0
        if rng.random() < _OCCLUDED:
            pixels = add_occluders(pixels, points, other.crop, rng)
    if rng.random() >= _PLAIN:
        pixels = as_photographed(pixels, rng)
    return {
        "pixels": np.ascontiguousarray(pixels),
        "points": points,
        "expression": face.expression.astype(np.float32),
        "presence": np.array(presence, np.float32),
        "readable": np.array(readable, np.float32),
    }


def cut(face: LabelledFace, region: Region) -> tuple[Pixels, NDArray[np.float32]]:
    """The square of a region of a face's crop, and the landmarks in it."""
    matrix = square_matrix(region)
    pixels = cv2.warpAffine(
        face.crop,
        matrix,
        (SIDE_PX, SIDE_PX),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(pixels, np.uint8), geometry.transform_points(face.landmarks, matrix)


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


def _seen_at(tilt_deg: float) -> float:
    if abs(tilt_deg) <= _READ_DEG:
        return 1.0
    return 0.0 if abs(tilt_deg) >= _UNREAD_DEG else float("nan")


def without_face(
    face: LabelledFace, other: LabelledFace, rng: np.random.Generator
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
    """Coloured blobs or checks, coarse or fine."""
    cells = int(rng.integers(2, 24))
    coarse = rng.integers(0, 256, (cells, cells, 3), np.uint8)
    how = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(rng.integers(3))]
    return np.asarray(cv2.resize(coarse, (SIDE_PX, SIDE_PX), interpolation=how), np.uint8)
