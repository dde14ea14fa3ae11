"""The identity rows of the table: a protocol whose outcome is known on made numbers."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)

from sosie.errors import UsageError
from sosie.recipes.identity import evaluate
from sosie.recipes.identity.answers import Answers
from sosie.recipes.identity.measures import verification
from sosie.training.recipe import Materials

PEOPLE, PICTURES = 60, 3


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def made(noise: float, people: int = PEOPLE, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of people (a direction each, with noise in each picture), and whom they show."""
    rng = np.random.default_rng(seed)
    own = np.repeat(unit(rng.standard_normal((people, 64))), PICTURES, 0)
    numbers = unit(own + noise * unit(rng.standard_normal(own.shape)))
    return numbers, np.repeat([f"lfw/person_{n}" for n in range(people)], PICTURES)


def test_numbers_without_noise_are_always_right():
    found = verification(*made(0.05))
    assert found.accuracy == 1
    assert found.true_accepts == 1
    assert found.pairs == 4 * PEOPLE


def test_numbers_that_know_nothing_are_right_half_of_the_time():
    numbers, people = made(0.0)
    shuffled = np.random.default_rng(1).permutation(numbers)
    found = verification(shuffled, people)
    assert 0.4 < found.accuracy < 0.6
    assert found.true_accepts < 0.1
    assert abs(found.distance) < 1


def test_noise_costs_accuracy_and_more_so_at_few_false_accepts():
    clear, vague = (verification(*made(noise)) for noise in (0.5, 2.0))
    assert clear.accuracy > vague.accuracy > 0.6
    assert clear.distance > vague.distance
    assert vague.true_accepts < vague.accuracy


def test_swapped_labels_cost_what_they_must():
    """A tenth of the people have one wrong picture of three: of their two pairs, drawn of three,
    4/3 are wrong on average."""
    numbers, people = made(0.05)
    wrong = np.arange(0, len(people), 10 * PICTURES)
    numbers[wrong] = unit(np.random.default_rng(2).standard_normal((len(wrong), 64)))
    found = verification(numbers, people)
    assert found.true_accepts == pytest.approx(1 - 0.1 * 2 / 3, abs=0.02)
    assert found.accuracy == pytest.approx(1 - 0.05 * 2 / 3, abs=0.02)


def test_people_count_alike_however_many_pictures_they_have():
    numbers, people = made(0.05)
    rng = np.random.default_rng(3)
    # A person whose 300 pictures have nothing in common adds two of 122 pairs.
    crowd = unit(rng.standard_normal((300, 64)))
    found = verification(
        np.concatenate([numbers, crowd]), np.append(people, ["lfw/crowd"] * len(crowd))
    )
    assert found.true_accepts > 0.97


def test_few_people_make_fewer_folds_and_too_few_none():
    numbers, people = made(0.05, people=4)
    assert verification(numbers, people).accuracy == 1
    with pytest.raises(ValueError, match="3 people"):
        verification(numbers[: 3 * PICTURES], people[: 3 * PICTURES])


@pytest.fixture
def known(monkeypatch, face_set):
    """`measure` on 600 made people: the network perfect, the first teacher vague."""
    names = [f"{group}/person_{n}" for n in range(600) for group in ("lfw", "celeba")]
    people = np.repeat(names, 2)
    crops = np.zeros((len(people), 1, 1, 3), np.uint8)
    faces = face_set(crops, np.zeros((len(people), 1, 3), np.float32), people=people)
    rng = np.random.default_rng(0)
    clear = np.repeat(unit(rng.standard_normal((len(names), 512))), 2, 0)
    vague = unit(np.repeat(rng.standard_normal((len(names), 256)), 2, 0) / 16
                 + 1.8 * unit(rng.standard_normal((len(people), 256))))  # fmt: skip

    class Teachers:
        def __init__(self, *_):
            pass

        def joined(self, first, second):
            return first

    answers = Answers(np.stack([vague] * 2, 1), np.stack([vague[:, :128]] * 2, 1))
    monkeypatch.setattr(evaluate, "read_embedded", lambda name: b"")
    monkeypatch.setattr(evaluate, "create_session", lambda content, threads: None)
    monkeypatch.setattr(evaluate, "open_faces", lambda materials: faces)
    monkeypatch.setattr(evaluate, "open_answers", lambda materials, faces: answers)
    monkeypatch.setattr(evaluate, "IdentityTeachers", Teachers)
    monkeypatch.setattr(evaluate, "embeddings", lambda embedder, faces, rows: clear[rows])
    return faces


def test_rows_are_of_the_test_people_beside_the_teachers(known, tmp_path):
    materials = Materials(tmp_path, tmp_path, tmp_path, 1)
    rows = evaluate.measure(materials, None)
    assert [row.model for row in rows] == ["identity"] * 8
    accuracy = next(
        row for row in rows if row.figure.startswith("verification, 10-fold, people of L")
    )
    assert accuracy.value == 100
    assert accuracy.teacher is not None
    assert 50 < accuracy.teacher < 99
    assert accuracy.bound == 98.0
    assert accuracy.hit
    count = len(set(known.people[known.test & (known.groups == "lfw")]))
    assert f"{2 * count} pairs" in accuracy.figure
    # What is not asked of the models has no bound.
    assert {row.bound for row in rows if "CelebA" in row.figure} == {None}


def test_a_trial_keeps_people_with_several_pictures(known):
    rows = evaluate.people_first(known, "lfw", 40)
    assert len(rows) == 40
    assert known.test[rows].all()
    _, counts = np.unique(known.people[rows], return_counts=True)
    assert counts.tolist() == [2] * 20


def test_a_limit_too_small_says_so(known, tmp_path):
    with pytest.raises(UsageError, match="4 pictures leave too few people"):
        evaluate.measure(Materials(tmp_path, tmp_path, tmp_path, 1), 4)
