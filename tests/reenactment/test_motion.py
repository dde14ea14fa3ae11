"""Where the driver's motion brings the photo's landmarks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.geometry import mesh
from sosie.geometry.head_pose import head_pose
from sosie.geometry.morphable_model import face_shape
from sosie.reenactment.motion import Placed, moved_face
from sosie.reenactment.options import ReenactOptions

RELATIVE = ReenactOptions()
ABSOLUTE = ReenactOptions(motion="absolute")


def placed(face) -> Placed:
    return Placed.of(face.landmarks)


def assert_posed(landmarks, like) -> None:
    """Landmarks are read as those of another face in that pose are."""
    pose, wanted = head_pose(landmarks), like.pose
    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx(
        (wanted.yaw, wanted.pitch, wanted.roll), abs=0.6
    )


def test_who_does_not_move_moves_nothing(model_face):
    photo = placed(model_face(12, -5, 3, unit_px=70, center=(100, 140)))
    driver = placed(model_face(-8, 4, 0, unit_px=40, center=(200, 60)))
    moved = moved_face(photo, driver, driver, RELATIVE)
    np.testing.assert_allclose(moved.points, photo.landmarks, atol=0.02)
    np.testing.assert_allclose(moved.rigid, photo.landmarks, atol=0.02)


def test_relative_motion_is_added(model_face):
    """A turn, a step to the side and one nearer, in the photo's own scale."""
    photo = placed(model_face(yaw=5, unit_px=80, center=(100, 100)))
    first = placed(model_face(yaw=-10, unit_px=40, center=(50, 50)))
    driver = placed(model_face(yaw=2, unit_px=44, center=(55, 47)))
    moved = moved_face(photo, first, driver, RELATIVE)
    assert_posed(moved.points, model_face(yaw=17))
    assert moved.scale == pytest.approx(photo.canonical.scale * 1.1, rel=1e-3)
    shift = Placed.of(moved.points).middle - photo.middle
    np.testing.assert_allclose(shift[:2], [10, -6], atol=0.5)


def test_absolute_motion_is_taken_as_it_is(model_face):
    photo = placed(model_face(yaw=5, unit_px=80, center=(100, 100)))
    driver = placed(model_face(yaw=-14, pitch=7, roll=4, unit_px=44, center=(55, 47)))
    moved = moved_face(photo, driver, driver, ABSOLUTE)
    assert_posed(moved.points, model_face(yaw=-14, pitch=7, roll=4))
    # Where it is and how large stays the photo's.
    np.testing.assert_allclose(Placed.of(moved.points).middle[:2], [100, 100], atol=1)
    assert moved.scale == pytest.approx(photo.canonical.scale, rel=1e-3)


def test_a_share_of_the_turn(model_face):
    photo = placed(model_face(unit_px=80))
    first, driver = placed(model_face(unit_px=50)), placed(model_face(yaw=20, unit_px=50))
    for share in (0.0, 0.5, 1.0):
        moved = moved_face(photo, first, driver, ReenactOptions(pose=share))
        assert_posed(moved.points, model_face(yaw=20 * share))


def opened_jaw(by: float) -> np.ndarray:
    """Canonical displacements of a mouth whose lower lip and chin go down."""
    change = np.zeros((mesh.POINTS, 3))
    half = len(mesh.INNER_LIPS) // 2
    change[list(mesh.INNER_LIPS[1:half]), 1] = by
    change[152, 1] = by
    return change


def mouth_height(landmarks: np.ndarray) -> float:
    return float(landmarks[14, 1] - landmarks[13, 1])


def test_expression_is_carried_in_the_photo_s_scale(model_face):
    photo = placed(model_face(unit_px=80))
    first = placed(model_face(unit_px=40))
    driver = placed(model_face(unit_px=40, change=opened_jaw(0.2)))
    before = mouth_height(photo.landmarks)
    heights = {}
    for share in (0.0, 1.0):
        moved = moved_face(photo, first, driver, ReenactOptions(expression=share))
        heights[share] = mouth_height(moved.points) - before
        # The head itself goes nowhere.
        np.testing.assert_allclose(moved.rigid, photo.landmarks, atol=1.5)
    assert heights[0.0] == pytest.approx(0, abs=1.5)
    assert heights[1.0] == pytest.approx(0.2 * 80, rel=0.15)


def lids(landmarks: np.ndarray, ring: tuple[int, ...]) -> float:
    half = len(ring) // 2
    lower, upper = list(ring[1:half]), list(ring[:half:-1])
    return float(np.abs(landmarks[lower, 1] - landmarks[upper, 1]).max())


@pytest.mark.parametrize("options", [RELATIVE, ABSOLUTE], ids=["relative", "absolute"])
def test_shut_eyes_are_shut(model_face, options):
    """Also where the landmarks of shut lids lie a little apart, as they are read."""
    shape = face_shape()
    change = np.zeros((mesh.POINTS, 3))
    ring = mesh.RIGHT_EYE
    half = len(ring) // 2
    lower, upper = list(ring[1:half]), list(ring[:half:-1])
    change[upper, 1] = 0.8 * (shape.mean[lower, 1] - shape.mean[upper, 1])
    photo, first = placed(model_face(unit_px=80)), placed(model_face(unit_px=40))
    driver = placed(model_face(unit_px=40, change=change))
    moved = moved_face(photo, first, driver, options)
    assert lids(moved.points, mesh.RIGHT_EYE) < 0.1 * lids(photo.landmarks, mesh.RIGHT_EYE)
    assert lids(moved.points, mesh.LEFT_EYE) > 0.7 * lids(photo.landmarks, mesh.LEFT_EYE)


@given(st.floats(0, 0.4), st.floats(0, 1.5))
def test_lips_never_cross(by, share):
    shape = face_shape()
    face = Placed.of(np.float32(shape.mean * 60 + 128))
    pressed = Placed.of(np.float32((shape.mean + opened_jaw(-by)) * 60 + 128))
    moved = moved_face(face, face, pressed, ReenactOptions(expression=share))
    half = len(mesh.INNER_LIPS) // 2
    lower = list(mesh.INNER_LIPS[1:half])
    upper = list(mesh.INNER_LIPS[:half:-1])
    assert (moved.points[lower, 1] - moved.points[upper, 1] > -0.05).all()
    assert np.isfinite(moved.points).all()
