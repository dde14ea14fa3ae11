"""A composed crop back in its frame: only the window that it covers is touched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.geometry import mesh
from sosie.geometry.alignment import Matrix, compose, fill_polygon, invert, transform_points, warp
from sosie.types import Crop, Face, FloatArray, Patch, Pixels

_STRIP_ROWS = 256


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
    rounded = np.clip(composed, 0, 1)
    rounded *= np.float32(top)
    pixels = frame[y0:y1, x0:x1].copy()
    _copy_where(touched, np.rint(rounded, out=rounded).astype(frame.dtype), pixels)
    return Patch(x0, y0, pixels, touched, mask)


def enlarged(patch: Patch, small: Pixels, frame: Pixels, matrix: Matrix, soft_px: float) -> Patch:
    """A patch of a reduced copy of a frame, as a patch of the frame.

    small: the copy, without the patch. matrix: frame -> copy, a scale and a shift. soft_px: width
    of the swap's soft edge in the copy: over it the frame's detail, which the copy lacks, gives way
    to what was swapped. Worked out in strips: such patches are large.
    """
    height, width = patch.mask.shape
    corners = np.array([(patch.x, patch.y), (patch.x + width, patch.y + height)]) - 0.5
    low, high = transform_points(corners, invert(matrix)) + 0.5
    x0, y0 = np.maximum(np.floor(low), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(high), frame.shape[1::-1]).astype(int)
    there = small[patch.y : patch.y + height, patch.x : patch.x + width]
    mask = patch.mask.astype(np.uint8) * 255
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    rise = np.clip(depth / max(soft_px, 1.0), 0, 1)
    own = (1 - rise * rise * (3 - 2 * rise)).astype(np.float32)
    pixels = np.empty((y1 - y0, x1 - x0, 3), frame.dtype)
    matte = None if patch.matte is None else np.empty((y1 - y0, x1 - x0), np.float32)
    covered = np.empty((y1 - y0, x1 - x0), bool)
    top = np.iinfo(frame.dtype).max
    for row in range(y0, y1, _STRIP_ROWS):
        size = (int(x1 - x0), int(min(row + _STRIP_ROWS, y1) - row))
        # Pixels of the strip -> pixels of the patch.
        back = compose(matrix, [[1, 0, x0], [0, 1, row]])
        back[:, 2] -= (patch.x, patch.y)

        def laid(picture: NDArray[Any], back: Matrix = back, size: tuple[int, int] = size) -> Any:
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            return cv2.warpAffine(picture, back, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)

        target = frame[row : row + size[1], x0:x1]
        missing = target.astype(np.float32) - laid(there)
        missing *= laid(own)[..., None]
        missing += laid(patch.pixels)
        inside = laid(mask) == 255
        missing = np.rint(np.clip(missing, 0, top, out=missing), out=missing)
        strip = slice(row - y0, row - y0 + size[1])
        pixels[strip] = np.where(inside[..., None], missing.astype(frame.dtype), target)
        covered[strip] = inside
        if matte is not None and patch.matte is not None:
            matte[strip] = laid(patch.matte) * inside
    return Patch(int(x0), int(y0), pixels, covered, matte, patch.stages)


def paste(frame: Pixels, patch: Patch) -> None:
    """Write a patch into a frame, in place, where its mask is set."""
    height, width = patch.mask.shape
    part = frame[patch.y : patch.y + height, patch.x : patch.x + width]
    _copy_where(patch.mask, patch.pixels, part)


def _copy_where(mask: NDArray[np.bool_], pixels: Pixels, onto: Pixels) -> None:
    """Write pixels (h x w x 3) onto others, where a mask (h x w) is set. NumPy does it pixel by
    pixel, channel by channel."""
    cv2.copyTo(pixels, mask.view(np.uint8), onto)


def spare(patch: Patch, frame: Pixels, face: Face) -> Patch:
    """The patch without the pixels inside the outline of another face.

    frame: RGB, uint8 or uint16, as it was before the patch. face: in frame coordinates.
    """
    height, width = patch.mask.shape
    outline = face.landmarks[list(mesh.OVAL), :2] - (patch.x, patch.y)
    low, high = outline.min(0), outline.max(0)
    if (high < 0).any() or (low > (width - 1, height - 1)).any():
        return patch
    inside = fill_polygon(outline, width, height) > 0
    before = frame[patch.y : patch.y + height, patch.x : patch.x + width]
    return replace(
        patch,
        pixels=np.where(inside[..., None], before, patch.pixels),
        mask=patch.mask & ~inside,
        matte=None if patch.matte is None else patch.matte * ~inside,
    )
