"""Composites: what is laid over a face, and nothing else, is taken off its label."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from sosie.analysis.landmarker import SIDE_PX, square_matrix
from sosie.analysis.topology import region_of
from sosie.geometry import fill_polygon, transform_points
from sosie.training.analysis.visibility import samples
from sosie.training.analysis.visibility.canvas import SPRITE_PX
from sosie.training.analysis.visibility.labels import MAP_PX, outline_of
from sosie.training.analysis.visibility.sprites import KINDS, Library

CROP_PX = 224
PAINT = (10, 250, 30)


@pytest.fixture
def face(model_face) -> samples.KnownFace:
    points = model_face(yaw=8, roll=-15, unit_px=40, centre=(112, 112)).landmarks
    outline = outline_of(points, CROP_PX)
    crop = np.full((CROP_PX, CROP_PX, 3), (90, 110, 140), np.uint8)
    crop[fill_polygon(outline, CROP_PX, CROP_PX) > 127] = (200, 150, 125)
    known = np.full((MAP_PX, MAP_PX), 255, np.uint8)
    return samples.KnownFace(crop, points, outline, known, known)


@pytest.fixture(scope="module")
def library() -> Library:
    """A disc of paint for every kind."""
    rgba = np.zeros((len(KINDS), SPRITE_PX, SPRITE_PX, 4), np.uint8)
    disc = np.zeros((SPRITE_PX, SPRITE_PX), np.uint8)
    cv2.circle(disc, (64, 64), 40, (255,), -1)
    rgba[..., 3] = disc
    rgba[..., :3][:, disc > 0] = PAINT
    hides = np.repeat(disc[None], len(KINDS), 0)
    return Library(rgba, hides, {name: np.array([row]) for row, name in enumerate(KINDS)})


def painted(pixels: np.ndarray) -> np.ndarray:
    return (pixels[..., 1].astype(int) - pixels[..., 0] > 60) & (pixels[..., 2] < 110)


def test_a_sample_has_the_shapes_that_the_network_takes(face, library):
    for seed in range(40):
        sample = samples.make_sample(face, library, np.random.default_rng(seed))
        assert {k: (v.shape, v.dtype) for k, v in sample.items()} == {
            "pixels": ((SIDE_PX, SIDE_PX, 3), np.uint8),
            "target": ((SIDE_PX, SIDE_PX), np.uint8),
            "weight": ((SIDE_PX, SIDE_PX), np.uint8),
        }
        assert (sample["target"] > 127).sum() > 300


def test_the_same_numbers_make_the_same_sample(face, library):
    one, two = (samples.make_sample(face, library, np.random.default_rng(5)) for _ in range(2))
    other = samples.make_sample(face, library, np.random.default_rng(6))
    assert all(np.array_equal(one[k], two[k]) for k in one)
    assert not np.array_equal(one["pixels"], other["pixels"])


def test_the_label_lies_on_the_face_however_the_square_is_laid(face):
    for seed in range(20):
        region = samples.laid(region_of(face.landmarks), np.random.default_rng(seed))
        scene = samples.cut(face, region)
        skin = scene.pixels[..., 0] > 145
        labelled = scene.target > 127
        assert (skin & labelled).sum() / (skin | labelled).sum() > 0.97
        assert scene.trust.min() == 255
        wanted = transform_points(face.landmarks, square_matrix(region))[:, :2]
        assert np.abs(scene.points - wanted).max() < 1e-3


def test_the_mirror_image_carries_its_labels(face):
    left = face.visible.copy()
    left[:, : MAP_PX // 2] = 0
    mirrored = replace(face, visible=left).mirrored()
    scene = samples.cut(mirrored, region_of(mirrored.landmarks))
    skin = scene.pixels[..., 0] > 145
    middle = SIDE_PX // 2
    assert (scene.target[:, : middle - 4][skin[:, : middle - 4]] > 127).mean() > 0.97
    assert (scene.target[:, middle + 4 :] > 127).sum() == 0
    assert scene.points[33, 0] < scene.points[263, 0]


def test_what_is_unknown_has_no_weight_but_outside_the_face(face):
    unknown = np.zeros((MAP_PX, MAP_PX), np.uint8)
    scene = samples.cut(replace(face, trust=unknown), region_of(face.landmarks))
    inside = cv2.erode((scene.target > 127).astype(np.uint8), np.ones((5, 5))) > 0
    outside = cv2.dilate((scene.target > 0).astype(np.uint8), np.ones((5, 5))) == 0
    assert scene.trust[inside].max() == 0
    assert scene.trust[outside].min() == 255


def test_what_is_laid_over_a_face_is_taken_off_its_label(face, library, monkeypatch):
    monkeypatch.setattr(samples, "_SEE_THROUGH", 0.0)
    monkeypatch.setattr(samples, "_OWN_HAIR", 0.0)
    monkeypatch.setattr(samples, "_SOFT", 0.0)
    laid = 0
    for seed in range(60):
        scene = samples.cut(face, region_of(face.landmarks))
        before = scene.target > 127
        samples.add_thing(scene, face.crop, library, np.random.default_rng(seed))
        paint = painted(scene.pixels)
        if not paint.any():
            continue
        laid += 1
        near = cv2.dilate(paint.astype(np.uint8), np.ones((5, 5))) > 0
        core = cv2.erode(paint.astype(np.uint8), np.ones((5, 5))) > 0
        assert scene.target[core].max(initial=0) < 60
        assert np.array_equal((scene.target > 127) & ~near, before & ~near)
    assert laid > 30


def test_what_hides_a_doubtful_place_makes_it_sure(face, library, monkeypatch):
    monkeypatch.setattr(samples, "_SEE_THROUGH", 0.0)
    monkeypatch.setattr(samples, "_OWN_HAIR", 0.0)
    unknown = replace(face, trust=np.zeros((MAP_PX, MAP_PX), np.uint8))
    scene = samples.cut(unknown, region_of(face.landmarks))
    before = scene.trust.copy()
    for seed in range(6):
        samples.add_thing(scene, face.crop, library, np.random.default_rng(seed))
    core = cv2.erode(painted(scene.pixels).astype(np.uint8), np.ones((7, 7))) > 0
    assert core.sum() > 50
    assert scene.trust[core].min() > 200
    assert before[core].min() == 0


def test_a_shadow_takes_nothing_off(face, library, monkeypatch):
    monkeypatch.setattr(samples, "_SHADOW_ALONE", 1.0)
    monkeypatch.setattr(samples, "_COUNTS", (1.0, 0.0, 0.0, 0.0))
    monkeypatch.setattr(samples, "_PHOTOGRAPHED", 0.0)
    darker = 0
    for seed in range(12):
        sample = samples.make_sample(face, library, np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        turned = face.mirrored() if rng.random() < 0.5 else face
        plain = samples.cut(turned, samples.laid(region_of(turned.landmarks), rng))
        assert np.array_equal(sample["target"], plain.target)
        assert (sample["pixels"].astype(int) <= plain.pixels.astype(int) + 1).all()
        darker += bool((plain.pixels.astype(int) - sample["pixels"] > 15).any())
    assert darker > 6


@pytest.mark.parametrize("kind", sorted(n for n, k in KINDS.items() if k.manner.placing == "worn"))
def test_what_is_worn_follows_the_face(model_face, kind):
    """The mean face's own points come onto the face's, wherever and however large it is."""
    from sosie.training.analysis.visibility.worn import mean_points

    for unit_px, roll, centre in ((20, 0, (64, 64)), (14, 30, (50, 70))):
        points = model_face(roll=roll, unit_px=unit_px, centre=centre).landmarks[:, :2]
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


def test_what_reaches_in_comes_from_outside(face, model_face):
    """The lower end of an arm or a stick lies further from the face than its upper end."""
    points = model_face(unit_px=24, centre=(64, 64)).landmarks[:, :2]
    centre = (points.min(0) + points.max(0)) / 2
    further = 0
    for seed in range(200):
        matrix = samples.placed(KINDS["hand"].manner, points, np.random.default_rng(seed))
        ends = transform_points([(64, 10), (64, 127)], matrix)
        apart = np.linalg.norm(ends - centre, axis=1)
        further += apart[1] > apart[0]
    assert further > 180


def test_skin_takes_the_faces_own_colour(face):
    """A hand before a dark face is about as dark, before a fair one as fair."""
    tones = []
    colours = np.full((SIDE_PX, SIDE_PX, 3), (190, 140, 115), np.uint8)
    for factor in (0.3, 1.0):
        crop = np.clip(face.crop * factor, 0, 255).astype(np.uint8)
        scene = samples.cut(replace(face, crop=crop), region_of(face.landmarks))
        lit = [
            samples.in_the_light(colours, scene, True, np.random.default_rng(s)).mean()
            for s in range(40)
        ]
        tones.append(np.median(lit))
    assert tones[0] < 0.45 * tones[1]


def test_a_blend_is_by_alpha():
    below = np.full((4, 4, 3), 200, np.uint8)
    alpha = np.array([[0, 51, 128, 255]] * 4, np.uint8)
    front = np.repeat((100 / 255 * alpha)[..., None], 3, 2).astype(np.uint8)
    found = samples.blend(below, front, alpha)[0, :, 0].astype(int)
    assert np.abs(found - [200, 180, 150, 100]).max() <= 1
