"""Occluders: every kind draws something that hides, the same each time, with clean edges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sosie.recipes.face_cache import CROP_PX, FaceSet
from sosie.recipes.occlusion import occluder_library
from sosie.recipes.occlusion.compositing import (
    DRAWN_PX,
    SPRITE_PX,
    Relief,
    empty,
    lay,
    polygon,
    sprite,
)
from sosie.recipes.occlusion.worn import draw_spectacles, mean_points
from sosie.training.recipe import Materials

COUNT = 12


@pytest.fixture(scope="module")
def faces(model_face, face_set) -> FaceSet:
    points = [
        model_face(yaw, 0, 0, unit_px=32, center=(112, 112)).landmarks
        for yaw in np.linspace(-20, 20, COUNT)
    ]
    crops = np.random.default_rng(0).integers(0, 256, (COUNT, CROP_PX, CROP_PX, 3), np.uint8)
    crops[:, 90:] = (200, 150, 120)
    return face_set(crops, points)


@pytest.mark.parametrize("kind", sorted(occluder_library.KINDS))
def test_every_kind_draws_a_thing(faces, kind):
    photos = occluder_library.Photos(faces)
    drawn = [
        occluder_library.KINDS[kind].draw(np.random.default_rng(seed), photos) for seed in range(3)
    ]
    for one in drawn:
        assert one.rgba.shape == (SPRITE_PX, SPRITE_PX, 4)
        assert one.rgba.dtype == one.hides.dtype == np.uint8
        assert one.hides.shape == (SPRITE_PX, SPRITE_PX)
        hidden = (one.hides > 127).mean()
        assert 0.001 < hidden < 0.95
        # What hides the face is itself seen.
        assert one.rgba[..., 3][one.hides > 200].min() > 120
    assert not np.array_equal(drawn[0].rgba, drawn[1].rgba)
    again = occluder_library.KINDS[kind].draw(np.random.default_rng(0), photos)
    assert np.array_equal(again.rgba, drawn[0].rgba)


def test_photos_are_of_the_people_who_train(faces):
    taken = occluder_library.Photos(faces)._rows
    assert len(taken)
    assert faces.train[taken].all()
    assert len(taken) == faces.train.sum()


def test_one_sees_through_spectacles_but_not_through_their_frame():
    points = mean_points(SPRITE_PX)
    eyes = np.round([points[[33, 133]].mean(0), points[[362, 263]].mean(0)]).astype(int)
    at_eyes, frames = [], []
    for seed in range(12):
        drawn = draw_spectacles(np.random.default_rng(seed), mean_points())
        at_eyes += [drawn.hides[y, x] for x, y in eyes]
        frames.append((drawn.hides > 127).sum())
    assert np.mean(np.array(at_eyes) < 20) > 0.9
    assert min(frames) > 40
    assert max(frames) < 0.15 * SPRITE_PX**2


def test_the_mean_face_stands_as_in_a_square():
    points = mean_points(SPRITE_PX)
    spans = np.ptp(points, axis=0)
    assert spans.max() == pytest.approx(SPRITE_PX / 1.5, rel=0.02)
    middle = (points.min(0) + points.max(0)) / 2
    assert np.allclose(middle, (SPRITE_PX - 1) / 2, atol=0.5)
    assert np.allclose(mean_points(DRAWN_PX), (points + 0.5) * 2 - 0.5, atol=1e-6)


def test_a_sprites_colors_are_multiplied_by_alpha():
    """Half covered pixels are of half the thing's color, and of nothing that is behind it."""
    drawing = empty()
    lay(drawing, np.array([1.0, 0.5, 0.0]), polygon(np.array([(50, 61), (330, 67), (200, 341)])))
    made = sprite(drawing)
    edge = (made.rgba[..., 3] > 10) & (made.rgba[..., 3] < 245)
    assert edge.sum() > 100
    wanted = made.rgba[edge][:, 3:] * np.array([1.0, 0.5, 0.0])
    assert np.abs(made.rgba[edge][:, :3] - wanted).max() <= 1
    assert np.array_equal(made.hides, made.rgba[..., 3])


def test_of_two_rods_the_nearer_is_seen():
    relief = Relief()
    relief.capsule(np.array([100.0, 50]), np.array([100.0, 300]), 20, 20)
    low = relief.height.copy()
    relief.capsule(np.array([30.0, 150]), np.array([300.0, 150]), 10, 10, depth=40)
    assert relief.height[150, 100] == pytest.approx(50)
    assert low[150, 100] == pytest.approx(20)
    assert relief.height[250, 100] == low[250, 100]
    light = relief.light(np.random.default_rng(0))
    assert light.min() >= 0.3
    assert light.max() <= 1.3


def test_the_library_is_drawn_once(faces, tmp_path: Path, monkeypatch):
    materials = Materials(tmp_path, tmp_path, tmp_path, workers=0)
    first = occluder_library.open_library(materials, faces, 40)
    assert set(first.rows) == set(occluder_library.KINDS)
    assert sorted(np.concatenate(list(first.rows.values()))) == list(range(40))
    kinds = occluder_library.kind_of_row(40)
    for name, rows in first.rows.items():
        assert all(kinds[row] == name for row in rows)
    again = occluder_library.draw_row(7, kinds[7], occluder_library.Photos(faces))
    assert np.array_equal(first.rgba[7], again.rgba)
    assert np.array_equal(first.hides[7], again.hides)
    monkeypatch.setattr(occluder_library, "_draw_all", lambda *_: pytest.fail("drawn again"))
    assert np.array_equal(occluder_library.open_library(materials, faces, 40).rgba, first.rgba)


def test_the_kinds_of_the_test_are_not_trained_on():
    from sosie.recipes.occlusion.evaluate_kinds import TEST_KINDS

    assert not set(TEST_KINDS) & set(occluder_library.KINDS)
    draws = {kind.draw.__name__ for kind in TEST_KINDS.values()}
    source = Path(occluder_library.__file__).read_text("utf-8")
    assert not [name for name in draws if name in source]
