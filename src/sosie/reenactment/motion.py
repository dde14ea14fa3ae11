"""The driver's motion on the photo's mesh: where the photo's landmarks go."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sosie.geometry import mesh
from sosie.geometry.morphable_model import Canonical, Points, canonicalize, face_shape
from sosie.reenactment.options import ReenactOptions
from sosie.types import FloatArray

# Landmarks of shut eyes still lie this far apart, as a share of how far they do in open ones; and
# so far lids may open more than the photo's.
_SHUT, _WIDEST = 0.25, 1.4
# How far an open eye is open (`mesh.opening`), of most people.
_USUAL_EYE = 0.24
_EYES = (mesh.RIGHT_EYE, mesh.LEFT_EYE)


@dataclass(frozen=True)
class Placed:
    """A face's landmarks, 478 x 3, in pixels, in canonical coordinates with the way back, and the
    place of its middle, 3, in pixels."""

    landmarks: FloatArray
    canonical: Canonical
    middle: Points

    @classmethod
    def of(cls, landmarks: FloatArray) -> Placed:
        """The same of landmarks alone."""
        shape = face_shape()
        return cls(
            landmarks,
            canonicalize(landmarks, shape),
            np.asarray(shape.stability @ landmarks.astype(np.float64)),
        )


@dataclass(frozen=True)
class MovedFace:
    """Where the driver's motion brings the photo's landmarks, 478 x 3, in pixels of the photo.

    points: with the driver's expression. rigid: with the photo's own, as the head alone moves it.
    rotation: 3 x 3, orthogonal; scale: pixels a canonical unit.
    """

    points: FloatArray
    rigid: FloatArray
    rotation: Points
    scale: float


def moved_face(photo: Placed, first: Placed, driver: Placed, options: ReenactOptions) -> MovedFace:
    """The photo's face, moved as the driver's.

    first: the driver's first frame, which stands for the photo where motion is relative.
    """
    shape = face_shape()
    is_relative = options.motion == "relative"
    own, before, now = photo.canonical, first.canonical, driver.canonical
    if is_relative:
        change = now.points - before.points
        turn = before.rotation.T @ now.rotation
        grown = now.scale / before.scale
        shift = (driver.middle - first.middle) * (own.scale / before.scale)
    else:
        # What tells two people apart is no motion.
        change = shape.expression_change(now.points - own.points)
        turn = own.rotation.T @ now.rotation
        grown, shift = 1.0, np.zeros(3)
    rotation = own.rotation @ _share_of(turn, options.pose)
    scale = own.scale * grown**options.pose
    center = shape.stability @ shape.mean
    to = photo.middle + options.pose * shift
    rigid = (own.points - center) @ rotation * scale + to
    points = rigid + options.expression * (change @ rotation) * scale
    for ring in _EYES:
        opened = mesh.opening(driver.landmarks, ring)
        usual = mesh.opening(first.landmarks, ring) if is_relative else _USUAL_EYE
        _open_to(points, rigid, ring, _lids(opened / usual, options.expression))
    _part_lips(points, rigid)
    return MovedFace(np.asarray(points, np.float32), np.asarray(rigid, np.float32), rotation, scale)


def _share_of(turn: Points, share: float) -> Points:
    """A rotation, 3 x 3, by a share of its angle."""
    vector, _ = cv2.Rodrigues(turn)
    return np.asarray(cv2.Rodrigues(np.asarray(share * vector, np.float64))[0], np.float64)


def eye_corners(ring: tuple[int, ...]) -> tuple[int, int]:
    """The points at both ends of an eye's or a mouth's ring."""
    return ring[0], ring[len(ring) // 2]


def _lids(opened: float, share: float) -> float:
    """How far the photo's lids are open, as a share of what they are in the photo."""
    wanted = (min(opened, _WIDEST) - _SHUT) / (1 - _SHUT)
    return float(np.clip(1 + share * (wanted - 1), 0, _WIDEST))


def _open_to(points: Points, rigid: Points, ring: tuple[int, ...], share: float) -> None:
    """Bring both edges of a ring to a share of the distance that they have in `rigid`. The upper
    one does most of the way, as lids do."""
    lower, upper = mesh.edges(ring)
    wanted = (rigid[lower] - rigid[upper]) * share
    missing = wanted - (points[lower] - points[upper])
    points[upper] -= 0.8 * missing
    points[lower] += 0.2 * missing


def _part_lips(points: Points, rigid: Points) -> None:
    """The inner edge of the upper lip never lies below that of the lower one."""
    lower, upper = mesh.edges(mesh.INNER_LIPS)
    chin, brow = rigid[152], rigid[10]
    down = (chin - brow) / max(float(np.linalg.norm(chin - brow)), 1e-6)
    crossed = np.minimum((points[lower] - points[upper]) @ down, 0)[:, None] * down
    points[lower] -= crossed / 2
    points[upper] += crossed / 2
