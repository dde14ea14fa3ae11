"""How far the result looks past where the target looks.

Landmarks are brought to the canonical pose (`sosie.geometry.morphable_model`), so that only the
eyes' own turn is left. The direction of an eye follows from how far its iris lies from the middle
between its corners, on an eyeball of 12 mm radius. Degrees; 0 is perfect. Papers use a gaze network
or the distance of heat maps of the eyes (GHOST, Groshev et al. 2022).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sosie.evaluation.metric import Figure, MissingFigureError, Readings, Settings
from sosie.evaluation.metrics.openness import opening
from sosie.evaluation.metrics.pose import rotation
from sosie.evaluation.sample import Look, Triple
from sosie.geometry import mesh
from sosie.geometry.morphable_model import canonicalize, face_shape
from sosie.types import Face, Pose

# An eyeball's radius in canonical units: the mean face's pupils, 63 mm apart, are 1.19 units apart.
_EYEBALL = 12 / 63 * 1.19
# An eye that is less open than this shows too little of its iris.
_LEAST_OPEN = 0.12
_MAX_YAW_DEG = 60.0
_EYES = (
    (mesh.RIGHT_EYE, mesh.RIGHT_IRIS[0]),
    (mesh.LEFT_EYE, mesh.LEFT_IRIS[0]),
)

FIGURES = (
    Figure(
        name="gaze_error",
        title="Gaze error",
        unit="deg",
        better="lower",
        range=(0, 180),
        summary="By how many degrees the eyes of the result look past where the target's look.",
        formula="angle between the gaze directions, each the mean of the eyes that are open",
        source="Sosie",
        limits=(
            "Read from the irises among Sosie's landmarks, not by a gaze network: unsure by "
            "several degrees on faces under about 100 px, behind glasses and in half profile. "
            "Eyes' corners lie differently in different people, which is read as gaze."
        ),
    ),
)


def measure(triple: Triple, settings: Settings) -> Readings:  # noqa: ARG001
    before, after = triple.target.found, triple.result.found
    for look in (triple.target, triple.result):
        if abs(look.found.pose.yaw) > _MAX_YAW_DEG:
            raise MissingFigureError(f"The head of {look.name} is turned too far to see its gaze.")
    eyes = [number for number in range(2) if all(_open(f, number) for f in (before, after))]
    if not eyes:
        raise MissingFigureError(f"The eyes are shut in {_shut(triple)}.")
    # By the chord, as `pose.angle_deg`: exact near 0, where a cosine is not.
    chord = float(np.linalg.norm(gaze(before, eyes) - gaze(after, eyes)))
    return {"gaze_error": float(np.degrees(2 * np.arcsin(min(chord / 2, 1.0))))}


def gaze(face: Face, eyes: list[int]) -> NDArray[np.float64]:
    """The unit vector (to the image's right, down, away) in which these eyes look, relative to the
    head; eyes: 0 the subject's right, 1 the left."""
    points = canonicalize(face.landmarks, face_shape()).points
    steps = []
    for number in eyes:
        ring, iris = _EYES[number]
        middle = (points[ring[0]] + points[ring[len(ring) // 2]]) / 2
        steps.append((points[iris] - middle)[:2])
    across, down = np.clip(np.mean(steps, 0) / _EYEBALL, -0.9, 0.9)
    # The axes of a head that is turned as the eyes are; its third looks away from the camera.
    turn = Pose(float(np.degrees(np.arcsin(across))), float(np.degrees(np.arcsin(down))), 0.0)
    return np.asarray(-rotation(turn)[2])


def _open(face: Face, number: int) -> bool:
    return opening(face.landmarks, _EYES[number][0]) >= _LEAST_OPEN


def _shut(triple: Triple) -> str:
    def is_shut(look: Look) -> bool:
        return not any(_open(look.found, number) for number in range(2))

    return " and ".join(look.name for look in (triple.target, triple.result) if is_shut(look)) or (
        f"one or the other of {triple.target.name} and {triple.result.name}"
    )
