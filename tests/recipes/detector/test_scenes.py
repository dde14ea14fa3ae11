"""What the detector learns from: in a world where a face is a disc of one color, every label can
be checked by the pixels."""

from __future__ import annotations

import zipfile

import cv2
import numpy as np
import pytest

from sosie.datasets.split import is_held_out, is_validation
from sosie.errors import InputError
from sosie.recipes.augmentation import degraded
from sosie.recipes.detector import pictures as pictures_module
from sosie.recipes.detector.canvas import (
    FACE,
    UNSURE,
    Canvas,
    found,
    mapped_labels,
    surface,
    turned_boxes,
)
from sosie.recipes.detector.pictures import (
    HardNegatives,
    Labels,
    label,
    open_pictures,
    without_faces,
)
from sosie.recipes.detector.scenes import Scenes
from sosie.recipes.teachers import DETECTOR_FILE, FoundBoxes
from sosie.training.recipe import Materials

INK = np.array([250, 0, 250])
SIDE = 160
SLIVER = 0.015
"""Share of a scene that the rims of faces beside it may take."""


def inked(pixels):
    """Where a picture has the color of faces."""
    return (np.abs(pixels.astype(int) - INK) < 12).all(2)


class DiscFinder:
    """The teacher of this world: a face is a disc, its points lie on it, image left first."""

    def __init__(self):
        self.calls = 0

    def detect(self, pixels):
        self.calls += 1
        mask = inked(pixels).astype(np.uint8)
        _, _, rows, _ = cv2.connectedComponentsWithStats(mask)
        rows = rows[1:][rows[1:, 4] > 30]
        boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4] - 1], 1).astype(np.float32)
        return FoundBoxes(boxes, points_of(boxes), np.full(len(rows), 0.9, np.float32))


def points_of(boxes):
    share = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)], np.float32)
    return boxes[:, None, :2] + share * (boxes[:, 2:] - boxes[:, :2])[:, None]


def picture(seed, discs):
    """A gray picture of 120 x 100 with discs (x, y, radius)."""
    grain = np.random.default_rng(seed).integers(60, 130, (100, 120, 1), np.uint8)
    pixels = np.repeat(grain, 3, 2)
    for x, y, radius in discs:
        cv2.circle(pixels, (x, y), radius, INK.tolist(), -1)
    return pixels


@pytest.fixture(scope="module")
def people():
    """Names of people, enough for all parts of the split."""
    return [f"Person_{number}" for number in range(60)]


@pytest.fixture(scope="module")
def materials(tmp_path_factory, people):
    folder = tmp_path_factory.mktemp("data")
    for archive in ("lfw-0.zip", "celeba-0.zip", "hires.zip", "youtube_faces_68.zip"):
        with zipfile.ZipFile(folder / archive, "w") as opened:
            for seed, person in enumerate(people if archive == "lfw-0.zip" else []):
                discs = [(55, 45, 18)] if seed % 3 else [(30, 40, 14), (85, 60, 20)]
                # The held out are bright, so that a pixel of theirs would be seen.
                pixels = picture(seed, discs) + np.uint8(is_held_out(f"lfw/{person}") * 100)
                lossless = [cv2.IMWRITE_WEBP_QUALITY, 101]
                opened.writestr(
                    f"{person}/{person}_0001.webp",
                    cv2.imencode(".webp", pixels[:, :, ::-1], lossless)[1].tobytes(),
                )
    (folder / DETECTOR_FILE).write_bytes(b"stands for the teacher")
    return Materials(folder, folder, tmp_path_factory.mktemp("cache"), workers=0)


@pytest.fixture(scope="module")
def teacher():
    return DiscFinder()


@pytest.fixture(scope="module")
def pictures(materials, teacher):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures_module, "_teacher", lambda _: teacher)
        # Its pictures have no ink, and would only take time.
        patch.setattr(pictures_module, "SCIKIT_IMAGE", ("brick.png",))
        yield open_pictures(materials)
        calls = teacher.calls
        again = open_pictures(materials)
        assert teacher.calls == calls, "what is in the cache is not looked at again"
        assert np.array_equal(again.blob, pictures_blob(again))


def pictures_blob(pictures):
    return np.concatenate([pictures.pixels(row).ravel() for row in range(len(pictures))])


def test_test_people_are_not_in_the_cache(pictures, people):
    kept = [p for p in people if not is_held_out(f"lfw/{p}")]
    with_faces = np.flatnonzero(~pictures.faceless)
    assert len(with_faces) == len(kept) < len(people)
    assert all(np.median(pictures.pixels(row)) < 140 for row in with_faces)
    validating = sum(is_validation(f"lfw/{p}") for p in kept)
    assert pictures.validation[with_faces].sum() == validating > 0


def test_labels_lie_on_the_faces(pictures):
    for row in np.flatnonzero(~pictures.faceless):
        seen = DiscFinder().detect(pictures.pixels(row))
        faces = pictures.faces(row)
        assert np.allclose(faces.boxes, seen.boxes, atol=0.6)
        assert faces.sure.all()


def test_pictures_without_faces_have_none(pictures):
    rows = np.flatnonzero(pictures.faceless)
    assert len(rows) > 5
    for row in rows:
        assert not inked(pictures.pixels(row)).any()
        assert len(pictures.faces(row).boxes) == 0


@pytest.mark.parametrize("seed", range(6))
def test_a_face_is_covered_and_its_surroundings_stay(seed):
    pixels = picture(seed, [(55, 45, 18)])
    boxes = DiscFinder().detect(pixels).boxes
    empty = without_faces(pixels, boxes, np.random.default_rng(seed))
    assert not inked(empty).any()
    assert np.array_equal(empty[:, 95:], pixels[:, 95:])


def test_an_archive_that_is_absent_is_named(tmp_path):
    with pytest.raises(InputError, match=r"lfw-\*\.zip"):
        open_pictures(Materials(tmp_path, tmp_path, tmp_path, workers=0))


class Teller:
    """A teacher that says what it is told, for a picture and for its mirror image."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def detect(self, pixels):
        boxes = np.array([box for box, _ in self.answers[0]], np.float32).reshape(-1, 4)
        scores = np.array([score for _, score in self.answers.pop(0)], np.float32)
        return FoundBoxes(boxes, points_of(boxes), scores)


def test_a_label_is_the_mean_of_both_views():
    plain, mirrored = [((10, 10, 30, 40), 0.7)], [((69, 12, 89, 42), 0.8)]
    seen = label(Teller(plain, mirrored), np.zeros((60, 100, 3), np.uint8))
    assert np.allclose(seen.boxes, [(10, 11, 30, 41)])
    # The mirrored view's points come back in their order, image left first.
    assert np.allclose(seen.points5, points_of(seen.boxes), atol=1e-4)
    assert seen.scores == pytest.approx([0.8])


def test_what_one_view_alone_shows_must_be_surer():
    faint, clear = [((10, 10, 30, 40), 0.7)], [((10, 10, 30, 40), 0.9)]
    blank = np.zeros((60, 100, 3), np.uint8)
    for views, score in (((faint, []), 0.35), (([], faint), 0.35), ((clear, []), 0.9)):
        assert label(Teller(*views), blank).scores == pytest.approx([score])


def turn_matrix(angle_deg, scale=1.0):
    return cv2.getRotationMatrix2D((0, 0), -angle_deg, scale)


def test_boxes_of_a_turned_face():
    box = np.array([[0, 0, 30, 40]], np.float32)
    assert np.allclose(turned_boxes(box, turn_matrix(90)[:, :2]), (40, 30), atol=1e-4)
    assert np.allclose(turned_boxes(box, turn_matrix(180, 2)[:, :2]), (60, 80), atol=1e-4)
    # At 45 degrees the ellipse is as wide as high, by the mean of the squares.
    assert np.allclose(turned_boxes(box, turn_matrix(45)[:, :2]), np.sqrt((900 + 1600) / 2))


def test_a_mirrored_face_has_its_right_eye_at_the_left_again():
    box = np.array([[10, 10, 30, 40]], np.float32)
    labels = Labels(box, points_of(box), np.ones(1, bool))
    mirrored = mapped_labels(labels, np.array([[-1.0, 0, 99], [0, 1, 0]]), mirrored=True)
    assert np.allclose(mirrored.boxes, [(69, 10, 89, 40)])
    assert np.allclose(mirrored.points5, points_of(mirrored.boxes), atol=1e-4)


def disc_canvas(radius=18, ground=0):
    """A canvas with one disc in its middle, laid there from a picture."""
    pixels = picture(0, [(55, 45, radius)])
    seen = DiscFinder().detect(pixels)
    labels = Labels(seen.boxes, seen.points5, np.ones(1, bool))
    canvas = Canvas(np.full((SIDE, SIDE, 3), ground, np.uint8))
    canvas.lay(pixels, labels, np.array([[1.0, 0, 25], [0, 1, 35]]))
    return canvas, pixels, labels


@pytest.mark.parametrize("scale", [0.2, 0.45, 0.8, 1.0, 2.5])
@pytest.mark.parametrize("angle_deg", [0, 33, 180, 250])
@pytest.mark.parametrize("mirror", [1, -1])
def test_a_label_follows_its_face_onto_the_canvas(scale, angle_deg, mirror):
    _, pixels, labels = disc_canvas()
    matrix = turn_matrix(angle_deg, scale)
    matrix[:, 0] *= mirror
    matrix[:, 2] = (80, 75) - matrix[:, :2] @ (55, 45)
    canvas = Canvas(np.zeros((SIDE, SIDE, 3), np.uint8))
    canvas.lay(pixels, labels, matrix)
    laid, kinds = canvas.labels()
    y, x = np.nonzero((canvas.pixels[:, :, 1] < 40) & (canvas.pixels[:, :, 0] > 160))
    drawn = (x.min(), y.min(), x.max(), y.max())
    assert np.allclose(laid.boxes[0], drawn, atol=1.6)
    assert kinds[0] == (FACE if 37 * scale > 12 else UNSURE)


@pytest.mark.parametrize(("covered", "kind"), [(0.2, FACE), (0.65, UNSURE), (1.0, None)])
def test_a_face_that_is_covered_need_not_be_found(covered, kind):
    canvas, _, labels = disc_canvas()
    x0, y0, x1, y1 = labels.boxes[0] + (25, 35, 25, 35)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[int(y0) : int(y1) + 2, int(x0) : round(x0 + covered * (x1 - x0)) + 1] = 255
    canvas.cover(np.zeros((SIDE, SIDE, 3), np.uint8), mask)
    assert canvas.labels()[1].tolist() == ([] if kind is None else [kind])


@pytest.mark.parametrize(("shift", "kind"), [(-71, FACE), (-86, UNSURE), (-105, None)])
def test_nor_one_that_the_edge_cuts(shift, kind):
    _, pixels, labels = disc_canvas()
    canvas = Canvas(np.zeros((SIDE, SIDE, 3), np.uint8))
    canvas.lay(pixels, labels, np.array([[1.0, 0, 25 + shift], [0, 1, 35]]))
    assert canvas.labels()[1].tolist() == ([] if kind is None else [kind])


def test_a_layer_on_top_hides_the_faces_below_it():
    canvas, pixels, labels = disc_canvas()
    canvas.lay(pixels, labels, np.array([[1.0, 0, 50], [0, 1, 35]]))
    laid, kinds = canvas.labels()
    assert kinds.tolist() == [FACE]
    assert laid.boxes[0, 0] == labels.boxes[0, 0] + 50


@pytest.fixture(scope="module")
def scenes(pictures):
    own = Scenes(pictures, validation=False, side=SIDE)
    rows = own.with_faces.astype(np.int64)
    # Gray, beside the faces.
    regions = np.tile(np.float32([100, 88, 14, 0]), (len(rows), 1))
    hard_negatives = HardNegatives(pictures, rows, regions)
    return Scenes(pictures, validation=False, side=SIDE, hard_negatives=hard_negatives)


@pytest.mark.parametrize("kind", ["whole", "mosaic", "pasted", "scene"])
def test_every_face_in_a_scene_is_labeled(scenes, kind):
    """Ink lies within labels, and what must be found is ink."""
    faces = total = left = 0
    for seed in range(25):
        canvas = getattr(scenes, kind)(np.random.default_rng(seed))
        labels, kinds = canvas.labels()
        ink = inked(canvas.pixels)
        total += int(ink.sum())
        tinted = canvas.pixels[:, :, [0, 2]].min(2) > canvas.pixels[:, :, 1] + 40.0
        for (x0, y0, x1, y1), what in zip(labels.boxes, kinds, strict=True):
            area = (slice(max(0, int(y0) - 1), max(0, int(y1) + 3)),
                    slice(max(0, int(x0) - 1), max(0, int(x1) + 3)))  # fmt: skip
            if what == FACE:
                faces += 1
                assert tinted[area].mean() > 0.3
            ink[area] = False
        left += int(ink.sum())
    assert faces >= 12
    # What is left are rims of faces of which less than a fifth is seen.
    assert left < 0.05 * total


def test_scenes_without_faces_have_none(scenes):
    for seed in range(40):
        canvas = scenes.faceless(np.random.default_rng(seed))
        assert inked(canvas.pixels).mean() < SLIVER
        assert len(canvas.labels()[1]) == 0


def test_what_a_detector_mistook_for_a_face_is_shown(pictures, monkeypatch):
    """Its place, a face here so that it can be seen, is in the scene, of all sizes."""
    own = Scenes(pictures, validation=False, side=SIDE)
    row = next(int(r) for r in own.with_faces if len(pictures.faces(int(r)).boxes) == 1)
    x0, y0, x1, y1 = pictures.faces(row).boxes[0].tolist()
    place = np.float32([[(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, 0]])
    hard_negatives = HardNegatives(pictures, np.array([row]), place)
    scenes = Scenes(pictures, validation=False, side=SIDE, hard_negatives=hard_negatives)
    sizes = []
    for seed in range(40):
        canvas = scenes.about_hard_negative(np.random.default_rng(seed))
        sizes.append(np.sqrt(inked(canvas.pixels).sum() / np.pi) * 2)
    assert min(sizes) > 7
    assert np.quantile(sizes, 0.1) < 35 and np.quantile(sizes, 0.9) > 60

    asked = []
    monkeypatch.setattr(scenes, "about_hard_negative", lambda *_: asked.append(1) or Canvas(
        np.zeros((SIDE, SIDE, 3), np.uint8)))  # fmt: skip
    for seed in range(200):
        scenes.scene(np.random.default_rng(seed))
    assert 8 < len(asked) < 35


def test_faces_beside_such_a_place_are_labeled(scenes):
    left = []
    for seed in range(25):
        canvas = scenes.about_hard_negative(np.random.default_rng(seed))
        ink = inked(canvas.pixels)
        for x0, y0, x1, y1 in canvas.labels()[0].boxes.astype(int):
            ink[max(0, y0 - 1) : max(0, y1 + 3), max(0, x0 - 1) : max(0, x1 + 3)] = False
        left.append(ink.mean())
    assert np.mean(left) < SLIVER


def test_covered_faces_are_gone(scenes):
    for seed in range(20):
        canvas = scenes.covered(np.random.default_rng(seed))
        assert not inked(canvas.pixels).any()
        assert len(canvas.labels()[1]) == 0


def test_sizes_and_tilts_are_of_all_kinds(scenes):
    sizes, tilts = [], []
    for seed in range(150):
        labels, kinds = scenes.scene(np.random.default_rng(seed)).labels()
        must = kinds == FACE
        sizes += (labels.boxes[must, 2:] - labels.boxes[must, :2]).max(1, initial=0).tolist()
        eyes = labels.points5[must, 1] - labels.points5[must, 0]
        tilts += np.degrees(np.arctan2(eyes[:, 1], eyes[:, 0])).tolist()
    assert min(sizes) < 16 and max(sizes) > 0.8 * SIDE
    counts = np.histogram(tilts, 8, (-180, 180))[0]
    assert counts.min() > 0.02 * len(tilts)
    assert counts[3:5].sum() > counts.sum() / 3


def test_validation_scenes_are_of_other_pictures(pictures, scenes):
    other = Scenes(pictures, validation=True, side=SIDE)
    assert not set(scenes.with_faces) & set(other.with_faces)
    assert not set(scenes.without) & set(other.without)
    canvas = other.placed(np.random.default_rng(0), turned=False)
    assert found(DiscFinder().detect(canvas.pixels).boxes, canvas.labels()[0].boxes).all()


def test_the_same_numbers_make_the_same_scene(scenes):
    def make(seed):
        rng = np.random.default_rng(seed)
        return degraded(scenes.scene(rng).pixels, rng)

    assert np.array_equal(make(3), make(3))
    assert not np.array_equal(make(3), make(4))


def test_degrading_changes_pixels_and_not_their_kind():
    pixels = surface(SIDE, np.random.default_rng(1))
    before = pixels.copy()
    changed = 0
    for seed in range(30):
        result = degraded(pixels, np.random.default_rng(seed))
        assert result.shape == pixels.shape and result.dtype == np.uint8
        changed += not np.array_equal(result, pixels)
    assert np.array_equal(pixels, before)
    assert changed > 20
