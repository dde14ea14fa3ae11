"""The face model: one pose for all faces, and expression told from identity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from sosie.geometry import mesh
from sosie.geometry.morphable_model import (
    canonicalize,
    distance_from_contour,
    distance_to,
    face_shape,
    smoothstep,
)
from sosie.types import Face

SHAPE = face_shape()
DIRECTIONS = len(SHAPE.basis)
angles = st.floats(-180, 180)
small_changes = arrays(np.float64, DIRECTIONS, elements=st.floats(-0.5, 0.5)).map(
    lambda weights: (weights @ SHAPE.basis).reshape(-1, 3)
)


def areas(points: np.ndarray) -> np.ndarray:
    a, b, c = (points[SHAPE.triangles[:, k], :2] for k in range(3))
    return (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]


# The mesh.


def test_the_mirror_is_an_involution_and_the_mean_face_its_own_mirror_image() -> None:
    assert np.array_equal(SHAPE.mirror[SHAPE.mirror], np.arange(mesh.POINTS))
    assert np.allclose(SHAPE.mean[SHAPE.mirror], SHAPE.mean * (-1, 1, 1), atol=1e-9)
    for right, left in (
        (mesh.RIGHT_EYE, mesh.LEFT_EYE),
        (mesh.RIGHT_BROW, mesh.LEFT_BROW),
        (mesh.RIGHT_IRIS, mesh.LEFT_IRIS),
    ):
        assert {int(SHAPE.mirror[k]) for k in right} == set(left)
    for ring in (mesh.OVAL, mesh.INNER_LIPS, mesh.OUTER_LIPS):
        assert {int(SHAPE.mirror[k]) for k in ring} == set(ring)
    # The subject's right is at the image's left.
    assert SHAPE.mean[list(mesh.RIGHT_EYE), 0].max() < 0


def test_triangles_cover_the_surface_and_wind_one_way() -> None:
    assert set(SHAPE.triangles.ravel()) == set(range(mesh.SURFACE_POINTS))
    assert (areas(SHAPE.mean) > 0).mean() > 0.97
    # An edge between two triangles is walked in opposite directions by them, and by no third.
    edges = [(int(t[k]), int(t[(k + 1) % 3])) for t in SHAPE.triangles for k in range(3)]
    assert len(set(edges)) == len(edges)
    open_edges = {(a, b) for a, b in edges if (b, a) not in set(edges)}
    # What is left open are the outline and three holes: the eyes and the mouth.
    rings = (mesh.OVAL, mesh.RIGHT_EYE, mesh.LEFT_EYE, mesh.INNER_LIPS)
    around = {
        frozenset(pair) for ring in rings for pair in zip(ring, (*ring[1:], ring[0]), strict=True)
    }
    assert {frozenset(edge) for edge in open_edges} == around
    mirrored = {frozenset(SHAPE.mirror[t].tolist()) for t in SHAPE.triangles}
    same = sum(frozenset(t.tolist()) in mirrored for t in SHAPE.triangles)
    assert same > 0.9 * len(SHAPE.triangles)


@pytest.mark.parametrize("ring", ["RIGHT_EYE", "LEFT_EYE", "INNER_LIPS"])
def test_a_fan_fills_a_ring_once(ring: str) -> None:
    points = getattr(mesh, ring)
    triangles = mesh.fan(points)
    assert set(np.ravel(triangles)) == set(points)
    flat = SHAPE.mean[:, :2]
    corners = flat[np.array(triangles)]
    ab, ac = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    pieces = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    x, y = flat[list(points)].T
    whole = x @ np.roll(y, -1) - y @ np.roll(x, -1)
    assert (pieces > -1e-3).all() or (pieces < 1e-3).all()
    assert abs(pieces.sum()) == pytest.approx(abs(whole), rel=0.02)
    # They face the viewer where the ring starts at the image's left.
    assert (pieces.sum() > 0) == (
        SHAPE.mean[points[0], 0] < SHAPE.mean[points[len(points) // 2], 0]
    )


# Canonical coordinates.


@given(
    angles,
    angles,
    angles,
    st.floats(5, 2000),
    arrays(np.float64, 3, elements=st.floats(-4000, 4000)),
    small_changes,
)
def test_canonical_coordinates_undo_any_similarity_in_space(
    x: float, y: float, z: float, scale: float, shift: np.ndarray, change: np.ndarray
) -> None:
    own = canonicalize(SHAPE.mean + change, SHAPE)
    rotation = Rotation.from_euler("xyz", (x, y, z), degrees=True).as_matrix()
    moved = canonicalize((SHAPE.mean + change) @ rotation * scale + shift, SHAPE)
    assert np.allclose(moved.points, own.points, atol=1e-5)
    assert moved.scale == pytest.approx(scale * own.scale, rel=1e-5)
    assert np.allclose(moved.rotation, own.rotation @ rotation, atol=1e-5)
    assert np.allclose(moved.rotation @ moved.rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(moved.rotation) == pytest.approx(1)


def test_the_mean_face_is_canonical_already() -> None:
    own = canonicalize(SHAPE.mean, SHAPE)
    assert np.allclose(own.points, SHAPE.mean, atol=1e-9)
    assert np.allclose(own.rotation, np.eye(3), atol=1e-9)
    assert own.scale == pytest.approx(1)


def test_a_mirror_image_is_not_turned_inside_out() -> None:
    """Depth reversed: the best fit would be a reflection, and must not be taken."""
    hollow = SHAPE.mean * (1, 1, -1) * 50
    assert np.linalg.det(canonicalize(hollow, SHAPE).rotation) == pytest.approx(1)


@given(angles, angles, angles, st.floats(20, 500), small_changes, small_changes)
def test_the_way_back_to_the_picture(
    x: float, y: float, z: float, scale: float, change: np.ndarray, vectors: np.ndarray
) -> None:
    rotation = Rotation.from_euler("xyz", (x, y, z), degrees=True).as_matrix()
    landmarks = (SHAPE.mean + change) @ rotation * scale + (300, 200, 10)
    face = canonicalize(landmarks, SHAPE)
    # Points and differences of points alike, since the way back turns and scales but moves nothing.
    back = face.to_picture(face.points - face.points[0])
    assert np.allclose(back, landmarks - landmarks[0], atol=1e-6 * scale)
    moved = canonicalize(landmarks, SHAPE).points + 1e-3 * vectors
    picture = landmarks + face.to_picture(1e-3 * vectors)
    assert np.allclose((picture - picture[0]), face.to_picture(moved - moved[0]), atol=1e-6 * scale)


def test_one_person_in_two_poses_is_one_face(
    model_face: Callable[..., Face],
) -> None:
    change = 0.2 * SHAPE.basis[2].reshape(-1, 3)
    a = canonicalize(model_face(30, -10, 15, change=change).landmarks, SHAPE)
    b = canonicalize(model_face(-50, 5, -80, unit_px=20, change=change).landmarks, SHAPE)
    assert np.abs(a.points - b.points).max() < 1e-4


# Expression.


def test_no_change_is_no_expression() -> None:
    assert np.array_equal(SHAPE.expression_change(np.zeros((478, 3))), np.zeros((478, 3)))


@given(small_changes, small_changes, st.floats(-3, 3))
def test_the_expression_of_a_change_is_linear(a: np.ndarray, b: np.ndarray, factor: float) -> None:
    both = SHAPE.expression_change(a + factor * b)
    parts = SHAPE.expression_change(a) + factor * SHAPE.expression_change(b)
    assert np.allclose(both, parts, atol=1e-9)


def reading(change: np.ndarray) -> np.ndarray:
    """Expression weights as the model reads them from a change."""
    return (SHAPE.basis @ change.ravel()) @ SHAPE.expression


def personal(weights: np.ndarray) -> np.ndarray:
    """A change of one person's face, `weights` (K) standard deviations in each direction."""
    variance, directions = np.linalg.eigh(SHAPE.within)
    coefficients = directions @ (np.sqrt(np.maximum(variance, 0)) * weights)
    return (coefficients @ SHAPE.basis).reshape(-1, 3)


@given(st.integers(0, 2**32 - 1))
def test_what_is_taken_for_expression_reads_as_the_same_expression(seed: int) -> None:
    weights = np.random.default_rng(seed).normal(size=DIRECTIONS)
    change = personal(3 * weights / np.linalg.norm(weights))
    expression = SHAPE.expression_change(change)
    left = reading(change - expression)
    # Ridge regression leaves at most half the ridge's root for each standard deviation.
    assert np.linalg.norm(left) < 3 * 0.5 * np.sqrt(1e-3)
    again = SHAPE.expression_change(expression)
    assert np.linalg.norm(again - expression) < 0.6 * np.linalg.norm(expression)


@given(small_changes)
def test_no_more_expression_is_found_than_there_is(change: np.ndarray) -> None:
    expression = SHAPE.expression_change(change)
    assert np.linalg.norm(reading(change - expression)) <= np.linalg.norm(reading(change)) + 1e-9


def turn_about_x(angle_deg: float) -> np.ndarray:
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


def jaw_opened(angle_deg: float) -> np.ndarray:
    """The lower lip and chin turned down about the ears, the rest of the face as it was."""
    hinge = SHAPE.mean[[234, 454]].mean(0)
    turned = (SHAPE.mean - hinge) @ turn_about_x(angle_deg).T + hinge
    low = smoothstep(SHAPE.mean[:, 1], SHAPE.mean[13, 1] + 0.01, SHAPE.mean[14, 1] + 0.05)
    return (turned - SHAPE.mean) * low[:, None]


def between_the_lips(change: np.ndarray) -> float:
    return float(change[14, 1] - change[13, 1])


@pytest.mark.parametrize(("angle_deg", "least", "most"), [(6, 0.1, 0.2), (11.5, 0.2, 0.4)])
def test_an_opened_mouth_is_expression(angle_deg: float, least: float, most: float) -> None:
    """Ajar, and as wide as in a shout."""
    jaw = jaw_opened(angle_deg)
    opened = SHAPE.expression_change(jaw)
    assert least < between_the_lips(opened) < most
    assert between_the_lips(opened) == pytest.approx(between_the_lips(jaw), rel=0.2)
    assert np.linalg.norm(reading(jaw - opened)) < 0.2 * np.linalg.norm(reading(jaw))


def test_a_longer_nose_is_no_expression() -> None:
    nose = np.zeros((478, 3))
    tip = 1 - smoothstep(distance_to((1, 4), SHAPE), 0.0, 0.5)
    nose[:, 2] = -0.2 * tip
    kept = nose - SHAPE.expression_change(nose)
    assert kept[1, 2] < -0.1


# Distances.


def test_smoothstep_is_flat_at_both_ends() -> None:
    x = np.linspace(-1, 2, 301)
    y = smoothstep(x, 0.0, 1.0)
    assert (y[x <= 0] == 0).all()
    assert (y[x >= 1] == 1).all()
    assert (np.diff(y) >= 0).all()
    assert smoothstep(np.array([0.25]), 0.0, 0.5)[0] == pytest.approx(0.5)
    assert np.diff(y).max() < 0.016  # slope 1.5 at most


def test_distance_from_the_contour() -> None:
    distance = distance_from_contour()
    assert np.array_equal(np.flatnonzero(distance == 0), np.sort(mesh.OVAL))
    assert distance.argmax() in (1, 4, 5, 6, 19, 94, 195, 197)
    assert distance_to((1,), SHAPE)[33] == pytest.approx(
        np.linalg.norm(SHAPE.mean[1] - SHAPE.mean[33])
    )
