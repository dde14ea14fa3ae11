"""The landmark network's samples: points stay on their pixels, and presence tells the tilt."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sosie.analysis.landmarker import EXPRESSIONS, MARGIN, SIDE_PX, cut_square
from sosie.geometry.alignment import fit_similarity, scale_of, transform_points
from sosie.geometry.head_pose import MIRROR, Region, region_of, tilt_deg
from sosie.recipes.landmarks import samples as samples_module
from sosie.recipes.landmarks.frame_edge import any_direction, cut_off, edge_across
from sosie.recipes.landmarks.occluders import add_occluders
from sosie.recipes.landmarks.samples import LabeledFace, cut, laid_roughly, make_sample
from sosie.recipes.teachers import mirrored_names

CROP_PX = 224


def speckled(points: np.ndarray, seed: int = 0) -> np.ndarray:
    """A picture of soft blobs whose place is easily found again, 224 x 224 x 3."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (28, 28, 3)).astype(np.float32)
    picture = cv2.resize(coarse, (CROP_PX, CROP_PX), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture
def face(model_face) -> LabeledFace:
    points = model_face(yaw=12, roll=-20, unit_px=32, center=(112, 112)).landmarks
    expression = np.random.default_rng(1).random(len(EXPRESSIONS)).astype(np.float32)
    return LabeledFace(speckled(points), points, expression)


@pytest.fixture
def other(model_face) -> LabeledFace:
    points = model_face(unit_px=32, center=(112, 112)).landmarks
    return LabeledFace(speckled(points, 5), points, np.zeros(len(EXPRESSIONS), np.float32))


def samples(face: LabeledFace, other: LabeledFace, count: int) -> list[dict[str, np.ndarray]]:
    return [make_sample(face, other, np.random.default_rng(seed)) for seed in range(count)]


def test_a_sample_has_the_shapes_that_the_network_takes(face, other):
    for sample in samples(face, other, 40):
        shapes = {name: (value.shape, value.dtype) for name, value in sample.items()}
        assert shapes == {
            "pixels": ((SIDE_PX, SIDE_PX, 3), np.uint8),
            "points": ((478, 3), np.float32),
            "expression": ((52,), np.float32),
            "presence": ((), np.float32),
            "readable": ((), np.float32),
        }


def test_the_same_numbers_make_the_same_sample(face, other):
    one, again, another = (
        make_sample(face, other, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    assert all(np.array_equal(one[name], again[name], equal_nan=True) for name in one)
    assert not np.array_equal(one["pixels"], another["pixels"])


def test_the_square_holds_the_upright_face_in_its_middle(face):
    _, points = cut(face, region_of(face.landmarks))
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    assert np.allclose((low + high) / 2, (SIDE_PX - 1) / 2, atol=0.01)
    assert (high - low).max() == pytest.approx(SIDE_PX / MARGIN, abs=0.01)
    assert tilt_deg(points) == pytest.approx(0, abs=0.01)


def test_points_stay_on_their_pixels(face):
    """What the picture shows at a point of the crop, the square shows at that point's new place."""
    region = laid_roughly(region_of(face.landmarks), np.random.default_rng(0))
    pixels, points = cut(face, region)

    def shown(picture: np.ndarray, at: np.ndarray) -> np.ndarray:
        places = np.asarray(at[:, None, :2], np.float32)
        return cv2.remap(picture, places, None, cv2.INTER_LINEAR)[:, 0].astype(float)

    inside = np.all((points[:, :2] > 1) & (points[:, :2] < SIDE_PX - 2), axis=1)
    apart = np.abs(shown(pixels, points) - shown(face.crop, face.landmarks))[inside]
    assert inside.mean() > 0.9
    assert apart.mean() < 2
    shrunk = scale_of(fit_similarity(face.landmarks[:, :2], points[:, :2]))
    assert np.allclose(points[:, 2], face.landmarks[:, 2] * shrunk, atol=1e-3)


def test_the_mirror_image_is_a_face_whose_sides_have_changed(face):
    mirror = mirrored_names(EXPRESSIONS)
    mirrored = face.mirrored(mirror)
    blink = [EXPRESSIONS.index(f"eyeBlink{side}") for side in ("Left", "Right")]
    assert np.array_equal(mirrored.expression[blink], face.expression[blink[::-1]])
    assert np.array_equal(mirrored.crop, face.crop[:, ::-1])
    for point in (33, 61, 234, 468):
        where = face.landmarks[point, :2]
        assert np.allclose(
            mirrored.landmarks[MIRROR[point], :2], (CROP_PX - 1 - where[0], where[1]), atol=1e-3
        )
    twice = mirrored.mirrored(mirror)
    assert np.allclose(twice.landmarks, face.landmarks, atol=1e-3)
    assert np.array_equal(twice.expression, face.expression)


def test_presence_falls_with_the_tilt(face, other, monkeypatch):
    monkeypatch.setattr(samples_module, "_CUT", 0.0)
    made = samples(face, other, 1500)
    faces = [sample for sample in made if sample["readable"]]
    assert 0.84 < len(faces) / len(made) < 0.92
    assert all(sample["presence"] == 0 for sample in made if not sample["readable"])
    tilts = np.array([abs(tilt_deg(sample["points"])) for sample in faces])
    presence = np.array([sample["presence"] for sample in faces])
    assert (presence[tilts < 49.9] == 1).all()
    assert np.isnan(presence[tilts > 50.1]).any()
    assert np.mean(tilts < 5) > 0.4
    assert np.mean(tilts > 15) > 0.05


def test_what_was_mistaken_for_a_face_is_none(face, other, monkeypatch):
    """Every other square without a face shows the place that is given, in its middle."""
    monkeypatch.setattr(samples_module, "_PLAIN", 1.0)
    monkeypatch.setattr(samples_module, "_CUT", 0.0)
    red = np.zeros((200, 300, 3), np.uint8)
    cv2.circle(red, (210, 90), 30, (255, 0, 0), -1)
    place = (red, Region(210.0, 90.0, 60.0, 20.0))
    made = [make_sample(face, other, np.random.default_rng(seed), place) for seed in range(600)]
    shown = [sample for sample in made if not sample["pixels"][..., 1:].any()]
    without = [sample for sample in made if not sample["readable"]]
    assert 0.35 < len(shown) / len(without) < 0.65
    for sample in shown:
        assert sample["presence"] == 0
        assert sample["readable"] == 0
        assert (sample["pixels"][54:74, 54:74, 0] > 128).mean() > 0.8


def test_rough_squares_have_the_errors_of_a_detector(face):
    region = region_of(face.landmarks)
    rng = np.random.default_rng(0)
    found = [laid_roughly(region, rng) for _ in range(500)]
    shift = np.array([(r.x - region.x, r.y - region.y) for r in found]) / region.size_px
    growth = np.array([r.size_px / region.size_px for r in found])
    turn = np.array([r.roll_deg - region.roll_deg for r in found])
    assert 0.1 < np.abs(shift).max() <= 0.121
    assert 0.85 < growth.min() < 0.9
    assert 1.12 < growth.max() < 1.17
    assert 15 < np.abs(turn).max() < 23


def test_occluders_hide_a_part_of_the_face(face, other):
    pixels, points = cut(face, region_of(face.landmarks))
    untouched = pixels.copy()
    hull = cv2.convexHull(np.round(points[:, :2]).astype(np.int32))
    inside = cv2.fillConvexPoly(np.zeros((SIDE_PX, SIDE_PX), np.uint8), hull, 1) > 0
    shares = []
    for seed in range(200):
        hidden = add_occluders(pixels, points, other.crop, np.random.default_rng(seed))
        apart = np.abs(hidden.astype(int) - pixels).max(2) > 12
        shares.append(apart[inside].mean())
    assert np.array_equal(pixels, untouched)
    assert np.mean(np.array(shares) > 0.02) > 0.8
    assert np.quantile(shares, 0.95) < 0.75


def test_a_square_beside_the_crop_is_filled_by_its_edge(face):
    far = Region(300.0, 112.0, 40.0, 0.0)
    pixels, points = cut(face, far)
    assert (pixels == pixels[:, :1]).all()
    assert points[:, 0].max() < 0


def test_a_cut_face_looks_as_at_the_frames_edge(face):
    """What training fills beyond the edge is what the run time does: it cuts the same square out of
    a frame that ends there."""
    region, last = region_of(face.landmarks), 125
    whole, points = cut(face, region)
    framed = np.ascontiguousarray(face.crop[:, : last + 1])
    expected, matrix = cut_square(framed, region)
    roll = np.radians(region.roll_deg)
    # To the right in the crop, as seen in the square.
    outwards = np.array([np.cos(roll), -np.sin(roll)])
    reach = transform_points([(last, 112)], matrix)[0] @ outwards
    along = points[:, :2] @ outwards
    edge = edge_across(points, outwards, (along.max() - reach) / np.ptp(along))
    made = cut_off(whole, edge)
    y, x = np.indices((SIDE_PX, SIDE_PX))
    beyond = x * outwards[0] + y * outwards[1] > edge.reach
    assert 0.2 < beyond.mean() < 0.6
    assert np.array_equal(made[~beyond], whole[~beyond])
    assert np.abs(made.astype(int) - expected)[beyond].mean() < 3
    assert np.abs(whole.astype(int) - expected)[beyond].mean() > 20


@pytest.mark.parametrize("hidden", [0.1, 0.3, 0.5])
def test_the_edge_hides_what_it_is_told_to(face, hidden):
    _, points = cut(face, region_of(face.landmarks))
    for seed in range(8):
        outwards = any_direction(np.random.default_rng(seed))
        edge = edge_across(points, outwards, hidden)
        along = points[:, :2] @ edge.outwards
        assert np.linalg.norm(edge.outwards) == pytest.approx(1)
        assert (along.max() - edge.reach) / np.ptp(along) == pytest.approx(hidden)


def test_half_a_face_is_a_face_and_a_sliver_is_none(face, other, monkeypatch):
    monkeypatch.setattr(samples_module, "_NO_FACE", 0.0)
    monkeypatch.setattr(samples_module, "_BAD", 0.0)
    for most, presence, readable in ((0.5, 1.0, 1.0), (0.65, np.nan, 1.0), (0.85, 0.0, 0.0)):
        always = (np.array([1.0, 0.0]), most)
        monkeypatch.setattr(samples_module, "_frame_edge", lambda rng, cut=always: cut)
        for sample in samples(face, other, 20):
            assert sample["presence"] == pytest.approx(presence, nan_ok=True)
            assert sample["readable"] == readable


def test_squares_with_and_without_a_face_are_cut(face, other, monkeypatch):
    """A streak beyond an edge must tell nothing: either kind has one as often."""
    edges = []
    monkeypatch.setattr(
        samples_module, "cut_off", lambda pixels, edge: edges.append(edge) or pixels
    )
    counts = {0.0: [], 1.0: []}
    for seed in range(1500):
        before = len(edges)
        with monkeypatch.context() as patch:
            patch.setattr(samples_module, "_SLIVERS", 0.0)
            sample = make_sample(face, other, np.random.default_rng(seed))
        counts[float(sample["readable"])].append(len(edges) - before)
    without, faces = (np.mean(counts[readable]) for readable in (0.0, 1.0))
    assert 0.1 < faces < 0.2
    assert 0.07 < without < 0.24
