from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.evaluation.metrics.attributes import outline
from sosie.geometry import mesh
from sosie.geometry.morphable_model import face_shape


def wide(share):
    """A canonical change: the outline moved outwards by a share of the face's width."""
    mean = face_shape().mean
    change = np.zeros((478, 3))
    oval = list(mesh.OVAL)
    change[oval, 0] = np.sign(mean[oval, 0]) * share * np.ptp(mean[:, 0])
    return change


def test_equal_shapes_are_perfect(model_face, faces, measured):
    face = model_face(change=wide(0.05))
    assert measured("outline", faces(face, face, face)) == {
        "contour_source": 0,
        "contour_target": 0,
    }


@given(st.floats(-40, 40), st.floats(-30, 30), st.floats(-90, 90), st.floats(10, 200))
def test_pose_and_size_change_no_shape(model_face, yaw, pitch, roll, unit_px):
    plain, turned = outline(model_face()), outline(model_face(yaw, pitch, roll, unit_px))
    assert np.abs(turned - plain).max() < 1e-3


def test_a_known_widening(model_face, faces, measured):
    found = measured("outline", faces(model_face(change=wide(0.03))))["contour_target"]
    # All but the points in the middle are moved by 3 %, less what is taken for expression and size.
    assert found == pytest.approx(3, rel=0.35)


def test_the_nearer_the_shape_the_smaller_the_distance(model_face, faces, measured):
    source = model_face(change=wide(0.06))
    found = [
        measured("outline", faces(model_face(change=wide(0.06 * share)), None, source))
        for share in np.linspace(0, 1, 5)
    ]
    assert np.all(np.diff([f["contour_source"] for f in found]) < -0.3)
    assert np.all(np.diff([f["contour_target"] for f in found]) > 0.3)


def test_expression_counts_less_than_shape(model_face):
    shape = face_shape()
    jaw = wide(0.05) * 0
    jaw[list(mesh.OVAL), 1] = 0.15 * (shape.mean[list(mesh.OVAL), 1] > 0.5)
    expressed = shape.expression_change(jaw)
    start = outline(model_face())
    rest = np.linalg.norm(outline(model_face(change=expressed)) - start, axis=1).mean()
    whole = np.linalg.norm(expressed[list(mesh.OVAL), :2], axis=1).mean()
    assert rest < 0.5 * whole


def test_two_people_have_two_shapes(astronaut_look, hopper_look, faces, measured):
    found = measured("outline", faces(hopper_look.face, astronaut_look.face, hopper_look.face))
    assert found["contour_source"] == 0
    assert found["contour_target"] > 1
