"""Altered faces: otherwise lit, painted, hidden, turned away; and still the same face."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)

from sosie.geometry.head_pose import head_pose
from sosie.geometry.morphable_model import silhouette
from sosie.methods.base import Source
from sosie.methods.graft import alter
from sosie.methods.graft.source_texture import prepare_photo
from sosie.recipes.occlusion.occluder_library import KINDS, Library

SIDE = 256


@pytest.fixture(scope="module")
def face(model_face):
    return model_face(10, unit_px=60, center=(128, 128))


@pytest.fixture(scope="module")
def library():
    rgba = np.zeros((len(KINDS), 128, 128, 4), np.uint8)
    rgba[:, 30:90, 20:110] = (20, 200, 40, 255)
    rows = {name: np.array([n]) for n, name in enumerate(KINDS)}
    return Library(rgba, rgba[..., 3].copy(), rows)


def gray() -> np.ndarray:
    return np.full((SIDE, SIDE, 3), 120, np.uint8)


@pytest.mark.parametrize("change", [alter.relit, alter.painted])
def test_a_change_is_drawn_from_its_random_numbers_alone(face, change):
    pixels = gray()
    first, again, other = (
        change(pixels, face.landmarks, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert (pixels == 120).all()
    assert first.dtype == np.uint8
    assert first.shape == pixels.shape
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_lamp_lights_the_side_that_it_stands_on(face):
    """The brightest place's normal points to it: left and right differ, or top and bottom."""
    apart = []
    for seed in range(12):
        lamp = alter._lamp(face.landmarks, SIDE, SIDE, np.random.default_rng(seed))
        assert lamp.shape == (SIDE, SIDE, 3)
        assert lamp.min() > 0.2
        gray_lamp = lamp.mean(2)
        x = face.landmarks[[50, 280], 0].astype(int)
        y = face.landmarks[[50, 280], 1].astype(int)
        right, left = gray_lamp[y, x]
        apart.append(left / right)
    assert min(apart) < 0.85
    assert max(apart) > 1.15


def test_gloss_only_adds_light_and_only_on_the_face(face):
    inside = silhouette(face.landmarks, SIDE, SIDE) > 127
    for seed in range(5):
        gloss = alter._gloss(face.landmarks, SIDE, SIDE, np.random.default_rng(seed))
        assert gloss.min() > -0.05
        assert gloss[inside].max() > 0.03
        assert not gloss[~inside].any()


def test_a_turned_head_is_seen_from_a_side(face, paint):
    seen = np.ones((SIDE, SIDE), np.float32)
    picture = paint(face, (200, 60, 60), background=(20, 160, 40))
    yaw = head_pose(face.landmarks).yaw
    turns = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        pixels, visible, points = alter.turned_head(picture, seen, face.landmarks, rng)
        turns.append(head_pose(points).yaw - yaw)
        x, y = points[[4, 6], :2].mean(0).astype(int)
        assert np.abs(pixels[y, x] - (200.0, 60, 60)).max() < 30
        assert pixels.shape == picture.shape
        assert visible.shape == seen.shape
        assert (pixels[3, 3] == (20, 160, 40)).all()
    assert max(turns) > 25
    assert min(turns) < -25


def test_paint_stays_on_a_part_of_the_face(face):
    inside = silhouette(face.landmarks, SIDE, SIDE) > 0
    for seed in range(8):
        painted = alter.painted(gray(), face.landmarks, np.random.default_rng(seed))
        changed = (painted != 120).any(2)
        assert 0 < changed.sum() < 0.8 * inside.sum()


def test_a_thing_is_known_of_or_overlooked(face, library):
    seen = np.ones((SIDE, SIDE), np.float32)
    kinds = set()
    for seed in range(30):
        rng = np.random.default_rng(seed)
        covered, visible = alter.behind_a_thing(gray(), seen, face.landmarks, library, rng)
        changed = (covered != 120).any(2)
        kinds.add((bool(changed.any()), bool((visible < 0.5).any())))
        assert (visible[~changed] > 0.9).all()
    assert {(True, True), (True, False)} <= kinds
    assert (seen == 1).all()


def test_a_side_that_is_turned_away_is_trusted_less(face):
    photo = prepare_photo(Source(gray(), face, np.ones((SIDE, SIDE), np.float32)))
    lost, mirrors = [], set()
    for seed in range(20):
        away = alter.turned_away(photo, np.random.default_rng(seed))
        assert (away.direct <= photo.direct + 1e-6).all()
        lost.append(float((photo.direct - away.direct).mean()))
        mirrors.add(away.has_other)
    assert max(lost) > 0.3
    assert mirrors == {True, False}


def test_landmarks_are_misread_by_little(face):
    off = [
        np.linalg.norm(alter.misread(face.landmarks, np.random.default_rng(seed)) - face.landmarks,
                       axis=1).mean() / 60
        for seed in range(20)
    ]  # fmt: skip
    assert max(off) < 0.021
    assert np.mean(off) > 0.005
