"""Merging sets and dividing them: everyone once, nobody on both sides."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.datasets import combine
from sosie.datasets.combine import merge, split
from sosie.datasets.pack import verify_set
from sosie.datasets.store import FaceStore
from sosie.errors import InputError, OutputError, UsageError


@pytest.fixture
def placed(people, face_set):
    """A set with these people in folders of their names."""

    def make(folder, counts, seed=0, truth=None):
        identities, names = people(counts, spread=0.5, seed=seed)
        store, whose = face_set(identities, names, folder=folder)
        table = store.read(("id", "file"))
        files = dict(zip(table["id"], table["file"], strict=True))
        to = {face: f"faces/{whose[face]}/{face}-{face}.png" for face in files}
        store.move(files, to, {"person": whose})
        return store

    return make


def pictures(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.png")}


def test_people_of_one_name(placed, tmp_path):
    """001 is somebody else in the second set, and Anna the same."""
    one = placed("one", {"Anna": 4, "001": 3, "Ben": 2})
    other = placed("other", {"Anna": 5, "001": 2, "Ben": 3})
    strangers = other.read(("id", "person", "identity"))
    turned = {
        face: np.roll(identity, 7).tolist()
        for face, person, identity in zip(*strangers.values(), strict=True)
        if person != "Anna"
    }
    other.update({"identity": turned})
    merged = merge([one, other], tmp_path / "both")
    store = FaceStore.open(tmp_path / "both")
    people = store.read(("person",))["person"].tolist()
    counts = {name: people.count(name) for name in set(people)}
    assert counts == {"Anna": 9, "001": 3, "002": 2, "Ben": 2, "Ben-2": 3}
    assert merged.joined == ("Anna",)
    assert {change[1:] for change in merged.renamed} >= {("001", "002"), ("Ben", "Ben-2")}
    assert merged.faces == 19
    assert verify_set(store) == []
    assert store.sync().moved == 0


def test_a_face_of_both_is_there_once(placed, tmp_path):
    one = placed("one", {"Anna": 4, "Ben": 3})
    merged = merge([one, FaceStore.open(one.folder)], tmp_path / "both")
    assert (merged.faces, merged.twice) == (7, 7)
    assert pictures(tmp_path / "both") == pictures(one.folder)


def test_stopped_and_run_again(placed, tmp_path, monkeypatch):
    sets = [placed("one", {"Anna": 6}), placed("other", {"Ben": 6}, seed=3)]
    merge(sets, tmp_path / "whole")
    monkeypatch.setattr(combine, "_BATCH", 2)
    calls = []
    real = combine._copied

    def stop(*arguments):
        calls.append(arguments)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(combine, "_copied", stop)
        with pytest.raises(KeyboardInterrupt):
            merge(sets, tmp_path / "both")
    assert merge(sets, tmp_path / "both").faces == 12
    assert pictures(tmp_path / "both") == pictures(tmp_path / "whole")
    both, whole = (FaceStore.open(tmp_path / name) for name in ("both", "whole"))
    assert both.settings == whole.settings
    assert both.read(("id",))["id"].tolist() == whole.read(("id",))["id"].tolist()


def test_sets_that_cannot_be_merged(placed, tmp_path):
    one, other = placed("one", {"Anna": 2}), placed("other", {"Ben": 2})
    with pytest.raises(UsageError, match="two sets"):
        merge([one], tmp_path / "both")
    with pytest.raises(UsageError, match="one of the sets"):
        merge([one, other], one.folder)
    other.settings["align"] = "arcface"
    with pytest.raises(UsageError, match="aligned alike"):
        merge([one, other], tmp_path / "both")
    third = placed("third", {"Cleo": 2})
    with pytest.raises(OutputError, match="a set already"):
        merge([one, FaceStore.open(one.folder)], third.folder)


def test_nobody_is_on_both_sides(placed):
    store = placed("one", {f"p{k}": 3 for k in range(30)})
    told = split(store, 0.3)
    table = FaceStore.open(store.folder).read(("person", "split"))
    parts = {}
    for person, part in zip(table["person"], table["split"], strict=True):
        parts.setdefault(person, set()).add(part)
    assert all(len(own) == 1 for own in parts.values())
    tests = {person for person, own in parts.items() if own == {"test"}}
    assert told["test"] == (len(tests), 3 * len(tests))
    assert 4 <= len(tests) <= 15


def test_a_person_stays_where_they_were(placed):
    few = placed("few", {f"p{k}": 1 for k in range(12)})
    many = placed("many", {f"p{k}": 1 for k in range(24)})
    sides = []
    for store in (few, many):
        split(store, 0.4)
        table = FaceStore.open(store.folder).read(("person", "split"))
        sides.append(dict(zip(table["person"], table["split"], strict=True)))
    assert sides[0].items() <= sides[1].items()


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_both_sides_have_somebody(placed, share):
    told = split(placed("one", {"Anna": 2, "Ben": 2}), share)
    assert told["train"] == told["test"] == (1, 2)


def test_faces_of_nobody_are_on_neither_side(placed, people):
    store = placed("one", {"Anna": 2, "Ben": 2, "Cleo": 1})
    face = next(iter(store.read(("id",))["id"]))
    store.update({"person": {face: ""}})
    assert split(store, 0.5)[""] == (0, 1)


def test_splits_that_cannot_be(placed):
    store = placed("one", {"Anna": 2})
    with pytest.raises(InputError, match="needs two"):
        split(store, 0.2)
    for share in (0, 1, -1, 2):
        with pytest.raises(UsageError):
            split(store, share)
