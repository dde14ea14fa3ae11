"""Whether the result has the shape of the source's face, told by the outline.

Landmarks are brought to one pose and size, what is expression is taken out
(`sosie.geometry.morphable_model`), and left and right are averaged, since an error of pose is not
symmetric and a face nearly is. What remains of the outline is compared. HifiFace (Wang et al. 2021,
"HifiFace: 3D Shape and Semantic Prior Guided High Fidelity Face Swapping") measures shape by
coefficients of a fitted 3D model.
"""

from __future__ import annotations

import numpy as np

from sosie.evaluation.metric import Figure, Readings, Settings
from sosie.evaluation.sample import Triple
from sosie.geometry import mesh
from sosie.geometry.morphable_model import Points, canonicalize, face_shape
from sosie.types import Face

_LIMITS = (
    "Read from Sosie's landmarks, whose outline leans to the average face and is weak where hair "
    "or a collar covers it. Two photos of one person are about 2 % apart."
)

FIGURES = (
    Figure(
        name="contour_source",
        title="Face shape: distance to the source's outline",
        unit="%",
        better="lower",
        range=(0, 100),
        summary="How far the outline of the result's face is from that of the source's.",
        formula="mean distance of 36 outline points in one pose, without expression, as a share of "
        "the face's width",
        source="Sosie; after the shape error of HifiFace (Wang et al. 2021)",
        limits=_LIMITS,
    ),
    Figure(
        name="contour_target",
        title="Face shape: distance to the target's outline",
        unit="%",
        better=None,
        range=(0, 100),
        summary="How far the outline of the result's face is from that of the target's.",
        formula="as contour_source, to the target",
        source="Sosie; after the shape error of HifiFace (Wang et al. 2021)",
        limits=_LIMITS + " Near 0 for every method that only repaints the inside of the face.",
    ),
)


def measure(triple: Triple, settings: Settings) -> Readings:  # noqa: ARG001
    result = outline(triple.result.found)
    readings: Readings = {}
    for name, look in (("contour_source", triple.source), ("contour_target", triple.target)):
        apart = np.linalg.norm(result - outline(look.found), axis=1)
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
