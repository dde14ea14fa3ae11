"""A picture put together from layers, which knows of each face how much of it is still seen."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.detector import overlaps
from sosie.recipes.detector.pictures import Labels

MIN_FACE_PX = 12.0
"""Longer side of a box from which a face on a canvas must be found; smaller ones may be."""

FACE, UNSURE = 1, 2
"""Kinds of a row of labels: a face that must be found, a place where nothing is learnt."""

SAME_FACE = 0.5
"""A face counts as found where a box overlaps its own by so much (intersection over union)."""

_SEEN, _HIDDEN = 0.55, 0.2
"""Share of a face from which it must be found, and up to which it is not there."""

_RINGS = ((0.0, 1), (0.45, 8), (0.85, 12))


def _disc() -> NDArray[np.float64]:
    rings = []
    for radius, count in _RINGS:
        angle = 2 * np.pi * np.arange(count) / count
        rings.append(radius * np.stack([np.cos(angle), np.sin(angle)], 1))
    return np.concatenate(rings)


_DISC = _disc()
"""Points all over the unit disc, K x 2: where a face is looked for."""


def turned_boxes(boxes: NDArray[np.float32], linear: NDArray[np.float64]) -> NDArray[np.float32]:
    """What becomes of boxes about their own centers under a 2 x 2 map: the bounds of the mapped
    ellipse that touches the box's sides. N x 4 -> width and height, float32, N x 2."""
    half = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64) / 2
    size = 2 * np.sqrt((half[:, None] ** 2 * linear[None] ** 2).sum(2))
    return np.asarray(size, np.float32)


def mapped_labels(labels: Labels, matrix: NDArray[np.float64], mirrored: bool) -> Labels:
    """Labels after a 2 x 3 map of their picture. mirrored: whether the map reflects, so that the
    subject's right and left change places."""
    linear, shift = matrix[:, :2], matrix[:, 2]
    center = (labels.boxes[:, :2] + labels.boxes[:, 2:]) / 2 @ linear.T + shift
    half = turned_boxes(labels.boxes, linear) / 2
    points = labels.points5 @ linear.T + shift
    if mirrored:
        points = points[:, [1, 0, 2, 4, 3]]
    boxes = np.concatenate([center - half, center + half], 1)
    return Labels(boxes.astype(np.float32), points.astype(np.float32), labels.sure)


def found(boxes: NDArray[np.float32], among: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of the boxes (N x 4) have one `among` others (M x 4) that is the same face: bool, N."""
    if not len(boxes) or not len(among):
        return np.zeros(len(boxes), bool)
    return np.asarray(overlaps(boxes, among).max(1) >= SAME_FACE)


class Canvas:
    """Square of RGB pixels with the faces that were laid on it.

    pixels: uint8, side x side x 3. A layer hides what it covers of the faces below it.
    """

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels
        self.side = pixels.shape[0]
        self._labels: list[Labels] = []
        self._places = np.zeros((0, len(_DISC)), np.intp)
        self._seen = np.zeros((0, len(_DISC)), bool)
        self._counts = np.zeros(0, np.int64)

    def lay(
        self,
        picture: NDArray[np.uint8],
        labels: Labels,
        matrix: NDArray[np.float64],
        mask: NDArray[np.uint8] | None = None,
        soft_px: float = 0.0,
    ) -> None:
        """Draw a picture through a 2 x 3 map, with its faces.

        mask: uint8, side x side, where it may be drawn; None is everywhere. soft_px: how far its
        edge fades.
        """
        height, width = picture.shape[:2]
        corners = np.array([(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)])
        outline = corners @ matrix[:, :2].T + matrix[:, 2]
        own = np.zeros((self.side, self.side), np.uint8)
        cv2.fillConvexPoly(own, np.asarray(np.rint(outline * 16), np.int32), (255,), shift=4)
        if mask is not None:
            own &= mask
        x, y, w, h = cv2.boundingRect(own)
        if not w:
            return
        source, inner = _source_of((x, y, w, h), picture, matrix)
        drawn = np.asarray(
            cv2.warpAffine(source, inner, (w, h), borderMode=cv2.BORDER_REPLICATE), np.uint8
        )
        self._hide(own)
        self._blend(drawn, own, (x, y, w, h), soft_px)
        self._add(labels, matrix, own, (x, y, w, h), (width, height))

    def cover(self, drawn: NDArray[np.uint8], mask: NDArray[np.uint8], soft_px: float = 0) -> None:
        """Draw pixels (side x side x 3) without faces where the mask (side x side) is not 0."""
        x, y, w, h = cv2.boundingRect(mask)
        if w:
            self._hide(mask)
            self._blend(drawn[y : y + h, x : x + w], mask, (x, y, w, h), soft_px)

    def labels(self) -> tuple[Labels, NDArray[np.int64]]:
        """All faces on the canvas that can be seen, and their kinds (FACE or UNSURE)."""
        if not self._labels:
            none = Labels(
                np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, bool)
            )
            return none, np.zeros(0, np.int64)
        boxes = np.concatenate([one.boxes for one in self._labels])
        points = np.concatenate([one.points5 for one in self._labels])
        sure = np.concatenate([one.sure for one in self._labels])
        share = self._seen.sum(1) / np.maximum(self._counts, 1)
        size = (boxes[:, 2:] - boxes[:, :2]).max(1)
        must = sure & (share >= _SEEN) & (size >= MIN_FACE_PX)
        there = share > _HIDDEN
        kinds = np.where(must, FACE, UNSURE).astype(np.int64)
        return Labels(boxes[there], points[there], sure[there]), kinds[there]

    def _hide(self, mask: NDArray[np.uint8]) -> None:
        if self._labels:
            self._seen &= mask.ravel()[self._places] == 0

    def _blend(
        self,
        drawn: NDArray[np.uint8],
        mask: NDArray[np.uint8],
        box: tuple[int, int, int, int],
        soft_px: float,
    ) -> None:
        x, y, w, h = box
        under = self.pixels[y : y + h, x : x + w]
        over = mask[y : y + h, x : x + w]
        if soft_px <= 0:
            cv2.copyTo(drawn, over, under)
            return
        share = cv2.GaussianBlur(over, (0, 0), soft_px).astype(np.float32) / 255
        # The fade goes inwards only: what was not to be covered stays as it is.
        share = np.maximum(2 * share - 1, 0)
        under[:] = cv2.blendLinear(drawn, under, share, 1 - share)

    def _add(
        self,
        labels: Labels,
        matrix: NDArray[np.float64],
        mask: NDArray[np.uint8],
        box: tuple[int, int, int, int],
        size: tuple[int, int],
    ) -> None:
        if not len(labels.boxes):
            return
        center = (labels.boxes[:, None, :2] + labels.boxes[:, None, 2:]) / 2
        half = (labels.boxes[:, None, 2:] - labels.boxes[:, None, :2]) / 2
        points = center + half * _DISC
        # A face that the picture's own edge cuts was labeled as what is seen of it.
        there = ((points >= -0.5) & (points < np.array(size) - 0.5)).all(2)
        place = np.rint(points @ matrix[:, :2].T + matrix[:, 2]).astype(np.intp)
        inside = ((place >= 0) & (place < self.side)).all(2)
        flat = np.where(inside, place[:, :, 1] * self.side + place[:, :, 0], 0)
        seen = there & inside & (mask.ravel()[flat] > 0)
        self._places = np.concatenate([self._places, flat])
        self._seen = np.concatenate([self._seen, seen])
        self._counts = np.concatenate([self._counts, there.sum(1)])
        mapped = mapped_labels(labels, matrix, _determinant(matrix) < 0)
        # Of a face that an edge cuts YuNet gives the box of what is seen, and so do labels here.
        x, y, w, h = box
        low, high = np.array([x, y]) - 0.5, np.array([x + w, y + h]) - 0.5
        corners = np.clip(mapped.boxes.reshape(-1, 2, 2), low, high).astype(np.float32)
        self._labels.append(Labels(corners.reshape(-1, 4), mapped.points5, mapped.sure))


def _determinant(matrix: NDArray[np.float64]) -> float:
    return float(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0])


def _source_of(
    box: tuple[int, int, int, int], picture: NDArray[np.uint8], matrix: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The part of a picture that a box (x, y, w, h) of the canvas shows, made smaller first where
    the map shrinks it, and the map from there to the box."""
    x, y, w, h = box
    (a, b, c), (d, e, f) = matrix.tolist()
    determinant = a * e - b * d
    step = max(1, int(1.1 / math.sqrt(abs(determinant))))
    low, high = [0, 0], [0, 0]
    limits = (picture.shape[1], picture.shape[0])
    for axis, (p, q) in enumerate(((e, -b), (-d, a))):
        reach = [(p * (u - c) + q * (v - f)) / determinant for u in (x, x + w) for v in (y, y + h)]
        margin = 2 * step
        low[axis] = min(max(int(min(reach)) - margin, 0), max(limits[axis] - step, 0))
        high[axis] = max(min(int(max(reach)) + margin + 1, limits[axis]), low[axis] + 1)
    cut = picture[low[1] : high[1], low[0] : high[0]]
    if step > 1:
        # Whole numbers of pixels become one: several times faster than any other share.
        fewer = [max(1, (end - start) // step) for start, end in zip(low, high, strict=True)]
        whole = cut[: fewer[1] * step, : fewer[0] * step]
        cut = np.asarray(cv2.resize(whole, fewer, interpolation=cv2.INTER_AREA), np.uint8)
    u, v = low[0] + (step - 1) / 2, low[1] + (step - 1) / 2
    inner = [
        [a * step, b * step, a * u + b * v + c - x],
        [d * step, e * step, d * u + e * v + f - y],
    ]
    return cut, np.array(inner)
