"""Whose proportions, whose pose and whose expression the swapped face has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sosie.geometry import mesh
from sosie.geometry.head_pose import head_pose
from sosie.geometry.morphable_model import canonicalize, face_shape, smoothstep
from sosie.methods.graft.retarget import retarget, strength_beside
from sosie.types import Face

ModelFace = Callable[..., Face]
SHAPE = face_shape()
poses = st.tuples(st.floats(-45, 45), st.floats(-20, 20), st.floats(-180, 180))


def opened_mouth(by: float) -> np.ndarray:
    low = smoothstep(SHAPE.mean[:, 1], SHAPE.mean[13, 1] + 0.01, SHAPE.mean[14, 1] + 0.05)
    return np.column_stack([np.zeros(478), by * low, np.zeros(478)])


def wide_eyes(by: float) -> np.ndarray:
    """Eyes with brows and lids set further apart: a matter of identity."""
    upper = 1 - smoothstep(SHAPE.mean[:, 1], -0.2, 0.4)
    sideways = by * upper * np.tanh(SHAPE.mean[:, 0] / 0.2)
    inner = smoothstep(1.3 - np.abs(SHAPE.mean[:, 0]), 0.0, 0.4)
    return np.column_stack([sideways * inner, np.zeros(478), np.zeros(478)])


def gap(landmarks: np.ndarray, upper: int, lower: int) -> float:
    points = canonicalize(landmarks, SHAPE).points
    return float(np.linalg.norm(points[lower] - points[upper]))


def iris_distance(landmarks: np.ndarray) -> float:
    points = canonicalize(landmarks, SHAPE).points
    return float(np.linalg.norm(points[473] - points[468]))


@settings(max_examples=20)
@given(poses, poses, st.integers(0, 79))
def test_no_strength_is_the_aim_itself(
    model_face: ModelFace, source_pose: tuple, target_pose: tuple, direction: int
) -> None:
    change = 0.2 * SHAPE.basis[direction].reshape(-1, 3)
    source = model_face(*source_pose, change=change).landmarks
    target = model_face(*target_pose).landmarks
    aim = target + np.float32(0.5)
    result = retarget(source, target, aim, 0.0)
    assert result.dtype == np.float32
    assert np.abs(result - aim).max() < 1e-3


@settings(max_examples=20)
@given(poses, poses, st.floats(0, 1))
def test_the_same_face_in_another_pose_changes_nothing(
    model_face: ModelFace, source_pose: tuple, target_pose: tuple, strength: float
) -> None:
    change = 0.2 * SHAPE.basis[3].reshape(-1, 3)
    source = model_face(*source_pose, unit_px=90, center=(400, 300), change=change).landmarks
    target = model_face(*target_pose, change=change).landmarks
    result = retarget(source, target, target, strength)
    assert np.abs(result - target).max() < 0.01


@settings(max_examples=20)
@given(poses, st.lists(st.floats(-0.3, 0.3), min_size=12, max_size=12))
def test_the_outline_stays(model_face: ModelFace, pose: tuple, weights: list[float]) -> None:
    change = (np.array(weights) @ SHAPE.basis[:12]).reshape(-1, 3)
    source = model_face(20, 5, 0, change=change).landmarks
    target = model_face(*pose).landmarks
    aim = target + np.float32(1)
    result = retarget(source, target, aim, 1.0)
    oval = list(mesh.OVAL)
    assert np.abs(result[oval] - aim[oval]).max() < 1e-3


def test_the_change_grows_with_the_strength(model_face: ModelFace) -> None:
    source = model_face(change=wide_eyes(0.08)).landmarks
    target = model_face(25, 0, 30).landmarks
    half, full = (retarget(source, target, target, s) - target for s in (0.5, 1.0))
    assert np.abs(full).max() > 1
    assert np.allclose(2 * half, full, atol=1e-3)


@pytest.mark.parametrize("pose", [(0, 0, 0), (30, -10, 0), (-20, 5, 160)])
@pytest.mark.parametrize("by", [0.08, -0.08])
def test_eyes_are_set_as_far_apart_as_the_sources(
    model_face: ModelFace, pose: tuple[float, ...], by: float
) -> None:
    source = model_face(-15, 5, 0, unit_px=100, change=wide_eyes(by)).landmarks
    target = model_face(*pose).landmarks
    result = retarget(source, target, target, 1.0)
    own, asked = iris_distance(target), iris_distance(source)
    assert abs(asked - own) > 0.1
    share = (iris_distance(result) - own) / (asked - own)
    assert 0.5 < share < 1.1
    ours, theirs = head_pose(result), head_pose(target)
    assert ours.yaw == pytest.approx(theirs.yaw, abs=1)
    assert ours.pitch == pytest.approx(theirs.pitch, abs=1)
    assert ours.roll == pytest.approx(theirs.roll, abs=1)


@pytest.mark.parametrize(("source_gap", "target_gap"), [(0.0, 0.3), (0.3, 0.0), (0.15, 0.4)])
def test_the_mouth_is_as_open_as_the_targets(
    model_face: ModelFace, source_gap: float, target_gap: float
) -> None:
    source = model_face(10, change=opened_mouth(source_gap)).landmarks
    target = model_face(-15, 5, 20, change=opened_mouth(target_gap)).landmarks
    result = retarget(source, target, target, 1.0)
    off = gap(result, 13, 14) - gap(target, 13, 14)
    apart = gap(source, 13, 14) - gap(target, 13, 14)
    assert abs(apart) > 0.15
    assert abs(off) < 0.3 * abs(apart)


@pytest.mark.parametrize(("upper", "lower"), [(159, 145), (386, 374)])
def test_lids_are_as_open_as_the_targets(model_face: ModelFace, upper: int, lower: int) -> None:
    def closed(by: float) -> np.ndarray:
        change = np.zeros((478, 3))
        for top, bottom in ((159, 145), (386, 374)):
            middle = (SHAPE.mean[top] + SHAPE.mean[bottom]) / 2
            near = np.exp(-((SHAPE.mean - middle) ** 2).sum(1) / 0.03)
            above = near * (SHAPE.mean[:, 1] < middle[1])
            change[:, 1] += by * above * (SHAPE.mean[bottom, 1] - SHAPE.mean[top, 1])
        return change

    wide, shut = model_face(change=closed(-0.2)).landmarks, model_face(change=closed(0.9)).landmarks
    for source, target in ((wide, shut), (shut, wide)):
        result = retarget(source, target, target, 1.0)
        apart = gap(source, upper, lower) - gap(target, upper, lower)
        assert abs(gap(result, upper, lower) - gap(target, upper, lower)) < 0.4 * abs(apart)


@settings(max_examples=20)
@given(poses, st.integers(0, 2**32 - 1))
def test_an_upper_edge_never_crosses_the_lower(
    model_face: ModelFace, pose: tuple, seed: int
) -> None:
    """Whatever the source's face and however wild the correction."""
    random = np.random.default_rng(seed)
    change = (random.normal(0, 0.3, 20) @ SHAPE.basis[:20]).reshape(-1, 3)
    target = model_face(*pose, change=opened_mouth(0.15)).landmarks
    aim = target + random.normal(0, 3, target.shape).astype(np.float32)
    result = retarget(model_face(change=change).landmarks, target, aim, 1.0)
    for upper, lower in ((159, 145), (158, 153), (386, 374), (385, 380), (13, 14), (82, 87)):
        asked, given_ = target[lower] - target[upper], result[lower] - result[upper]
        assert asked @ given_ > 0
        assert 0.5 < np.linalg.norm(given_) / np.linalg.norm(asked) < 1.6


def test_a_correction_of_the_aim_is_kept(model_face: ModelFace) -> None:
    source = model_face(change=wide_eyes(0.08)).landmarks
    target = model_face(10).landmarks
    aim = target + np.random.default_rng(1).normal(0, 1, target.shape).astype(np.float32)
    plain = retarget(source, target, target, 0.8)
    aimed = retarget(source, target, aim, 0.8)
    # But for the openings, which have bounds of their own.
    rings = mesh.RIGHT_EYE + mesh.LEFT_EYE + mesh.INNER_LIPS
    others = np.setdiff1d(np.arange(478), rings)
    assert np.allclose((aimed - plain)[others], (aim - target)[others], atol=1e-3)


def test_the_sources_expression_where_it_is_wanted(model_face: ModelFace) -> None:
    """An open mouth goes along with its share, and the outline stays but where its chin comes
    down."""
    source = model_face(change=opened_mouth(0.4)).landmarks
    target = model_face(unit_px=50, center=(140, 120)).landmarks
    gaps, chins = [], []
    for share in (0.0, 0.5, 1.0):
        points = retarget(source, target, target, 1.0, share)
        gaps.append(gap(points, 13, 14))
        lowered = points[list(mesh.OVAL), 1] - target[list(mesh.OVAL), 1]
        above = SHAPE.mean[list(mesh.OVAL), 1] < 0.3
        assert np.abs(lowered[above]).max() < 2
        assert lowered.max() == pytest.approx(points[152, 1] - target[152, 1], abs=1.5)
        chins.append(float(lowered.max()))
    assert chins[0] < 0.1
    assert 3 < chins[1] < chins[2]
    closed, wanted = gap(target, 13, 14), gap(source, 13, 14)
    assert gaps[0] == pytest.approx(closed, abs=0.05)
    assert closed < gaps[0] + 0.1 < gaps[1] < gaps[2]
    assert gaps[2] == pytest.approx(wanted, rel=0.35)


def test_a_jaw_that_shuts_leaves_the_targets_outline(model_face: ModelFace) -> None:
    source = model_face().landmarks
    target = model_face(unit_px=50, center=(140, 120), change=opened_mouth(0.4)).landmarks
    points = retarget(source, target, target, 1.0, 1.0)
    outline = list(mesh.OVAL)
    assert np.abs(points[outline] - target[outline]).max() < 2
    assert gap(points, 13, 14) < gap(target, 13, 14) - 0.2


def test_parts_that_stay_the_targets_own_stay_in_their_place(model_face: ModelFace) -> None:
    source = model_face(change=wide_eyes(0.15)).landmarks
    target = model_face(unit_px=50, center=(140, 120)).landmarks
    eyes = [*mesh.RIGHT_EYE, *mesh.LEFT_EYE]
    moved = np.abs(retarget(source, target, target, 1.0) - target)
    kept = np.abs(retarget(source, target, target, strength_beside(["eyes"], 1.0)) - target)
    assert moved[eyes].max() > 2
    assert kept[eyes].max() < 0.2
    assert strength_beside([], 0.7) == 0.7
