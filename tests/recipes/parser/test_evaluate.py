"""The parser's rows of the table, on faces that are drawn."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from sosie.analysis.parser import SIDE_PX, FaceParts
from sosie.datasets.split import is_held_out
from sosie.errors import InputError
from sosie.geometry import head_pose
from sosie.geometry.head_pose import region_of
from sosie.recipes.face_cache import FaceSet
from sosie.recipes.occlusion.compositing import SPRITE_PX
from sosie.recipes.occlusion.evaluate_kinds import TEST_KINDS
from sosie.recipes.parser import evaluate, labels
from sosie.training.recipe import Materials

COUNT = 30
SKIN, HAIR, SPECTACLES = (210, 160, 130), (40, 30, 25), (250, 20, 20)


@pytest.fixture(scope="module")
def faces(drawn_faces) -> FaceSet:
    return drawn_faces(COUNT, (15, 8, 10))


def parts_of(planes: dict[str, np.ndarray]) -> FaceParts:
    none = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    names = ("skin", "hair", "frame", "lens", "hat", "thing", "beyond", "lens_opacity")
    return FaceParts(**{name: planes.get(name, none).astype(np.float32) for name in names})


class ByColor:
    """A network that knows the drawn colors, and sees through nothing."""

    def parts(self, squares):
        def near(color, square):
            return np.abs(square.astype(int) - color).max(-1) < 30

        return [
            parts_of({"skin": near(SKIN, s), "hair": near(HAIR, s), "frame": near(SPECTACLES, s)})
            for s in squares
        ]


class Blind:
    """A network that always answers with the upper half."""

    def parts(self, squares):
        upper = np.zeros((SIDE_PX, SIDE_PX))
        upper[: SIDE_PX // 2] = 1
        return [parts_of({"skin": upper})] * len(squares)


@pytest.mark.parametrize("name", sorted(TEST_KINDS))
def test_every_kind_hides_a_part_of_the_faces(faces, name):
    chosen = evaluate.clean_faces(faces, np.arange(COUNT))[:3]
    bare = [evaluate.scene_of(face) for face in chosen]
    behind = evaluate.covered(chosen, TEST_KINDS[name], 1)
    assert len(behind) == len(bare)
    for one, other in zip(bare, behind, strict=True):
        face = one.seen > 127
        hidden = face & (other.seen < 128)
        assert 0.05 < hidden.sum() / face.sum() < 0.62
        # The truth changes only where the pixels do.
        changed = np.abs(one.pixels.astype(int) - other.pixels).max(-1) > 3
        assert (hidden & ~changed).sum() < 0.1 * hidden.sum() + 5
        assert not (changed & (other.seen == 255)).any()
    again = evaluate.covered(chosen, TEST_KINDS[name], 1)
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(behind, again, strict=True))


def test_clean_faces_are_clean(faces):
    crops = faces.crops.copy()
    crops[0, :100] = (40, 30, 25)
    points = faces.landmarks[1, :, :2]
    ends = np.round(points[[133, 362]]).astype(np.int32)
    cv2.polylines(crops[1], [ends], False, (20, 20, 20), 3)
    disagree = faces.agreement.copy()
    disagree[2] = 0.2
    changed = FaceSet(**{**faces.__dict__, "crops": crops, "agreement": disagree})
    found = evaluate.clean_faces(changed, np.arange(6))
    kept = [any(np.array_equal(face.crop, crops[row]) for face in found) for row in range(6)]
    assert kept == [False, False, False, True, True, True]


@pytest.fixture
def pictures(tmp_path: Path, faces, monkeypatch) -> Materials:
    """Six labeled pictures that are kept out and two that are not: three wear spectacles."""
    materials = Materials(tmp_path, tmp_path, tmp_path, workers=0)
    points = faces.landmarks[0]
    colors = {name: labels._THEIRS[labels.PARTS.index(name)] for name in ("hair", "spectacles")}
    held = [n for n in range(60) if is_held_out(f"{labels.LABELED}/{n:02}")][:6]
    others = [n for n in range(60) if not is_held_out(f"{labels.LABELED}/{n:02}")][:2]
    with zipfile.ZipFile(tmp_path / labels.ARCHIVE, "w") as archive:
        for number in held + others:
            picture = faces.crops[0].copy()
            marked = np.zeros_like(picture)
            parts = [("hair", HAIR, (slice(40, 70), slice(60, 160)))]
            if number in held[::2]:
                parts.append(("spectacles", SPECTACLES, (slice(95, 110), slice(80, 150))))
            for name, color, place in parts:
                picture[place] = color
                marked[place] = [colors[name] >> shift & 255 for shift in (16, 8, 0)]
            quality = [cv2.IMWRITE_JPEG_QUALITY, 100]
            jpeg = cv2.imencode(".jpg", picture[..., ::-1], quality)[1].tobytes()
            archive.writestr(f"images/{number:02}.jpg", jpeg)
            png = cv2.imencode(".png", marked[..., ::-1])[1].tobytes()
            archive.writestr(f"labels/{number:02}.png", png)
    monkeypatch.setattr(labels, "landmarks_of", lambda pixels, teachers: points)

    def all_hair(pixels, landmarks, teachers):
        matrix = head_pose.square_matrix(region_of(landmarks), labels.CROP_FACES, 448)
        return np.full((448, 448), labels.PARTS.index("hair"), np.uint8), matrix

    monkeypatch.setattr(labels, "teachers_labels", all_hair)
    return materials


def test_peoples_labels_are_those_of_pictures_that_are_kept_out(pictures):
    squares, truths, taught = evaluate.held_out_pictures(pictures, None)
    assert (taught == labels.PARTS.index("hair")).all()
    assert squares.shape == (6, SIDE_PX, SIDE_PX, 3)
    rows = evaluate.by_people(ByColor(), pictures, None)
    found = {row.figure.split(",")[0]: row.value for row in rows}
    assert found["IoU of spectacles"] > 0.85
    assert found["IoU of hair"] > 0.85
    teacher = {row.figure.split(",")[0]: row.teacher for row in rows}
    assert teacher["IoU of hair"] == pytest.approx((truths == labels.PARTS.index("hair")).mean())
    assert teacher["IoU of spectacles"] == 0
    assert found["spectacles found"] == 1
    assert found["spectacles found where there are none"] == 0
    assert (truths == labels.PARTS.index("spectacles")).any((1, 2)).tolist() == [True, False] * 3
    blind = {row.figure.split(",")[0]: row for row in evaluate.by_people(Blind(), pictures, None)}
    assert not blind["IoU of hair"].hit
    assert blind["spectacles found"].value == 0


def test_a_right_network_reaches_the_bounds_and_a_blind_one_does_not(faces, pictures, monkeypatch):
    monkeypatch.setattr(evaluate, "open_faces", lambda materials: faces)
    monkeypatch.setattr(evaluate, "read_embedded", lambda name: name.encode())
    monkeypatch.setattr(evaluate, "create_session", lambda content, threads: content)
    hits = {}
    for network in (ByColor, Blind):
        monkeypatch.setattr(evaluate, "Parser", lambda session, made=network: made())
        rows = evaluate.measure(pictures, 2)
        assert all(row.model == "parser" and row.direction == ">=" for row in rows)
        composites = [row for row in rows if row.figure.startswith("IoU ")]
        clean, unknown = (
            next(row for row in composites if text in row.figure)
            for text in ("clean faces", "kinds not trained on")
        )
        assert (clean.bound, unknown.bound) == (0.97, 0.917)
        named = {f"IoU behind {name}" for name in TEST_KINDS}
        by_kind = [row.value for row in composites if row.figure in named]
        assert len(by_kind) == len(TEST_KINDS)
        assert unknown.value == pytest.approx(np.mean(by_kind), abs=1e-9)
        hits[network] = [clean.hit, unknown.hit]
    assert hits == {ByColor: [True, True], Blind: [False, False]}


def test_without_a_clean_face_it_says_so(faces, monkeypatch, tmp_path: Path):
    materials = Materials(tmp_path, tmp_path, tmp_path, workers=0)
    noisy = np.random.default_rng(0).integers(0, 256, faces.crops.shape, np.uint8)
    changed = FaceSet(**{**faces.__dict__, "crops": noisy})
    monkeypatch.setattr(evaluate, "open_faces", lambda materials: changed)
    with pytest.raises(InputError, match="None of the test people's faces is clean"):
        evaluate.by_composites(ByColor(), materials, None)


def test_without_the_labeled_pictures_it_says_so(tmp_path: Path):
    materials = Materials(tmp_path, tmp_path, tmp_path, workers=0)
    with pytest.raises(InputError, match=r"no celebamask\.zip"):
        evaluate.by_people(ByColor(), materials, None)


def test_drawings_are_sprites():
    for kind in TEST_KINDS.values():
        drawn = kind.draw(np.random.default_rng(3))
        assert drawn.rgba.shape == (SPRITE_PX, SPRITE_PX, 4)
        assert 0.02 < (drawn.hides > 127).mean() < 0.9
