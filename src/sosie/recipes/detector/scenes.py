"""Scenes for the detector: faces of all sizes and tilts on all kinds of ground, and scenes without.

Each is a canvas (`Canvas`) on which pictures of a `PictureSet` are laid.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.recipes.detector.canvas import FACE, Canvas, plain, surface
from sosie.recipes.detector.pictures import HardNegatives, Labels, PictureSet, without_faces

_SMALLEST_PX, _LARGEST = 13.0, 1.35
"""Sizes of faces: from so many pixels to so many sides of the canvas."""

_NONE = Labels(np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, bool))
_TRIES = 6

Matrix = NDArray[np.float64]


class Scenes:
    """Makes scenes from the training or the validation pictures. side: of a scene, in pixels.
    hard_negatives: places in the same pictures that a detector took for faces; None leaves them
    out.
    """

    def __init__(
        self,
        pictures: PictureSet,
        *,
        validation: bool,
        side: int,
        hard_negatives: HardNegatives | None = None,
    ) -> None:
        self._pictures, self._side, self._hard_negatives = pictures, side, hard_negatives
        mine = pictures.validation == validation
        sure = np.add.reduceat(
            np.append(pictures.labels.sure, False).astype(np.int64), pictures.starts[:-1]
        )
        # Where nothing follows a start, reduceat gives the element itself.
        sure[np.diff(pictures.starts) == 0] = 0
        self.with_faces = np.flatnonzero(mine & (sure > 0))
        self.without = np.flatnonzero(mine & pictures.faceless)

    def scene(self, rng: np.random.Generator) -> Canvas:
        """Any scene, as training sees them."""
        kind = rng.random()
        if kind < 0.28:
            canvas = self.whole(rng)
        elif kind < 0.56:
            canvas = self.mosaic(rng)
        elif kind < 0.8:
            canvas = self.pasted(rng)
        elif kind < 0.9 and self._hard_negatives is not None:
            return self.about_hard_negative(rng)
        else:
            return self.faceless(rng)
        if rng.random() < 0.3:
            self._occlude(canvas, rng)
        return canvas

    def whole(self, rng: np.random.Generator) -> Canvas:
        """One picture, whole or in part, turned anyhow, its main face of any size."""
        row = self._any_face(rng)
        main = _main(self._pictures.faces(row))
        size_px = _log_uniform(rng, 24.0, _LARGEST * self._side)
        scale = size_px / float((main[2:] - main[:2]).max())
        return self._part(row, (main[:2] + main[2:]) / 2, scale, size_px, rng)

    def about_hard_negative(self, rng: np.random.Generator) -> Canvas:
        """A picture in part, turned anyhow, about a place that a detector took for a face."""
        hard_negatives = self._hard_negatives
        assert hard_negatives is not None, "made without places"
        number = int(rng.integers(len(hard_negatives)))
        region = hard_negatives.place(number)[1]
        size_px = _log_uniform(rng, _SMALLEST_PX, 0.6 * self._side)
        middle = np.array([region.x, region.y])
        return self._part(
            int(hard_negatives.rows[number]), middle, size_px / region.size_px, size_px, rng
        )

    def _part(
        self,
        row: int,
        center: NDArray[Any],
        scale: float,
        size_px: float,
        rng: np.random.Generator,
    ) -> Canvas:
        """A picture turned anyhow, what is at `center` and shall have `size_px` somewhere on the
        canvas."""
        picture, labels = self._pictures.pixels(row), self._pictures.faces(row)
        # A small face comes with a small picture: a ground that is filled by it is the rule.
        least = self._side / max(picture.shape[:2])
        if rng.random() < 0.6:
            scale = max(scale, least)
        angle = _angle(rng)
        # The larger the picture, the less of the ground is seen.
        canvas = Canvas(self._ground(rng) if scale < least else plain(self._side, rng))
        spread = max(0.05, 0.5 - size_px / self._side / 3)
        place = self._side * (0.5 + rng.uniform(-spread, spread, 2))
        canvas.lay(picture, labels, _matrix(scale, angle, _flip(rng), center, place))
        return canvas

    def mosaic(self, rng: np.random.Generator) -> Canvas:
        """Pictures side by side, each turned anyhow and cut by the edges of its field."""
        canvas = Canvas(np.zeros((self._side, self._side, 3), np.uint8))
        across = int(rng.choice([2, 2, 3, 3, 4]))
        columns = _edges(across, self._side, rng)
        level = rng.random() < 0.3
        for x0, x1 in itertools.pairwise(columns):
            rows = _edges(across, self._side, rng)
            for y0, y1 in itertools.pairwise(rows):
                field = self._blank_mask()
                field[y0:y1, x0:x1] = 255
                empty = rng.random() < 0.12
                row = self._any(rng, self.without) if empty else self._any_face(rng)
                picture = self._pictures.pixels(row)
                half = np.array(picture.shape[1::-1]) / 2
                # Large enough to fill the field at most angles, or nearly so.
                scale = max(x1 - x0, y1 - y0) / float(min(half)) / 2 * rng.uniform(0.75, 1.7)
                angle = rng.normal(0, 10) if level else _angle(rng)
                place = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
                matrix = _matrix(scale, angle, _flip(rng), half, place)
                canvas.lay(picture, self._pictures.faces(row), matrix, field)
        return canvas

    def pasted(self, rng: np.random.Generator) -> Canvas:
        """Heads cut out and pasted on a ground with or without faces of its own."""
        canvas = self.whole(rng) if rng.random() < 0.3 else Canvas(self._ground(rng))
        largest = _log_uniform(rng, 24.0, 0.8 * self._side)
        for _ in range(int(rng.integers(1, 9))):
            size_px = _log_uniform(rng, _SMALLEST_PX, max(largest, 20.0))
            self._paste(canvas, size_px, rng)
        return canvas

    def placed(self, rng: np.random.Generator, *, turned: bool) -> Canvas:
        """One picture as it is, or shrunk to the canvas, on gray; upright, or at any angle."""
        row = self._any_face(rng)
        angle = float(rng.uniform(-180, 180)) if turned else 0.0
        return self._on_gray(self._pictures.pixels(row), self._pictures.faces(row), angle)

    def covered(self, rng: np.random.Generator) -> Canvas:
        """One picture as it is, or shrunk to the canvas, on gray, all its faces painted over."""
        row = self._any_face(rng)
        boxes = self._pictures.faces(row).boxes
        return self._on_gray(without_faces(self._pictures.pixels(row), boxes, rng), _NONE, 0.0)

    def _on_gray(self, picture: NDArray[np.uint8], labels: Labels, angle_deg: float) -> Canvas:
        size = np.array(picture.shape[1::-1])
        canvas = Canvas(np.full((self._side, self._side, 3), 127, np.uint8))
        scale = min(1.0, self._side / float(size.max()))
        middle = np.full(2, (self._side - 1) / 2)
        canvas.lay(picture, labels, _matrix(scale, angle_deg, False, (size - 1) / 2, middle))
        return canvas

    def faceless(self, rng: np.random.Generator) -> Canvas:
        """A scene without faces."""
        canvas = Canvas(self._ground(rng))
        if rng.random() < 0.6:
            drawn = self._ground(rng)
            for _ in range(int(rng.integers(1, 5))):
                mask = self._blot(rng, rng.uniform(0.1, 0.4) * self._side)
                canvas.cover(drawn, mask, rng.uniform(0, 4))
        return canvas

    def _paste(self, canvas: Canvas, size_px: float, rng: np.random.Generator) -> None:
        row = self._any_face(rng)
        labels = self._pictures.faces(row)
        main = _main(labels)
        center, size = (main[:2] + main[2:]) / 2, main[2:] - main[:2]
        scale, angle = size_px / float(size.max()), _angle(rng)
        place = rng.uniform(-0.05, 1.05, 2) * self._side
        # From little more than the face to the whole head, round or square.
        mask = self._blank_mask()
        around = size * scale * rng.uniform(1.25, 2.4)
        _fill(mask, place, around, angle, round_off=rng.random() < 0.7)
        soft_px = size_px * rng.uniform(0.01, 0.05) if rng.random() < 0.5 else 0.0
        matrix = _matrix(scale, angle, _flip(rng), center, place)
        canvas.lay(self._pictures.pixels(row), labels, matrix, mask, soft_px)

    def _occlude(self, canvas: Canvas, rng: np.random.Generator) -> None:
        """Put things in front of some of the faces' edges."""
        labels, kinds = canvas.labels()
        drawn = self._ground(rng)
        for box in labels.boxes[kinds == FACE][:6]:
            if rng.random() < 0.5:
                size = box[2:] - box[:2]
                edge = rng.uniform(0, 2 * np.pi)
                middle = (box[:2] + box[2:]) / 2
                place = middle + size * np.array([np.cos(edge), np.sin(edge)]) * 0.55
                mask = self._blot(rng, float(size.max()) * rng.uniform(0.2, 0.5), place)
                canvas.cover(drawn, mask)

    def _ground(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """RGB uint8, side x side x 3, without faces; the caller may write to it."""
        kind = rng.random()
        if kind < 0.25:
            return surface(self._side, rng)
        canvas = Canvas(surface(self._side, rng) if kind < 0.4 else self._blank(rng))
        if kind < 0.4 or kind >= 0.75 or not len(self.without):
            self._beside_faces(canvas, rng)
        else:
            row = self._any(rng, self.without)
            picture = self._pictures.pixels(row)
            half = np.array(picture.shape[1::-1]) / 2
            scale = self._side / float(min(half)) / 2 * _log_uniform(rng, 0.9, 2.5)
            spread = self._side * 0.3
            place = self._side / 2 + rng.uniform(-spread, spread, 2)
            canvas.lay(picture, _NONE, _matrix(scale, _angle(rng), _flip(rng), half, place))
        return canvas.pixels

    def _beside_faces(self, canvas: Canvas, rng: np.random.Generator) -> None:
        """Lay a part of a picture of faces that shows none: clothes, hands, hair, walls."""
        row = self._any_face(rng)
        picture, labels = self._pictures.pixels(row), self._pictures.faces(row)
        size = np.array(picture.shape[1::-1])
        for _ in range(_TRIES):
            scale = self._side / float(min(size)) * _log_uniform(rng, 1.2, 5.0)
            middle = rng.uniform(0.05, 0.95, 2) * size
            matrix = _matrix(scale, _angle(rng), _flip(rng), middle, np.full(2, self._side / 2))
            if not _shows(labels, matrix, self._side):
                canvas.lay(picture, _NONE, matrix)
                return

    def _blank(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        return np.full((self._side, self._side, 3), rng.integers(256), np.uint8)

    def _blot(
        self, rng: np.random.Generator, size_px: float, place: NDArray[np.float64] | None = None
    ) -> NDArray[np.uint8]:
        """A mask, side x side: an ellipse, a bar or some polygon of about `size_px`."""
        mask = self._blank_mask()
        if place is None:
            place = rng.uniform(0, self._side, 2)
        kind = rng.integers(3)
        if kind == 2:
            count = int(rng.integers(3, 8))
            angles = np.sort(rng.uniform(0, 2 * np.pi, count))
            reach = size_px * rng.uniform(0.4, 1.2, count)
            points = place + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
            cv2.fillPoly(mask, [np.rint(points).astype(np.int32)], (255,))
            return mask
        size = size_px * np.array([rng.uniform(0.5, 1.5), rng.uniform(0.8, 2.5)])
        _fill(mask, place, size, float(rng.uniform(0, 180)), round_off=bool(kind == 0))
        return mask

    def _blank_mask(self) -> NDArray[np.uint8]:
        return np.zeros((self._side, self._side), np.uint8)

    def _any_face(self, rng: np.random.Generator) -> int:
        return self._any(rng, self.with_faces)

    def _any(self, rng: np.random.Generator, rows: NDArray[np.intp]) -> int:
        return int(rows[rng.integers(len(rows))])


def _main(labels: Labels) -> NDArray[np.float32]:
    """The largest box that is surely a face."""
    boxes = labels.boxes[labels.sure]
    return np.asarray(boxes[np.argmax((boxes[:, 2:] - boxes[:, :2]).prod(1))], np.float32)


def _shows(labels: Labels, matrix: Matrix, side: int) -> bool:
    """Whether any face, sure or not, reaches into the canvas with more than its rim."""
    if not len(labels.boxes):
        return False
    center = (labels.boxes[:, :2] + labels.boxes[:, 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    radius = (labels.boxes[:, 2:] - labels.boxes[:, :2]).max(1, keepdims=True) / 2 * scale
    outside = np.maximum(np.maximum(-center, center - (side - 1)), 0)
    return bool((np.linalg.norm(outside, axis=1) < 0.9 * radius[:, 0]).any())


def _matrix(
    scale: float,
    angle_deg: float,
    mirrored: bool,
    point: NDArray[Any],
    place: NDArray[Any],
) -> Matrix:
    """The map that scales, mirrors, turns clockwise as seen, and brings a point to a place."""
    angle = math.radians(angle_deg)
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    mirror = -1 if mirrored else 1
    linear = np.array([[mirror * cosine, -sine], [mirror * sine, cosine]])
    return np.column_stack([linear, place - linear @ point])


def _fill(
    mask: NDArray[np.uint8],
    place: NDArray[Any],
    size: NDArray[Any],
    angle_deg: float,
    *,
    round_off: bool,
) -> None:
    """Draw a turned rectangle of some width and height, or the ellipse in it, into a mask."""
    box = (tuple(map(float, place)), tuple(map(float, size)), angle_deg)
    if round_off:
        cv2.ellipse(mask, box, (255,), -1)
    else:
        cv2.fillPoly(mask, [np.rint(cv2.boxPoints(box)).astype(np.int32)], (255,))


def _angle(rng: np.random.Generator) -> float:
    """A tilt in degrees: any, and every other time near upright, as most faces are."""
    if rng.random() < 0.5:
        return float(rng.normal(0, 15))
    return float(rng.uniform(-180, 180))


def _flip(rng: np.random.Generator) -> bool:
    return bool(rng.random() < 0.5)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _edges(count: int, side: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Where `count` fields of uneven widths begin and end."""
    widths = rng.uniform(0.6, 1.4, count)
    edges = np.concatenate([[0], np.cumsum(widths)]) / widths.sum() * side
    return np.asarray(np.rint(edges), np.intp)
