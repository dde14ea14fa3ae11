"""The target's face with the source's inner proportions, in the target's pose and expression."""

from __future__ import annotations

from functools import cache

import numpy as np

from sosie.geometry import mesh
from sosie.geometry.morphable_model import (
    Points,
    canonicalize,
    distance_from_contour,
    face_shape,
    smoothstep,
)
from sosie.types import FloatArray

# Canonical distance from the outline over which the change of shape grows from none to all.
_FALLOFF = 0.3
# How far an opening may differ from the target's, as a factor; and below what share of an eye's or
# mouth's width it counts as closed.
_OPENING_RANGE = (0.8, 1.25)
_CLOSED = 0.03


@cache
def _inner_share() -> Points:
    return smoothstep(distance_from_contour(), 0.0, _FALLOFF)


def retarget(
    source: FloatArray, target: FloatArray, aim: FloatArray, strength: float
) -> FloatArray:
    """Landmarks for the swapped face: 478 x 3, in the target's pixels.

    source: landmarks in the source photo's pixels; target: in the target's; aim: the target's,
    corrected for what the result was found to miss. Both faces are brought to one pose in 3D, the
    difference is freed from what is expression, and `strength` (0..1) of it is added to `aim`:
    brows, eyes, nose and mouth go where the source has them, the outline stays.
    """
    shape = face_shape()
    of_target = canonicalize(target, shape)
    difference = canonicalize(source, shape).points - of_target.points
    identity = difference - shape.expression_change(difference)
    moved = of_target.to_picture(identity * _inner_share()[:, None])
    points = np.asarray(aim + strength * moved, np.float32)
    _keep_openings(points, target)
    return points


def _keep_openings(points: FloatArray, target: FloatArray) -> None:
    """Bring the lids, and the inner edges of the lips, to nearly the distance that they have in the
    target: what is closed stays closed, and an upper edge never crosses the lower."""
    for ring in (mesh.RIGHT_EYE, mesh.LEFT_EYE, mesh.INNER_LIPS):
        half = len(ring) // 2
        lower, upper = list(ring[1:half]), list(ring[:half:-1])
        wanted = target[lower] - target[upper]
        present = points[lower] - points[upper]
        slack = (_CLOSED * float(np.ptp(target[list(ring), :2], axis=0).max())) ** 2
        along = (wanted * present).sum(1) + slack
        ratio = np.clip(along / ((wanted * wanted).sum(1) + slack), *_OPENING_RANGE)
        change = (wanted * ratio[:, None] - present) / 2
        points[lower] += change
        points[upper] -= change
