"""Layers: what they hide, where they lie on a face, and that they go over any picture of it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sosie.geometry import mesh
from sosie.geometry.morphable_model import silhouette
from sosie.recipes.composites import cutouts, spectacles
from sosie.recipes.composites.layer import Layer, blend, cast_shadow

SIZE = (240, 320)
SKIN, WALL = (200, 150, 125), (90, 110, 140)


def portrait(points: np.ndarray) -> np.ndarray:
    picture = np.full((*SIZE, 3), WALL, np.uint8)
    picture[silhouette(points, SIZE[1], SIZE[0]) > 127] = SKIN
    return picture


def seeds(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(count)]


@pytest.fixture(params=[(0, 0, 0), (35, 5, 0), (-40, -5, 12)], ids=str)
def points(request, model_face) -> np.ndarray:
    return model_face(*request.param, unit_px=45, center=(160, 120)).landmarks


def test_a_blend_is_by_alpha():
    below = np.full((4, 4, 3), 200, np.uint8)
    alpha = np.array([[0, 51, 128, 255]] * 4, np.uint8)
    front = np.repeat((100 / 255 * alpha)[..., None], 3, 2).astype(np.uint8)
    found = blend(below, front, alpha)[0, :, 0].astype(int)
    assert np.abs(found - [200, 180, 150, 100]).max() <= 1


def test_a_shadow_lies_beside_its_thing():
    mask = np.zeros((60, 60), np.uint8)
    mask[20:40, 20:40] = 255
    light = cast_shadow(mask, np.array([12.0, 5.0]), 0.5, 0.4)
    assert abs(int(light[35, 42]) - 0.6 * 255) < 4
    assert light[30, 24] == 255
    assert light[5, 5] == 255


def test_both_eyes_look_through_lenses_and_the_frame_crosses_the_nose(points):
    through, crossed = 0, 0
    for rng in seeds(12):
        layer = spectacles.spectacles(portrait(points), points, rng)
        lens, frame = layer.shares["lens"], layer.shares["frame"]
        for ring in (mesh.RIGHT_EYE, mesh.LEFT_EYE):
            x, y = np.round(points[list(ring), :2].mean(0)).astype(int)
            through += int(lens[y, x]) + frame[y, x] > 127
        nose = points[[168, 6, 197, 9], :2]
        x0, y0 = np.floor(nose.min(0) - 12).astype(int)
        x1, y1 = np.ceil(nose.max(0) + 12).astype(int)
        crossed += bool((frame[y0:y1, x0:x1] > 60).any())
        assert not (lens.astype(int) + frame > 258).any()
    assert through >= 22
    assert crossed == 12


def test_spectacles_hide_what_they_say(points):
    """Where nothing is told and no shadow falls, the picture stays; a frame's pixels change."""
    changed = 0
    for rng in seeds(10):
        picture = portrait(points)
        drawn, layer = spectacles.draw(picture, points, rng)
        assert drawn.shape == picture.shape
        lit = np.full(SIZE, True) if layer.shadow is None else layer.shadow == 255
        apart = np.abs(drawn.astype(int) - picture).max(-1)
        assert apart[(layer.hides == 0) & lit].max() <= 1
        core = layer.shares["frame"] > 250
        changed += core.any() and np.median(apart[core]) > 15
    assert changed >= 8


def test_dark_glass_is_told_from_clear(model_face):
    """A lens's opacity is how much of what is behind it no longer shows."""
    points = model_face(unit_px=45, center=(160, 120)).landmarks
    told, measured = [], []
    for rng in seeds(24):
        dark, bright = (np.full((*SIZE, 3), value, np.uint8) for value in (40, 200))
        layer = spectacles.spectacles(bright, points, rng)
        glass = cv2.erode(layer.shares["lens"], np.ones((5, 5), np.uint8)) > 250
        if layer.shadow is not None:
            glass &= layer.shadow == 255
        if not glass.any():
            continue
        apart = layer.over(bright).astype(float) - layer.over(dark)
        told.append(layer.lens_opacity[glass].mean() / 255)
        measured.append(1 - apart[glass].mean() / 160)
    assert len(told) > 12
    assert np.abs(np.array(told) - measured).max() < 0.03
    assert min(told) < 0.1
    assert max(told) > 0.75


def test_a_turned_head_hides_its_far_arm(model_face):
    """Nothing of the frame lies on the face behind the far eye's outer side, as the near arm does
    before the near ear."""
    points = model_face(40, 0, 0, unit_px=45, center=(160, 120)).landmarks
    near, far = (
        (127, 356)
        if abs(points[127, 0] - points[1, 0]) > abs(points[356, 0] - points[1, 0])
        else (356, 127)
    )
    seen = []
    inside = silhouette(points, SIZE[1], SIZE[0]) > 127
    for rng in seeds(10):
        frame = spectacles.spectacles(portrait(points), points, rng).shares["frame"] > 60
        columns = np.indices(SIZE)[1]
        side = np.sign(points[near, 0] - points[1, 0])
        at_temple = side * (columns - points[near, 0]) > -25
        seen.append(bool((frame & inside & at_temple).any()))
    assert far != near
    assert np.mean(seen) > 0.8


def test_one_layer_goes_over_any_picture_of_the_face(points):
    layer = spectacles.spectacles(portrait(points), points, np.random.default_rng(4))
    one, other = (np.full((*SIZE, 3), value, np.uint8) for value in (60, 180))
    core = layer.alpha > 252
    assert core.sum() > 10
    apart = np.abs(layer.over(one).astype(int) - layer.over(other))[core].max(-1)
    assert apart.max() <= 4


@pytest.mark.parametrize("pose", [(0, 0, 0), (20, 0, -10)], ids=str)
def test_hair_comes_to_where_it_grows(model_face, pose):
    """A cap of hair above the donor's brows lies above the other face's, wherever that is."""
    theirs = model_face(unit_px=45, center=(144, 150)).landmarks
    crop = np.full((288, 288, 3), SKIN, np.uint8)
    share = np.zeros((288, 288), np.uint8)
    share[20 : int(theirs[151, 1]), 60:230] = 255
    crop[share > 0] = (40, 30, 25)
    donor = cutouts.Donor(crop, share, theirs)
    own = model_face(*pose, unit_px=38, center=(150, 130)).landmarks
    picture = portrait(own)
    for rng in seeds(8):
        drawn, layer = cutouts.draw(picture, own, donor, "hair", rng)
        hair = layer.shares["hair"]
        assert set(layer.shares) == {"hair"}
        x, y = np.round(own[[10, 199], :2]).astype(int).T
        assert hair[max(y[0] - 6, 0), x[0]] > 200
        assert hair[y[1], x[1]] == 0
        core = hair > 250
        assert drawn[core].mean() < 90
        assert np.array_equal(drawn[y[1] + 2, x[1]], picture[y[1] + 2, x[1]])


def test_what_a_layer_hides_is_the_sum_of_its_shares():
    nothing = np.zeros((2, 2), np.uint8)
    layer = Layer(
        np.zeros((2, 2, 3), np.uint8), nothing, None, {"frame": nothing + 100, "lens": nothing + 90}
    )
    assert (layer.hides == 190).all()
