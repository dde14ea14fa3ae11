"""Sets of faces as a training reads them: whose the pictures are, and where the faces lie."""

from __future__ import annotations

import json
import logging
import sys
import zipfile

import cv2
import numpy as np
import pytest

from sosie.datasets import people
from sosie.datasets.images import find_pictures
from sosie.datasets.pack import pack
from sosie.datasets.pairs import Pairs
from sosie.datasets.people import open_people
from sosie.errors import InputError, UnavailableError
from sosie.geometry import alignment

SIDE_PX, TEMPLATE = 96, "arcface_112_v1"
PLACES = {
    "faces/anna/a": (3, "anna", ""),
    "faces/ben/b": (2, "ben", ""),
    "faces/film/c": (1, "", ""),
    "doubtful/anna/d": (1, "", ""),
    "rejected/blurred/e": (1, "", "blurred"),
}
"""Stem of the pictures -> how many, whose, and why rejected."""


@pytest.fixture(autouse=True)
def never_searched(monkeypatch):
    monkeypatch.setattr(people, "_found", lambda _: pytest.fail("the table knows where it is"))


@pytest.fixture
def sorted_set(make_set, row_of):
    """A set whose pictures show a white dot at each of the face's five points."""

    def make(places=PLACES, name="set", **changes):
        rows = []
        for stem, (count, person, rejected) in places.items():
            for _ in range(count):
                number = len(rows)
                row = row_of(number, person=person, rejected=rejected, size_px=SIDE_PX, **changes)
                points = 300 + 20 * alignment.template_points("ffhq", 10) + 3 * number
                matrix = alignment.align_matrix(points, "ffhq", SIDE_PX)
                file = f"{stem}{number}-{row.id}.png"
                shape = {"matrix": matrix, "points5": points.astype(np.float32), "file": file}
                rows.append(type(row)(**{**vars(row), **shape}))
        store = make_set(rows, name)
        for row in rows:
            draw(store.folder / row.file, SIDE_PX)
        return store

    return make


def draw(file, side):
    picture = np.zeros((side, side, 3), np.uint8)
    for x, y in alignment.template_points("ffhq", side):
        cv2.circle(picture, (round(x), round(y)), side // 32, (255, 255, 255), -1)
    assert cv2.imwrite(str(file), picture)


def assert_aligned(face):
    for x, y in alignment.template_points(TEMPLATE, len(face)):
        assert face[round(y), round(x)].min() > 150


def test_people_are_those_of_the_folders(sorted_set, tmp_path, caplog):
    store = sorted_set()
    with caplog.at_level(logging.INFO):
        found = open_people(store.folder, tmp_path / "cache", TEMPLATE, 64)
    assert sorted(found.people) == ["anna"] * 3 + ["ben"] * 2
    assert "5 faces of people; left out: 1 rejected, 1 doubtful, 1 not sorted" in caplog.text
    for face in found.faces:
        assert_aligned(face)


def test_what_a_hand_moved_is_respected(sorted_set):
    store = sorted_set()
    folder = store.folder
    (folder / "faces/ben").rename(folder / "faces/Benjamin")
    first, second, third = sorted((folder / "faces/anna").iterdir())
    first.rename(folder / "faces/Benjamin" / first.name)
    second.unlink()
    (folder / "rejected/mine").mkdir(parents=True)
    third.rename(folder / "rejected/mine" / third.name)
    doubtful = next((folder / "doubtful/anna").iterdir())
    doubtful.rename(folder / "faces/Benjamin" / doubtful.name)
    assert [picture.person for picture in find_pictures(folder)] == ["Benjamin"] * 4


def test_a_picture_of_another_size_is_still_aligned(sorted_set, tmp_path):
    store = sorted_set()
    for file in (store.folder / "faces/anna").iterdir():
        draw(file, 256)
    for face in open_people(store.folder, tmp_path / "cache", TEMPLATE, 64).faces:
        assert_aligned(face)


@pytest.mark.parametrize("shard_bytes", [None, 1_000_000])
def test_a_packed_set_says_the_same(sorted_set, tmp_path, monkeypatch, shard_bytes):
    store = sorted_set()
    monkeypatch.setattr("sosie.datasets.pack._LEAST", 1)
    paths = pack(store, tmp_path / "packed.zip", shard_bytes and 20_000)
    assert (len(paths) > 1) == bool(shard_bytes)
    whole = open_people(store.folder, tmp_path / "one", TEMPLATE, 64)
    packed = open_people(paths[-1], tmp_path / "other", TEMPLATE, 64)
    np.testing.assert_array_equal(whole.faces, packed.faces)
    np.testing.assert_array_equal(whole.people, packed.people)


def test_sets_in_a_folder_keep_their_people_apart(sorted_set, tmp_path):
    data = tmp_path / "data"
    (data / "carl").mkdir(parents=True)
    sorted_set().folder.rename(data / "one")
    pack(sorted_set(name="other"), data / "two.zip")
    draw(data / "carl" / "1.png", 64)
    found = find_pictures(data)
    assert {p.person for p in found} == {"carl", "one/anna", "one/ben", "two/anna", "two/ben"}
    assert len(found) == 11
    assert [p.person for p in found if p.points is None] == ["carl"]


def test_a_split_set_is_learned_from_as_it_was_split(sorted_set, tmp_path):
    store = sorted_set()
    table = store.read(("id", "person"))
    ids = table["id"][table["person"] == "anna"]
    store.update({"split": {face: "test" if face in ids else "train" for face in table["id"]}})
    found = open_people(store.folder, tmp_path / "cache", TEMPLATE, 32)
    learned, validated = found.split()
    assert set(found.people[learned]) == set(found.people[validated]) == {"ben"}


def test_many_people_of_a_split_set_are_validated_on_by_name(sorted_set, tmp_path):
    store = sorted_set({f"faces/p{k}/a": (1, f"p{k}", "") for k in range(120)}, split="train")
    found = open_people(store.folder, tmp_path / "cache", TEMPLATE, 32)
    learned, validated = found.split()
    assert 0 < len(validated) < len(learned)
    # Nobody is put aside for tests besides.
    assert sorted([*learned, *validated]) == list(range(120))


def test_a_damaged_picture_is_left_out_and_counted(sorted_set, tmp_path, caplog):
    store = sorted_set()
    next((store.folder / "faces/anna").iterdir()).write_bytes(b"no picture")
    with caplog.at_level(logging.INFO):
        found = open_people(store.folder, tmp_path / "cache", TEMPLATE, 32)
    assert (len(found.people), found.unreadable) == (4, 1)
    assert "of 5 pictures 1 could not be read" in caplog.text


def test_a_set_of_one_person_has_nobody_to_swap_with(sorted_set, tmp_path):
    store = sorted_set({"faces/anna/a": (3, "anna", "")})
    found = open_people(store.folder, tmp_path / "cache", TEMPLATE, 32)
    with pytest.raises(InputError, match=r"All 3 faces are of one person.*--finetune"):
        Pairs(found.people, found.split()[0], 0.5)


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({}, "no faces in people's folders .*: extract some first"),
        ({"faces/film/c": (2, "", "")}, "2 not sorted.*: run `sosie dataset cluster`"),
        ({"rejected/small/c": (3, "anna", "small")}, "3 rejected.*dataset cluster"),
    ],
)
def test_a_set_without_people_is_refused(sorted_set, places, message):
    with pytest.raises(InputError, match=message):
        find_pictures(sorted_set(places).folder)


def test_a_damaged_set_is_refused(sorted_set, tmp_path):
    folder = sorted_set().folder
    (folder / "faces.parquet").write_bytes(b"PAR1 no table")
    with pytest.raises(InputError, match=r"faces\.parquet is damaged"):
        find_pictures(folder)
    (folder / "set.json").write_text("{")
    with pytest.raises(InputError, match=r"set\.json is not valid JSON"):
        find_pictures(folder)


def test_a_pack_that_lost_its_table_is_refused(sorted_set, tmp_path):
    path, short = pack(sorted_set(), tmp_path / "packed.zip")[0], tmp_path / "short.zip"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(short, "w") as sink:
        for entry in source.infolist():
            if entry.filename != "faces.parquet":
                sink.writestr(entry, source.read(entry))
    with pytest.raises(InputError, match=r"faces\.parquet is missing from .*; pack the set anew"):
        find_pictures(short)


def test_somebody_elses_set_json_makes_no_set(tmp_path):
    draw(tmp_path / "1.png", 32)
    (tmp_path / "set.json").write_text(json.dumps({"format": "a game"}))
    assert [picture.name for picture in find_pictures(tmp_path)] == ["1.png"]


def test_only_a_set_needs_the_packages_of_datasets(sorted_set, tmp_path, monkeypatch):
    folder = sorted_set().folder
    plain = tmp_path / "plain"
    plain.mkdir()
    draw(plain / "1.png", 32)
    # What is imported already would hide that a package is absent.
    for name in ("sorted_faces", "tables", "schema"):
        monkeypatch.delitem(sys.modules, f"sosie.datasets.{name}", raising=False)
        monkeypatch.delattr(f"sosie.datasets.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert len(find_pictures(plain)) == 1
    with pytest.raises(UnavailableError, match=r"pyarrow.*pip install '\.\[datasets\]'"):
        find_pictures(folder)


def test_a_set_that_was_left_in_between_is_read(sorted_set, row_of):
    """Rows that a stopped run has not brought into the table yet."""
    store = sorted_set()
    row = row_of(99, person="carl", size_px=SIDE_PX)
    row = type(row)(**{**vars(row), "file": f"faces/carl/1-{row.id}.png"})
    (store.folder / "faces/carl").mkdir()
    draw(store.folder / row.file, SIDE_PX)
    store.append([row])
    assert "carl" in {picture.person for picture in find_pictures(store.folder)}
