"""Point numbers of the 478-point face mesh, for all parts of Sosie.

The numbering is MediaPipe's: 468 points of the surface, then five for each iris (center, then
four of the rim). Right and left are the subject's own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SURFACE_POINTS = 468
POINTS = 478

# fmt: off
# Rings, in order around: the outline of the face, the lids, and both edges of the lips. The eyes'
# and the inner lips' rings start at one corner, go along the lower side and return along the upper.
OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
        152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81,
              80, 191)
OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39,
              40, 185)
RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
LEFT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
NOSE = (1, 2, 4, 5, 48, 98, 278, 327)
ANNOTATED = (
    127, 234, 177, 215, 172, 136, 150, 176, 152, 400, 379, 365, 397, 435, 401, 454, 356, 70, 63,
    105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 1, 240, 97, 2, 326, 460, 33, 160, 158, 173,
    153, 144, 398, 385, 387, 263, 373, 380, 61, 74, 37, 0, 267, 304, 291, 405, 314, 17, 84, 181, 76,
    82, 13, 312, 306, 316, 14, 86,
)
# fmt: on
"""The mesh point for each of the 68 that faces are commonly annotated with (jaw, brows, nose, eyes,
lips): symmetric, and the nearest to them on average over frames of YouTube Faces."""
OUTLINE = 33
"""Points of the outline, ear to ear, in sets with a finer one than the 68 have; see `outline`."""
RIGHT_IRIS = (468, 469, 470, 471, 472)
LEFT_IRIS = (473, 474, 475, 476, 477)


def outline(values: NDArray[Any]) -> NDArray[Any]:
    """What is known of each mesh point (478 x N), at each of `OUTLINE` points: at every other one
    as it is there, and between two of those their mean."""
    jaw = values[list(ANNOTATED[:17])]
    found = np.empty((OUTLINE, values.shape[1]), values.dtype)
    found[::2], found[1::2] = jaw, (jaw[:-1] + jaw[1:]) / 2
    return found


def edges(ring: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """The points of the lower and of the upper edge of a ring that starts at one corner, without
    the corners, each beside the one across."""
    half = len(ring) // 2
    return list(ring[1:half]), list(ring[:half:-1])


def opening(landmarks: NDArray[Any], ring: tuple[int, ...]) -> float:
    """Mean height over width of a ring of landmarks (478 x 3) that starts at one corner, runs along
    the lower side to the other and back along the upper side."""
    lower, upper = edges(ring)
    heights = np.linalg.norm(landmarks[upper] - landmarks[lower], axis=1)
    width = float(np.linalg.norm(landmarks[ring[0]] - landmarks[ring[len(ring) // 2]]))
    return float(heights.mean()) / max(width, 1e-6)


def fan(ring: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Triangles that fill a ring which runs along its lower side and back along its upper side."""
    half = len(ring) // 2
    lower = ring[: half + 1]
    upper = (ring[0], *reversed(ring[half + 1 :]), ring[half])
    strip = []
    for k in range(half):
        strip.append((upper[k], lower[k + 1], lower[k]))
        strip.append((upper[k], upper[k + 1], lower[k + 1]))
    return [t for t in strip if len(set(t)) == 3]
