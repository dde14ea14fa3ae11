"""Training samples of the identity network: pictures without end, made of the few that there are.

A sample is what a student and its teachers look at, so it need not show a person that exists, nor
one undisturbed: faces are tilted, bent, drawn to another's shape or mixed with others, hidden in
parts, lit and photographed otherwise (Beyer et al., "Knowledge distillation: a good teacher is
patient and consistent", 2022).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.embedder import SIDE_PX, TEMPLATE
from sosie.geometry import alignment
from sosie.geometry.head_pose import five_points
from sosie.recipes.camera_degradation import as_photographed
from sosie.recipes.teachers_dlib import CHIP_PX, chip_matrix
from sosie.types import FloatArray

Pixels = NDArray[np.uint8]
Placed = tuple[Pixels, FloatArray]
"""A face on a canvas, and some of its landmarks there, N x 2."""

MARGIN_PX = 12
"""What is cut around the aligned crop, so that dlib's chip, which reaches lower, sees the chin."""

NOBODY = -1
"""The label of a picture that shows no one person."""

_CANVAS_PX = SIDE_PX + 2 * MARGIN_PX

# Shares of the samples: aligned badly; bent; made of two people; hidden in parts; photographed in
# another way.
_BADLY, _BENT, _OF_TWO, _HIDDEN, _CHANGED = 0.2, 0.35, 0.5, 0.15, 0.55
# Of those of two people: drawn to one shape and blended; blended as they are. Others meet at a
# line.
_MORPHED, _BLENDED = 0.7, 0.18

# A morph's field of offsets is worked out at steps of so many pixels, from every third landmark,
# each of which reaches about so far; where none does, the field fades.
_STEP_PX, _EVERY, _REACH_PX, _FADE = 4, 3, 4.0, 0.05


def aligned(crop: Pixels, landmarks: FloatArray) -> tuple[Pixels, Pixels]:
    """A cached face as teachers and student see it, undisturbed: see `views`."""
    matrix = alignment.align_matrix(five_points(landmarks), TEMPLATE, SIDE_PX)
    return views(_cut(crop, matrix))


def views(canvas: Pixels) -> tuple[Pixels, Pixels]:
    """The aligned face (SIDE_PX squared) and dlib's chip (CHIP_PX squared) of one canvas."""
    face = canvas[MARGIN_PX : MARGIN_PX + SIDE_PX, MARGIN_PX : MARGIN_PX + SIDE_PX]
    to_chip = alignment.compose(chip_matrix(), [[1, 0, -MARGIN_PX], [0, 1, -MARGIN_PX]])
    chip = alignment.warp(canvas, to_chip, CHIP_PX, CHIP_PX)
    return np.ascontiguousarray(face), np.asarray(chip, np.uint8)


def make_sample(
    crop: Pixels,
    landmarks: FloatArray,
    person: int,
    other: tuple[Pixels, FloatArray],
    rng: np.random.Generator,
) -> dict[str, NDArray[Any]]:
    """One sample of a cached face. person: its label. other: crop and landmarks of another face,
    which is mixed in or lends a piece.

    face: uint8, SIDE_PX x SIDE_PX x 3, RGB. chip: the same picture as dlib sees it, uint8,
    CHIP_PX x CHIP_PX x 3. person: int64, NOBODY where the label no longer holds.
    """
    mirrored = bool(rng.random() < 0.5)
    canvas, points = _disturbed(crop, landmarks, mirrored, rng)
    if rng.random() < _OF_TWO:
        canvas = _of_two((canvas, points), _disturbed(*other, mirrored, rng), rng)
        person = NOBODY
    if rng.random() < _BENT:
        canvas, much = _bent(canvas, rng)
        person = NOBODY if much else person
    if rng.random() < _HIDDEN:
        canvas = _hidden(canvas, other[0], rng)
    if rng.random() < _CHANGED:
        canvas = as_photographed(canvas, rng)
    face, chip = views(canvas)
    return {"face": face, "chip": chip, "person": np.array(person, np.int64)}


def _disturbed(
    crop: Pixels, landmarks: FloatArray, mirrored: bool, rng: np.random.Generator
) -> Placed:
    """A cached face on a canvas, aligned but for small errors."""
    matrix = alignment.align_matrix(five_points(landmarks), TEMPLATE, SIDE_PX)
    much = 3.0 if rng.random() < _BADLY else 1.0
    turn, stretch = rng.normal(0, 2.5 * much), np.exp(rng.normal(0, 0.025 * much, 2))
    angle, shear = np.radians(turn), rng.normal(0, 0.015 * much)
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = linear @ np.array([[stretch[0], shear], [0, stretch[1]]])
    if mirrored:
        linear = np.diag([-1.0, 1.0]) @ linear
    middle = np.full(2, (SIDE_PX - 1) / 2)
    about = np.column_stack([linear, middle - linear @ middle + rng.normal(0, 1.0 * much, 2)])
    onto = alignment.compose(about, matrix)
    points = alignment.transform_points(landmarks[::_EVERY, :2], onto) + MARGIN_PX
    return _cut(crop, onto), np.asarray(points, np.float32)


def _cut(crop: Pixels, matrix: alignment.Matrix) -> Pixels:
    shifted = alignment.compose([[1, 0, MARGIN_PX], [0, 1, MARGIN_PX]], matrix)
    return np.asarray(alignment.warp(crop, shifted, _CANVAS_PX, _CANVAS_PX), np.uint8)


def _bent(canvas: Pixels, rng: np.random.Generator) -> tuple[Pixels, bool]:
    """The face with other proportions: moved by a smooth random field. Also whether that was so
    much that it may be another person's face."""
    reach_px = float(rng.uniform(0.5, 5.0))
    coarse = rng.uniform(-reach_px, reach_px, (5, 5, 2)).astype(np.float32)
    field = cv2.resize(coarse, (_CANVAS_PX, _CANVAS_PX), interpolation=cv2.INTER_CUBIC)
    return _displaced(canvas, np.asarray(field, np.float32)), reach_px > 2.0


def _displaced(canvas: Pixels, field: FloatArray) -> Pixels:
    """The canvas with each pixel taken from as far away as the field (side x side x 2) says."""
    x, y = _places()
    bent = cv2.remap(
        canvas, x + field[..., 0], y + field[..., 1], cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE
    )
    return np.asarray(bent, np.uint8)


def _places() -> tuple[FloatArray, FloatArray]:
    """x and y of all pixels of a canvas."""
    y, x = np.mgrid[:_CANVAS_PX, :_CANVAS_PX].astype(np.float32)
    return x, y


def _of_two(one: Placed, other: Placed, rng: np.random.Generator) -> Pixels:
    """Two aligned faces as one."""
    kind = rng.random()
    if kind < _MORPHED:
        return _morph(one, other, rng)
    share = float(rng.uniform(0.2, 0.8))
    if kind < _MORPHED + _BLENDED:
        return np.asarray(cv2.addWeighted(one[0], share, other[0], 1 - share, 0), np.uint8)
    angle, width = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.2)
    steps = np.linspace(-1, 1, _CANVAS_PX, dtype=np.float32)
    along = np.cos(angle) * steps[None, :] + np.sin(angle) * steps[:, None]
    weight = 1 / (1 + np.exp(-(along + rng.uniform(-0.4, 0.4)) / width))
    weight = weight.astype(np.float32)
    return np.asarray(cv2.blendLinear(one[0], other[0], weight, 1 - weight), np.uint8)


def _morph(one: Placed, other: Placed, rng: np.random.Generator) -> Pixels:
    """Somebody between two people, whose shape may be more of one and whose skin of the other."""
    of_shape, of_skin = rng.uniform(0, 1, 2).tolist()
    goal = one[1] + np.float32(of_shape) * (other[1] - one[1])
    drawn = [_drawn_to(canvas, points, goal) for canvas, points in (one, other)]
    return np.asarray(cv2.addWeighted(drawn[0], 1 - of_skin, drawn[1], of_skin, 0), np.uint8)


def _drawn_to(canvas: Pixels, points: FloatArray, goal: FloatArray) -> Pixels:
    """The canvas bent so that its points (N x 2) come to lie about where the goal's are."""
    ticks = np.arange(0, _CANVAS_PX + _STEP_PX, _STEP_PX, dtype=np.float32)
    away_x, away_y = (
        np.exp(-(((ticks[:, None] - goal[None, :, axis]) / _REACH_PX) ** 2)) for axis in (0, 1)
    )
    offset = points - goal
    total = away_y @ away_x.T + _FADE
    coarse = np.stack([(away_y * offset[:, axis]) @ away_x.T / total for axis in (0, 1)], -1)
    # A resize would take the values at the ticks for those in the middle of cells.
    x, y = _places()
    steps = np.float32(_STEP_PX)
    field = cv2.remap(coarse.astype(np.float32), x / steps, y / steps, cv2.INTER_LINEAR)
    return _displaced(canvas, np.asarray(field, np.float32))


def _hidden(canvas: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
    """A part of the face behind an ellipse of one color or of another picture."""
    center, axes = rng.integers(0, _CANVAS_PX, 2), rng.integers(8, 34, 2)
    mask = np.zeros((_CANVAS_PX, _CANVAS_PX), np.uint8)
    turn = float(rng.uniform(0, 180))
    cv2.ellipse(mask, center.tolist(), axes.tolist(), turn, 0, 360, (255,), -1)
    if rng.random() < 0.5:
        filling = np.broadcast_to(rng.integers(0, 256, 3).astype(np.uint8), canvas.shape)
    else:
        y, x = rng.integers(0, other.shape[0] - _CANVAS_PX + 1, 2)
        filling = other[y : y + _CANVAS_PX, x : x + _CANVAS_PX]
    return np.where(mask[..., None] > 0, filling, canvas)
