"""Runs over lists of pairs: what is kept, what goes on, what is said of bad input."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sosie.errors import InputError, InterruptedSwapError, OutputError, UsageError
from sosie.evaluation import generators, runner
from sosie.evaluation.configuration import Plan, swap_options
from sosie.evaluation.metric import Settings
from sosie.evaluation.results import Line, RunFolder, read_config, read_lines
from sosie.evaluation.runner import run_method, score_results
from sosie.options import SwapOptions

OPTIONS = SwapOptions(threads=1)


def save(path: Path, pixels: np.ndarray) -> Path:
    cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1]))
    return path


@pytest.fixture(scope="module")
def data(astronaut, hopper, tmp_path_factory) -> Path:
    """Two people in small pictures, one picture of nobody, and one that is none."""
    folder = tmp_path_factory.mktemp("data")
    ann = cv2.resize(astronaut[:288, 80:368], (160, 160), interpolation=cv2.INTER_AREA)
    grace = cv2.resize(hopper[40:400, 80:440], (160, 160), interpolation=cv2.INTER_AREA)
    save(folder / "ann.png", ann)
    save(folder / "ann2.png", ann[:, ::-1])
    save(folder / "grace.png", grace)
    save(folder / "grace2.png", np.clip(grace.astype(int) + 20, 0, 255).astype(np.uint8))
    save(folder / "nobody.png", np.full((160, 160, 3), 120, np.uint8))
    (folder / "text.png").write_text("no picture")
    return folder


PAIRS = [
    {"id": "a", "source": "ann.png", "target": "grace.png", "other_source": "ann2.png"},
    {"id": "b", "source": "grace.png", "target": "ann.png"},
    {"id": "c", "source": ["ann2.png"], "target": "grace2.png"},
    {"id": "d", "source": "grace2.png", "target": "ann2.png"},
]


@pytest.fixture
def plan(data, tmp_path) -> Plan:
    return plan_of(tmp_path, data, PAIRS)


def plan_of(folder: Path, data: Path, pairs: list[Any], **keys: Any) -> Plan:
    file = folder / "pairs.json"
    entries = {"format": 1, "root": os.path.relpath(data, folder), "pairs": pairs, **keys}
    file.write_text(json.dumps(entries))
    return Plan(file, folder / "run", "run", settings=Settings(threads=1), threads=1, cost=False)


def without_cost(lines: Any) -> list[Line]:
    return [replace(line, cost={}) for line in lines]


def test_a_run_leaves_all_of_it_in_its_folder(plan):
    summary = run_method(plan, "target", OPTIONS)
    assert [line.pair for line in summary.lines] == ["a", "b", "c", "d"]
    assert summary.failed == []
    assert read_lines(plan.folder) == list(summary.lines)
    whole = json.loads((plan.folder / "set.json").read_text())
    assert whole == {"figures": summary.whole.figures, "reasons": summary.whole.reasons}
    config = read_config(plan.folder)
    assert (config["method"], config["pairs"]["count"]) == ("target", 4)
    assert {"weights", "versions", "machine", "made"} <= set(config)
    for line, pair in zip(summary.lines, PAIRS, strict=True):
        result = cv2.imread(str(plan.folder / line.result))
        assert np.array_equal(result, cv2.imread(line.target))
        assert line.result == f"results/{pair['id']}.png"
        assert line.figures["identity_target"] == pytest.approx(1, abs=1e-5)
        assert line.cost["score_ms"] > 0
        assert set(line.boxes) >= {"source", "target", "result"}
    assert summary.lines[0].figures["identity_limit"] > 0.5


def test_the_bounds_are_where_they_must_be(plan):
    means = {}
    for method in ("target", "source", "paste", "mesh"):
        one = replace(plan, folder=plan.folder / method, limit=2)
        lines = run_method(one, method, OPTIONS).lines
        names = ["identity_source", "pose_error"]
        names += ["seam_colour"] if method in ("paste", "mesh") else []
        means[method] = {name: np.mean([line.figures[name] for line in lines]) for name in names}
    source = {method: mean["identity_source"] for method, mean in means.items()}
    assert source["source"] > 0.98
    assert min(source["paste"], source["mesh"]) > source["target"] + 0.1
    assert means["target"]["pose_error"] == 0
    assert means["paste"]["seam_colour"] > means["mesh"]["seam_colour"]
    costs = json.loads((plan.folder / "mesh" / "set.json").read_text())
    assert costs["figures"]["cost_face_ms"] > 1
    assert costs["reasons"]["cost_gflops"] == "The run was told not to measure this."


class Stop:
    """Stops a run after so many groups, as Ctrl-C does."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, progress: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("torn", [False, True])
def test_a_run_that_was_stopped_goes_on_where_it_was(plan, monkeypatch, torn):
    whole = run_method(replace(plan, folder=plan.folder.parent / "whole"), "paste", OPTIONS)
    monkeypatch.setattr(runner, "_TOGETHER", 1)
    with pytest.raises(InterruptedSwapError, match="after 2 of 4 pairs; run the same again"):
        run_method(plan, "paste", OPTIONS, Stop(after=2))
    file = plan.folder / "results.jsonl"
    if torn:
        text = file.read_text()
        file.write_text(text[: len(text) - 40])
    made = []
    make = generators.BoundMaker.make

    def count(maker, sources, target):
        made.append(target.name)
        return make(maker, sources, target)

    monkeypatch.setattr(generators.BoundMaker, "make", count)
    seen = []
    rest = run_method(plan, "paste", OPTIONS, seen.append)
    assert made == ["grace2.png", "ann2.png"]
    assert [progress.done for progress in seen] == ([2, 3, 4] if torn else [3, 4])
    assert without_cost(rest.lines) == without_cost(whole.lines)
    assert rest.whole == whole.whole
    assert read_lines(plan.folder) == list(rest.lines)
    monkeypatch.setattr(runner.Scorer, "score", None)
    assert run_method(plan, "paste", OPTIONS).lines == rest.lines


def test_results_are_kept_where_only_scoring_changes(plan, monkeypatch):
    first = run_method(plan, "paste", OPTIONS)
    monkeypatch.setattr(generators.BoundMaker, "make", None)
    changed = replace(plan, settings=Settings(threads=1, perceptual="alex"))
    again = run_method(changed, "paste", OPTIONS)
    assert again.failed == []
    for one, other in zip(first.lines, again.lines, strict=True):
        assert one.figures["identity_source"] == other.figures["identity_source"]
        assert one.cost["frame_ms"] == other.cost["frame_ms"]


def test_a_pair_that_failed_is_tried_again(plan, data):
    late = data / "late.png"
    plan = plan_of(plan.folder.parent, data, [*PAIRS[:1], {**PAIRS[1], "target": "late.png"}])
    first = run_method(plan, "target", OPTIONS)
    assert "late.png does not exist" in first.failed[0].error
    save(late, cv2.imread(str(data / "ann.png"))[..., ::-1])
    try:
        assert run_method(plan, "target", OPTIONS).failed == []
    finally:
        late.unlink()


def test_another_run_is_not_mixed_in(plan):
    run_method(plan, "target", OPTIONS)
    with pytest.raises(OutputError, match="other methods; give another --out or --name"):
        run_method(plan, "paste", OPTIONS)
    fewer = plan_of(plan.folder.parent, plan.pairs.parent, PAIRS[:2])
    with pytest.raises(OutputError, match="other pairs"):
        run_method(fewer, "target", OPTIONS)
    lines = run_method(replace(plan, overwrite=True), "paste", OPTIONS).lines
    assert {line.method for line in lines} == {"paste"}
    (plan.folder / "config.json").unlink()
    with pytest.raises(OutputError, match="is not empty and holds no run"):
        run_method(plan, "paste", OPTIONS)


def test_the_cache_serves_other_runs(plan, tmp_path, monkeypatch):
    plan = replace(plan, cache=tmp_path / "cache")
    first = run_method(plan, "target", OPTIONS)
    monkeypatch.setattr(runner.Scorer, "_measure", lambda self, materials: list(materials))
    again = run_method(replace(plan, folder=tmp_path / "again"), "target", OPTIONS)
    assert [line.figures for line in again.lines] == [line.figures for line in first.lines]


def test_every_bad_pair_is_listed_and_the_others_are_scored(plan, data, tmp_path):
    pairs = [
        *PAIRS,
        {**PAIRS[0], "id": "gone", "target": "gone.png"},
        {**PAIRS[0], "id": "text", "target": "text.png"},
        {**PAIRS[0], "id": "nobody", "target": "nobody.png"},
        {**PAIRS[0], "id": "faceless", "source": "nobody.png"},
        {**PAIRS[0], "id": "other", "other_source": "gone.png"},
        {**PAIRS[0], "id": "a"},
        {"id": "half", "source": "ann.png"},
    ]
    plan = plan_of(tmp_path, data, pairs)
    summary = run_method(plan, "paste", OPTIONS)
    errors = {line.pair: line.error for line in summary.failed}
    assert set(errors) == {"gone", "text", "nobody", "faceless", "a (entry 10)", "half (entry 11)"}
    assert "does not exist; check the list" in errors["gone"]
    assert "text.png" in errors["text"]
    assert "nobody.png: " in errors["nobody"]
    assert "nobody.png: " in errors["faceless"]
    assert "its id a is that of entry 1" in errors["a (entry 10)"]
    assert "it has no target" in errors["half (entry 11)"]
    assert all(error.endswith(".") for error in errors.values())
    by_id = {line.pair: line for line in summary.lines}
    assert by_id["nobody"].no_face == ("target",)
    assert by_id["other"].figures["identity_source"] == by_id["a"].figures["identity_source"]
    assert by_id["other"].figures["identity_limit"] is None
    assert "gone.png does not exist" in by_id["other"].reasons["identity_limit"]
    assert len(summary.lines) == len(pairs)
    assert read_lines(plan.folder) == list(summary.lines)


def results_of(folder: Path, data: Path) -> Path:
    """What another tool may have made: one good, one of another size, one without a face."""
    folder.mkdir()
    save(folder / "a.png", cv2.imread(str(data / "grace.png"))[..., ::-1])
    save(folder / "b.png", cv2.resize(cv2.imread(str(data / "ann.png")), (200, 200))[..., ::-1])
    save(folder / "c.jpg", cv2.imread(str(data / "nobody.png")))
    return folder


def test_results_of_another_tool(plan, data, tmp_path):
    results = results_of(tmp_path / "theirs", data)
    summary = score_results(plan, results)
    good, sized, faceless, missing = summary.lines
    assert good.figures["identity_target"] == pytest.approx(1, abs=1e-5)
    assert good.result == str((results / "a.png").resolve())
    assert sized.error is None
    assert sized.figures["identity_target"] > 0.8
    assert "160 x 160 px and the result of 200 x 200" in sized.reasons["l1_target"]
    assert (faceless.error, faceless.no_face) == (None, ("result",))
    assert faceless.figures["identity_source"] is None
    assert missing.error == "There is no result d.png (or .jpg, .webp ...) for the pair."
    assert missing.figures == {"retrieval_rank": None}
    assert missing.reasons == {"retrieval_rank": "There is no face to recognize."}
    assert summary.whole.reasons["cost_face_ms"] == "Another tool made the results."


def test_results_are_read_anew_each_time(plan, data, tmp_path):
    results = results_of(tmp_path / "theirs", data)
    before = score_results(plan, results).lines[0]
    save(results / "a.png", cv2.imread(str(data / "ann.png"))[..., ::-1])
    after = score_results(plan, results).lines[0]
    assert after.figures["identity_source"] > before.figures["identity_source"] + 0.3


def test_two_results_of_one_name_and_one_that_is_no_picture(plan, data, tmp_path):
    results = results_of(tmp_path / "theirs", data)
    (results / "a.jpg").write_bytes((results / "a.png").read_bytes())
    (results / "b.png").write_bytes(b"no picture")
    lines = score_results(plan, results).lines
    assert lines[0].error == "There are several results for the pair: a.jpg, a.png; keep one."
    assert "b.png" in lines[1].error
    assert lines[2].error is None


def test_results_by_the_names_of_their_pictures(plan, data, tmp_path):
    results = tmp_path / "theirs"
    results.mkdir()
    save(results / "grace_ann.png", cv2.imread(str(data / "grace.png"))[..., ::-1])
    lines = score_results(plan, results, "{target}_{source}").lines
    assert [line.error is None for line in lines] == [True, False, False, False]
    with pytest.raises(UsageError, match=r"use \{id\} in it"):
        score_results(plan, results, "all")
    with pytest.raises(UsageError, match="cannot be filled in"):
        score_results(plan, results, "{method}")
    with pytest.raises(InputError, match="There is no folder"):
        score_results(plan, tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no picture"):
        score_results(plan, tmp_path / "empty")


def test_a_picture_that_was_exchanged_is_noticed(data, tmp_path):
    plan = plan_of(tmp_path, data, PAIRS[:2], sha256={"grace2.png": "0", "ann.png": "0" * 64})
    errors = [line.error for line in run_method(plan, "target", OPTIONS).lines]
    assert all("is not the picture that the list of pairs was made with" in e for e in errors)


def test_a_fault_in_one_pair_of_a_group_is_its_own(plan, monkeypatch):
    measure = runner.Scorer._measure_one

    def fail(scorer, seen):
        if seen[0].pair == "b":
            raise ZeroDivisionError("by nothing")
        return measure(scorer, seen)

    monkeypatch.setattr(runner.Scorer, "_measure_one", fail)
    lines = run_method(plan, "target", OPTIONS).lines
    assert [line.error is None for line in lines] == [True, False, True, True]
    assert "Unexpected ZeroDivisionError (by nothing)" in lines[1].error


def test_a_limit_takes_the_first_pairs(plan):
    assert [line.pair for line in run_method(replace(plan, limit=2), "target", OPTIONS).lines] == [
        "a",
        "b",
    ]


def test_pairs_without_a_result_count_as_not_found(data, tmp_path):
    plan = plan_of(tmp_path, data, [{**PAIRS[0], "id": str(number)} for number in range(3)])
    results = tmp_path / "theirs"
    results.mkdir()
    save(results / "0.png", cv2.imread(str(data / "ann.png"))[..., ::-1])
    summary = score_results(plan, results)
    assert summary.lines[0].figures["retrieval_rank"] is not None
    assert [line.figures["retrieval_rank"] for line in summary.lines[1:]] == [None] * 2


def save_embedder(path: Path) -> Path:
    """A network that tells faces apart by their colors in a coarse grid."""
    pool = helper.make_node("AveragePool", ["x"], ["p"], kernel_shape=[14, 14], strides=[14, 14])
    graph = helper.make_graph(
        [pool, helper.make_node("Flatten", ["p"], ["y"])],
        "colors",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 3, 112, 112))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n", 192))],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=opset), path)
    return path


def test_a_network_of_the_users_measures_beside_ours(plan, tmp_path):
    network = save_embedder(tmp_path / "colors.onnx")
    run_method(replace(plan, limit=2), "target", OPTIONS)
    asked = replace(plan, limit=2, embedders=(f"{network}:range=-1..1",))
    lines = run_method(asked, "target", OPTIONS).lines
    for line in lines:
        assert line.figures["identity_target[colors]"] == pytest.approx(1, abs=1e-5)
        assert line.figures["identity_source[colors]"] < 0.999
        assert line.figures["retrieval_rank[colors]"] >= 1
    (kept,) = read_config(plan.folder)["score"]["recognisers"]
    assert kept["name"] == "colors"
    assert kept["range"] == "-1..1"
    assert len(kept["sha256"]) == 64


def test_options_of_a_swap_from_texts():
    chosen = swap_options({"shape": "0.5", "blend": "alpha"}, threads=2)
    assert (chosen.shape, chosen.blend, chosen.threads) == (0.5, "alpha", 2)
    for changes, words in (
        ({"shape": "much"}, "shape takes a number"),
        ({"shap": "1"}, "did you mean 'shape'"),
        ({"crf": "3"}, "cannot be set for a run over photos"),
        ({"blend": "x"}, "Unknown blend"),
    ):
        with pytest.raises(UsageError, match=words):
            swap_options(changes)


def test_an_unknown_method(plan):
    with pytest.raises(UsageError, match="did you mean 'paste'"):
        run_method(plan, "past", OPTIONS)
    assert not plan.folder.exists()


def test_lines_that_are_damaged_are_not_guessed(tmp_path):
    folder = RunFolder(tmp_path / "run")
    config = dict.fromkeys(("method", "swap", "score", "weights", "versions"), 1)
    config["pairs"] = {"sha256": "0"}
    folder.begin(config, overwrite=False)
    folder.add(
        Line(
            "a",
            "m",
            figures={"x": None},
            reasons={"x": "why"},
            boxes={"source": (1.0, 2.0, 3.0, 4.0)},
        )
    )
    file = tmp_path / "run" / "results.jsonl"
    (kept,) = read_lines(tmp_path / "run")
    assert kept.boxes == {"source": (1.0, 2.0, 3.0, 4.0)}
    file.write_text("{}\n" + file.read_text())
    with pytest.raises(InputError, match="Line 1 of"):
        read_lines(tmp_path / "run")
    with pytest.raises(ValueError, match="Out of range"):
        folder.add(Line("b", "m", figures={"x": float("nan")}))
