"""The classifier: fitted, tested on other photos, saved as plain arrays, and read again."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from sosie.app.cli.dataset_classify import lines
from sosie.datasets import classify
from sosie.datasets.classify import Classifier, Samples, fit
from sosie.datasets.samples import photos_in, samples_of_folders, samples_of_set
from sosie.errors import InputError, OutputError, UsageError

COUNTS = {"anna": 20, "ben": 10, "cleo": 5}


@pytest.fixture
def samples(people):
    identities, names = people(COUNTS, spread=0.7)
    return Samples(identities, names.tolist(), [f"photo {k}" for k in range(len(names))])


def test_people_are_told_apart(samples):
    classifier, trial = fit(samples, 0.2)
    assert classifier.names == trial.names == ("anna", "ben", "cleo")
    assert trial.confusion.sum(1).tolist() == [4, 2, 1]
    assert (trial.train, trial.test, trial.accuracy) == (28, 7, 1.0)
    guesses = classifier.guess(samples.identities)
    assert [guess.name for guess in guesses] == samples.names
    assert all(0.5 < guess.probability <= 1 for guess in guesses)


def test_a_stranger_is_nobody(samples, people):
    classifier, _ = fit(samples, 0)
    strangers, _ = people({"dan": 4}, spread=0.7, seed=9)
    assert [guess.name for guess in classifier.guess(strangers)] == [""] * 4


def test_the_test_is_of_other_groups(samples, monkeypatch):
    """What the classifier is fitted on shares no track with what it is tested on."""
    seen = {}
    real = classify._fitted

    def spy(identities, labels, names):
        seen["rows"] = identities
        return real(identities, labels, names)

    monkeypatch.setattr(classify, "_fitted", spy)
    groups = [f"{name} {k % 3}" for k, name in enumerate(samples.names)]
    _, trial = fit(Samples(samples.identities, samples.names, groups), 0.3)
    fitted = {row.tobytes() for row in seen["rows"]}
    inside = {
        g for g, row in zip(groups, samples.identities, strict=True) if row.tobytes() in fitted
    }
    outside = {
        g for g, r in zip(groups, samples.identities, strict=True) if r.tobytes() not in fitted
    }
    assert not inside & outside
    assert trial.train + trial.test == len(groups)
    assert {g.split()[0] for g in outside} == set(COUNTS)


def test_saved_and_read(samples, tmp_path):
    classifier, _ = fit(samples, 0.2)
    path = tmp_path / "mine.npz"
    classifier.save(path)
    with np.load(path, allow_pickle=False) as file:
        assert set(file) == {"names", "weights", "bias", "means", "encoder", "least"}
    again = Classifier.load(path)
    assert again.names == classifier.names
    assert again.guess(samples.identities) == classifier.guess(samples.identities)
    with pytest.raises(OutputError, match="exists already"):
        classifier.save(path)


def test_two_people(people):
    identities, names = people({"anna": 6, "ben": 6}, spread=0.7)
    classifier, _ = fit(Samples(identities, names.tolist(), list(map(str, range(12)))), 0.3)
    assert [guess.name for guess in classifier.guess(identities)] == names.tolist()


@pytest.mark.parametrize(
    "changes",
    [
        {"names": np.array([{"a": 1}, 2], object)},
        {"weights": np.zeros((3, 8), np.float32)},
        {"bias": np.full(3, np.nan, np.float32)},
        {"encoder": "0" * 64},
    ],
)
def test_files_that_are_no_classifier(samples, tmp_path, changes):
    classifier, _ = fit(samples, 0)
    fields = ("names", "weights", "bias", "means", "encoder")
    arrays = {name: np.asarray(getattr(classifier, name)) for name in fields}
    np.savez(tmp_path / "bad.npz", **{**arrays, **changes})
    with pytest.raises(InputError, match="fit"):
        Classifier.load(tmp_path / "bad.npz")


def test_other_files(tmp_path):
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(InputError, match="no classifier"):
        Classifier.load(tmp_path / "text.npz")
    with pytest.raises(InputError, match="does not exist"):
        Classifier.load(tmp_path / "none.npz")


def test_too_few(samples):
    one = Samples(samples.identities[:2], ["anna"] * 2, ["a", "b"])
    with pytest.raises(InputError, match="two people or more"):
        fit(one, 0.2)
    alone = Samples(samples.identities[:3], ["anna", "anna", "ben"], ["a", "a", "c"])
    with pytest.raises(InputError, match=r"Everybody has faces of one photo.*--test 0"):
        fit(alone, 0.2)
    fit(alone, 0)
    for share in (-0.1, 1):
        with pytest.raises(UsageError):
            fit(samples, share)


def test_who_has_one_photo_is_fitted_and_not_tested(samples):
    few = Samples(samples.identities[:3], ["anna", "anna", "ben"], ["a", "b", "c"])
    classifier, trial = fit(few, 0.2)
    assert classifier.names == ("anna", "ben")
    assert (trial.train, trial.test) == (2, 1)
    assert trial.confusion.sum(1).tolist() == [1, 0]
    assert "  ben: not tested, as all faces are of one photo or track" in lines(trial)


def test_of_a_set(people, face_set):
    identities, names = people({"anna": 4, "ben": 3})
    store, _ = face_set(
        identities, names, person=names.tolist(), rejected=["blurred"] + [""] * 6,
        track=[-1, -1, -1, 5, 5, 5, -1], input_sha256="f" * 64,
    )  # fmt: skip
    found = samples_of_set(store)
    assert found.names == names.tolist()[1:]
    np.testing.assert_array_equal(found.identities, identities[1:])
    assert len(set(found.groups)) == 4


def test_of_folders(tmp_path, astronaut_path, hopper_path):
    from sosie.analysis.analyzer import create_analyzer

    for name, photo in (("eileen", astronaut_path), ("grace", hopper_path)):
        (tmp_path / name / "deeper").mkdir(parents=True)
        shutil.copy(photo, tmp_path / name / "deeper")
    (tmp_path / "grace/broken.jpg").write_bytes(b"no")
    (tmp_path / "grace/.hidden.jpg").write_bytes(b"no")
    (tmp_path / "grace/notes.txt").write_text("notes")
    found, notes = samples_of_folders(tmp_path, create_analyzer(1))
    assert found.names == ["eileen", "grace"]
    assert len(set(found.groups)) == 2
    assert len(notes) == 1
    assert "broken.jpg" in notes[0]
    assert len(photos_in(tmp_path)) == 3
    with pytest.raises(InputError, match="no folder"):
        samples_of_folders(tmp_path / "none", create_analyzer(1))
    with pytest.raises(InputError, match="holds no folders"):
        samples_of_folders(tmp_path / "eileen/deeper", create_analyzer(1))
