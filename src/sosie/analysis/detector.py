"""Faces of a frame, at any tilt: boxes, five points and scores, by one small network.

The network answers for every cell of four grids, of 8, 16, 32 and 64 px; this module turns its
answers into faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.errors import InputError
from sosie.models.session import Session
from sosie.types import FloatArray

STRIDES = (8, 16, 32, 64)
"""Side of a cell of each grid, in pixels of the network's input."""

CHANNELS = 15
"""What a cell says: score (a logit), box center (2) and log of box size (2), five points (10)."""

BOX_UNIT, POINT_UNIT = 4.0, 2.0
"""Boxes are measured in so many cells, and points, from the cell's center, in so many."""

OUTPUTS = tuple(f"cells{stride}" for stride in STRIDES)

MIN_SCORE = 0.63
"""From here on the network found one false box in a hundred photos of validation people whose faces
are painted over."""

_MAX_LOG_SIZE = 4.0
# Answers that overlap by so much are one face; those that nearly coincide are averaged.
_ONE_FACE, _AGREEING = 0.4, 0.6


@dataclass(frozen=True)
class Detected:
    """A face as the detector sees it, in pixels of the frame.

    box: x0, y0, x1, y1, float32, 4; upright in the frame, whatever the tilt of the head: the bounds
    of an ellipse from the hairline's middle to the chin and from cheek to cheek. It may reach
    beyond the frame. points5: float32, 5 x 2, in the order of `Face.points5` (the subject's right
    eye first, so that a head upside down has it at the image's right). score: 0..1.
    """

    box: FloatArray
    points5: FloatArray
    score: float


class Detector:
    """The shipped detector (or another network with its inputs and outputs).

    longer_px: frames whose longer side is above this are shrunk to it; faces from about a
    thirtieth of it are found.
    """

    def __init__(self, session: Session, longer_px: int = 640) -> None:
        if set(session.inputs) != {"pixels"} or set(session.outputs) != set(OUTPUTS):
            raise InputError(
                "This network is no detector of Sosie's: it must have the input pixels and the "
                f"outputs {', '.join(OUTPUTS)}."
            )
        self._session = session
        self.longer_px = longer_px

    def detect(self, frame: NDArray[np.uint8], min_score: float = MIN_SCORE) -> list[Detected]:
        """All faces of a frame (RGB, H x W x 3), best first."""
        return self.detect_batch(frame[None], min_score)[0]

    def detect_batch(
        self, frames: NDArray[np.uint8], min_score: float = MIN_SCORE
    ) -> list[list[Detected]]:
        """All faces of each of several frames of one size (RGB, N x H x W x 3), best first."""
        height, width = frames.shape[1:3]
        scale = min(1.0, self.longer_px / max(height, width))
        if scale < 1:
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            frames = np.stack(
                [cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in frames]
            ).astype(np.uint8, copy=False)
        answers = self._session.run({"pixels": np.ascontiguousarray(frames)})
        grids = [answers[name] for name in OUTPUTS]
        shown_height, shown_width = frames.shape[1:3]
        to_frame = np.array([width / shown_width, height / shown_height], np.float32)
        return [
            _detected(read_cells([grid[row] for grid in grids], min_score), to_frame)
            for row in range(len(frames))
        ]


@dataclass(frozen=True)
class Candidates:
    """Answers of cells: boxes (float32, N x 4), points5 (N x 5 x 2) and scores (N, 0..1)."""

    boxes: FloatArray
    points5: FloatArray
    scores: FloatArray


def read_cells(grids: Sequence[FloatArray], min_score: float) -> Candidates:
    """What the cells of one frame say that score at least `min_score`, in pixels of the input.

    grids: one for each of STRIDES, h x w x CHANNELS.
    """
    threshold = np.log(max(min_score, 1e-6)) - np.log1p(-min(min_score, 1 - 1e-6))
    boxes, points, scores = [], [], []
    for stride, grid in zip(STRIDES, grids, strict=True):
        rows, columns = np.nonzero(grid[:, :, 0] >= threshold)
        cells = grid[rows, columns]
        middle = (np.stack([columns, rows], 1) + 0.5) * stride - 0.5
        center = middle + cells[:, 1:3] * stride
        half = np.exp(np.minimum(cells[:, 3:5], _MAX_LOG_SIZE)) * (stride * BOX_UNIT / 2)
        boxes.append(np.concatenate([center - half, center + half], 1))
        offsets = cells[:, 5:].reshape(-1, 5, 2)
        points.append(middle[:, None] + offsets * (stride * POINT_UNIT))
        scores.append(1 / (1 + np.exp(-cells[:, 0])))
    return Candidates(
        np.concatenate(boxes).astype(np.float32),
        np.concatenate(points).astype(np.float32),
        np.concatenate(scores).astype(np.float32),
    )


def merged(found: Candidates) -> Candidates:
    """One answer a face, best first: the best of those that overlap, its box and points averaged,
    by score, with those that all but coincide with it."""
    order = np.argsort(-found.scores, kind="stable")
    boxes, points, scores = found.boxes[order], found.points5[order], found.scores[order]
    overlap = overlaps(boxes, boxes)
    left = np.ones(len(scores), bool)
    kept = []
    mean_boxes, mean_points = boxes.copy(), points.copy()
    for row in range(len(scores)):
        if not left[row]:
            continue
        kept.append(row)
        agreeing = left & (overlap[row] >= _AGREEING)
        share = scores[agreeing] / scores[agreeing].sum()
        mean_boxes[row] = share @ boxes[agreeing]
        mean_points[row] = np.tensordot(share, points[agreeing], 1)
        left &= overlap[row] < _ONE_FACE
    return Candidates(mean_boxes[kept], mean_points[kept], scores[kept])


def overlaps(a: FloatArray, b: FloatArray) -> FloatArray:
    """Intersection over union of all pairs of boxes: N x 4, M x 4 -> float32, N x M."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    areas = [np.clip(one[:, 2:] - one[:, :2], 0, None).prod(1) for one in (a, b)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(shared / np.maximum(union, 1e-6), np.float32)


def _detected(found: Candidates, to_frame: FloatArray) -> list[Detected]:
    """Faces in pixels of the frame. to_frame: its width and height over those of the input."""
    found = merged(found)
    # The center of the first pixel, and not its corner, is (0, 0).
    boxes = (found.boxes.reshape(-1, 2, 2) + 0.5) * to_frame - 0.5
    points = (found.points5 + 0.5) * to_frame - 0.5
    return [
        Detected(box.reshape(4), five, float(score))
        for box, five, score in zip(boxes, points, found.scores, strict=True)
    ]
