"""What the expression network is shown of a swapped face, and what becomes of its answer.

It looks at an upright square around the face. It answers with a slow motion of the face's pixels,
which is enlarged onto the crop, whose own sharpness stays.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.blending.pixel_math import planes
from sosie.geometry import alignment, head_pose
from sosie.methods.graft.view import laid_over, places
from sosie.methods.graft.warp import Field
from sosie.types import FloatArray

SIDE_PX, MARGIN = 192, 1.3
"""Side of the network's square in pixels, and in sizes of the face (`head_pose.region_of`)."""

CHANNELS = ("red", "green", "blue", "shown", "own", "place x", "place y")
"""What the network is shown of each pixel; see `shown_to_network`."""

FLOW_PX = 6.0
"""How far the network can move a pixel, in pixels of its square."""


def square(landmarks: FloatArray) -> alignment.Matrix:
    """Crop -> the network's square, for a face with these landmarks (478 x 3, in the crop)."""
    return head_pose.square_matrix(head_pose.region_of(landmarks), MARGIN, SIDE_PX)


def shown_to_network(
    pixels: FloatArray,
    shown: FloatArray,
    own: FloatArray,
    points: FloatArray,
    matrix: alignment.Matrix,
) -> NDArray[np.uint8]:
    """SIDE_PX x SIDE_PX x len(CHANNELS), uint8.

    pixels: the swapped face in the target's surroundings, RGB, h x w x 3, 0..1. shown: h x w, 0..1,
    where the swapped face is; own: where it is the target's own. points: of the swapped face, 478 x
    3, in the crop. matrix: crop -> square. The last two channels are each pixel's place on the mean
    face (128 for 0), which tells what part of a face is there.
    """
    both = np.asarray(cv2.merge([shown, own]), np.float32)
    laid = [_laid(picture, matrix) for picture in (pixels, both)]
    field = Field(points, pixels.shape[1], pixels.shape[0])
    there = field.spread_onto(np.asarray(0.5 * places(), np.float32), matrix, SIDE_PX, SIDE_PX)
    return np.dstack([*laid, _as_bytes(there + np.float32(0.5))])


def answered(
    pixels: FloatArray,
    shown: FloatArray,
    flow: FloatArray,
    matrix: alignment.Matrix,
) -> FloatArray:
    """The face's pixels (RGB, h x w x 3, 0..1) with the network's answer, as far as they are
    `shown` (h x w, 0..1).

    flow: S x S x 2, from where in the square each pixel comes, as a shift in the square's pixels.
    matrix: crop -> square.
    """
    height, width = pixels.shape[:2]
    back = alignment.invert(matrix)[:, :2]
    shift = laid_over(flow, SIDE_PX, matrix, width, height) @ back.T.astype(np.float32)
    shift *= shown[..., None]
    x, y = planes(np.ascontiguousarray(shift))
    x = x + np.arange(width, dtype=np.float32)
    y = y + np.arange(height, dtype=np.float32)[:, None]
    moved = cv2.remap(pixels, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(moved, 0, 1), np.float32)


def _laid(picture: FloatArray, matrix: alignment.Matrix) -> NDArray[np.uint8]:
    """A picture of the crop in the network's square."""
    return np.asarray(alignment.warp(_as_bytes(picture), matrix, SIDE_PX, SIDE_PX), np.uint8)


def _as_bytes(picture: FloatArray) -> NDArray[np.uint8]:
    return np.asarray(cv2.convertScaleAbs(np.maximum(picture, 0), alpha=255), np.uint8)
