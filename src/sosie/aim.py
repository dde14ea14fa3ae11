"""Aiming again: a swap is drafted, read like a photo, and corrected for what it missed.

A source's texture carries some of its own expression and pose along, however exactly its points
are placed: a network, and the eye, sees a smile's folds on a straight mouth. So the landmarks of a
draft are compared with the target's, and the next aim leans the other way by as much.
"""

from __future__ import annotations

import numpy as np

from sosie.face_shape import Points, canonicalise, face_shape
from sosie.types import FloatArray

# How much of a miss is corrected at once: less than all, since a reading has errors of its own.
_GAIN = 0.6
# Canonical units; the outer corners of the eyes are about 1.7 apart.
_LONGEST = 0.2
# Landmarks further off than this share of the face's width belong to another face.
_LOST = 0.25


def no_correction() -> Points:
    """Nothing to correct yet: canonical displacements, 478 x 3."""
    return np.zeros_like(face_shape().mean)


def aim_at(target: FloatArray, correction: Points) -> FloatArray:
    """The target's landmarks (478 x 3, pixels) with a correction added."""
    moved = canonicalise(target, face_shape()).to_picture(correction)
    return np.asarray(target + moved, np.float32)


def missed(target: FloatArray, seen: FloatArray) -> Points | None:
    """What to add to a correction, canonical, 478 x 3, after a draft was seen to have landmarks
    `seen` instead of `target` (both 478 x 3, pixels): the difference of expression and of head
    rotation, turned round. None where `seen` is no likeness of the target."""
    width_px = float(np.ptp(target[:, 0]))
    if float(np.abs(seen[:, :2] - target[:, :2]).mean()) > _LOST * width_px:
        return None
    shape = face_shape()
    of_target, of_seen = canonicalise(target, shape), canonicalise(seen, shape)
    expression = shape.expression_change(of_seen.points - of_target.points)
    # The rotation from what was seen to the target, in canonical coordinates.
    turn = of_target.rotation @ of_seen.rotation.T
    turned = of_target.points @ turn - of_target.points
    return np.asarray(_GAIN * (turned - expression))


def bounded(correction: Points) -> Points:
    """A correction, scaled down where a point of it is moved by more than a lean can be for."""
    longest = float(np.linalg.norm(correction, axis=1).max())
    return correction * min(1.0, _LONGEST / max(longest, 1e-9))
