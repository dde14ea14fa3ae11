"""The 98 landmarks that FSGAN is driven by, of the 478 that Sosie has, and a heat-map of each.

The 98 are those of the set WFLW (Wu et al. 2018, "Look at Boundary"): outline, brows, nose, eyes,
lips, pupils. The published networks learned them from a landmark network for that set. Here they
come from the face mesh by a fixed table. Those that the 68 common points have too are taken from
`mesh.ANNOTATED`, which was fitted to annotations. Every second point of the outline is the middle
of its neighbors, and the lids' points lie at the quarters of the mesh's rings. The table was fitted
to no picture that is annotated with the 98 itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sosie.geometry.mesh import (
    ANNOTATED,
    LEFT_BROW,
    LEFT_EYE,
    LEFT_IRIS,
    RIGHT_BROW,
    RIGHT_EYE,
    RIGHT_IRIS,
    outline,
)
from sosie.types import FloatArray

POINTS = 98

LEAST = 0.8
"""Where the falling disc is less, its map is 0."""

REACH = float(np.sqrt(2) * (1 - LEAST ** (1 / 8)))
"""A point's map is above 0 no farther than this from it, in sides of the picture."""


def _quarters(ring: tuple[int, ...], half: int) -> tuple[int, int, int]:
    """The points of a lid's ring at the quarters of a half that begins at `half`."""
    return ring[half + 2], ring[half + 4], ring[half + 6]


# The mesh's rings of the eyes go from the outer corner along the lower lid and back along the
# upper one; WFLW begins at the corner on the image's left and goes along the upper lid.
_EYES = (
    *(RIGHT_EYE[0], *reversed(_quarters(RIGHT_EYE, 8))),
    *(RIGHT_EYE[8], *reversed(_quarters(RIGHT_EYE, 0))),
    *(LEFT_EYE[8], *_quarters(LEFT_EYE, 8)),
    *(LEFT_EYE[0], *_quarters(LEFT_EYE, 0)),
)
# The upper edge has five points and the lower one four; both begin at the end on the image's left
# on the left of the image, and at the nose on the right of it.
_BROWS = (*RIGHT_BROW[:9], *LEFT_BROW[4::-1], *LEFT_BROW[8:4:-1])
_NOSE, _LIPS = ANNOTATED[27:36], ANNOTATED[48:68]
_AFTER_OUTLINE = (*_BROWS, *_NOSE, *_EYES, *_LIPS, RIGHT_IRIS[0], LEFT_IRIS[0])


def points_98(landmarks: FloatArray) -> FloatArray:
    """The 98 points of a face's landmarks (478 x 3, or x 2): float32, 98 x 2, in the same pixels,
    numbered as in WFLW."""
    xy = landmarks[:, :2]
    return np.asarray(np.concatenate([outline(xy), xy[list(_AFTER_OUTLINE)]]), np.float32)


def heat_maps(points: FloatArray, points_px: float, side_px: int) -> FloatArray:
    """A map of each point: N x 2, pixels of a picture of `points_px` squared -> float32,
    N x side_px x side_px, 0..1.

    A disc that is 1 at the point, falls to 0 at `REACH` and knows nothing beyond: of a point
    outside the picture, what reaches into it.
    """
    places = (np.asarray(points, np.float32) + 0.5) / points_px
    steps = (np.arange(side_px, dtype=np.float32) + 0.5) / side_px
    across = np.square(steps - places[:, :1])
    down = np.square(steps - places[:, 1:])
    distance = np.sqrt(down[:, :, None] + across[:, None, :])
    near = np.maximum(1 - distance / np.sqrt(2, dtype=np.float32), 0)
    # Its eighth power, by squares: many times faster.
    near = np.square(np.square(np.square(near)))
    return np.asarray(np.clip((near - LEAST) / (1 - LEAST), 0, 1), np.float32)


def mirrored(points: NDArray[np.float32], side_px: int) -> FloatArray:
    """The 98 points of the mirrored picture, numbered as they are then: 98 x 2."""
    flipped = np.array(points[list(_MIRROR)], np.float32)
    flipped[:, 0] = side_px - 1 - flipped[:, 0]
    return flipped


# fmt: off
_MIRROR = (
    *range(32, -1, -1),
    46, 45, 44, 43, 42, 50, 49, 48, 47, 37, 36, 35, 34, 33, 41, 40, 39, 38,
    51, 52, 53, 54, 59, 58, 57, 56, 55,
    72, 71, 70, 69, 68, 75, 74, 73, 64, 63, 62, 61, 60, 67, 66, 65,
    82, 81, 80, 79, 78, 77, 76, 87, 86, 85, 84, 83, 92, 91, 90, 89, 88, 95, 94, 93,
    97, 96,
)
# fmt: on
