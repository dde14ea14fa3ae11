"""The detector on people whom training never saw, against the faces that YuNet finds there.

A face counts as found where a box overlaps YuNet's by half (intersection over union) at the score
from which the program takes a box for a face. Of a turned picture, the box is that of the ellipse
in YuNet's box of the upright picture, turned with it. YuNet errs too, so both are also compared at
the scores at which either takes as few things for faces as are allowed.
"""

from __future__ import annotations

import itertools
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.detector import MIN_SCORE, Detected, Detector, overlaps
from sosie.datasets.split import identity_of, is_held_out
from sosie.models.cards import read_embedded
from sosie.models.session import create_session
from sosie.recipes.detector.canvas import SAME_FACE, found, mapped_labels
from sosie.recipes.detector.pictures import (
    SURE_SCORE,
    UNSURE_SCORE,
    Labels,
    faceless_files,
    identity_of_faceless,
    tiles,
    without_faces,
)
from sosie.recipes.evaluate_table import Row
from sosie.recipes.face_cache import ARCHIVES, decode, picture_parts
from sosie.recipes.teachers import FoundBoxes, YuNet
from sosie.training.recipe import Materials

MIN_FACE_PX = 32.0
"""Longer side of the boxes that must be found."""

_LOWEST_SCORE = 0.1
_MAX_FALSE = 1.0
_SMALL_PX = 24.0
_FRAME_PX = (640, 360)
_FILLED_PX = 360
# Turns picture after picture by as much as leaves no angle out: the golden angle.
_TURN_DEG = 137.508
# Every such picture is also shown with its faces covered, small, and filling the frame.
_EVERY = 3


@dataclass
class Count:
    """Faces looked for and found; distances of the points of those found, in box sides."""

    faces: int = 0
    hits: int = 0
    point_errors: list[float] = field(default_factory=list)

    @property
    def percent(self) -> float:
        return 100 * self.hits / self.faces if self.faces else float("nan")

    def add(self, labels: Labels, boxes: NDArray[np.float32], points: NDArray[np.float32]) -> None:
        """labels: the true faces. boxes, points: the answers, M x 4 and M x 5 x 2."""
        seen = found(labels.boxes, boxes)
        self.faces += len(seen)
        self.hits += int(seen.sum())
        for row in np.flatnonzero(seen):
            best = int(overlaps(labels.boxes[row : row + 1], boxes)[0].argmax())
            side = float(np.sqrt((labels.boxes[row, 2:] - labels.boxes[row, :2]).prod()))
            off = np.linalg.norm(points[best] - labels.points5[row], axis=1).mean()
            self.point_errors.append(float(off) / side)


@dataclass
class Counts:
    """Of one detector: upright and turned pictures, small faces, faces that fill the frame, and
    boxes in pictures without faces. YuNet is not asked again what it finds in upright ones.

    scores: of the box that overlaps a face of the upright pictures, 0 where none does.
    false_scores: of all boxes, however low, in the pictures without faces.
    """

    upright: Count = field(default_factory=Count)
    turned: Count = field(default_factory=Count)
    small: Count = field(default_factory=Count)
    filling: Count = field(default_factory=Count)
    pictures_without: int = 0
    false_boxes: int = 0
    scores: list[float] = field(default_factory=list)
    false_scores: list[float] = field(default_factory=list)

    def recall_at(self, per_hundred: float) -> float:
        """Per cent of the upright faces that score more than all but so many of the false boxes in
        100 pictures."""
        allowed = int(per_hundred * self.pictures_without / 100)
        ranked = sorted(self.false_scores, reverse=True)
        least = ranked[allowed] if len(ranked) > allowed else 0.0
        return 100 * float(np.mean(np.array(self.scores) > least)) if self.scores else float("nan")


def measure(materials: Materials, limit: int | None) -> list[Row]:
    """Rows on recall and false boxes, with YuNet's by the same measure. limit: pictures of faces.

    Raises InputError where the detector, the teacher or an archive is absent.
    """
    detector = Detector(create_session(read_embedded("detector"), threads=1))
    ours, theirs = count(detector, materials, limit)
    faces = f"of {ours.upright.faces} faces that YuNet finds, {MIN_FACE_PX:.0f} px and more"
    without = f"in 100 pictures without faces, of {ours.pictures_without}"
    points = [100 * float(np.mean(c.point_errors)) for c in (ours.turned, theirs.turned)]
    return [
        Row("detector", f"recall {faces}", ours.upright.percent, None, 98.0, ">=", "%"),
        Row("detector", "recall of the same, turned by any angle", ours.turned.percent,
            theirs.turned.percent, 95.0, ">=", "%"),
        Row("detector", f"false boxes {without}", _per_hundred(ours), _per_hundred(theirs),
            _MAX_FALSE, "<=", ""),
        Row("detector", f"recall at the score that {_MAX_FALSE:.0f} false box in 100 such pictures "
            "reaches", ours.recall_at(_MAX_FALSE), theirs.recall_at(_MAX_FALSE), None, ">=", "%"),
        Row("detector", f"recall of faces shrunk to {_SMALL_PX:.0f} px", ours.small.percent,
            theirs.small.percent, None, ">=", "%"),
        Row("detector", "recall of faces that fill the frame", ours.filling.percent,
            theirs.filling.percent, None, ">=", "%"),
        Row("detector", "distance of the five points, in box sides, any angle", points[0],
            points[1], None, "<=", "%"),
    ]  # fmt: skip


def count(detector: Detector, materials: Materials, limit: int | None) -> tuple[Counts, Counts]:
    """What a detector and YuNet find in the test people's pictures."""
    teacher, curious = YuNet(materials.teachers), YuNet(materials.teachers, UNSURE_SCORE)
    ours, theirs = Counts(), Counts()
    for number, pixels in enumerate(held_out_pictures(materials.data, limit)):
        everything = curious.detect(pixels)
        faces = _large(everything)
        if len(faces.boxes):
            _look(detector, teacher, pixels, faces, number, (ours, theirs))
            theirs.scores += _scores_of(faces, everything.boxes, everything.scores)
        if number % _EVERY == 0:
            rng = np.random.default_rng(number)
            empty = without_faces(pixels, everything.boxes, rng)
            _look_for_none(detector, curious, empty, (ours, theirs))
    for file in faceless_files(materials.data):
        if is_held_out(identity_of_faceless(file)):
            for tile in tiles(decode(file.read_bytes())):
                _look_for_none(detector, curious, np.ascontiguousarray(tile), (ours, theirs))
    return ours, theirs


def held_out_pictures(data: Path, limit: int | None) -> Iterator[NDArray[np.uint8]]:
    """Pictures of the test people, of all archives; with a limit, so many from all over them."""
    chosen = [
        (part.archive, name)
        for group in ARCHIVES
        for part in picture_parts(data, group)
        for name in part.names
        if is_held_out(identity_of(group, name))
    ]
    if limit is not None and limit < len(chosen):
        chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, limit).astype(int)]
    for archive, group in itertools.groupby(chosen, key=lambda entry: entry[0]):
        with zipfile.ZipFile(archive) as opened:
            for _, name in group:
                yield decode(opened.read(name))


def _look(
    detector: Detector,
    teacher: YuNet,
    pixels: NDArray[np.uint8],
    faces: Labels,
    number: int,
    counts: tuple[Counts, Counts],
) -> None:
    """Add what both find in a picture with these faces, in all the ways that it is shown."""
    main = faces.boxes[np.argmax((faces.boxes[:, 2:] - faces.boxes[:, :2]).prod(1))]
    seen = detector.detect(pixels, _LOWEST_SCORE)
    counts[0].scores += _scores_of(faces, _boxes_and_points(seen)[0], [one.score for one in seen])
    counts[0].upright.add(faces, *_boxes_and_points(_sure(seen)))
    shown = {"turned": turned(pixels, faces, _TURN_DEG * number % 360)}
    if number % _EVERY == 0:
        shown["small"] = _shrunk(pixels, main, faces)
        shown["filling"] = _filled(pixels, main, faces)
    for name, (picture, labels) in shown.items():
        for answer, tally in zip(_answers(detector, teacher, picture), counts, strict=True):
            getattr(tally, name).add(labels, *answer)


def _look_for_none(
    detector: Detector, curious: YuNet, pixels: NDArray[np.uint8], counts: tuple[Counts, Counts]
) -> None:
    ours = [one.score for one in detector.detect(pixels, _LOWEST_SCORE)]
    theirs = [float(score) for score in curious.detect(pixels).scores]
    for tally, scores, sure in zip(counts, (ours, theirs), (MIN_SCORE, SURE_SCORE), strict=True):
        tally.pictures_without += 1
        tally.false_boxes += sum(score >= sure for score in scores)
        tally.false_scores += scores


def _sure(seen: list[Detected]) -> list[Detected]:
    return [one for one in seen if one.score >= MIN_SCORE]


def _scores_of(
    faces: Labels, boxes: NDArray[np.float32], scores: Sequence[float] | NDArray[np.float32]
) -> list[float]:
    """The best score of a box (M x 4) that is the same face, of each face; 0 where none is."""
    if not len(boxes):
        return [0.0] * len(faces.boxes)
    same = overlaps(faces.boxes, boxes) >= SAME_FACE
    return [float(score) for score in (same * np.asarray(scores, np.float32)).max(1)]


def _answers(
    detector: Detector, teacher: YuNet, pixels: NDArray[np.uint8]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Boxes and points of both."""
    yield _boxes_and_points(detector.detect(pixels))
    other = teacher.detect(pixels)
    yield other.boxes, other.points5


def _boxes_and_points(
    faces: list[Detected],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return (
        np.array([face.box for face in faces], np.float32).reshape(-1, 4),
        np.array([face.points5 for face in faces], np.float32).reshape(-1, 5, 2),
    )


def _large(everything: FoundBoxes) -> Labels:
    """The faces that must be found."""
    size = (everything.boxes[:, 2:] - everything.boxes[:, :2]).max(1, initial=0)
    kept = (everything.scores > SURE_SCORE) & (size >= MIN_FACE_PX)
    return Labels(everything.boxes[kept], everything.points5[kept], np.ones(int(kept.sum()), bool))


def turned(
    pixels: NDArray[np.uint8], faces: Labels, angle_deg: float
) -> tuple[NDArray[np.uint8], Labels]:
    """The whole picture and its faces, turned clockwise, on black."""
    height, width = pixels.shape[:2]
    angle = np.radians(angle_deg)
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    new = np.ceil(np.abs(linear) @ (width, height)).astype(int)
    shift = (new - 1) / 2 - linear @ ((width - 1) / 2, (height - 1) / 2)
    matrix = np.column_stack([linear, shift])
    picture = cv2.warpAffine(pixels, matrix, (int(new[0]), int(new[1])))
    return np.asarray(picture, np.uint8), mapped_labels(faces, matrix, mirrored=False)


def _shrunk(
    pixels: NDArray[np.uint8], main: NDArray[np.float32], faces: Labels
) -> tuple[NDArray[np.uint8], Labels]:
    """The picture with its main face at _SMALL_PX, and that face alone, in the middle of gray."""
    scale = min(1.0, _SMALL_PX / float((main[2:] - main[:2]).max()))
    size = np.array(pixels.shape[1::-1])
    small, own = _part(pixels, main, faces, scale, np.zeros(2), size)
    frame = np.full((*_FRAME_PX[::-1], 3), 127, np.uint8)
    height, width = (min(a, b) for a, b in zip(small.shape[:2], frame.shape[:2], strict=True))
    x, y = (_FRAME_PX[0] - width) // 2, (_FRAME_PX[1] - height) // 2
    frame[y : y + height, x : x + width] = small[:height, :width]
    shift = np.array([x, y], np.float32)
    return frame, Labels(own.boxes + np.tile(shift, 2), own.points5 + shift, own.sure)


def _filled(
    pixels: NDArray[np.uint8], main: NDArray[np.float32], faces: Labels
) -> tuple[NDArray[np.uint8], Labels]:
    """What the main face's box holds, enlarged to a frame of its own."""
    size = np.array(pixels.shape[1::-1])
    low = np.clip(np.floor(main[:2]), 0, size - 8)
    high = np.clip(np.ceil(main[2:]) + 1, low + 8, size)
    return _part(pixels, main, faces, _FILLED_PX / float((high - low).max()), low, high)


def _part(
    pixels: NDArray[np.uint8],
    main: NDArray[np.float32],
    faces: Labels,
    scale: float,
    low: NDArray[Any],
    high: NDArray[Any],
) -> tuple[NDArray[np.uint8], Labels]:
    """The part of a picture between two corners, scaled, and its main face."""
    cut = pixels[int(low[1]) : int(high[1]), int(low[0]) : int(high[0])]
    size = (max(8, round(cut.shape[1] * scale)), max(8, round(cut.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = np.asarray(cv2.resize(cut, size, interpolation=how), np.uint8)
    share = np.array([size[0] / cut.shape[1], size[1] / cut.shape[0]])
    matrix = np.column_stack([np.diag(share), share * (0.5 - low) - 0.5])
    own = (faces.boxes == main).all(1)
    kept = Labels(faces.boxes[own], faces.points5[own], faces.sure[own])
    return picture, mapped_labels(kept, matrix, mirrored=False)


def _per_hundred(counts: Counts) -> float:
    return 100 * counts.false_boxes / max(counts.pictures_without, 1)
