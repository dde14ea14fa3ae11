"""`sosie eval analysis`: the table of what was measured."""

from __future__ import annotations

import math
import sys
from importlib.util import find_spec

import pytest

from sosie.app.cli import evaluate
from sosie.errors import InputError
from sosie.recipes.evaluate import TABLE
from sosie.recipes.evaluate_table import Row

ROWS = {
    "detector": [
        Row("detector", "recall of faces", 98.53, 99.0, 98.0, ">=", "%"),
        Row("detector", "false boxes", 3.0, None, 1.0, "<=", ""),
    ],
    "landmarks": [Row("landmarks", "jitter", 0.123456, 0.2, None, "<=", "px")],
    "identity": [Row("identity", "accuracy", math.nan, 98.7, 98.0, ">=", "%")],
    "parser": [],
    "video": [],
    "cost": [Row("all", "size", 12.0, None, 20.0, "<=", "MB")],
}


@pytest.fixture
def asked(monkeypatch) -> list:
    """Measurements that take no time; what they were asked for."""
    asked = []

    def measure(name, materials, limit):
        asked.append((name, materials, limit))
        return ROWS[name]

    monkeypatch.setattr(evaluate, "measure", measure)
    return asked


@pytest.fixture
def folders(tmp_path) -> tuple[object, ...]:
    for name in ("data", "teachers"):
        (tmp_path / name).mkdir()
    return ("--data", tmp_path / "data", "--teachers", tmp_path / "teachers")


def lines(result) -> list[list[str]]:
    """The cells of the table."""
    rows = [line for line in result.out.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_the_table_says_what_reaches_its_bound(sosie, folders, asked):
    result = sosie("eval", "analysis", *folders)
    assert (result.code, result.err) == (0, "")
    heading, rule, *rows = lines(result)
    assert heading == ["model", "figure", "Sosie", "teacher", "bound", ""]
    assert set("".join(rule)) == {"-"}
    assert rows == [
        ["detector", "recall of faces", "98.53 %", "99 %", ">= 98 %", "hit"],
        ["detector", "false boxes", "3", "", "<= 1", "miss"],
        ["landmarks", "jitter", "0.1235 px", "0.2 px", "", ""],
        ["identity", "accuracy", "nan %", "98.7 %", ">= 98 %", "miss"],
        ["all", "size", "12 MB", "", "<= 20 MB", "hit"],
    ]
    assert result.out.endswith("2 of 4 bounds are reached.\n")
    assert len({len(line) for line in result.out.splitlines() if line.startswith("|")}) == 1
    assert [name for name, _, _ in asked] == list(TABLE)


def test_its_json_has_every_row_and_says_on_what_machine(sosie, folders, asked):
    report = sosie("eval", "analysis", *folders, "--json", "--limit", 50).json
    assert report["limit"] == 50
    assert report["machine"]["threads"] >= 1
    assert [row["hit"] for row in report["rows"]] == [True, False, None, False, True]
    assert report["rows"][0] == {
        "model": "detector",
        "figure": "recall of faces",
        "value": 98.53,
        "teacher": 99.0,
        "bound": 98.0,
        "direction": ">=",
        "unit": "%",
        "hit": True,
    }
    assert report["rows"][3]["value"] is None


def test_some_can_be_measured_alone(sosie, folders, asked, tmp_path):
    cache = tmp_path / "cache"
    arguments = ("--only", "cost", "--only", "detector", "--limit", 7, "--cache", cache)
    assert sosie("eval", "analysis", *folders, *arguments, "--workers", 3).code == 0
    assert [(name, limit) for name, _, limit in asked] == [("detector", 7), ("cost", 7)]
    materials = asked[0][1]
    assert (materials.data, materials.teachers) == (folders[1], folders[3])
    assert (materials.cache, materials.workers) == (cache, 3)


def test_the_cache_is_the_users(sosie, folders, asked, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    sosie("eval", "analysis", *folders, "--only", "cost")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    sosie("eval", "analysis", *folders, "--only", "cost")
    home = tmp_path / "home" / ".cache" / "sosie"
    assert [materials.cache for _, materials, _ in asked] == [tmp_path / "sosie", home]


def test_wrong_usage(refused, folders, asked):
    assert "did you mean 'detector'?" in refused(
        2, "eval", "analysis", *folders, "--only", "detctor"
    )
    gone = ("--data", "gone", *folders[2:])
    assert "no folder gone: name another with --data" in refused(1, "eval", "analysis", *gone)
    assert asked == []


def test_a_measurement_that_lacks_something_is_one_sentence(refused, folders, monkeypatch):
    def fail(*_):
        raise InputError("The teacher is not there: give its folder with --teachers.")

    monkeypatch.setattr(evaluate, "measure", fail)
    assert "The teacher is not there" in refused(1, "eval", "analysis", *folders)


def test_without_the_extra_its_packages_are_named(refused, folders, monkeypatch):
    def fail(*_):
        import torch  # noqa: F401

    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(evaluate, "measure", fail)
    message = refused(1, "eval", "analysis", *folders)
    assert message.endswith("run `pip install '.[train]'` in the folder of Sosie's source.")


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_measurement_is_there(name):
    assert find_spec(TABLE[name]) is not None
