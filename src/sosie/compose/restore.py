"""A composed crop back in its frame: only the window that it covers is touched."""

from __future__ import annotations

import cv2
import numpy as np

from sosie.geometry import invert, transform_points, warp
from sosie.types import Crop, FloatArray, Patch, Pixels


def window(crop: Crop, frame_shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the crop in a frame of height x width, clipped to it."""
    height, width = crop.pixels.shape[:2]
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)
    placed = transform_points(corners - 0.5, invert(crop.matrix))
    x0, y0 = np.maximum(np.floor(placed.min(0) + 0.5), 0).astype(int)
    x1, y1 = np.ceil(placed.max(0) + 0.5).astype(int)
    return int(x0), int(y0), int(min(x1, frame_shape[1])), int(min(y1, frame_shape[0]))


def to_window(crop: Crop, box: tuple[int, int, int, int], picture: FloatArray) -> FloatArray:
    """A picture in crop coordinates (h x w or h x w x 3), resampled into a window of the frame."""
    x0, y0, x1, y1 = box
    linear, shift = crop.matrix[:, :2], crop.matrix[:, 2]
    if np.array_equal(linear, np.eye(2)) and np.array_equal(shift, [-x0, -y0]):
        return picture[: y1 - y0, : x1 - x0]
    matrix = invert(crop.matrix)
    matrix[:, 2] -= (x0, y0)
    placed = warp(picture, matrix, x1 - x0, y1 - y0, border=cv2.BORDER_CONSTANT)
    return np.asarray(placed, np.float32)


def as_patch(
    frame: Pixels, box: tuple[int, int, int, int], composed: FloatArray, mask: FloatArray
) -> Patch:
    """Composed pixels (float32, 0..1) as a patch in the frame's depth, rounded to nearest."""
    x0, y0, x1, y1 = box
    top = 255 if frame.dtype == np.uint8 else 65535
    touched = mask > 0
    rounded = np.rint(np.clip(composed, 0, 1) * top).astype(frame.dtype)
    pixels = np.where(touched[..., None], rounded, frame[y0:y1, x0:x1])
    return Patch(x0, y0, pixels, touched)


def paste(frame: Pixels, patch: Patch) -> None:
    """Write a patch into a frame, in place, where its mask is set."""
    height, width = patch.mask.shape
    part = frame[patch.y : patch.y + height, patch.x : patch.x + width]
    part[patch.mask] = patch.pixels[patch.mask]
