"""LivePortrait's arithmetic by known answers, and by what it must not change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.reenactment.portrait.motion import (
    AREAS,
    EYES,
    LIPS,
    POINTS,
    FaceMotion,
    absolute,
    bin_degrees,
    degrees_of,
    eye_input,
    eye_ratios,
    lip_input,
    lip_ratio,
    part_of_turn,
    relative,
    restored,
    rotation,
    stitched,
    stitching_input,
    with_own,
)

ANGLES = st.floats(-60, 60)


def motion(seed: int = 0, **changes: object) -> FaceMotion:
    rng = np.random.default_rng(seed)
    told = FaceMotion(
        rotation(*rng.uniform(-30, 30, 3)),
        float(rng.uniform(0.8, 1.5)),
        rng.uniform(-0.2, 0.2, 3),
        rng.normal(0, 0.05, (POINTS, 3)),
        rng.uniform(-0.4, 0.4, (POINTS, 3)),
    )
    return replace(told, **changes)


def assert_same(one: FaceMotion, other: FaceMotion) -> None:
    for name in ("rotation", "scale", "shift", "expression", "points"):
        assert np.allclose(getattr(one, name), getattr(other, name), atol=1e-9), name


def test_bins_are_of_three_degrees_about_zero():
    degrees = bin_degrees()
    assert (degrees[0], degrees[32], degrees[33], degrees[65]) == (-97.5, -1.5, 1.5, 97.5)
    certain = np.full(66, -50.0)
    certain[40] = 50
    assert degrees_of(certain) == pytest.approx(22.5)
    assert degrees_of(np.zeros((1, 66))) == pytest.approx(0, abs=1e-4)
    certain[41] = 50
    assert degrees_of(certain + 1000) == pytest.approx(24.0)
    assert degrees_of([[12.5]]) == 12.5


def test_a_head_turns_about_x_then_y_then_z():
    x, y, z = np.eye(3)
    assert np.allclose(y @ rotation(90, 0, 0), z)
    assert np.allclose(z @ rotation(0, 90, 0), x)
    assert np.allclose(x @ rotation(0, 0, 90), y)
    # Pitch takes y to z, and yaw that to x; roll takes x to y.
    assert np.allclose(y @ rotation(90, 90, 90), y)


@given(ANGLES, ANGLES, ANGLES)
def test_a_rotation_keeps_lengths_and_handedness(pitch, yaw, roll):
    turn = rotation(pitch, yaw, roll)
    assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(turn) == pytest.approx(1)
    assert np.allclose(part_of_turn(turn, 1), turn, atol=1e-9)
    assert np.allclose(part_of_turn(turn, 0), np.eye(3))
    half = part_of_turn(turn, 0.5)
    assert np.allclose(half @ half, turn, atol=1e-9)


def test_keypoints_are_turned_then_expressed_then_scaled_and_shifted_in_the_picture():
    points, expression = np.zeros((POINTS, 3)), np.zeros((POINTS, 3))
    points[3], expression[3] = (0, 1, 0), (0.5, 0, 0)
    face = FaceMotion(rotation(90, 0, 0), 2.0, np.array([0.1, 0.2, 0.3]), expression, points)
    placed = face.placed()
    assert placed.dtype == np.float32
    assert np.allclose(placed[3], [1.1, 0.2, 2.0])
    assert np.allclose(placed[4], [0.1, 0.2, 0])


def test_a_driver_that_rests_moves_nothing():
    own, driver = motion(1), motion(2)
    assert_same(relative(own, driver, driver), own)
    assert_same(relative(own, driver, motion(3), expression=0, pose=0), own)
    assert_same(absolute(own, motion(3), expression=0, pose=0), own)


def test_ones_own_motion_is_followed():
    own, later = motion(1), motion(4)
    same_points = replace(later, points=own.points)
    moved = relative(own, own, same_points)
    assert_same(replace(moved, rotation=np.eye(3)), replace(same_points, rotation=np.eye(3)))
    # Behind rows, a turn since the first frame stands before the own pose.
    assert np.allclose(moved.rotation, later.rotation)


def test_the_change_is_carried_over_not_the_state():
    own, first = motion(1), motion(2)
    now = replace(
        first,
        scale=1.5 * first.scale,
        shift=first.shift + 0.1,
        expression=first.expression + 0.02,
        rotation=rotation(0, 10, 0) @ first.rotation,
    )
    moved = relative(own, first, now)
    assert moved.scale == pytest.approx(1.5 * own.scale)
    assert np.allclose(moved.shift, own.shift + 0.1)
    assert np.allclose(moved.expression, own.expression + 0.02)
    assert np.allclose(moved.rotation, rotation(0, 10, 0) @ own.rotation)
    half = relative(own, first, now, expression=0.5, pose=0.5)
    assert half.scale == pytest.approx(np.sqrt(1.5) * own.scale)
    assert np.allclose(half.expression, own.expression + 0.01)
    assert np.allclose(half.rotation, rotation(0, 5, 0) @ own.rotation)


@pytest.mark.parametrize(("first", "now"), [(0.0, 1.0), (-1.0, 1.0), (1.0, -0.5)])
def test_a_size_that_means_nothing_changes_none(first, now):
    own = motion(1)
    moved = relative(own, motion(2, scale=first), motion(3, scale=now), pose=0.5)
    assert moved.scale == own.scale


def test_absolute_motion_takes_the_drivers_state_and_keeps_face_and_size():
    own, now = motion(1), motion(2)
    assert_same(absolute(own, now), replace(now, points=own.points, scale=own.scale))


def test_some_keypoints_keep_the_own_expression():
    own, driven = motion(1), motion(2)
    mixed = with_own(driven, own, LIPS)
    others = [k for k in range(POINTS) if k not in LIPS]
    assert np.array_equal(mixed.expression[list(LIPS)], own.expression[list(LIPS)])
    assert np.array_equal(mixed.expression[others], driven.expression[others])
    assert np.array_equal(mixed.rotation, driven.rotation)
    assert not set(LIPS) & set(EYES)


def test_stitching_shifts_each_point_and_then_all_in_the_picture():
    driving = motion(2).placed()
    change = np.zeros((1, 65))
    assert np.array_equal(stitched(driving, change), driving)
    change[0, 3 * 5 + 2] = 0.5
    change[0, 63:] = (0.1, -0.2)
    moved = stitched(driving, change) - driving
    assert np.allclose(moved[:, :2], [0.1, -0.2], atol=1e-6)
    assert np.allclose(moved[:, 2], np.eye(POINTS)[5] * 0.5, atol=1e-6)
    given_in = stitching_input(motion(1).placed(), driving)
    assert given_in.shape == (1, 126)
    assert np.array_equal(given_in[0, 63:], driving.ravel())


def test_small_networks_are_told_what_is_and_what_is_wanted():
    own = motion(1).placed()
    eyes = eye_input(own, np.float32([0.3, 0.2]), 0.1)
    lips = lip_input(own, 0.05, 0.4)
    assert (eyes.shape, lips.shape, eyes.dtype) == ((1, 66), (1, 65), np.float32)
    assert np.allclose(eyes[0, 63:], [0.3, 0.2, 0.1])
    assert np.allclose(lips[0, 63:], [0.05, 0.4])


def test_ratios_are_height_over_width_at_any_size_and_tilt(model_face):
    points = np.zeros((478, 3), np.float32)
    points[[33, 133, 159, 145], :2] = [(0, 0), (10, 0), (5, -2), (5, 2)]
    points[[362, 263, 386, 374], :2] = [(20, 0), (30, 0), (25, -0.5), (25, 0.5)]
    points[[61, 291, 13, 14], :2] = [(0, 20), (20, 20), (10, 19), (10, 24)]
    assert np.allclose(eye_ratios(points), [0.4, 0.1])
    assert lip_ratio(points) == pytest.approx(0.25)
    turned = points[:, :2] @ np.float32([[0.6, 0.8], [-0.8, 0.6]]) * 7 + 3
    assert np.allclose(eye_ratios(turned), [0.4, 0.1], atol=1e-5)
    assert lip_ratio(model_face().landmarks) < 0.15


def test_a_restored_expression_leaves_the_heads_outline():
    swapped, target = motion(1), motion(2)
    every = {0, 4, 5, 8, 9, *AREAS["upper"], *AREAS["lower"]}
    assert every == set(range(POINTS))
    assert not set(AREAS["upper"]) & set(AREAS["lower"])
    whole = restored(swapped, target, 1.0)
    kept = [0, 4, 5, 8, 9]
    assert np.array_equal(whole.expression[kept], swapped.expression[kept])
    lower = restored(swapped, target, 1.2, ["lower"])
    for point in range(POINTS):
        was, there = swapped.expression[point], target.expression[point]
        expected = was if point in kept else there
        assert np.allclose(whole.expression[point], expected)
        expected = was + 1.2 * (there - was) if point in AREAS["lower"] else was
        assert np.allclose(lower.expression[point], expected)
    assert_same(restored(swapped, target, 0), swapped)
    assert_same(replace(whole, expression=0), replace(swapped, expression=0))
