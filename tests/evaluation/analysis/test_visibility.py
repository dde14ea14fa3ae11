"""The visibility rows of the table, on faces that are drawn."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sosie.analysis.landmarker import SIDE_PX
from sosie.errors import InputError
from sosie.evaluation.analysis import visibility
from sosie.evaluation.analysis.visibility_kinds import TEST_KINDS
from sosie.training.analysis.visibility.canvas import SPRITE_PX
from sosie.training.faces import FaceSet
from sosie.training.recipe import Materials

COUNT = 30


@pytest.fixture(scope="module")
def faces(drawn_faces) -> FaceSet:
    return drawn_faces(COUNT, (15, 8, 10))


class ByColour:
    """A network that knows the drawn faces' skin, and sees through nothing."""

    def masks(self, squares):
        skin = (210, 160, 130)
        return (np.abs(squares.astype(int) - skin).max(-1) < 14).astype(np.float32)


class Blind:
    """A network that always answers with the upper half."""

    def masks(self, squares):
        masks = np.zeros(squares.shape[:3], np.float32)
        masks[:, : SIDE_PX // 2] = 1
        return masks


@pytest.mark.parametrize("name", sorted(TEST_KINDS))
def test_every_kind_hides_a_part_of_the_faces(faces, name):
    chosen = visibility.clean_faces(faces, np.arange(COUNT))[:3]
    bare = [visibility.scene_of(face) for face in chosen]
    behind = visibility.covered(chosen, TEST_KINDS[name], 1)
    assert len(behind) == len(bare)
    for one, other in zip(bare, behind, strict=True):
        face = one.target > 127
        hidden = face & (other.target < 128)
        assert 0.05 < hidden.sum() / face.sum() < 0.62
        # The label changes only where the pixels do.
        changed = np.abs(one.pixels.astype(int) - other.pixels).max(-1) > 3
        assert (hidden & ~changed).sum() < 0.1 * hidden.sum() + 5
        assert not (changed & (other.target == 255)).any()
    again = visibility.covered(chosen, TEST_KINDS[name], 1)
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
    found = visibility.clean_faces(changed, np.arange(6))
    kept = [any(np.array_equal(face.crop, crops[row]) for face in found) for row in range(6)]
    assert kept == [False, False, False, True, True, True]


def test_a_right_network_reaches_the_bounds_and_a_blind_one_does_not(
    faces, monkeypatch, tmp_path: Path
):
    materials = Materials(tmp_path, tmp_path, tmp_path, workers=0)
    monkeypatch.setattr(visibility, "open_faces", lambda materials: faces)
    monkeypatch.setattr(visibility, "read_embedded", lambda name: name.encode())
    monkeypatch.setattr(visibility, "create_session", lambda content, threads: content)
    hits = {}
    for network in (ByColour, Blind):
        monkeypatch.setattr(visibility, "Visibility", lambda session, made=network: made())
        rows = visibility.measure(materials, 2)
        assert [row.bound for row in rows[:2]] == [0.95, 0.90]
        assert len(rows) == 2 + len(TEST_KINDS)
        assert all(row.model == "visibility" and row.direction == ">=" for row in rows)
        by_kind = [row.value for row in rows[2:]]
        assert rows[1].value == pytest.approx(np.mean(by_kind), abs=1e-9)
        hits[network] = [row.hit for row in rows[:2]]
    assert hits == {ByColour: [True, True], Blind: [False, False]}


def test_without_a_clean_face_it_says_so(faces, monkeypatch, tmp_path: Path):
    materials = Materials(tmp_path, tmp_path, tmp_path, workers=0)
    noisy = np.random.default_rng(0).integers(0, 256, faces.crops.shape, np.uint8)
    changed = FaceSet(**{**faces.__dict__, "crops": noisy})
    monkeypatch.setattr(visibility, "open_faces", lambda materials: changed)
    monkeypatch.setattr(visibility, "read_embedded", lambda name: b"")
    monkeypatch.setattr(visibility, "create_session", lambda content, threads: content)
    monkeypatch.setattr(visibility, "Visibility", lambda session: ByColour())
    with pytest.raises(InputError, match="None of the test people's faces is clean"):
        visibility.measure(materials, None)


def test_drawings_are_sprites():
    for kind in TEST_KINDS.values():
        drawn = kind.draw(np.random.default_rng(3))
        assert drawn.rgba.shape == (SPRITE_PX, SPRITE_PX, 4)
        assert 0.02 < (drawn.hides > 127).mean() < 0.9
