"""Composites of the parser: what is laid over a face is in its truth, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from sosie.analysis.parser import SIDE_PX, square_matrix
from sosie.geometry import mesh
from sosie.geometry.alignment import transform_points
from sosie.geometry.head_pose import region_of
from sosie.geometry.morphable_model import silhouette
from sosie.recipes.composites.layer import Layer
from sosie.recipes.occlusion.compositing import SPRITE_PX
from sosie.recipes.occlusion.occluder_library import KINDS, Library
from sosie.recipes.parser import samples
from sosie.recipes.parser.labels import PLANES
from sosie.recipes.parser.losses import TRUTH

CROP_PX = 288
PAINT = (10, 250, 30)
SKIN, WALL, HAIR = (200, 150, 125), (90, 110, 140), (40, 30, 25)


@pytest.fixture
def face(model_face) -> samples.KnownFace:
    """Skin before a wall, with hair above it."""
    points = model_face(yaw=8, roll=-15, unit_px=50, center=(144, 150)).landmarks
    inside = silhouette(points, CROP_PX, CROP_PX)
    crop = np.full((CROP_PX, CROP_PX, 3), WALL, np.uint8)
    hair = np.zeros((CROP_PX, CROP_PX), np.uint8)
    x, y = np.round(points[10, :2]).astype(int)
    cv2.circle(hair, (int(x), int(y)), 40, (255,), -1)
    crop[hair > 0], crop[inside > 127] = HAIR, SKIN
    planes = np.zeros((CROP_PX, CROP_PX, len(PLANES)), np.uint8)
    planes[..., 0] = inside
    planes[..., 1] = np.minimum(hair, 255 - inside)
    return samples.KnownFace(crop, planes, points)


@pytest.fixture(scope="module")
def library() -> Library:
    """A green disc for every kind."""
    rgba = np.zeros((len(KINDS), SPRITE_PX, SPRITE_PX, 4), np.uint8)
    disc = np.zeros((SPRITE_PX, SPRITE_PX), np.uint8)
    cv2.circle(disc, (SPRITE_PX // 2,) * 2, SPRITE_PX // 4, (255,), -1)
    rgba[..., 3] = disc
    rgba[..., :3][:, disc > 0] = PAINT
    hides = np.repeat(disc[None], len(KINDS), 0)
    return Library(rgba, hides, {name: np.array([row]) for row, name in enumerate(KINDS)})


@pytest.fixture
def donors(face) -> samples.Donors:
    faces = (face.crop[None], face.planes[None], face.landmarks[None])
    return samples.Donors(faces, {"hair": np.array([0]), "hat": np.array([], np.intp)})


def plane(truth: np.ndarray, name: str) -> np.ndarray:
    return truth[TRUTH.index(name)]


def painted(pixels: np.ndarray) -> np.ndarray:
    return (pixels[..., 1].astype(int) - pixels[..., 0] > 60) & (pixels[..., 2] < 110)


def own_scene(face: samples.KnownFace) -> samples.Scene:
    return samples.cut(face, region_of(face.landmarks))


def grown(mask: np.ndarray, by_px: int) -> np.ndarray:
    side = 2 * abs(by_px) + 1
    change = cv2.dilate if by_px > 0 else cv2.erode
    return change(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


def test_a_sample_has_the_shapes_that_the_network_takes(face, library, donors):
    for seed in range(40):
        sample = samples.make_sample(face, library, donors, np.random.default_rng(seed))
        assert {k: (v.shape, v.dtype) for k, v in sample.items()} == {
            "pixels": ((SIDE_PX, SIDE_PX, 3), np.uint8),
            "truth": ((len(TRUTH), SIDE_PX, SIDE_PX), np.uint8),
            "glass": ((2, SIDE_PX, SIDE_PX), np.uint8),
            "near": ((SIDE_PX, SIDE_PX), np.uint8),
        }
        # Each pixel is shared out, but for the rounding of each plane.
        whole = sample["truth"].sum(0, dtype=int)
        assert np.abs(whole - 255).max() <= 12


def test_a_reduced_sample_is_the_same_in_small(face, library, donors):
    sample = samples.make_sample(face, library, donors, np.random.default_rng(3))
    small = samples.reduced(sample, 96)
    assert small["pixels"].shape == (96, 96, 3)
    assert small["truth"].shape == (len(TRUTH), 96, 96)
    for name in ("truth", "glass", "near"):
        halved = sample[name].reshape(*sample[name].shape[:-2], 96, 2, 96, 2).mean((-1, -3))
        assert np.abs(small[name] - halved).max() <= 1


def test_the_same_numbers_make_the_same_sample(face, library, donors):
    one, two, other = (
        samples.make_sample(face, library, donors, np.random.default_rng(s)) for s in (5, 5, 6)
    )
    assert all(np.array_equal(one[k], two[k]) for k in one)
    assert not np.array_equal(one["pixels"], other["pixels"])


def test_the_truth_lies_on_the_face_however_the_square_is_laid(face):
    for seed in range(20):
        region = samples.laid(region_of(face.landmarks), np.random.default_rng(seed))
        scene = samples.cut(face, region)
        skin = scene.pixels[..., 0] > 145
        labeled = plane(scene.truth, "skin") > 127
        assert (skin & labeled).sum() / (skin | labeled).sum() > 0.97
        hair = scene.pixels[..., 0] < 60
        assert plane(scene.truth, "hair")[grown(hair, -3)].min() > 200
        wanted = transform_points(face.landmarks, square_matrix(region))[:, :2]
        assert np.abs(scene.landmarks[:, :2] - wanted).max() < 1e-3


def test_the_mirror_image_carries_its_planes(face):
    planes = face.planes.copy()
    planes[:, : CROP_PX // 2] = 0
    mirrored = replace(face, planes=planes).mirrored()
    scene = own_scene(mirrored)
    skin = scene.pixels[..., 0] > 145
    labeled = plane(scene.truth, "skin") > 127
    middle = round(float(scene.landmarks[:, 0].mean()))
    assert labeled[:, : middle - 30][skin[:, : middle - 30]].mean() > 0.97
    assert labeled[:, middle + 30 :].sum() < 30
    assert scene.landmarks[33, 0] < scene.landmarks[263, 0]


def test_what_nobody_knows_is_not_split(face):
    """On the face what is no part may be before it or beyond; of spectacles, an open eye is seen
    through a lens and the bridge of the nose bears the frame."""
    planes = face.planes.copy()
    x, y = np.round(face.landmarks[[13, 14], :2].mean(0)).astype(int)
    planes[y - 20 : y + 20, x - 20 : x + 20] = 0
    eyes = np.round(face.landmarks[[33, 263], :2].mean(0)).astype(int)
    band = (slice(eyes[1] - 24, eyes[1] + 24), slice(eyes[0] - 60, eyes[0] + 60))
    planes[band] = (0, 0, 255, 0)
    scene = own_scene(replace(face, planes=planes))
    points = scene.landmarks[:, :2]
    x, y = np.round(points[[13, 14]].mean(0)).astype(int)
    assert plane(scene.truth, "thing/beyond")[y, x] == 255
    assert plane(scene.truth, "beyond")[2, 2] == 255
    for ring in (mesh.RIGHT_EYE, mesh.LEFT_EYE):
        x, y = np.round(points[list(ring)].mean(0)).astype(int)
        assert plane(scene.truth, "lens")[y, x] == 255
    x, y = np.round(points[168]).astype(int)
    assert plane(scene.truth, "frame")[y, x] == 255
    x, y = np.round(points[[33, 263]].mean(0) + 0.3 * (points[33] - points[263])).astype(int)
    assert plane(scene.truth, "frame/lens")[y + 9, x] == 255
    assert samples.wears_spectacles(scene)
    assert not samples.wears_spectacles(own_scene(face))


def test_what_is_laid_over_a_face_is_in_its_truth(face, library, monkeypatch):
    monkeypatch.setattr(samples, "_SEE_THROUGH", 0.0)
    monkeypatch.setattr(samples, "_OWN_HAIR", 0.0)
    monkeypatch.setattr(samples, "_SOFT", 0.0)
    laid = 0
    for seed in range(60):
        scene = own_scene(face)
        before = scene.seen > 127
        samples.add_thing(scene, face.crop, library, np.random.default_rng(seed))
        paint = painted(scene.pixels)
        if not paint.any():
            continue
        laid += 1
        core = grown(paint, -2)
        assert scene.seen[core].max(initial=0) < 60
        told = sum(plane(scene.truth, n).astype(int) for n in ("thing", "hair", "thing/beyond"))
        assert told[core].min(initial=255) > 200
        assert not plane(scene.truth, "thing")[core & (scene.near == 0)].any()
        assert np.array_equal((scene.seen > 127) & ~grown(paint, 2), before & ~grown(paint, 2))
    assert laid > 30


def test_spectacles_are_frame_and_lens_and_not_worn_twice(face):
    scene = own_scene(face)
    samples.add_spectacles(scene, np.random.default_rng(2))
    assert samples.wears_spectacles(scene)
    lens = plane(scene.truth, "lens") > 127
    assert lens.sum() > 100
    assert (scene.known[lens] > 127).all()
    assert plane(scene.truth, "skin")[lens].max() < 128
    truth, pixels = scene.truth.copy(), scene.pixels.copy()
    samples.add_spectacles(scene, np.random.default_rng(3))
    assert np.array_equal(scene.truth, truth)
    assert np.array_equal(scene.pixels, pixels)


def test_what_would_leave_too_little_of_the_face_is_not_laid(face):
    scene = own_scene(face)
    everything = np.full((SIDE_PX, SIDE_PX), 255, np.uint8)
    colors = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    before = scene.pixels.copy()
    assert not samples.lay(scene, Layer(colors, everything, None, {"thing": everything}))
    assert np.array_equal(scene.pixels, before)
    assert scene.seen.any()


def test_a_shadow_takes_nothing_off(face, library, donors, monkeypatch):
    monkeypatch.setattr(samples, "_SHADOW_ALONE", 1.0)
    monkeypatch.setattr(samples, "_COUNTS", (1.0, 0.0, 0.0, 0.0))
    monkeypatch.setattr(samples, "_PHOTOGRAPHED", 0.0)
    darker = 0
    for seed in range(12):
        sample = samples.make_sample(face, library, donors, np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        turned = face.mirrored() if rng.random() < 0.5 else face
        plain = samples.cut(turned, samples.laid(region_of(turned.landmarks), rng))
        assert np.array_equal(sample["truth"], plain.truth)
        assert (sample["pixels"].astype(int) <= plain.pixels.astype(int) + 1).all()
        darker += bool((plain.pixels.astype(int) - sample["pixels"] > 15).any())
    assert darker > 6


@pytest.mark.parametrize("kind", sorted(n for n, k in KINDS.items() if k.manner.placing == "worn"))
def test_what_is_worn_follows_the_face(model_face, kind):
    """The mean face's own points come onto the face's, wherever and however large it is."""
    from sosie.recipes.occlusion.worn import mean_points

    for unit_px, roll, center in ((20, 0, (64, 64)), (14, 30, (50, 70))):
        points = model_face(roll=roll, unit_px=unit_px, center=center).landmarks[:, :2]
        errors = []
        for seed in range(12):
            matrix = samples.placed(KINDS[kind].manner, points, np.random.default_rng(seed))
            if np.linalg.det(matrix[:, :2]) < 0:
                continue
            moved = transform_points(mean_points(SPRITE_PX), matrix)
            anchors = list(KINDS[kind].manner.anchors)
            errors.append(np.linalg.norm(moved[anchors] - points[anchors], axis=1).mean())
        size = np.ptp(points, axis=0).max()
        assert np.median(errors) < 0.06 * size


def test_what_reaches_in_comes_from_outside(model_face):
    """The lower end of an arm or a stick lies further from the face than its upper end."""
    points = model_face(unit_px=24, center=(64, 64)).landmarks[:, :2]
    center = (points.min(0) + points.max(0)) / 2
    further = 0
    for seed in range(200):
        matrix = samples.placed(KINDS["hand"].manner, points, np.random.default_rng(seed))
        middle = SPRITE_PX / 2
        ends = transform_points([(middle, 0.08 * SPRITE_PX), (middle, SPRITE_PX - 1)], matrix)
        apart = np.linalg.norm(ends - center, axis=1)
        further += apart[1] > apart[0]
    assert further > 180


def test_skin_takes_the_faces_own_color(face):
    """A hand before a dark face is about as dark, before a fair one as fair."""
    tones = []
    colors = np.full((SIDE_PX, SIDE_PX, 3), (190, 140, 115), np.uint8)
    for factor in (0.3, 1.0):
        scene = own_scene(replace(face, crop=np.clip(face.crop * factor, 0, 255).astype(np.uint8)))
        lit = [
            samples.in_the_light(colors, scene, True, np.random.default_rng(s)).mean()
            for s in range(40)
        ]
        tones.append(np.median(lit))
    assert tones[0] < 0.45 * tones[1]
