"""Scoring: alone or together, anew or from the cache, always the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sosie.analysis.analyzer import Analyzer, create_analyzer
from sosie.evaluation import metrics
from sosie.evaluation.cache import Cache
from sosie.evaluation.metric import Settings
from sosie.evaluation.recognition import open_judges
from sosie.evaluation.score import Material, Score, Scorer, Shot

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return create_analyzer(1)


@pytest.fixture(scope="module")
def ann(astronaut) -> Picture:
    return np.ascontiguousarray(cv2.resize(astronaut[:288, 80:368], (192, 192)))


@pytest.fixture(scope="module")
def grace(hopper) -> Picture:
    return np.ascontiguousarray(cv2.resize(hopper[40:400, 80:440], (192, 192)))


@pytest.fixture(scope="module")
def blank() -> Picture:
    return np.full((192, 192, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def materials(ann, grace, blank) -> list[Material]:
    ann_shot, grace_shot = Shot("ann", ann), Shot("grace", grace)
    soft = Shot("soft", cv2.GaussianBlur(grace, (0, 0), 2))
    return [
        Material("same", ann_shot, grace_shot, replace(grace_shot, name="result")),
        Material("soft", ann_shot, grace_shot, soft, other=Shot("other", ann[:, ::-1].copy())),
        Material("blank", ann_shot, grace_shot, Shot("blank", blank)),
        Material("none", ann_shot, grace_shot, None),
        Material("wider", ann_shot, grace_shot, Shot("wider", grace[:, 20:].copy())),
    ]


@pytest.fixture(scope="module")
def scores(analyzer, materials) -> list[Score]:
    return Scorer(analyzer, Settings(threads=2)).score(materials)


def alike(one: Score, other: Score) -> bool:
    return (
        one.scored == other.scored
        and (one.no_face, one.boxes) == (other.no_face, other.boxes)
        and replace(one.features, vectors={}) == replace(other.features, vectors={})
        and one.features.vectors.keys() == other.features.vectors.keys()
        and all(
            np.allclose(vector, other.features.vectors[name], atol=1e-5)
            for name, vector in one.features.vectors.items()
        )
    )


def test_a_result_that_is_the_target(scores):
    told = scores[0].scored.figures
    assert told["identity_target"] == pytest.approx(1, abs=1e-5)
    assert told["identity_source"] < 0.5
    assert (told["pose_error"], told["expression_error"], told["l1_target"]) == (0, 0, 0)
    assert scores[0].boxes["target"] == scores[0].boxes["result"]
    assert scores[0].no_face == ()


def test_a_blur_is_seen_and_a_second_photo_tells_the_limit(scores):
    assert scores[1].scored.figures["sharpness"] < scores[0].scored.figures["sharpness"] - 0.2
    assert scores[1].scored.figures["identity_limit"] > 0.5
    assert scores[0].scored.figures["identity_limit"] is None
    assert "no second photo" in scores[0].scored.reasons["identity_limit"]


def test_a_result_without_a_face_is_told(scores):
    assert scores[2].no_face == ("result",)
    assert set(scores[2].boxes) == {"source", "target"}
    told = scores[2].scored
    assert (told.figures["identity_source"], told.figures["pose_error"]) == (None, None)
    assert "No face was found in blank" in told.reasons["identity_source"]


def test_without_a_result_only_source_and_target_are_described(scores):
    assert scores[3].scored.figures == {}
    kept = scores[3].features.vectors
    assert {name.partition(".")[0] for name in kept} == {"source", "target"}


def test_of_another_size_what_can_be_told_is(scores):
    told = scores[4].scored
    assert told.figures["identity_target"] > 0.9
    assert told.figures["l1_target"] is None
    assert "192 x 192 px and the result of 172 x 192" in told.reasons["l1_target"]


def test_every_figure_without_a_value_has_a_reason(scores):
    for score in scores:
        missing = {name for name, value in score.scored.figures.items() if value is None}
        assert missing == set(score.scored.reasons)
        assert all(reason.endswith(".") for reason in score.scored.reasons.values())
        assert set(scores[0].scored.figures) == set(score.scored.figures) or score is scores[3]


def test_scoring_alone_and_together_is_the_same(analyzer, materials, scores):
    scorer = Scorer(analyzer, Settings(threads=1))
    for material, score in zip(materials[:3], scores, strict=False):
        assert alike(scorer.score([material])[0], score)


class Refusing:
    """An analyzer that must not be needed."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        raise AssertionError(f"{name} was asked for")


def test_what_was_scored_is_not_analyzed_again(analyzer, materials, scores, tmp_path):
    settings = Settings(threads=1)
    first = Scorer(analyzer, settings, cache=Cache(tmp_path)).score(materials)
    again = Scorer(Refusing(), settings, cache=Cache(tmp_path)).score(materials)
    assert all(map(alike, first, again))
    assert all(map(alike, first, scores))


@pytest.mark.parametrize(
    "change",
    [
        lambda one: replace(one, result=Shot("result", one.result.pixels[:, ::-1].copy())),
        lambda one: replace(one, source=replace(one.source, name="another")),
        lambda one: replace(one, source_person="ann"),
        lambda one: replace(one, pair="another"),
    ],
    ids=["pixels", "name", "person", "pair"],
)
def test_another_input_is_scored_anew(analyzer, materials, tmp_path, change):
    one = materials[0]
    Scorer(analyzer, Settings(threads=1), cache=Cache(tmp_path)).score([one])
    kept = Scorer(Refusing(), Settings(threads=1), cache=Cache(tmp_path))
    changed = change(one)
    assert kept._kept(one, kept._key(one)) is not None
    assert kept._kept(changed, kept._key(changed)) is None
    other = Scorer(analyzer, Settings(threads=1, perceptual="alex"), cache=Cache(tmp_path))
    assert other._kept(one, other._key(one)) is None


def test_the_face_that_was_changed_is_judged(analyzer, ann, grace):
    """Of two faces of a target the smaller one was swapped."""
    target = np.concatenate([ann, grace], 1)
    result = target.copy()
    result[:, :192] = cv2.GaussianBlur(ann, (0, 0), 2)
    scorer = Scorer(analyzer, Settings(threads=1))
    material = Material("two", Shot("ann", ann), Shot("both", target), Shot("swapped", result))
    (score,) = scorer.score([material])
    assert score.boxes["target"][2] < 192
    assert score.boxes["result"][2] < 192
    untouched = replace(material, result=Shot("copy", target.copy()))
    assert scorer.score([untouched])[0].boxes["target"][0] > 192


def test_known_faces_are_taken_as_they_are(analyzer, materials, scores):
    one = materials[1]
    (face,) = analyzer.analyze(one.target.pixels)
    moved = replace(face, box=face.box + 1)
    known = replace(one, target=replace(one.target, face=moved))
    (score,) = Scorer(analyzer, Settings(threads=1)).score([known])
    assert score.boxes["target"] == tuple(round(float(edge), 1) for edge in moved.box)
    assert score.boxes["source"] == scores[1].boxes["source"]


def test_no_pairs_no_scores(analyzer):
    assert Scorer(analyzer, Settings()).score([]) == []
    assert open_judges([]).record() == {"recognisers": []}


def test_a_metric_of_another_version_is_measured_anew_on_the_same_faces(
    analyzer, materials, tmp_path, monkeypatch
):
    one, settings = materials[:1], Settings(threads=1)
    first = Scorer(analyzer, settings, cache=Cache(tmp_path)).score(one)[0]
    other = replace(
        metrics.load_metric("pose"), measure=lambda *_: {"pose_error": 7.0, "pose_euler": 7.0}
    )
    monkeypatch.setitem(metrics.load_metrics(), "pose", other)
    # Nothing is looked at again: there is no analyzer.
    assert Scorer(None, settings, cache=Cache(tmp_path)).score(one)[0].scored == first.scored
    monkeypatch.setitem(metrics.load_metrics(), "pose", replace(other, version=2))
    again = Scorer(None, settings, cache=Cache(tmp_path)).score(one)[0]
    assert again.scored.figures == {**first.scored.figures, "pose_error": 7.0, "pose_euler": 7.0}
