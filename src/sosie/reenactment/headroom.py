"""What lies above a photo: a head that moves down shows more of itself than the photo does."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.parser import SIDE_PX, square_matrix
from sosie.blending.pixel_math import blurred
from sosie.geometry import alignment, head_pose
from sosie.methods.base import Source
from sosie.types import FloatArray, Pixels

# How much is added above, as a share of the face's size, and how high hair goes on, of its width.
_ROOM, _DOME = 0.5, 0.22
# So much of a pixel is hair at least where its color is learned, and so many pixels are needed.
_SURE, _LEAST = 0.7, 50
# A pixel of the photo's upper edge is hair where its color lies no further from that of the hair,
# in standard deviations; the edge is seen so many rows deep.
_ALIKE, _ROWS = 2.5, 4
# Gaps in the hair of this share of the face are closed, and shorter pieces are none.
_GAP = 0.08
_SOFT_PX = 2.0
# Background is looked for so far beside the hair, as a share of the face's size.
_BESIDE = 0.05


def with_headroom(photo: Source) -> tuple[Pixels, int]:
    """The photo with some rows above it, and how many: the background goes on as it was, and hair
    that the upper edge cuts is rounded off."""
    pixels = photo.pixels
    size_px = head_pose.region_of(photo.face.landmarks).size_px
    rows = round(_ROOM * size_px)
    edge = pixels[:_ROWS].astype(np.float32).mean(0)
    room = np.repeat(edge[None], rows, axis=0)
    hair = _hair_at_edge(photo, edge, size_px)
    if hair is not None:
        room = _rounded(pixels, room, *hair, max(3, round(_BESIDE * size_px)))
    top = np.iinfo(pixels.dtype).max
    made = np.clip(np.rint(room), 0, top).astype(pixels.dtype)
    return np.concatenate([made, pixels]), rows


def _hair_at_edge(photo: Source, edge: FloatArray, size_px: float) -> tuple[int, int] | None:
    """First and last column of the upper edge where it cuts the hair; None where it does not."""
    if photo.parts is None:
        return None
    region = head_pose.region_of(photo.face.landmarks)
    square = alignment.crop(photo.pixels, square_matrix(region), SIDE_PX)
    known = square[photo.parts.hair > _SURE].astype(np.float64)
    if len(known) < _LEAST:
        return None
    mean = known.mean(0)
    spread = np.cov(known.T) + np.eye(3) * (0.02 * np.iinfo(photo.pixels.dtype).max) ** 2
    off = edge - mean
    distance = np.sqrt(np.einsum("nc,cd,nd->n", off, np.linalg.inv(spread), off))
    reach = max(1, round(_GAP * size_px)) | 1
    like = np.asarray(distance < _ALIKE, np.uint8)[None]
    kernel = np.ones((1, reach), np.uint8)
    closed = cv2.morphologyEx(like, cv2.MORPH_CLOSE, kernel)
    columns = np.flatnonzero(cv2.morphologyEx(closed, cv2.MORPH_OPEN, kernel)[0])
    if not len(columns):
        return None
    # The piece that lies over the middle of the face, or nearest to it.
    pieces = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    middle = float(photo.face.landmarks[:, 0].mean())
    piece = min(pieces, key=lambda one: max(one[0] - middle, middle - one[-1], 0.0))
    if max(piece[0] - middle, middle - piece[-1]) > size_px / 2:
        return None
    return int(piece[0]), int(piece[-1])


def _rounded(pixels: Pixels, room: FloatArray, first: int, last: int, beside: int) -> FloatArray:
    """The rows above with the background across the hair, and over that the hair as a dome. beside:
    so many pixels from the hair the background is free of strands."""
    rows, width = room.shape[:2]
    left, right = max(0, first - beside), min(width - 1, last + beside)
    share = np.linspace(0, 1, right - left + 1, dtype=np.float32)[None, :, None]
    room = room.copy()
    # What is said of the background beyond the picture is of what lies next to the hair.
    ends = [room[:, max(0, n - beside) : n + beside + 1].mean(1)[:, None] for n in (left, right)]
    room[:, left : right + 1] = ends[0] * (1 - share) + ends[1] * share
    room = blurred(room, beside)
    across = np.arange(width, dtype=np.float32)
    half = (last - first + 1) / 2
    from_middle = np.abs(across - (first + last) / 2) / max(half, 1)
    height = _DOME * 2 * half * np.sqrt(np.clip(1 - from_middle**2, 0, 1))
    # Rows count from the photo's edge up.
    up = np.arange(rows, 0, -1, dtype=np.float32)[:, None]
    inside = np.clip(height[None] - up + 0.5, 0, 1)
    inside = cv2.GaussianBlur(np.asarray(inside, np.float32), (0, 0), _SOFT_PX)
    # Hair has no more to show than it has below the edge: it is seen there as in a mirror.
    mirrored = _mirrored(pixels, rows).astype(np.float32)
    return np.asarray(room + (mirrored - room) * inside[..., None], np.float32)


def _mirrored(pixels: Pixels, rows: int) -> NDArray[np.generic]:
    """So many rows above a picture, as it would be in a mirror."""
    return np.asarray(
        cv2.copyMakeBorder(pixels, rows, 0, 0, 0, cv2.BORDER_REFLECT)[:rows], pixels.dtype
    )
