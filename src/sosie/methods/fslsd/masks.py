"""Where in an aligned face the source's maps count: the face, and some of what surrounds it."""

from __future__ import annotations

import cv2
import numpy as np

from sosie.geometry.mesh import OVAL
from sosie.types import FloatArray

_BEYOND = 50 / 1024
"""The published mask, of a parser's labels, is widened by a square of 50 pixels of 1024."""


def face_mask(landmarks: FloatArray, points_px: int, side_px: int) -> FloatArray:
    """The mask of a face whose landmarks (478 x 2 or x 3) are in pixels of a picture of `points_px`
    squared: float32, side_px x side_px, 0 or 1."""
    ring = (np.asarray(landmarks[list(OVAL), :2], np.float64) + 0.5) * (side_px / points_px) - 0.5
    found = np.zeros((side_px, side_px), np.uint8)
    cv2.fillPoly(found, [np.rint(np.clip(ring, -side_px, 2 * side_px)).astype(np.int32)], (1,))
    width = max(1, round(_BEYOND * side_px))
    widened = cv2.dilate(found, np.ones((width, width), np.uint8))
    return np.asarray(widened, np.float32)
