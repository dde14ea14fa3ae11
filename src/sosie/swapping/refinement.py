"""Aiming again: a swap is drafted, read like a photo, and corrected for what it missed.

A source's texture carries some of its own expression and pose along, however exactly its points
are placed: a network, and the eye, sees a smile's folds on a straight mouth. So the landmarks of a
draft are compared with the target's, and the next aim leans the other way by as much. In a video
only the first frame needs a draft: afterwards the results are there to be read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sosie.geometry.morphable_model import Points, canonicalize, face_shape
from sosie.types import FloatArray

# How much of a miss is corrected at once: less than all, since a reading has errors of its own.
_GAIN = 0.6
# Canonical units; the outer corners of the eyes are about 1.7 apart.
_LONGEST = 0.2
# Landmarks further off than this share of the face's width belong to another face.
_LOST = 0.25
# In a video the correction follows slowly, from every third frame: it depends on the source, not on
# the frame. What cannot be corrected must not pile up: the longer it is, the more of it is let go.
_READ_EVERY = 3
_FOLLOW = 0.4
_LEAK = 0.4


def no_correction() -> Points:
    """Nothing to correct yet: canonical displacements, 478 x 3."""
    return np.zeros_like(face_shape().mean)


@dataclass
class Refinement:
    """The correction of one face's target landmarks: canonical displacements, 478 x 3."""

    correction: Points = field(default_factory=no_correction)

    def is_due(self, frame: int) -> bool:
        """Whether what is made of the face's frame of that number, from 0, is to be read."""
        return frame % _READ_EVERY == 0

    def applied(self, target: FloatArray) -> FloatArray:
        """The target's landmarks (478 x 3, pixels) with the correction added."""
        moved = canonicalize(target, face_shape()).to_picture(self.correction)
        return np.asarray(target + moved, np.float32)

    def update(
        self,
        target: FloatArray,
        drafted: Callable[[], FloatArray | None],
        drafts: int,
        first: bool,
    ) -> None:
        """Correct for what drafts of the swap, or its results, are found to miss.

        target: the landmarks to reach, 478 x 3, in pixels of the draft. drafted: gives what is read
        of the swap with the correction as it is; None where it shows no face. drafts: how
        many at the face's first frame; later it is one.
        """
        for _ in range(drafts if first else 1):
            seen = drafted()
            missing = None if seen is None else missed(target, seen)
            if missing is None:
                return
            if not first:
                missing = _FOLLOW * (missing - _LEAK * self.correction)
            self.correction = bounded(self.correction + missing)


def missed(target: FloatArray, seen: FloatArray) -> Points | None:
    """What to add to a correction, canonical, 478 x 3, after a draft was seen to have landmarks
    `seen` instead of `target` (both 478 x 3, pixels): the difference of expression and of head
    rotation, turned round. None where `seen` is no likeness of the target."""
    width_px = float(np.ptp(target[:, 0]))
    if float(np.abs(seen[:, :2] - target[:, :2]).mean()) > _LOST * width_px:
        return None
    shape = face_shape()
    of_target, of_seen = canonicalize(target, shape), canonicalize(seen, shape)
    expression = shape.expression_change(of_seen.points - of_target.points)
    # The rotation from what was seen to the target, in canonical coordinates.
    turn = of_target.rotation @ of_seen.rotation.T
    turned = of_target.points @ turn - of_target.points
    return np.asarray(_GAIN * (turned - expression))


def bounded(correction: Points) -> Points:
    """A correction, scaled down where a point of it is moved by more than a lean can be for."""
    longest = float(np.linalg.norm(correction, axis=1).max())
    return correction * min(1.0, _LONGEST / max(longest, 1e-9))
