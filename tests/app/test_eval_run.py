"""`sosie eval pair`, `protocol`, `run` and `score`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from sosie.app.cli.arguments import spread_values
from sosie.app.cli.eval_run import read_changes
from sosie.errors import UsageError


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1]))
    return path


@pytest.fixture(scope="module")
def data(astronaut, hopper, tmp_path_factory) -> Path:
    """Two people in a folder each."""
    folder = tmp_path_factory.mktemp("eval") / "faces"
    ann = cv2.resize(astronaut[:288, 80:368], (160, 160), interpolation=cv2.INTER_AREA)
    grace = cv2.resize(hopper[40:400, 80:440], (160, 160), interpolation=cv2.INTER_AREA)
    for number, pixels in enumerate((ann, ann[:, ::-1])):
        save(folder / "ann" / f"{number}.png", pixels)
    for number, pixels in enumerate((grace, grace[:, ::-1])):
        save(folder / "grace" / f"{number}.png", pixels)
    return folder


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def pairs(sosie, data, tmp_path) -> Path:
    file = tmp_path / "pairs.json"
    assert sosie("eval", "protocol", "folder", data, "-o", file).code == 0
    return file


QUICK = ("--threads", 1, "--no-cost", "--no-report", "--no-cache")


def test_a_protocol_draws_a_list(sosie, data, tmp_path):
    file = tmp_path / "p.json"
    result = sosie("eval", "protocol", "folder", data, "-o", file, "--seed", 7, "--digests")
    assert result.code == 0
    assert result.out == f"{file}: 2 pairs of 1 people as sources and 1 others as targets\n"
    entries = json.loads(file.read_text())
    assert (entries["seed"], entries["name"], len(entries["sha256"])) == (7, "folder-2", 4)
    assert entries["root"] == Path(os.path.relpath(data, tmp_path)).as_posix()
    again = sosie("eval", "protocol", "folder", data, "-o", tmp_path / "q.json", "--seed", 7)
    assert again.code == 0
    assert json.loads((tmp_path / "q.json").read_text())["pairs"] == entries["pairs"]
    report = sosie("eval", "protocol", "ffhq", data, "-o", tmp_path / "r.json", "--json").json
    assert (report["pairs"], report["sources"], report["targets"]) == (2, 2, 2)


def test_a_list_that_cannot_be_drawn(refused, data, tmp_path):
    at = ("-o", tmp_path / "p.json")
    assert "did you mean 'folder'" in refused(2, "eval", "protocol", "folders", data, *at)
    assert "does not exist" in refused(1, "eval", "protocol", "folder", data / "gone", *at)
    assert "ask for fewer" in refused(2, "eval", "protocol", "folder", data, "--count", 99, *at)


def test_several_methods_make_a_folder_each(sosie, pairs, tmp_path):
    out = tmp_path / "runs"
    arguments = ("--pairs", pairs, "--method", "target", "source", "--out", out, *QUICK)
    result = sosie("eval", "run", *arguments)
    assert (result.code, result.err) == (0, "")
    assert "target: 2 of 2 pairs scored" in result.out
    assert "  Identity: similarity to the target: 1.00" in result.out
    assert {path.name for path in out.iterdir()} == {"source", "target"}
    again = sosie("eval", "run", *arguments, "--json").json
    assert again["exit_code"] == 0
    assert [run["name"] for run in again["runs"]] == ["target", "source"]
    assert again["runs"][0]["figures"]["identity_target"] == pytest.approx(1, abs=1e-5)
    assert again["runs"][1]["figures"]["identity_source"] > 0.9


def test_a_run_of_a_method_with_its_options_and_its_report(sosie, pairs, tmp_path):
    out = tmp_path / "runs"
    arguments = ("--pairs", pairs, "-m", "mesh", "--out", out, "--set", "shape=0", "--limit", 1)
    report = sosie("eval", "run", *arguments, "--name", "flat", "--threads", 1, "--json").json
    (run,) = report["runs"]
    assert run["folder"] == str(out / "flat")
    assert Path(run["report"]).is_file()
    assert run["figures"]["cost_gflops"] > 0
    config = json.loads((out / "flat" / "config.json").read_text())
    assert (config["name"], config["method"]) == ("flat", "mesh")
    assert config["swap"]["options"]["shape"] == 0


def test_each_method_has_options_of_its_own(sosie, refused, pairs, tmp_path):
    out = tmp_path / "runs"
    changes = ("--set", "mesh:shape=0.25", "--set", "shape=0.5", "--set", "texture=none")
    methods = ("-m", "mesh", "graft", "target")
    at = ("eval", "run", "--pairs", pairs, *methods, "--out", out, "--limit", 1, "--no-cost")
    sosie(*at, *changes, "--no-report", "--threads", 1)
    told = {
        name: json.loads((out / name / "config.json").read_text())["swap"]["options"]
        for name in ("mesh", "graft")
    }
    assert [told[name]["shape"] for name in ("mesh", "graft")] == [0.25, 0.5]
    assert {one["texture"] for one in told.values()} == {"none"}
    assert "ghost, which is not measured" in refused(2, *at, "--set", "ghost:weights=a")


def test_a_trained_methods_weights_can_be_named(refused, pairs, tmp_path):
    """They were refused, as if they were the default method's."""
    at = ("eval", "run", "--pairs", pairs, "-m", "ghost", "--out", tmp_path / "runs")
    assert "gone.safetensors" in refused(1, *at, "--set", "weights=gone.safetensors")


def test_the_report_cannot_be_missed_where_it_fails(refused, sosie, pairs, tmp_path):
    out = tmp_path / "runs"
    assert sosie("eval", "run", "--pairs", pairs, "-m", "target", "--out", out, *QUICK).code == 0
    message = refused(
        1, "eval", "run", "--pairs", pairs, "-m", "paste", "--name", "target", "--out", out, *QUICK
    )
    assert "holds a run with other methods" in message


def test_wrong_usage_of_run(refused, pairs, tmp_path):
    at = ("eval", "run", "--pairs", pairs, "--out", tmp_path / "runs")
    assert "did you mean 'mesh'" in refused(2, *at, "-m", "target", "mash")
    assert "--name is for one run" in refused(2, *at, "-m", "target", "mesh", "--name", "a")
    assert "is no name for a run's folder" in refused(2, *at, "-m", "target", "--name", "../a")
    assert "write OPTION=VALUE" in refused(2, *at, "-m", "mesh", "--set", "shape")
    assert "did you mean 'shape'" in refused(2, *at, "-m", "mesh", "--set", "shpe=1")
    gone = ("eval", "run", "--pairs", tmp_path / "gone.json", "-m", "target")
    assert "draw one with" in refused(1, *gone, "--out", tmp_path / "runs")
    assert "Missing option" in refused(2, "eval", "run", "-m", "target")


def test_scoring_the_results_of_another_tool(sosie, pairs, data, tmp_path):
    results = tmp_path / "theirs"
    entries = json.loads(pairs.read_text())["pairs"]
    target = cv2.imread(str(data / entries[0]["target"]))[..., ::-1]
    save(results / "0001.png", target)
    result = sosie(
        "eval", "score", "--pairs", pairs, "--results", results, "--out", tmp_path / "runs",
        "--no-report", "--no-cache", "--threads", 1,
    )  # fmt: skip
    assert result.code == 1
    assert "theirs: 1 of 2 pairs scored" in result.out
    assert "sosie: theirs, pair 0002: There is no result 0002.png" in result.err
    assert (tmp_path / "runs" / "theirs" / "results.jsonl").is_file()
    save(results / "0002.png", np.full_like(target, 99))
    again = sosie(
        "eval", "score", "--pairs", pairs, "--results", results, "--out", tmp_path / "runs",
        "--no-cache", "--threads", 1,
    )  # fmt: skip
    assert again.code == 0
    assert "no face in 1 of the results: 0002" in again.out
    assert (tmp_path / "runs" / "theirs" / "report.html").is_file()


def test_a_pair_is_told_with_its_meaning(sosie, data):
    source, target = data / "ann" / "0.png", data / "grace" / "0.png"
    result = sosie("eval", "pair", source, target, target, "--other", data / "ann" / "1.png")
    assert (result.code, result.err) == (0, "")
    words = " ".join(result.out.split())
    assert "what it means" in words
    assert "How much the result" in words
    assert "Not told: LPIPS" in words
    assert "Sharpness beside the target: 1.00 (nearer to 1 is better)" in words
    assert max(map(len, result.out.splitlines())) <= 80
    told = sosie("eval", "pair", source, target, target, "--json", "--threads", 1).json
    assert told["no_face"] == []
    one = told["figures"]["identity_target"]
    assert one["value"] == pytest.approx(1, abs=1e-5)
    assert (one["better"], one["reason"]) == ("lower", None)
    assert all(
        (figure["value"] is None) == (figure["reason"] is not None)
        for figure in told["figures"].values()
    )


def test_a_flat_folder_is_said_to_be_a_person_a_file(sosie, data, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, file in enumerate(sorted(data.rglob("*.png"))):
        (flat / f"{number}.png").write_bytes(file.read_bytes())
    at = ("-o", tmp_path / "flat.json")
    said = "4 pictures lie in no person's folder: each file is taken for a person of its own."
    assert said in sosie("eval", "protocol", "folder", flat, *at).out
    told = sosie("eval", "protocol", "folder", flat, *at, "--overwrite", "--json").json
    assert told["notes"] == [said]
    by_person = sosie("eval", "protocol", "folder", data, *at, "--overwrite", "--json").json
    assert by_person["notes"] == []


def test_a_pair_without_a_face_is_told_and_has_that_exit_code(sosie, data, tmp_path):
    blank = save(tmp_path / "blank.png", np.full((160, 160, 3), 99, np.uint8))
    source, target = data / "ann" / "0.png", data / "grace" / "0.png"
    result = sosie("eval", "pair", source, target, blank)
    assert result.code == 3
    assert "No face was found in the result." in result.out
    told = sosie("eval", "pair", source, target, blank, "--json")
    assert (told.code, told.json["no_face"]) == (3, ["result"])
    assert told.json["figures"]["identity_source"]["value"] is None


def test_a_pair_that_cannot_be_read(refused, data, tmp_path):
    source = data / "ann" / "0.png"
    (tmp_path / "text.png").write_text("no picture")
    assert "text.png" in refused(1, "eval", "pair", source, source, tmp_path / "text.png")
    assert "gone.png" in refused(1, "eval", "pair", source, tmp_path / "gone.png", source)
    at = ("eval", "pair", source, source, source, "--identity")
    assert "gone.onnx" in refused(1, *at, tmp_path / "gone.onnx")


def test_several_methods_after_one_flag():
    given = "eval run --pairs p.json --method mesh target -m=x paste --out runs"
    expected = (
        "eval run --pairs p.json --method mesh --method target -m=x --method paste --out runs"
    )
    assert spread_values(given.split()) == expected.split()
    other = ["eval", "score", "--names", "a", "b"]
    assert spread_values(other) == other


def test_options_are_read_as_they_are_written():
    assert read_changes(["shape=0.5", "mask-feather = 0.1"]) == {
        "shape": "0.5",
        "mask_feather": "0.1",
    }
    with pytest.raises(UsageError):
        read_changes(["=1"])
