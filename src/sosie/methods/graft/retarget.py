"""The target's face with the source's inner proportions, in the target's pose and expression."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache

import numpy as np

from sosie.blending.mask import PART_RINGS
from sosie.geometry import mesh
from sosie.geometry.morphable_model import (
    Points,
    canonicalize,
    distance_from_contour,
    distance_to,
    face_shape,
    smoothstep,
)
from sosie.types import FloatArray

# Canonical distance from the outline over which the change of shape grows from none to all.
_FALLOFF = 0.3
# The same for the source's expression, where that is taken: only the very outline stays. Where the
# chin comes down by the second, from the first on, the outline below the first to the second
# canonical height goes along.
_JAW_FALLOFF, _JAW_OPENS = 0.12, (0.02, 0.1)
_CHIN, _JAW_FROM, _JAW_TO = 152, 0.3, 1.2
# Parts of the target that stay its own stay in their place: the change of shape grows between these
# canonical distances from them.
_BESIDE = (0.05, 0.35)
# How far an opening may differ from the target's, as a factor; and below what share of an eye's or
# mouth's width it counts as closed.
_OPENING_RANGE = (0.8, 1.25)
_CLOSED = 0.03


@cache
def _inner_share() -> Points:
    return smoothstep(distance_from_contour(), 0.0, _FALLOFF)


def _expressive_share(change: Points) -> Points:
    """How much of a change of expression (478 x 3, canonical) each point takes, 478 x 1: that of a
    jaw which opens is taken to the chin and beyond, for what lies there is covered. Where one
    shuts, nothing is known of what lies beneath."""
    inner = smoothstep(distance_from_contour(), 0.0, _JAW_FALLOFF)
    jaw = smoothstep(face_shape().mean[:, 1], _JAW_FROM, _JAW_TO)
    opens = smoothstep(change[[_CHIN], 1], *_JAW_OPENS)
    return np.asarray(inner + (1 - inner) * jaw * opens)[:, None]


def strength_beside(parts: Collection[str], strength: float) -> float | Points:
    """How much of the source's proportions a face takes where parts of the target, of
    `options.KEPT_PARTS`, stay its own: a number for all points, or one for each, 478 x 1."""
    kept = tuple(point for part in parts for ring in PART_RINGS[part] for point in ring)
    if not kept:
        return strength
    return strength * smoothstep(distance_to(kept, face_shape()), *_BESIDE)[:, None]


def retarget(
    source: FloatArray,
    target: FloatArray,
    aim: FloatArray,
    strength: float | Points,
    expression: float = 0.0,
) -> FloatArray:
    """Landmarks for the swapped face: 478 x 3, in the target's pixels.

    source: landmarks in the source photo's pixels; target: in the target's; aim: the target's,
    corrected for what the result was found to miss. Both faces are brought to one pose in 3D, the
    difference is freed from what is expression, and `strength` (0..1) of it is added to `aim`:
    brows, eyes, nose and mouth go where the source has them, the outline stays. Of what is
    expression a share, 0..1, is added too.
    """
    shape = face_shape()
    of_target = canonicalize(target, shape)
    difference = canonicalize(source, shape).points - of_target.points
    change = shape.expression_change(difference)
    identity = difference - change
    moved = of_target.to_picture(identity * _inner_share()[:, None])
    points = np.asarray(aim + strength * moved, np.float32)
    if expression:
        added = of_target.to_picture(change * _expressive_share(change))
        points += np.asarray(expression * added, np.float32)
    keep_openings(points, target, 1 - expression)
    return points


def keep_openings(
    points: FloatArray,
    target: FloatArray,
    share: float,
    rings: Iterable[tuple[int, ...]] = (mesh.RIGHT_EYE, mesh.LEFT_EYE, mesh.INNER_LIPS),
) -> None:
    """Bring the lids, and the inner edges of the lips, by a share to nearly the distance that they
    have in the target: what is closed stays closed, and an upper edge never crosses the lower."""
    for ring in rings:
        lower, upper = mesh.edges(ring)
        wanted = target[lower] - target[upper]
        present = points[lower] - points[upper]
        slack = (_CLOSED * float(np.ptp(target[list(ring), :2], axis=0).max())) ** 2
        along = (wanted * present).sum(1) + slack
        ratio = np.clip(along / ((wanted * wanted).sum(1) + slack), *_OPENING_RANGE)
        change = share * (wanted * ratio[:, None] - present) / 2
        points[lower] += change
        points[upper] -= change
