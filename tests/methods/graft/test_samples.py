"""Samples of swapping: what is shown and asked, of drawn faces."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)

from sosie.analysis import embedder
from sosie.analysis.landmarker import SIDE_PX as VIEW_PX
from sosie.geometry import alignment, head_pose
from sosie.methods.graft import samples, store, view
from sosie.methods.graft.samples import CROSS, PAIR, SELF
from sosie.recipes.occlusion.occluder_library import KINDS, Library

SEEN = np.full((VIEW_PX, VIEW_PX), 255, np.uint8)


@pytest.fixture(scope="module")
def library():
    rgba = np.zeros((len(KINDS), 128, 128, 4), np.uint8)
    rgba[:, 30:90, 20:110] = (20, 200, 40, 255)
    rows = {name: np.array([n]) for n, name in enumerate(KINDS)}
    return Library(rgba, rgba[..., 3].copy(), rows)


@pytest.fixture(scope="module")
def cached(model_face, paint):
    """`cached(yaw, tone)`: a face in one tone."""

    def make(yaw: float = 0, tone: tuple[int, int, int] = (190, 140, 120)) -> samples.CachedFace:
        face = model_face(yaw, unit_px=80, center=(160, 160))
        picture = paint(face, tone, side_px=store.CROP_PX)
        crop, landmarks = store.cut(picture, face.landmarks)
        return samples.CachedFace(crop, landmarks, SEEN)

    return make


@pytest.mark.parametrize("kind", [PAIR, SELF, CROSS])
def test_samples_have_the_shapes_that_they_promise(cached, library, kind):
    source, target = cached(20), cached(-10, (120, 90, 80))
    made = [
        samples.make_sample(kind, source, target, library, np.random.default_rng(seed))
        for seed in (1, 1, 2)
    ]
    side = view.SIDE_PX
    assert made[0]["shown"].shape == (side, side, len(view.CHANNELS))
    assert made[0]["target"].shape == (side, side, 3)
    assert made[0]["shown"].dtype == made[0]["target"].dtype == np.uint8
    assert made[0]["aligned"].shape == (2, 3)
    assert made[0]["kind"] == kind
    assert all(np.array_equal(made[0][key], made[1][key]) for key in made[0])
    assert not np.array_equal(made[0]["shown"], made[2]["shown"])


def test_a_self_that_nothing_altered_is_the_answer(cached):
    face = cached(15)
    made = samples.plain_sample(SELF, face, face)
    skin = (made["shown"][..., 7] == 255) & (made["shown"][..., 3] == 255)
    skin &= made["shown"][..., 8] == 0
    off = np.abs(made["shown"][..., :3].astype(int) - made["target"])[skin]
    assert skin.sum() > 12000
    assert np.percentile(off, 95) <= 6


def test_across_people_the_target_is_only_compared_with(cached):
    made = samples.plain_sample(CROSS, cached(0, (90, 170, 60)), cached(0, (200, 150, 130)))
    middle = made["shown"][110:140, 100:156, :3].reshape(-1, 3).mean(0)
    # The source's green skin in the target's light: nearly the target's own color.
    assert np.abs(middle - (200, 150, 130)).max() < 25


def test_a_face_is_laid_in_the_square_as_at_run_time(cached):
    face = cached(0)
    there = samples.in_square(face, None)
    assert np.allclose(view.square(there.landmarks), np.eye(2, 3), atol=1e-3)


def test_the_identity_networks_crop_is_found_in_the_square(cached):
    made = samples.plain_sample(SELF, cached(0), cached(0))
    there = samples.in_square(cached(0), None)
    five = head_pose.five_points(there.landmarks)
    template = alignment.template_points(embedder.TEMPLATE, embedder.SIDE_PX)
    placed = alignment.transform_points(template, made["aligned"])
    assert np.linalg.norm(placed - five, axis=1).max() < 6


def test_beyond_the_window_its_border_is_repeated(cached):
    there = samples.in_square(cached(0), None)
    noise = np.random.default_rng(0).integers(0, 256, there.pixels.shape).astype(np.uint8)
    window = samples.as_window(noise, there.landmarks)
    low, high = there.landmarks[:, :2].min(0), there.landmarks[:, :2].max(0)
    x, y = ((low + high) / 2).astype(int)
    assert np.array_equal(
        window[int(low[1]) : int(high[1]), x], noise[int(low[1]) : int(high[1]), x]
    )
    left = int(low[0]) - 25
    assert left > 3
    assert (window[y, :left] == window[y, 0]).all()


def test_a_mirrored_face_is_its_mirror_image_twice(cached):
    face = cached(25)
    twice = face.mirrored().mirrored()
    assert np.array_equal(twice.crop, face.crop)
    assert np.allclose(twice.landmarks, face.landmarks)
    assert head_pose.head_pose(face.mirrored().landmarks).yaw == pytest.approx(
        -head_pose.head_pose(face.landmarks).yaw, abs=0.5
    )
