"""Other people's faces, kept out of a patch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sosie.geometry import mesh
from sosie.geometry.alignment import fill_polygon
from sosie.types import Face, Patch, Pixels


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
    )
