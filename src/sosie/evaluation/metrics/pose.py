"""How far the result's head is turned from the target's.

Two figures: the angle of the rotation between both heads, which does not depend on how rotations
are written, and the Euclidean distance of yaw, pitch and roll that papers report since FaceShifter
(Li et al. 2019; there read by Hopenet, Ruiz et al. 2018). Degrees; 0 is perfect.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sosie.evaluation.metric import Figure, Readings, Settings
from sosie.evaluation.sample import Triple
from sosie.geometry.head_pose import turned_deg
from sosie.types import Pose

_LIMITS = (
    "Both poses are read from Sosie's landmarks (about 1 to 3 degrees of error), not by Hopenet: "
    "compare only figures of this tool. A change of face shape is read as a slight turn."
)

FIGURES = (
    Figure(
        name="pose_error",
        title="Pose error",
        unit="deg",
        better="lower",
        range=(0, 180),
        summary="By how many degrees the head of the result is turned from that of the target.",
        formula="angle of R(result) R(target)' with R the head's rotation",
        source="geodesic distance of rotations (Huynh 2009, eq. 23)",
        limits=_LIMITS,
    ),
    Figure(
        name="pose_euler",
        title="Pose distance of yaw, pitch and roll",
        unit="deg",
        better="lower",
        range=(0, float(np.sqrt(3) * 180)),
        summary="The pose error as papers compute it, from the three angles.",
        formula="sqrt(d_yaw^2 + d_pitch^2 + d_roll^2)",
        source="FaceShifter (Li et al. 2019)",
        limits=_LIMITS + " Near profiles, where the angles trade places, it overstates the turn.",
    ),
)


def measure(triple: Triple, settings: Settings) -> Readings:  # noqa: ARG001
    one, other = triple.target.found.pose, triple.result.found.pose
    steps = [
        turned_deg(getattr(one, name), getattr(other, name)) for name in ("yaw", "pitch", "roll")
    ]
    return {
        "pose_error": angle_deg(rotation(one), rotation(other)),
        "pose_euler": float(np.linalg.norm(steps)),
    }


def rotation(pose: Pose) -> NDArray[np.float64]:
    """The head's axes as rows (to the image's right, down, away): 3 x 3, orthogonal, with the signs
    and the order of `sosie.types.Pose`: pitch about the ear line, then yaw, then roll."""
    yaw, pitch, roll = np.radians([pose.yaw, pose.pitch, pose.roll])
    about_x = [[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]]
    about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    about_z = [[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    return np.asarray(np.array(about_x) @ np.array(about_y) @ np.array(about_z), np.float64)


def angle_deg(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The angle of the rotation that turns one into the other, 0..180.

    From the chord between them, 2 sqrt(2) sin(angle / 2), and not from the trace: near 0 the
    cosine of the trace has lost half of its digits.
    """
    chord = float(np.linalg.norm(one - other))
    return float(np.degrees(2 * np.arcsin(np.clip(chord / (2 * np.sqrt(2)), 0, 1))))
