"""Trivial methods that bound what a swap can reach.

`target` changes nothing: attributes and realism can be no better, identity no worse. `source` is
another photo of nobody but the source: identity can be no better. `paste` puts the source's face
onto the target's by the five points alone: what a swap is without any method.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.geometry import alignment
from sosie.geometry.morphable_model import silhouette
from sosie.types import Face

Picture = NDArray[np.uint8]
"""RGB, H x W x 3."""


def keep_target(source: Picture, target: Picture) -> Picture:
    """The target itself."""
    del source
    return target


def show_source(source: Picture, target: Picture) -> Picture:
    """The source photo in the target's size: as large as it fits, in the middle, its border
    repeated around it. Nothing of the target is in it."""
    height, width = target.shape[:2]
    scale = min(width / source.shape[1], height / source.shape[0])
    # Pixel centers are whole numbers, so that the pictures' middles are half a pixel off theirs.
    x, y = (
        (whole - 1) / 2 - scale * (part - 1) / 2
        for whole, part in zip((width, height), source.shape[1::-1], strict=True)
    )
    matrix = np.array([[scale, 0, x], [0, scale, y]])
    return np.asarray(alignment.warp(source, matrix, width, height), np.uint8)


def paste_face(source: Picture, target: Picture, source_face: Face, target_face: Face) -> Picture:
    """The source's face on the target, fitted by a similarity of the five points, cut along its own
    outline, in its own light."""
    height, width = target.shape[:2]
    matrix = alignment.fit_similarity(source_face.points5, target_face.points5)
    moved = alignment.warp(source, matrix, width, height).astype(np.float32)
    outline = silhouette(
        alignment.transform_points(source_face.landmarks, matrix), width, height
    ).astype(np.float32)
    # Nothing is there to be pasted beyond the source photo's own edge.
    there = np.full(source.shape[:2], 255, np.uint8)
    inside = alignment.warp(there, matrix, width, height, cv2.BORDER_CONSTANT)
    weight = np.minimum(outline, inside.astype(np.float32))[..., None] / 255
    return np.asarray(np.rint(moved * weight + target * (1 - weight)), np.uint8)


FACELESS: dict[str, Callable[[Picture, Picture], Picture]] = {
    "target": keep_target,
    "source": show_source,
}
"""Those that look for no face."""

PASTE = "paste"

BOUNDS = (*FACELESS, PASTE)
"""The names of all of them."""
