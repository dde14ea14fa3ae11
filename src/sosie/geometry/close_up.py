"""A face in a part of its picture, or in a smaller copy of that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sosie.geometry.alignment import Matrix, face_window, transform_points, warp
from sosie.types import Face, Pixels


def close_up(
    pixels: Pixels, face: Face, margin: float, most_px: float
) -> tuple[Pixels, Face, Matrix]:
    """The surroundings of a face (RGB, uint8 or uint16): their pixels, the face in them, and the
    transform from the picture to them.

    margin: of what surrounds it, as a share of its size. most_px: a larger face is reduced to this.
    """
    x0, y0, x1, y1 = face_window(face.landmarks, margin, pixels.shape)
    scale = min(1.0, most_px / face.size_px)
    matrix = np.array([[scale, 0, -x0 * scale], [0, scale, -y0 * scale]])
    if scale == 1:
        return pixels[y0:y1, x0:x1], moved_face(face, matrix), matrix
    small = warp(pixels, matrix, round((x1 - x0) * scale), round((y1 - y0) * scale))
    return small, moved_face(face, matrix), matrix


def moved_face(face: Face, matrix: Matrix) -> Face:
    """A face in another picture, by the transform from its own to that."""
    points = transform_points(face.landmarks, matrix)
    return replace(
        face,
        landmarks=points,
        points5=transform_points(face.points5, matrix),
        box=np.concatenate([points[:, :2].min(0), points[:, :2].max(0)]),
    )
