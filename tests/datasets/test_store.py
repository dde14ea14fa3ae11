from __future__ import annotations

import dataclasses
import json
import os

import numpy as np
import pyarrow.parquet as pq
import pytest

from sosie.datasets.face_rows import COLUMNS, SCHEMA, FaceRow
from sosie.datasets.store import MISSING, FaceStore, id_of
from sosie.errors import InputError, OutputError, SosieError


def assert_same(one: FaceRow, other: FaceRow) -> None:
    for field in dataclasses.fields(FaceRow):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))
        assert type(getattr(one, field.name)) is type(getattr(other, field.name)), field.name


def test_rows_come_back_as_they_were(make_set, row_of):
    rows = [row_of(0), row_of(1, frame=-1, time_s=float("nan"), person="Zoë", rejected="blurred")]
    store = FaceStore.open(make_set(rows).folder)
    for before, after in zip(rows, store.rows(), strict=True):
        assert_same(before, after)


def test_the_table_is_read_without_sosie(make_set, row_of):
    table = pq.read_table(make_set(3).folder / "faces.parquet")
    assert table.schema.equals(SCHEMA)
    assert [field.name for field in dataclasses.fields(FaceRow)] == table.column_names
    assert len(table["landmarks"][0].as_py()) == 1434
    np.testing.assert_array_equal(
        np.float32(table["landmarks"][2].as_py()[:3]), row_of(2).landmarks[0]
    )
    assert table["phash"][2].as_py() == 2**63 + 2


def test_columns_are_arrays_in_the_asked_order(make_set):
    store = make_set(5)
    read = store.read(["identity", "id", "frame"])
    assert list(read) == ["identity", "id", "frame"]
    assert read["identity"].shape == (5, 512)
    assert read["identity"].dtype == np.float32
    assert list(read["frame"]) == [0, 1, 2, 3, 4]
    assert store.read(["matrix"])["matrix"].shape == (5, 2, 3)
    parts = list(store.batches(["id"], 2))
    assert [len(part["id"]) for part in parts] == [2, 2, 1]
    assert np.concatenate([part["id"] for part in parts]).tolist() == read["id"].tolist()


def test_an_empty_set_has_all_columns(tmp_path):
    store = FaceStore.create(tmp_path / "set", {})
    assert len(store) == 0
    assert {name: len(values) for name, values in store.read().items()} == dict.fromkeys(COLUMNS, 0)
    assert list(store.rows()) == []


def test_what_was_put_aside_is_merged_when_the_set_is_opened(make_set, row_of):
    store = make_set(2)
    store.append([row_of(2)], [{"sha256": "a", "at": 3}, {"sha256": "b"}])
    store.append([], [{"sha256": "a", "at": 4}])
    assert len(store) == 2
    again = FaceStore.open(store.folder)
    assert list(again.read(["frame"])["frame"]) == [0, 1, 2]
    assert again.settings["inputs"][-2:] == [{"sha256": "a", "at": 4}, {"sha256": "b"}]
    assert json.loads((again.folder / "set.json").read_text()) == again.settings
    assert sorted(path.name for path in again.folder.iterdir()) == [
        "faces",
        "faces.parquet",
        "set.json",
    ]


def test_a_merge_that_was_cut_short_doubles_nothing(make_set, monkeypatch, row_of):
    store = make_set(2)
    store.append([row_of(2)], [{"sha256": "a"}])

    def killed(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(FaceStore, "save_settings", killed)
    with pytest.raises(KeyboardInterrupt):
        store.merge()
    monkeypatch.undo()
    again = FaceStore.open(store.folder)
    assert list(again.read(["frame"])["frame"]) == [0, 1, 2]
    assert [entry["sha256"] for entry in again.settings["inputs"]] == ["0", "a"]


def test_what_a_killed_process_left_is_tidied_up(make_set):
    store = make_set(1)
    (store.folder / ".journal").mkdir()
    left = [".journal/.00000001.0a1b2c3d.tmp.parquet", "faces/video/.0001-ab.0a1b2c3d.tmp.png"]
    for name in left:
        (store.folder / name).write_bytes(b"half")
    store.tidy()
    assert sorted(path.name for path in store.folder.iterdir()) == [
        "faces",
        "faces.parquet",
        "set.json",
    ]
    assert len(list(store.folder.rglob("*.png"))) == 1


def test_an_append_that_was_cut_short_is_as_if_it_had_not_been(make_set, monkeypatch, row_of):
    store = make_set(2)

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        store.append([row_of(2)], [{"sha256": "a"}])
    monkeypatch.undo()
    again = FaceStore.open(store.folder)
    assert len(again) == 2
    assert again.settings == store.settings


def test_changes_reach_their_rows_alone(make_set, row_of):
    store = make_set(1200)
    ids = store.read(["id"])["id"]
    store.update({"person": {ids[3]: "anna", ids[900]: "bo"}, "split": {ids[3]: "test"}})
    read = store.read(["person", "split", "id"])
    assert {k: p for k, p in enumerate(read["person"]) if p} == {3: "anna", 900: "bo"}
    assert {k: s for k, s in enumerate(read["split"]) if s} == {3: "test"}
    assert list(read["id"]) == list(ids)
    assert_same(next(store.rows()), row_of(0))


def test_only_the_faces_that_are_kept_stay(make_set):
    store = make_set(4)
    ids = store.read(["id"])["id"]
    store.keep([ids[2], ids[0]])
    assert list(store.read(["frame"])["frame"]) == [0, 2]


def test_a_move_is_found_in_the_table_and_on_disk(make_set):
    store = make_set(3)
    read = store.read(["id", "file"])
    files = dict(zip(read["id"], read["file"], strict=True))
    to = {face: f"faces/anna/{file.rsplit('/', 1)[1]}" for face, file in files.items()}
    store.move(files, to, {"person": dict.fromkeys(to, "anna")})
    assert store.read(["file"])["file"].tolist() == list(to.values())
    assert all((store.folder / file).is_file() for file in to.values())
    assert not (store.folder / "faces" / "film").exists()
    assert store.sync().moved == 0


def test_a_move_that_was_cut_short_is_made_good_by_sync(make_set, monkeypatch):
    store = make_set(2)
    read = store.read(["id", "file"])
    files = dict(zip(read["id"], read["file"], strict=True))
    to = {face: f"faces/anna/{file.rsplit('/', 1)[1]}" for face, file in files.items()}
    monkeypatch.setattr(FaceStore, "update", lambda self, changes: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.move(files, to)
    monkeypatch.undo()
    assert store.sync().moved == 2
    assert store.read(["person"])["person"].tolist() == ["anna", "anna"]


def test_pictures_moved_by_hand_are_followed(make_set, row_of, put_pictures):
    store = make_set(6)
    files = store.read(["file"])["file"]

    def carry(number: int, folder: str) -> str:
        target = store.folder / folder / files[number].rsplit("/", 1)[1]
        target.parent.mkdir(parents=True, exist_ok=True)
        (store.folder / files[number]).replace(target)
        return target.relative_to(store.folder).as_posix()

    places = [carry(0, "faces/anna"), carry(1, "rejected/ugly"), carry(2, "doubtful/anna")]
    (store.folder / files[3]).unlink()
    (store.folder / "faces/video/holiday.png").write_bytes(b"")
    found = store.sync()
    assert (found.moved, found.missing) == (3, 1)
    assert found.strange == ("faces/video/holiday.png",)
    read = store.read(["file", "person", "rejected"])
    assert read["file"].tolist() == [*places, *files[3:]]
    assert read["person"].tolist() == ["anna", "", "", "", "", ""]
    assert read["rejected"].tolist() == ["", "ugly", "", MISSING, "", ""]

    put_pictures(store.folder, [row_of(3)])
    carry_back = store.folder / places[1]
    carry_back.replace(store.folder / files[1])
    found = store.sync()
    assert (found.moved, found.missing) == (1, 0)
    assert store.read(["rejected"])["rejected"].tolist() == [""] * 6


def test_the_id_is_what_follows_the_last_dash():
    assert id_of("faces/a-b/000012-0123456789abcdef.png") == "0123456789abcdef"
    assert id_of("faces/a/holiday.png") == "holiday"


def test_a_table_of_wrong_shapes_is_not_written(make_set, row_of):
    store = make_set(1)
    with pytest.raises(ValueError, match=r"points5 must be \(5, 2\)"):
        store.append([row_of(1, points5=np.zeros((2, 5), np.float32))])
    assert len(FaceStore.open(store.folder)) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "is no set of faces"),
        ("{", "is not valid JSON"),
        ("[]", "does not describe a set"),
        ('{"format": "other"}', "does not describe a set"),
        (json.dumps({"format": "sosie faces", "version": 99}), "version 99"),
    ],
)
def test_what_is_no_set_is_refused_in_words(tmp_path, text, words):
    if text is not None:
        (tmp_path / "set.json").write_text(text)
    with pytest.raises(InputError, match=words):
        FaceStore.open(tmp_path)


def test_a_damaged_table_is_refused_in_words(make_set):
    store = make_set(1)
    (store.folder / "faces.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(InputError, match="damaged"):
        FaceStore.open(store.folder).read()


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"other things \(thesis.txt\)"):
        FaceStore.create(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(SosieError, match="cannot be created"):
        FaceStore.create(tmp_path / "thesis.txt" / "set", {})
