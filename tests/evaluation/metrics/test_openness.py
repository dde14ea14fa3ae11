from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.analysis.analyzer import make_face
from sosie.evaluation.metrics.attributes import opening
from sosie.geometry import mesh

EYES, LIPS = (mesh.RIGHT_EYE, mesh.LEFT_EYE), mesh.INNER_LIPS


def opened(face, rings, share):
    """The face with these rings' heights multiplied."""
    points = face.landmarks.copy()
    for ring in rings:
        half = len(ring) // 2
        for low, high in zip(ring[1:half], reversed(ring[half + 1 :]), strict=True):
            middle = (points[low] + points[high]) / 2
            for n in (low, high):
                points[n] = middle + (points[n] - middle) * share
    return make_face(points, face.score)


def test_the_ratio_of_a_known_ring():
    landmarks = np.zeros((478, 3), np.float32)
    ring = tuple(range(8))  # corner, three below, corner, three above
    landmarks[:8, 0] = (0, 1, 2, 3, 4, 3, 2, 1)
    landmarks[:8, 1] = (0, 0.5, 1, 0.5, 0, -0.5, -1, -0.5)
    assert opening(landmarks, ring) == pytest.approx((1 + 2 + 1) / 3 / 4)


@given(st.floats(-60, 60), st.floats(-40, 40), st.floats(-90, 90), st.floats(5, 300))
def test_the_ratio_does_not_depend_on_pose_and_size(model_face, yaw, pitch, roll, unit_px):
    for ring in (*EYES, LIPS):
        plain = opening(model_face().landmarks, ring)
        turned = opening(model_face(yaw, pitch, roll, unit_px).landmarks, ring)
        assert turned == pytest.approx(plain, abs=1e-3)


def test_equal_faces_are_perfect(untouched, measured):
    assert measured("openness", untouched) == {"eyes_error": 0, "mouth_error": 0}


def test_shut_eyes_lose_all_of_their_opening(model_face, faces, measured):
    face = model_face()
    found = measured("openness", faces(opened(face, EYES, 0.0), face))
    assert found["eyes_error"] == pytest.approx(
        np.mean([opening(face.landmarks, ring) for ring in EYES]), rel=1e-4
    )
    assert found["eyes_error"] > 0.1
    assert found["mouth_error"] == 0


@pytest.mark.parametrize("ring", EYES)
def test_one_shut_eye_counts_for_a_half(ring, model_face, faces, measured):
    face = model_face()
    found = measured("openness", faces(opened(face, [ring], 0.0), face))
    assert found["eyes_error"] == pytest.approx(opening(face.landmarks, ring) / 2, rel=1e-4)


def test_a_mouth_that_opens_further_is_a_greater_error(hopper_look, faces, measured):
    face = opened(hopper_look.face, [LIPS], 1.0)
    found = [
        measured("openness", faces(opened(face, [LIPS], share), face)) for share in (1, 1.5, 2, 3)
    ]
    assert np.all(np.diff([f["mouth_error"] for f in found]) > 0)
    assert [f["eyes_error"] for f in found] == [0] * 4
