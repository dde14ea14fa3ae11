from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.evaluation.metrics.attributes import angle_deg, rotation
from sosie.evaluation.sample import Triple, look_at
from sosie.types import Pose

# Sosie takes part of the landmarks' depth for exaggerated, and so reads a rigid turn as less.
DEPTH = 0.09
ANGLES = st.builds(Pose, *(st.floats(-80, 80) for _ in range(3)))


@pytest.mark.parametrize("axis", ["yaw", "pitch", "roll"])
@pytest.mark.parametrize("degrees", [-30, 5, 20])
def test_a_head_turned_by_so_much(axis, degrees, model_face, faces, measured):
    found = measured("pose", faces(model_face(**{axis: degrees})))
    assert found["pose_error"] == pytest.approx(abs(degrees), rel=DEPTH)
    assert found["pose_euler"] == pytest.approx(abs(degrees), rel=DEPTH)


def test_equal_poses_are_perfect(model_face, faces, measured):
    for face in (model_face(), model_face(25, -10, 30)):
        assert measured("pose", faces(face, face)) == {"pose_error": 0, "pose_euler": 0}


def test_more_turn_is_more_error(model_face, faces, measured):
    found = [measured("pose", faces(model_face(yaw=yaw)))["pose_error"] for yaw in range(0, 50, 5)]
    assert np.all(np.diff(found) > 3)


def test_a_picture_that_is_turned_raises_the_error(astronaut, astronaut_look, analyzer, measured):
    turn = cv2.getRotationMatrix2D(astronaut_look.face.center, -15, 1)
    turned = cv2.warpAffine(astronaut, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    result = look_at(turned, "turned", analyzer, near=astronaut_look.face)
    found = measured("pose", Triple(astronaut_look, astronaut_look, result))
    assert found["pose_error"] == pytest.approx(15, abs=3)
    assert result.face.pose.roll - astronaut_look.face.pose.roll == pytest.approx(15, abs=3)


def test_the_distance_of_angles_is_euclidean(model_face, faces, measured):
    one, other = (model_face(yaw=a, pitch=b) for a, b in ((0, 0), (12, 16)))
    assert measured("pose", faces(one, other))["pose_euler"] == pytest.approx(20, rel=DEPTH)


@given(ANGLES, ANGLES, ANGLES)
def test_the_angle_is_a_distance_of_rotations(a, b, c):
    one, two, three = map(rotation, (a, b, c))
    assert np.allclose(one @ one.T, np.eye(3))
    assert angle_deg(one, two) == pytest.approx(angle_deg(two, one))
    assert angle_deg(one, one) == 0
    assert angle_deg(one, three) <= angle_deg(one, two) + angle_deg(two, three) + 1e-6
    # Turning both heads alike changes nothing; and the trace says the same where it is exact.
    assert angle_deg(one @ three, two @ three) == pytest.approx(angle_deg(one, two), abs=1e-6)
    cosine = np.clip((np.trace(one @ two.T) - 1) / 2, -1, 1)
    assert angle_deg(one, two) == pytest.approx(float(np.degrees(np.arccos(cosine))), abs=1e-4)


@given(st.floats(0, 180))
def test_a_turn_about_one_axis_is_its_own_angle(degrees):
    assert angle_deg(rotation(Pose(0, 0, 0)), rotation(Pose(0, 0, degrees))) == pytest.approx(
        degrees, abs=1e-5
    )
