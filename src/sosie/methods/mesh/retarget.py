"""The target's face with the source's inner proportions, in the target's pose and expression."""

from __future__ import annotations

from functools import cache

import numpy as np

from sosie.face_shape import Points, canonicalise, distance_from_contour, face_shape, smoothstep
from sosie.types import FloatArray

# Canonical distance from the outline over which the change of shape grows from none to all.
_FALLOFF = 0.45


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
    of_target = canonicalise(target, shape)
    difference = canonicalise(source, shape).points - of_target.points
    identity = difference - shape.expression_change(difference)
    moved = of_target.to_picture(identity * _inner_share()[:, None])
    return np.asarray(aim + strength * moved, np.float32)
