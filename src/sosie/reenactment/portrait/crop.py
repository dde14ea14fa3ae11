"""LivePortrait's crop of a face: a square about the head, and what is seen of it."""

from __future__ import annotations

import numpy as np

from sosie.geometry import mesh
from sosie.geometry.alignment import Matrix
from sosie.geometry.head_pose import Region, square_matrix
from sosie.reenactment.portrait.files import SIZE_PX
from sosie.types import Face

# The side is so many times the larger one of the face's bounds; its middle lies above theirs by
# this share of it.
_SCALE, _RAISED = 2.3, 0.125


def portrait_matrix(face: Face, upright: bool = True) -> Matrix:
    """Frame -> crop of 512 x 512 pixels, 2 x 3.

    upright: the line from between the eyes to the middle of the mouth points down in the crop; else
    the crop is as straight as the frame.
    """
    eyes, mouth = face.points5[:2].mean(0), face.points5[3:].mean(0)
    across, down = (mouth - eyes).astype(np.float64) if upright else (0.0, 1.0)
    roll = np.arctan2(-across, down)
    turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    # Jaw, brows, nose, eyes and lips: no forehead, as in the published landmarks.
    own = face.landmarks[list(mesh.ANNOTATED), :2].astype(np.float64) @ turn.T
    low, high = own.min(0), own.max(0)
    size_px = float((high - low).max())
    x, y = (low + high) / 2 @ turn - _RAISED * _SCALE * size_px * turn[1]
    region = Region(float(x), float(y), size_px, float(np.degrees(roll)))
    return square_matrix(region, _SCALE, SIZE_PX)
