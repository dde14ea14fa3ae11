"""Pictures of people as users have them, and the pairs that are drawn of them."""

from __future__ import annotations

import logging
import shutil
import zipfile
from contextlib import suppress

import cv2
import numpy as np
import pytest

from sosie.datasets import people as module
from sosie.datasets.images import find_pictures, read_picture
from sosie.datasets.people import Pairs, open_people
from sosie.errors import InputError


@pytest.fixture
def faces(tmp_path, astronaut_path):
    """Two people, a picture that is none, an empty one, and one without a face."""
    data = tmp_path / "faces"
    for place in ("ann/1", "ann/2", "ben/1"):
        file = data / f"{place}{astronaut_path.suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(astronaut_path, file)
    (data / "bad.jpg").write_bytes(b"no picture")
    (data / "empty.png").write_bytes(b"")
    (data / "notes.txt").write_text("not looked at")
    assert cv2.imwrite(str(data / "wall.png"), np.full((80, 80, 3), 120, np.uint8))
    return data


def test_people_are_found_by_their_folders_and_the_rest_is_counted(faces, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        found = open_people(faces, tmp_path / "cache", "arcface_112_v1", 32)
    assert found.faces.shape == (3, 32, 32, 3)
    assert list(found.people) == ["ann", "ann", "ben"]
    assert found.count == 2
    assert (found.unreadable, found.faceless) == (2, 1)
    assert "of 6 pictures 2 could not be read and 1 show no face" in caplog.text


def test_faces_are_cut_once(faces, tmp_path, monkeypatch):
    first = open_people(faces, tmp_path / "cache", "arcface_112_v1", 32)
    monkeypatch.setattr(module, "_read_part", lambda *_: pytest.fail("read again"))
    again = open_people(faces, tmp_path / "cache", "arcface_112_v1", 32)
    np.testing.assert_array_equal(first.faces, again.faces)
    assert not list((tmp_path / "cache").rglob("rows-*"))


def test_a_zip_says_the_same_as_the_folder(faces, tmp_path):
    archive = tmp_path / "faces.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for file in sorted(faces.rglob("*")):
            if file.is_file():
                opened.write(file, file.relative_to(faces))
    folder, packed = find_pictures(faces), find_pictures(archive)
    assert [(p.name, p.person) for p in folder] == [(p.name, p.person) for p in packed]
    np.testing.assert_array_equal(read_picture(folder[0]), read_picture(packed[0]))


def test_what_holds_no_pictures_is_refused(tmp_path):
    with pytest.raises(InputError, match="There is no folder or"):
        find_pictures(tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="There are no pictures in"):
        find_pictures(tmp_path / "empty")
    (tmp_path / "empty" / "a.zip").write_bytes(b"PK no zip")
    with pytest.raises(InputError, match="damaged"):
        find_pictures(tmp_path / "empty")


def test_faces_are_asked_for(tmp_path):
    (tmp_path / "a").mkdir()
    assert cv2.imwrite(str(tmp_path / "a" / "wall.png"), np.zeros((60, 60, 3), np.uint8))
    with pytest.raises(InputError, match="shows a face that can be found"):
        open_people(tmp_path / "a", tmp_path / "cache", "arcface_112_v1", 32)


PEOPLE = np.array(["ann"] * 5 + ["ben"] * 4 + ["cleo"])


@pytest.mark.parametrize("same", [0.2, 0.5])
def test_pairs_have_the_published_ratio(same):
    pairs, rng = Pairs(PEOPLE, np.arange(10), same), np.random.default_rng(0)
    drawn = [pairs.draw(rng) for _ in range(4000)]
    assert np.mean([pair.same for pair in drawn]) == pytest.approx(same, abs=0.03)
    for pair in drawn:
        assert pair.same == (PEOPLE[pair.source] == PEOPLE[pair.target])
        # Two photos of a person, where there are two.
        assert pair.self_made == (pair.same and PEOPLE[pair.target] == "cleo")
        assert pair.self_made or pair.source != pair.target
    targets = np.bincount([pair.target for pair in drawn], minlength=10)
    assert targets.min() > 250


def test_pairs_of_one_photo():
    pairs, rng = Pairs(PEOPLE, np.arange(10), 1.0, same_photo=True), np.random.default_rng(0)
    for _ in range(50):
        pair = pairs.draw(rng)
        assert pair.source == pair.target
        assert not pair.self_made


def test_only_the_given_rows_are_drawn():
    rows = np.array([1, 2, 6])
    pairs, rng = Pairs(PEOPLE, rows, 0.3), np.random.default_rng(0)
    drawn = [pairs.draw(rng) for _ in range(200)]
    assert {row for pair in drawn for row in (pair.source, pair.target)} == set(rows)


def test_one_person_has_nobody_to_swap_with():
    with pytest.raises(InputError, match=r"All 5 faces are of one person.*--finetune"):
        Pairs(PEOPLE, np.arange(5), 0.5)
    assert Pairs(PEOPLE, np.arange(5), 1.0).draw(np.random.default_rng(0)).same


@pytest.mark.parametrize("count", range(1, 31))
def test_a_swap_can_be_validated_on_any_number_of_numbered_people(count):
    """Two people or more in each part, or everybody in both."""
    names = np.array([f"{k:03}" for k in range(1, count + 1) for _ in range(3)])
    none = np.full(len(names), "")
    found = module.People(np.zeros((len(names), 1, 1, 3), np.uint8), names, names, none, 0, 0)
    learned, validated = found.split()
    sizes = {len(np.unique(names[part])) for part in (learned, validated)}
    assert min(sizes) >= min(count, 2)
    if len(learned) == len(names):
        assert len(validated) == len(names)
    else:
        assert not set(names[learned]) & set(names[validated])


def test_a_decoder_s_own_words_reach_nobody(tmp_path, capfd):
    """libpng prints of a damaged picture, and OpenCV reads what there is of it."""
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    content = bytearray(cv2.imencode(".png", picture)[1].tobytes())
    content[len(content) // 2] ^= 255
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / "1.png").write_bytes(content)
    with suppress(ValueError):
        read_picture(find_pictures(tmp_path)[0])
    assert capfd.readouterr().err == ""
