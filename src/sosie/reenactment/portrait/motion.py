"""What LivePortrait reads of a face, and the arithmetic that carries one face's motion to another.

Source: Guo et al. 2024, "LivePortrait: Efficient Portrait Animation with Stitching and Retargeting
Control": equation 2 (keypoints), section 3.3 (stitching and retargeting) and section 3.4 (relative
motion). Points are rows, so that a rotation stands behind them. Coordinates span -1..1 over the
crop, x to the right, y down, z inwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from sosie.types import FloatArray

POINTS = 21
BINS = 66
"""Of each angle: of three degrees each, about 0."""

_BIN_DEG, _FIRST_DEG = 3.0, -97.5

LIPS = (6, 12, 14, 17, 19, 20)
EYES = (11, 13, 15, 16, 18)
"""Keypoints whose expression moves the lips, and those that move the eyes."""

AREAS = {
    "upper": (1, 2, 6, 10, 11, 12, 13, 15, 16),
    "lower": (3, 7, 14, 17, 18, 19, 20),
}
"""Keypoints by the part of the face that they move, where an expression is restored. The others, 0,
4, 5, 8 and 9, move the head's outline and stay as they are."""

# Upper lid, lower lid, both corners; upper and lower inner lip, both outer corners of the mouth: of
# the face mesh, where the published landmarks (of 203) have theirs.
_EYES = ((159, 145, 33, 133), (386, 374, 362, 263))
_MOUTH = (13, 14, 61, 291)


@dataclass(frozen=True)
class FaceMotion:
    """Pose and expression of one face.

    rotation: 3 x 3, to be put behind rows. scale: a factor. shift: x, y, z; z is not used.
    expression: 21 x 3, by how much each keypoint is off the neutral one. points: 21 x 3, the
    keypoints of the face at rest, seen from the front.
    """

    rotation: NDArray[np.float64]
    scale: float
    shift: NDArray[np.float64]
    expression: NDArray[np.float64]
    points: NDArray[np.float64]

    def placed(self) -> FloatArray:
        """The keypoints as the face has them, float32, 21 x 3 (equation 2)."""
        moved = self.scale * (self.points @ self.rotation + self.expression)
        moved[:, :2] += self.shift[:2]
        return np.asarray(moved, np.float32)


def bin_degrees() -> FloatArray:
    """The degrees that each bin of an angle stands for, float32, 66."""
    return np.arange(BINS, dtype=np.float32) * np.float32(_BIN_DEG) + np.float32(_FIRST_DEG)


def degrees_of(told: ArrayLike) -> float:
    """An angle in degrees: one number as it is, or the mean of the bins by their logits."""
    values = np.asarray(told, np.float64).ravel()
    if values.size == 1:
        return float(values[0])
    shares = np.exp(values - values.max())
    return float(shares @ bin_degrees() / shares.sum())


def rotation(pitch_deg: float, yaw_deg: float, roll_deg: float) -> NDArray[np.float64]:
    """The rotation of a head, 3 x 3, to be put behind rows: about x, then y, then z."""
    (sx, sy, sz), (cx, cy, cz) = (f(np.radians([pitch_deg, yaw_deg, roll_deg])) for f in _TURN)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray((about_z @ about_y @ about_x).T, np.float64)


_TURN = (np.sin, np.cos)


def part_of_turn(turn: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """A share of a rotation (3 x 3) about its own axis; 0 is none of it, 1 all."""
    vector, _ = cv2.Rodrigues(np.asarray(turn, np.float64))
    part, _ = cv2.Rodrigues(vector * share)
    return np.asarray(part, np.float64)


def relative(
    own: FaceMotion,
    first: FaceMotion,
    now: FaceMotion,
    expression: float = 1.0,
    pose: float = 1.0,
) -> FaceMotion:
    """The own face, moved as the driver moved since its first frame (section 3.4).

    expression, pose: which share of the driver's change is taken; 1 is all of it.
    """
    turn = part_of_turn(now.rotation @ first.rotation.T, pose)
    # A face has a size above 0; what a network that is not trained tells of it means nothing.
    larger = now.scale / first.scale if min(now.scale, first.scale) > 0 else 1.0
    return replace(
        own,
        rotation=turn @ own.rotation,
        scale=own.scale * larger**pose,
        shift=own.shift + pose * (now.shift - first.shift),
        expression=own.expression + expression * (now.expression - first.expression),
    )


def absolute(
    own: FaceMotion, now: FaceMotion, expression: float = 1.0, pose: float = 1.0
) -> FaceMotion:
    """The own face with the driver's pose, place and expression; its size stays.

    expression, pose: how far it goes from the own ones to the driver's; 1 is all the way.
    """
    return replace(
        own,
        rotation=part_of_turn(now.rotation @ own.rotation.T, pose) @ own.rotation,
        shift=own.shift + pose * (now.shift - own.shift),
        expression=own.expression + expression * (now.expression - own.expression),
    )


def with_own(motion: FaceMotion, own: FaceMotion, keypoints: Iterable[int]) -> FaceMotion:
    """A motion in which some keypoints have the own expression."""
    chosen = list(keypoints)
    expression = motion.expression.copy()
    expression[chosen] = own.expression[chosen]
    return replace(motion, expression=expression)


def stitched(driving: FloatArray, told: ArrayLike) -> FloatArray:
    """Driving points (21 x 3) that fit the picture around the face, by what the stitching network
    told: a shift for each coordinate, then one in x and y for all points (section 3.3)."""
    change = np.asarray(told, np.float32).ravel()
    moved = driving + change[: 3 * POINTS].reshape(POINTS, 3)
    moved[:, :2] += change[3 * POINTS :]
    return np.asarray(moved, np.float32)


def stitching_input(own: FloatArray, driving: FloatArray) -> FloatArray:
    """What the stitching network takes: both faces' points (21 x 3), 1 x 126."""
    return _row(own, driving)


def eye_input(own: FloatArray, ratios: ArrayLike, wanted: float) -> FloatArray:
    """What the network for the eyes takes, 1 x 66: the own points (21 x 3), how far each eye is
    open, and how far both are to be."""
    return _row(own, ratios, wanted)


def lip_input(own: FloatArray, ratio: float, wanted: float) -> FloatArray:
    """What the network for the lips takes, 1 x 65: the own points (21 x 3), how far the lips are
    open, and how far they are to be."""
    return _row(own, ratio, wanted)


def _row(*parts: ArrayLike) -> FloatArray:
    row = np.concatenate([np.asarray(part, np.float32).ravel() for part in parts])
    return np.asarray(row[None], np.float32)


def eye_ratios(landmarks: FloatArray) -> FloatArray:
    """How far each eye is open, image left first: height over width, float32, 2. landmarks: of the
    face mesh, 478 x 2 or x 3."""
    return np.array([_ratio(landmarks, eye) for eye in _EYES], np.float32)


def lip_ratio(landmarks: FloatArray) -> float:
    """How far the lips are open: height of the gap over the mouth's width."""
    return _ratio(landmarks, _MOUTH)


def _ratio(landmarks: FloatArray, places: tuple[int, int, int, int]) -> float:
    upper, lower, left, right = landmarks[list(places), :2].astype(np.float64)
    width = max(float(np.linalg.norm(right - left)), 1e-6)
    return float(np.linalg.norm(lower - upper)) / width


def restored(
    swapped: FaceMotion, target: FaceMotion, factor: float, areas: Iterable[str] = tuple(AREAS)
) -> FaceMotion:
    """The swapped face with the target's expression, as facefusion's expression restorer has it.

    factor: 0 leaves the swapped face's own, 1 gives the target's, more exaggerates; to 1.2.
    areas: names in AREAS; all other keypoints keep the swapped face's expression.
    """
    chosen = sorted({point for area in areas for point in AREAS[area]})
    expression = swapped.expression.copy()
    expression[chosen] += factor * (target.expression - swapped.expression)[chosen]
    return replace(swapped, expression=expression)
