"""The 106 landmarks that FSLSD is driven by, of the 478 that Sosie has, and a heat-map of each.

The 106 are those of the set JD-landmark (Liu et al. 2019, "Grand Challenge of 106-Point Facial
Landmark Localization"): outline, brows, nose, eyes, lips, pupils. The published networks learned
them from a landmark network for that set. Here they come from the face mesh by a fixed table. Those
that the 68 common points have too are taken from `mesh.ANNOTATED`, which was fitted to annotations.
The others, which are the lower brows, the lids' middles and the sides of the nose, were put where
the set's description has them: the table was fitted to no picture annotated with the 106 itself.
"""

from __future__ import annotations

import numpy as np

from sosie.geometry import mesh
from sosie.geometry.mesh import (
    ANNOTATED,
    LEFT_BROW,
    LEFT_EYE,
    LEFT_IRIS,
    RIGHT_BROW,
    RIGHT_EYE,
    RIGHT_IRIS,
)
from sosie.types import FloatArray

POINTS = 106

# The upper edge of a brow has five points and the lower one four, from the image's left.
_UPPER_BROWS = (*RIGHT_BROW[:5], *LEFT_BROW[4::-1])
_LOWER_BROWS = (*RIGHT_BROW[8:4:-1], *LEFT_BROW[5:9])
_NOSE, _EYES, _LIPS = ANNOTATED[27:36], ANNOTATED[36:48], ANNOTATED[48:68]
_PUPILS = (RIGHT_IRIS[0], LEFT_IRIS[0])
# Of each eye the middle of the upper and the lower lid, and the pupil.
_MIDDLES = (
    *(RIGHT_EYE[12], RIGHT_EYE[4], _PUPILS[0]),
    *(LEFT_EYE[12], LEFT_EYE[4], _PUPILS[1]),
)
# In pairs from the root to the wings, the image's left side first.
_NOSE_SIDES = (193, 417, 198, 420, 64, 294)
_AFTER_OUTLINE = (
    *(*_UPPER_BROWS, *_NOSE, *_EYES, *_LOWER_BROWS, *_MIDDLES, *_NOSE_SIDES, *_LIPS),
    *_PUPILS,
)


def _table() -> FloatArray:
    found = np.zeros((POINTS, mesh.POINTS), np.float32)
    found[: mesh.OUTLINE] = mesh.outline(np.eye(mesh.POINTS, dtype=np.float32))
    found[np.arange(mesh.OUTLINE, POINTS), list(_AFTER_OUTLINE)] = 1
    return found


TABLE = _table()
"""How much each of the 478 landmarks counts in each of the 106: float32, 106 x 478."""


def points_106(landmarks: FloatArray) -> FloatArray:
    """The 106 points of a face's landmarks (478 x 3, or x 2): float32, 106 x 2, in the same pixels,
    numbered as in JD-landmark."""
    return np.asarray(TABLE @ landmarks[:, :2], np.float32)


def heat_maps(points: FloatArray, points_px: int, side_px: int) -> FloatArray:
    """A map of each point: N x 2, pixels of a picture of `points_px` squared -> float32,
    N x side_px x side_px, 1 at the point's pixel and 0 elsewhere.

    The published maps are falling spots that are cut off to whole numbers, which leaves that one
    pixel. Of a point outside the picture the map is empty.
    """
    places = np.floor((np.asarray(points, np.float64) + 0.5) * (side_px / points_px)).astype(int)
    found = np.zeros((len(places), side_px, side_px), np.float32)
    inside = ((places >= 0) & (places < side_px)).all(1)
    number = np.arange(len(places))[inside]
    found[number, places[inside, 1], places[inside, 0]] = 1
    return found
