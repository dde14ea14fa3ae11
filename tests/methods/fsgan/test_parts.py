"""What FSGAN's stages are given: landmarks and their heat-maps, the mix of views, the soft mask."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.geometry.head_pose import MIRROR
from sosie.geometry.mesh import ANNOTATED
from sosie.methods.fsgan.appearance import AppearanceMap
from sosie.methods.fsgan.heat_maps import REACH, heat_maps, mirrored, points_98
from sosie.methods.fsgan.soft_mask import cone, soft_erosion
from sosie.types import Pose


def test_the_98_points_hold_the_68_that_are_annotated():
    """By the numbers that both sets are known to share."""
    mesh = np.random.default_rng(0).normal(0, 50, (478, 3)).astype(np.float32)
    points = points_98(mesh)
    assert points.shape == (98, 2)
    shared = [*range(0, 33, 2), *range(33, 38), *range(42, 47), *range(51, 60), *range(76, 96)]
    numbers = [*range(17), *range(17, 22), *range(22, 27), *range(27, 36), *range(48, 68)]
    assert np.array_equal(points[shared], mesh[[ANNOTATED[k] for k in numbers], :2])
    corners = [ANNOTATED[k] for k in (36, 39, 42, 45)]
    assert np.allclose(points[[60, 64, 68, 72]], mesh[[33, 133, 362, 263], :2])
    assert {33, 263} <= set(corners)
    assert np.array_equal(points[96:], mesh[[468, 473], :2])


def test_a_mirrored_face_has_the_mirrored_points():
    mesh = np.random.default_rng(0).uniform(0, 99, (478, 2)).astype(np.float32)
    other = mesh[MIRROR] * np.float32((-1, 1)) + np.float32((99, 0))
    assert np.allclose(points_98(other), mirrored(points_98(mesh), 100), atol=1e-4)


def test_a_heat_map_is_a_disc_about_its_point():
    maps = heat_maps(np.array([[31.5, 15.5], [0, 0]], np.float32), 64, 64)
    assert maps.shape == (2, 64, 64)
    assert (maps >= 0).all()
    assert (maps <= 1).all()
    # Half a pixel off in both directions: sqrt(0.5) pixels.
    near = (1 - np.sqrt(0.5) / 64 / np.sqrt(2)) ** 8
    assert maps[0, 15, 31] == pytest.approx((near - 0.8) / 0.2, abs=1e-5)
    assert maps[1, 0, 0] == pytest.approx(1)
    y, x = np.nonzero(maps[0])
    assert np.hypot(y - 15.5, x - 31.5).max() <= REACH * 64
    assert np.hypot(y - 15.5, x - 31.5).max() > REACH * 64 - 1


def test_a_heat_map_is_the_same_at_every_size():
    points = np.array([[100, 60]], np.float32)
    full, half = heat_maps(points, 256, 256), heat_maps(points, 256, 128)
    means = full.reshape(1, 128, 2, 128, 2).mean((2, 4))
    assert np.abs(means - half).max() < 0.04


def poses(*places: tuple[float, float]) -> list[Pose]:
    return [Pose(yaw, pitch, 0) for yaw, pitch in places]


def test_a_pose_is_mixed_of_the_views_about_it():
    found = AppearanceMap(poses((0, 0), (30, 0), (0, 30), (-60, -60)))
    assert dict(found.mix(Pose(10, 10, 50))) == pytest.approx({0: 1 / 3, 1: 1 / 3, 2: 1 / 3})
    assert dict(found.mix(Pose(15, 0, 0))) == pytest.approx({0: 0.5, 1: 0.5}, abs=1e-3)
    assert dict(found.mix(Pose(30, 0, 0))) == pytest.approx({1: 1.0}, abs=1e-3)


def test_weights_add_up_whatever_the_pose():
    rng = np.random.default_rng(3)
    for count in (1, 2, 3, 40):
        views = poses(*rng.normal(0, 25, (count, 2)).tolist())
        found = AppearanceMap(views)
        for yaw, pitch in rng.uniform(-120, 120, (200, 2)).tolist():
            mix = found.mix(Pose(yaw, pitch, 0))
            assert 1 <= len(mix) <= 3
            assert sum(weight for _, weight in mix) == pytest.approx(1)
            assert all(weight > 0 and view in found.views for view, weight in mix)


def test_a_mix_lies_where_the_pose_is_between_views():
    """Inside the views' own hull no corner takes part, and the mix of their poses is the pose."""
    ring = [(40 * np.cos(a), 40 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 9)[:-1]]
    views = poses((3, -2), *ring)
    found = AppearanceMap(views)
    for yaw, pitch in np.random.default_rng(0).uniform(-20, 20, (50, 2)).tolist():
        mix = found.mix(Pose(yaw, pitch, 0))
        assert sum(w * views[k].yaw for k, w in mix) == pytest.approx(yaw, abs=0.05)
        assert sum(w * views[k].pitch for k, w in mix) == pytest.approx(pitch, abs=0.05)


def test_of_views_that_are_alike_the_first_is_kept():
    assert AppearanceMap(poses((0, 0), (1, 1), (0, 2), (0.5, 0.5))).views == [0, 2]


def test_soft_erosion_keeps_the_inside_and_fades_beyond():
    mask = np.zeros((256, 256), np.bool_)
    mask[60:200, 60:200] = True
    soft, hard = soft_erosion(mask)
    assert hard[75:185, 75:185].all()
    assert not (hard & ~mask).any()
    assert (soft[hard] == 1).all()
    # In the middle of an edge just under half of the kernel lies on the mask.
    kernel = cone(10)
    assert kernel.shape == (21, 21)
    assert soft[60, 128] == pytest.approx(float(kernel[10:].sum()) / 0.6, abs=1e-4)
    assert (np.diff(soft[128, 40:80]) > -1e-6).all()
    assert soft[128, 49] == 0


def test_what_no_face_is_stays_none():
    for side in (16, 64, 256):
        soft, hard = soft_erosion(np.zeros((side, side), np.bool_))
        assert not soft.any()
        assert not hard.any()
