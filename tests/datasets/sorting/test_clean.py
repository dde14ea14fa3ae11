"""Cleaning: what is put aside, what is only shown, and that nothing is deleted."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.datasets import clean
from sosie.datasets.clean import CleanOptions, apply, doubles, inspect, own_similarity
from sosie.datasets.store import FaceStore
from sosie.errors import NoFaceError, UsageError


@pytest.fixture
def mixed(people, face_set):
    """Two people; in anna's folder one face is a stranger's."""
    identities, names = people({"anna": 10, "ben": 6, "eve": 1}, spread=0.5)
    stranger = int(np.flatnonzero(names == "eve")[0])
    owners = np.where(names == "eve", "anna", names)
    store, _ = face_set(identities, owners, person=owners.tolist())
    table = store.read(("id", "person"))
    files = {
        face: f"faces/{person}/{face}-{face}.png"
        for face, person in zip(table["id"], table["person"], strict=True)
    }
    store.move(dict(zip(table["id"], store.read(("file",))["file"], strict=True)), files)
    return store, table["id"][stranger]


def test_an_outlier_is_put_aside(mixed, whereabouts):
    store, stranger = mixed
    before = whereabouts(store.folder)
    found = inspect(store, CleanOptions())
    assert [(f.id, f.person, f.reason) for f in found.findings] == [(stranger, "anna", "outlier")]
    assert found.findings[0].figure < 0.3
    apply(store, found)
    after = whereabouts(store.folder)
    assert after.keys() == before.keys()
    assert after[stranger] == f"rejected/outlier/anna/{stranger}-{stranger}.png"
    assert {face for face in after if after[face] != before[face]} == {stranger}
    again = inspect(FaceStore.open(store.folder), CleanOptions())
    assert again.findings == ()


def test_looking_changes_nothing(mixed, whereabouts):
    store, _ = mixed
    before = whereabouts(store.folder), (store.folder / "faces.parquet").read_bytes()
    inspect(store, CleanOptions())
    assert (whereabouts(store.folder), (store.folder / "faces.parquet").read_bytes()) == before


def test_of_doubles_the_largest_is_kept(people, face_set):
    """Two videos show the same picture; a third face has the same hash and another identity."""
    identities, names = people({"anna": 6, "ben": 1}, spread=0.6)
    names = ["anna"] * 7
    identities[1] = identities[0]
    hashes = [int(h) for h in np.random.default_rng(1).integers(0, 2**63, 7)]
    hashes[1] = hashes[0] ^ 0b11
    hashes[2] = hashes[0]
    store, _ = face_set(
        identities,
        names,
        person=names,
        phash=hashes,
        face_px=[100.0, 120.0] + [90.0] * 5,
        expression=np.zeros(52, np.float32),
    )
    found = inspect(store, CleanOptions(outliers=False))
    (finding,) = found.findings
    table = store.read(("id", "file"))
    assert (finding.id, finding.twin) == (table["id"][0], table["file"][1])
    assert finding.figure == 2
    assert inspect(store, CleanOptions(outliers=False, bits=1)).findings == ()
    assert inspect(store, CleanOptions(outliers=False, duplicates=False)).findings == ()


def test_two_people_in_one_folder_are_shown_and_stay(people, face_set, whereabouts):
    identities, names = people({"anna": 12, "ben": 6}, spread=0.5)
    store, truth = face_set(identities, names, person="anna")
    found = inspect(store, CleanOptions(similarity=-1))
    (review,) = found.reviews
    faces = {file.rpartition("-")[2].removesuffix(".png") for file in review.files}
    assert {truth[face] for face in faces} == {"ben"}
    assert len(faces) == 6
    before = whereabouts(store.folder)
    apply(store, found)
    assert whereabouts(store.folder) == before


def test_frames_of_one_track_vouch_for_nobody():
    """A stranger's long track is as much an outlier as one frame of it."""
    one, other = np.eye(2, dtype=np.float32)
    identities = np.stack([one] * 4 + [other] * 20)
    alike = own_similarity(identities, np.array([0, 1, 2, 3] + [4] * 20))
    np.testing.assert_allclose(alike, [0.75] * 4 + [0] * 20)
    assert np.isnan(own_similarity(identities[:3], np.zeros(3, np.intp))).all()


@pytest.mark.parametrize("block", [1, 3, 2048])
def test_doubles_in_blocks(monkeypatch, block):
    monkeypatch.setattr(clean, "_BLOCK", block)
    hashes = np.array([0, 2**64 - 1, 0b1, 2**63, 2**64 - 2], np.uint64)
    table = {
        "phash": hashes,
        "identity": np.ones((5, 1), np.float32),
        "expression": np.zeros((5, 52), np.float32),
        "yaw": np.zeros(5),
        "pitch": np.zeros(5),
        "input_sha256": np.array(["a", "a", "b", "c", "d"]),
        "track": np.array([-1, -1, 0, 0, 0]),
    }
    assert sorted(doubles(table, 2)) == [(0, 2, 1), (0, 3, 1), (1, 4, 1), (2, 3, 2)]
    smiling = table["expression"].copy()
    smiling[0, 44] = 0.9
    for change in (
        {"identity": np.eye(5, dtype=np.float32)},
        {"expression": np.eye(5, 52, dtype=np.float32)},
        {"yaw": np.arange(5) * 10.0},
        {"input_sha256": np.array(["a"] * 5), "track": np.zeros(5, int)},
    ):
        assert doubles({**table, **change}, 2) == []
    assert sorted(doubles({**table, "expression": smiling}, 2)) == [(1, 4, 1), (2, 3, 2)]


def test_nobody_is_sorted(people, face_set):
    store, _ = face_set(*people({"anna": 3}))
    with pytest.raises(NoFaceError, match="dataset cluster"):
        inspect(store, CleanOptions())


@pytest.mark.parametrize("options", [{"similarity": 1.2}, {"bits": -1}, {"bits": 17}])
def test_options_that_cannot_be_meant(options):
    with pytest.raises(UsageError):
        CleanOptions(**options)
