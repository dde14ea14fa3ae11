"""Blended faces: one person's inner face in another's head, which an identity encoder is to see as
the first (Shiohara et al. 2023, "BlendFace", section 3.2)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.blending.color_transfer import match_moments
from sosie.geometry import alignment, mesh
from sosie.types import FloatArray

Pixels = NDArray[np.uint8]

# The inner face is the mesh's outline, smaller by up to this share of the side, and its edge is so
# soft.
_SMALLER, _SOFT = (0.0, 0.08), (0.015, 0.06)


def blended(
    source: Pixels,
    source_points: FloatArray,
    target: Pixels,
    target_points: FloatArray,
    rng: np.random.Generator,
) -> Pixels:
    """The source's inner face in the target's head, in the target's color: uint8, S x S x 3.

    source, target: aligned faces, RGB, S x S x 3. points: their landmarks, 478 x 2, pixels.
    """
    side = target.shape[0]
    matrix = alignment.fit_similarity(source_points, target_points)
    face = np.asarray(alignment.warp(source, matrix, side, side), np.float32) / 255
    there = target.astype(np.float32) / 255
    outline = np.asarray(alignment.transform_points(source_points, matrix), np.float32)
    inner = _inner(outline, target_points, side, rng)
    lit = match_moments(face, there, inner)
    share = inner[..., None]
    return np.asarray(np.clip(np.rint((share * lit + (1 - share) * there) * 255), 0, 255), np.uint8)


def _inner(one: FloatArray, other: FloatArray, side: int, rng: np.random.Generator) -> FloatArray:
    """Where both faces are, a little smaller, with a soft edge: float32, S x S, 0..1."""
    both = [
        alignment.fill_polygon(points[list(mesh.OVAL), :2], side, side) for points in (one, other)
    ]
    inside = np.minimum(*both)
    less = round(rng.uniform(*_SMALLER) * side)
    if less:
        inside = cv2.erode(inside, np.ones((2 * less + 1, 2 * less + 1), np.uint8))
    soft = cv2.GaussianBlur(inside, (0, 0), rng.uniform(*_SOFT) * side)
    return np.asarray(soft, np.float32) / 255


def nearest_in_shape(points: FloatArray, row: int, others: NDArray[np.intp]) -> int:
    """Of some rows the one whose landmarks (rows x 478 x 2) are nearest to those of a row."""
    apart = np.abs(points[others] - points[row]).mean((1, 2))
    return int(others[np.argmin(apart)])
