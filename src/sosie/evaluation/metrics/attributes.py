"""What of the target's face the result is to keep: pose, expression, gaze, open eyes and mouth; and
the outline, which is to be the source's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.analysis.landmarker import EXPRESSIONS
from sosie.evaluation.metric import (
    Figure,
    Missing,
    MissingFigureError,
    Readings,
    Settings,
    variant_name,
)
from sosie.evaluation.metrics.base import PairMetric
from sosie.evaluation.sample import AnalyzedImage, Sample
from sosie.geometry import mesh
from sosie.geometry.head_pose import turned_deg
from sosie.geometry.morphable_model import Points, canonicalize, face_shape
from sosie.types import Face, FloatArray, Pose


def _measure_pose(sample: Sample, settings: Settings) -> Readings:  # noqa: ARG001
    """By the rotation between both heads, which does not depend on how rotations are written, and
    by the three angles, as papers do since FaceShifter (there read by Hopenet, Ruiz et al.
    2018)."""
    one, other = sample.target.found.pose, sample.result.found.pose
    steps = [
        turned_deg(getattr(one, name), getattr(other, name)) for name in ("yaw", "pitch", "roll")
    ]
    return {
        "pose_error": angle_deg(rotation(one), rotation(other)),
        "pose_euler": float(np.linalg.norm(steps)),
        **_by_judges(
            sample,
            "pose_error",
            lambda one, other: angle_deg(one[:9].reshape(3, 3), other[:9].reshape(3, 3)),
        ),
    }


def _by_judges(
    sample: Sample, figure: str, measure: Callable[[FloatArray, FloatArray], float]
) -> Readings:
    """A figure by each further judge of pose and expression, from what it reads of both faces."""
    one, other = sample.target.readings, sample.result.readings
    return {
        variant_name(figure, judge): (
            measure(one[judge], other[judge])
            if judge in one and judge in other
            else Missing(f"{judge} does not see the face of both target and result.")
        )
        for judge in {**one, **other}
    }


def rotation(pose: Pose) -> NDArray[np.float64]:
    """The head's axes as rows (to the image's right, down, away): 3 x 3, orthogonal, with the signs
    and the order of `sosie.types.Pose`: pitch about the ear line, then yaw, then roll."""
    yaw, pitch, roll = np.radians([pose.yaw, pose.pitch, pose.roll])
    about_x = [[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]]
    about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    about_z = [[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    return np.asarray(np.array(about_x) @ np.array(about_y) @ np.array(about_z), np.float64)


def angle_deg(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The angle of the rotation that turns one into the other, 0..180.

    From the chord between them, 2 sqrt(2) sin(angle / 2), and not from the trace: near 0 the
    cosine of the trace has lost half of its digits.
    """
    chord = float(np.linalg.norm(one - other))
    return float(np.degrees(2 * np.arcsin(np.clip(chord / (2 * np.sqrt(2)), 0, 1))))


POSE = PairMetric(
    group="Attributes",
    measure=_measure_pose,
    limits="Both poses are read from Sosie's landmarks (about 1 to 3 degrees of error), not by "
    "Hopenet: compare only figures of this tool. A change of face shape is read as a slight turn.",
    figures={
        "pose_error": Figure(
            title="Pose error",
            unit="deg",
            range=(0, 180),
            summary="By how many degrees the head of the result is turned from that of the target.",
            formula="angle of R(result) R(target)' with R the head's rotation",
            source="geodesic distance of rotations (Huynh 2009, eq. 23)",
        ),
        "pose_euler": Figure(
            title="Pose distance of yaw, pitch and roll",
            unit="deg",
            range=(0, float(np.sqrt(3) * 180)),
            summary="The pose error as papers compute it, from the three angles.",
            formula="sqrt(d_yaw^2 + d_pitch^2 + d_roll^2)",
            source="FaceShifter (Li et al. 2019)",
            also="Near profiles, where the angles trade places, it overstates the turn.",
        ),
    },
)


_MOVEMENTS = [number for number, name in enumerate(EXPRESSIONS) if name != "_neutral"]


def _measure_expression(sample: Sample, settings: Settings) -> Readings:  # noqa: ARG001
    """By the weights of facial movements that Sosie's landmark network reads (ARKit's names;
    `_neutral` is no movement), where papers fit a 3D model. Two random portraits are about 1
    apart."""
    apart = _weights(sample.result) - _weights(sample.target)
    return {
        "expression_error": float(np.linalg.norm(apart[_MOVEMENTS])),
        # `_neutral` is the first of its weights.
        **_by_judges(
            sample, "expression_error", lambda a, b: float(np.linalg.norm(a[10:] - b[10:]))
        ),
    }


def _weights(image: AnalyzedImage) -> FloatArray:
    weights = image.found.expression
    if weights is None:
        raise MissingFigureError(f"The expression of {image.name} was not read.")
    return weights


EXPRESSION = PairMetric(
    group="Attributes",
    measure=_measure_expression,
    figures={
        "expression_error": Figure(
            title="Expression distance",
            range=(0, float(np.sqrt(len(_MOVEMENTS)))),
            summary="How far the expression of the result is from that of the target.",
            formula="|w(result) - w(target)| over 51 weights of movement, each 0..1",
            source="Sosie; distance of expression coefficients as in FaceShifter (Li et al. 2019)",
            limits="The weights come from the same network as Sosie's landmarks, and partly follow "
            "the shape of a person's face: a perfect swap is not at 0. Eyes weigh little; see "
            "gaze and openings.",
        ),
    },
)


def _measure_openness(sample: Sample, settings: Settings) -> Readings:  # noqa: ARG001
    """The ratio is that of "Real-Time Eye Blink Detection using Facial Landmarks", with all points
    of the lids (and of the inner lips) and in three dimensions, so that a turned head counts as the
    frontal one. About 0.3 for an open eye, 0 for a shut one or a shut mouth."""
    before, after = sample.target.found.landmarks, sample.result.found.landmarks
    eyes = [
        abs(mesh.opening(after, ring) - mesh.opening(before, ring))
        for ring in (mesh.RIGHT_EYE, mesh.LEFT_EYE)
    ]
    lips = mesh.INNER_LIPS
    return {
        "eyes_error": float(np.mean(eyes)),
        "mouth_error": abs(mesh.opening(after, lips) - mesh.opening(before, lips)),
    }


OPENNESS = PairMetric(
    group="Attributes",
    measure=_measure_openness,
    limits="Read from Sosie's landmarks. Eyes of different people are open by different ratios: a "
    "swap that keeps the source's own eyes is charged for that.",
    figures={
        "eyes_error": Figure(
            title="Eye opening error",
            summary="By how much the eyes are more open or more shut than the target's.",
            formula="mean over both eyes of |ratio(result) - ratio(target)|",
            source="ratio: Soukupova and Cech 2016, eq. 1",
        ),
        "mouth_error": Figure(
            title="Mouth opening error",
            summary="By how much the mouth is more open or more shut than the target's.",
            formula="|ratio(result) - ratio(target)| of the inner lips",
            source="ratio: Soukupova and Cech 2016, eq. 1, for the inner lips",
        ),
    },
)


# An eyeball's radius in canonical units: the mean face's pupils, 63 mm apart, are 1.19 units apart.
_EYEBALL = 12 / 63 * 1.19
# An eye that is less open than this shows too little of its iris.
_LEAST_OPEN = 0.12
_MAX_YAW_DEG = 60.0
_EYES = (
    (mesh.RIGHT_EYE, mesh.RIGHT_IRIS[0]),
    (mesh.LEFT_EYE, mesh.LEFT_IRIS[0]),
)


def _measure_gaze(sample: Sample, settings: Settings) -> Readings:  # noqa: ARG001
    """Landmarks are brought to the canonical pose, so that only the eyes' own turn is left, which
    follows from how far the iris lies from the middle between the eye's corners. Papers use a gaze
    network or the distance of heat maps of the eyes (GHOST, Groshev et al. 2022)."""
    before, after = sample.target.found, sample.result.found
    for image in (sample.target, sample.result):
        if abs(image.found.pose.yaw) > _MAX_YAW_DEG:
            raise MissingFigureError(f"The head of {image.name} is turned too far to see its gaze.")
    eyes = [number for number in range(2) if all(_open(f, number) for f in (before, after))]
    if not eyes:
        raise MissingFigureError(f"The eyes are shut in {_shut(sample)}.")
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
    return mesh.opening(face.landmarks, _EYES[number][0]) >= _LEAST_OPEN


def _shut(sample: Sample) -> str:
    def is_shut(image: AnalyzedImage) -> bool:
        return not any(_open(image.found, number) for number in range(2))

    return " and ".join(
        image.name for image in (sample.target, sample.result) if is_shut(image)
    ) or (f"one or the other of {sample.target.name} and {sample.result.name}")


GAZE = PairMetric(
    group="Attributes",
    measure=_measure_gaze,
    figures={
        "gaze_error": Figure(
            title="Gaze error",
            unit="deg",
            range=(0, 180),
            summary="By how many degrees the eyes of the result look past where the target's look.",
            formula="angle between the gaze directions, each the mean of the eyes that are open",
            limits="Read from the irises among Sosie's landmarks, not by a gaze network: unsure by "
            "several degrees on faces under about 100 px, behind glasses and in half profile. "
            "Eyes' corners lie differently in different people, which is read as gaze.",
        ),
    },
)


def _measure_outline(sample: Sample, settings: Settings) -> Readings:  # noqa: ARG001
    """Landmarks are brought to one pose and size, what is expression is taken out, and left and
    right are averaged, since an error of pose is not symmetric and a face nearly is. HifiFace ("3D
    Shape and Semantic Prior Guided High Fidelity Face Swapping") compares coefficients of a fitted
    3D model."""
    result = outline(sample.result.found)
    readings: Readings = {}
    for name, image in (("contour_source", sample.source), ("contour_target", sample.target)):
        apart = np.linalg.norm(result - outline(image.found), axis=1)
        readings[name] = float(100 * apart.mean() / _mean_width())
    return readings


def outline(face: Face) -> Points:
    """The outline of a face in canonical x and y, symmetric and without expression: 36 x 2."""
    shape = face_shape()
    change = canonicalize(face.landmarks, shape).points - shape.mean
    change = change - shape.expression_change(change)
    mirrored = change[shape.mirror] * (-1, 1, 1)
    points = shape.mean + (change + mirrored) / 2
    return np.asarray(points[list(mesh.OVAL), :2])


def _mean_width() -> float:
    return float(np.ptp(face_shape().mean[:, 0]))


OUTLINE = PairMetric(
    group="Attributes",
    measure=_measure_outline,
    limits="Read from Sosie's landmarks, whose outline leans to the average face and is weak where "
    "hair or a collar covers it. Two photos of one person are about 2 % apart.",
    figures={
        "contour_source": Figure(
            title="Face shape: distance to the source's outline",
            unit="%",
            range=(0, 100),
            summary="How far the outline of the result's face is from that of the source's.",
            formula="mean distance of 36 outline points in one pose, without expression, as a "
            "share of the face's width",
            source="Sosie; after the shape error of HifiFace (Wang et al. 2021)",
        ),
        "contour_target": Figure(
            title="Face shape: distance to the target's outline",
            unit="%",
            better=None,
            range=(0, 100),
            summary="How far the outline of the result's face is from that of the target's.",
            formula="as contour_source, to the target",
            source="Sosie; after the shape error of HifiFace (Wang et al. 2021)",
            also="Near 0 for every method that only repaints the inside of the face.",
        ),
    },
)
