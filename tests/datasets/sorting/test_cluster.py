"""Clustering a set: whose faces go where, and what a hand has sorted stays."""

from __future__ import annotations

import shutil
from collections import Counter

import numpy as np
import pytest

from sosie.datasets import transactions
from sosie.datasets.cluster import ClusterOptions, apply, plan
from sosie.datasets.store import FaceStore
from sosie.datasets.transactions import open_set
from sosie.errors import InputError, NoFaceError, OutputError, UsageError

COUNTS = {"anna": 12, "ben": 8, "cleo": 5, "dan": 2}


def sort(store, references=None, **options):
    found = plan(store, ClusterOptions(**options), references or {})
    apply(store, found)
    return found


def by_person(store, truth):
    """Folder -> whose faces lie in it."""
    table = store.read(("id", "file"))
    folders = {}
    for face, file in zip(table["id"], table["file"], strict=True):
        folders.setdefault(file.rpartition("/")[0], []).append(truth[face])
    return {folder: Counter(names) for folder, names in folders.items()}


@pytest.fixture
def sorted_set(people, face_set):
    store, truth = face_set(*people(COUNTS, spread=0.6))
    return store, truth, sort(store)


def test_a_folder_for_each_person(sorted_set, whereabouts):
    store, truth, found = sorted_set
    assert found.people == {"001": 12, "002": 8, "003": 5}
    assert by_person(store, truth) == {
        "faces/001": {"anna": 12},
        "faces/002": {"ben": 8},
        "faces/003": {"cleo": 5},
        "doubtful/few-0001": {"dan": 2},
    }
    table = store.read(("id", "file", "person"))
    assert whereabouts(store.folder) == dict(zip(table["id"], table["file"], strict=True))
    persons = dict(zip(table["id"], table["person"], strict=True))
    assert {persons[f] for f, n in truth.items() if n == "ben"} == {"002"}
    assert {persons[f] for f, n in truth.items() if n == "dan"} == {""}


def test_again_changes_nothing(sorted_set, whereabouts):
    store, _, found = sorted_set
    before = whereabouts(store.folder)
    assert sort(open_set(store.folder)).people == found.people
    assert whereabouts(store.folder) == before


def test_what_a_hand_moved_stays(sorted_set, whereabouts):
    """A wrong face, a renamed folder, and one of the few put into a folder of its own."""
    store, truth, _ = sorted_set
    folder = store.folder
    wrong = next(f for f, n in truth.items() if n == "ben")
    picture = folder / whereabouts(folder)[wrong]
    picture.rename(folder / "faces/001" / picture.name)
    (folder / "faces/003").rename(folder / "faces/Cleo")
    dan = next(f for f, n in truth.items() if n == "dan")
    (folder / "faces/Dan").mkdir()
    picture = folder / whereabouts(folder)[dan]
    picture.rename(folder / "faces/Dan" / picture.name)
    store = open_set(folder)
    sort(store)
    places = by_person(store, truth)
    assert places["faces/001"] == {"anna": 12, "ben": 1}
    assert places["faces/Cleo"] == {"cleo": 5}
    assert places["faces/Dan"] == {"dan": 2}
    assert "faces/003" not in places


def test_again_from_the_start(sorted_set, whereabouts):
    store, truth, _ = sorted_set
    folder = store.folder
    wrong = next(f for f, n in truth.items() if n == "ben")
    picture = folder / whereabouts(folder)[wrong]
    picture.rename(folder / "faces/001" / picture.name)
    store = open_set(folder)
    sort(store, again=True)
    assert by_person(store, truth)["faces/002"] == {"ben": 8}


def test_names_by_photos(people, face_set):
    identities, names = people(COUNTS, spread=0.6)
    store, truth = face_set(identities, names)
    ben = identities[names == "ben"].mean(0)
    stranger = np.eye(512, dtype=np.float32)[0]
    found = sort(store, {"Ben B.": ben / np.linalg.norm(ben), "Eve": stranger})
    assert by_person(store, truth)["faces/Ben B."] == {"ben": 8}
    assert list(found.people) == ["001", "Ben B.", "002"]
    assert set(found.absent) == {"Eve"}


def test_a_number_of_people(people, face_set):
    store, truth = face_set(*people(COUNTS, spread=0.6))
    found = sort(store, people=2)
    assert len(found.people) == 2
    places = by_person(store, truth)
    assert places["faces/001"] == {"anna": 12}
    assert places["faces/002"] == {"ben": 8}


def test_a_number_finds_its_own_cut(people, face_set):
    """People so unlike themselves that the usual cut parts them come together."""
    store, _ = face_set(*people({"anna": 20, "ben": 20}, spread=1.1))
    usual = plan(store, ClusterOptions(), {})
    assert len(usual.people) != 2
    found = plan(store, ClusterOptions(people=2), {})
    assert len(found.people) == 2
    assert found.likeness < usual.likeness


def test_more_people_than_there_are(people, face_set):
    store, _ = face_set(*people({"anna": 9}, spread=0.4))
    before = store.read(("file",))["file"].tolist()
    with pytest.raises(UsageError, match=r"1 person is to be told apart at most, not 5"):
        plan(store, ClusterOptions(people=5), {})
    assert store.read(("file",))["file"].tolist() == before
    with pytest.raises(UsageError, match=r"not 5; give --people 1 or --auto\.$"):
        plan(store, ClusterOptions(people=5, min_faces=1), {})


def test_a_track_stays_together(people, face_set):
    """One frame of a track looks like somebody else."""
    identities, names = people({"anna": 10, "ben": 10}, spread=0.5)
    order = np.argsort(names, kind="stable")
    identities, names = identities[order].copy(), names[order]
    identities[3] = identities[15]
    tracks = [0] * 5 + [1] * 5 + [2] * 10
    store, truth = face_set(
        identities, names, input_sha256="f" * 64, track=tracks, frame=list(range(20))
    )
    sort(store, min_faces=1)
    assert by_person(store, truth) == {"faces/001": {"anna": 10}, "faces/002": {"ben": 10}}


def test_two_in_one_frame_are_two(people, face_set):
    identities, names = people({"anna": 8}, spread=0.2)
    tracks, frames = [0] * 4 + [1] * 4, [0, 1, 2, 3] * 2
    store, _ = face_set(identities, names, input_sha256="f" * 64, track=tracks, frame=frames)
    found = sort(store)
    assert found.people == {"001": 4, "002": 4}
    assert {found.suggestions[0].one, found.suggestions[0].other} == {"001", "002"}
    assert found.suggestions[0].similarity > 0.7


def test_a_face_between_two_people_is_doubtful(people, face_set):
    identities, names = people({"anna": 9, "ben": 9}, spread=0.3)
    between = identities[names == "anna"].mean(0) * 1.04 + identities[names == "ben"].mean(0)
    between /= np.linalg.norm(between)
    store, truth = face_set(np.vstack([identities, between]), [*names, "both"])
    found = sort(store)
    assert found.doubtful == 1
    assert by_person(store, truth)["doubtful/001"] == {"both": 1}


def test_rejected_faces_are_left_alone(people, face_set):
    identities, names = people({"anna": 9}, spread=0.3)
    store, truth = face_set(identities, names, rejected=["blurred"] * 2 + [""] * 7)
    found = sort(store)
    assert found.people == {"001": 7}
    assert by_person(store, truth)["faces/photos"] == {"anna": 2}


def test_stopped_while_moving(people, face_set, whereabouts, monkeypatch, tmp_path):
    """Opened again, the set is as if nothing had stopped it."""
    store, _ = face_set(*people(COUNTS, spread=0.6))
    shutil.copytree(store.folder, tmp_path / "other")
    sort(FaceStore.open(tmp_path / "other"))
    found = plan(store, ClusterOptions(), {})
    moved = []

    def stop_at_the_tenth(source, target):
        moved.append(source)
        if len(moved) == 10:
            raise KeyboardInterrupt
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)

    with monkeypatch.context() as patch:
        patch.setattr("sosie.datasets.store._move", stop_at_the_tenth)
        with pytest.raises(KeyboardInterrupt):
            apply(store, found)
    again = open_set(store.folder)
    assert not (store.folder / transactions._PLAN).exists()
    assert whereabouts(store.folder) == whereabouts(tmp_path / "other")
    other = FaceStore.open(tmp_path / "other")
    for name in ("id", "file", "person", "rejected"):
        assert again.read((name,))[name].tolist() == other.read((name,))[name].tolist()
    assert again.settings["cluster"] == other.settings["cluster"]


def test_no_faces(face_set):
    store, _ = face_set(np.zeros((0, 512), np.float32), [])
    with pytest.raises(NoFaceError, match="extract some first"):
        plan(store, ClusterOptions(), {})


@pytest.mark.parametrize("name", ["", "a/b", "..", ".x", "photos", " x", "c:"])
def test_names_that_are_none(people, face_set, name):
    identities, names = people({"anna": 4})
    store, _ = face_set(identities, names)
    with pytest.raises(UsageError):
        plan(store, ClusterOptions(), {name: identities[0]})


@pytest.mark.parametrize(
    "options", [{"people": 0}, {"likeness": 0.1}, {"likeness": 1.5}, {"min_faces": 0}]
)
def test_options_that_cannot_be_meant(options):
    with pytest.raises(UsageError):
        ClusterOptions(**options)


def test_a_folder_that_is_no_set(tmp_path):
    with pytest.raises(InputError, match="no set of faces"), transactions.hold_set(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_set_that_cannot_be_written(people, face_set, monkeypatch):
    store, _ = face_set(*people({"anna": 4}))
    monkeypatch.setattr("sosie.output.os.access", lambda *args, **kwargs: False)
    with (
        pytest.raises(OutputError, match="cannot be written to"),
        transactions.hold_set(store.folder),
    ):
        pass
    with transactions.hold_set(store.folder, change=False) as found:
        assert len(found) == 4


def test_two_runs_at_once(people, face_set):
    store, _ = face_set(*people({"anna": 4}))
    with transactions.hold_set(store.folder):
        with pytest.raises(OutputError, match="Another run"), transactions.hold_set(store.folder):
            pass
        with (
            pytest.raises(OutputError, match="Another"),
            transactions.hold_set(store.folder, False),
        ):
            pass
    with transactions.hold_set(store.folder):
        pass
