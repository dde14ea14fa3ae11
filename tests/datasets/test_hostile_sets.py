"""Sets as others may have written them: by another program, and with ill intent."""

from __future__ import annotations

import json
import os
import random
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sosie.datasets.clean import CleanOptions, inspect
from sosie.datasets.face_rows import SCHEMA
from sosie.datasets.pack import pack, verify_set
from sosie.datasets.report import examine, write_report
from sosie.datasets.store import FaceStore
from sosie.datasets.transactions import hold_set, open_set
from sosie.errors import InputError, SosieError

OUT = (
    "../mine.png", "../../mine.png", "faces/../../mine.png", "/etc/mine.png", "C:/mine.png",
    "faces\\..\\..\\mine.png", "faces/a\0.png", "faces//mine.png", "faces/./mine.png", "mine.png",
    "faces.parquet", "set.json", "", "faces", "faces/" + "x" * 300 + ".png", "report/mine.png",
)  # fmt: skip
"""Places that are no picture's within a set."""


@pytest.fixture
def folder(make_set, row_of, tmp_path):
    """A sorted set, and files beside it that are no part of it."""
    rows = []
    for number in range(8):
        row = row_of(number, person="ann", matrix=np.array([[1.0, 0, 0], [0, 1, 0]]))
        rows.append(row_of(number, person="ann", matrix=row.matrix, file=f"faces/ann/{row.id}.png"))
    (tmp_path / "mine.png").write_bytes(b"mine")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.png").write_bytes(b"mine")
    return make_set(rows).folder


def beside(folder):
    """All files around a set, and what they hold."""
    files = (path for path in folder.parent.rglob("*") if not path.is_relative_to(folder))
    return {path: path.read_bytes() if path.is_file() else None for path in files}


def look(folder):
    """What the commands do with a set."""
    with hold_set(folder) as store:
        verify_set(store)
        findings = examine(store)
        inspect(store, CleanOptions())
    write_report(findings, folder / "report.html")


def table_of(folder):
    return pq.read_table(folder / "faces.parquet")


def write(folder, table, **options):
    pq.write_table(table, folder / "faces.parquet", **options)


def with_column(folder, name, values):
    table = table_of(folder)
    write(folder, table.set_column(table.column_names.index(name), name, values))


@pytest.mark.parametrize("place", OUT)
def test_the_table_leads_nowhere_else(folder, place):
    files = table_of(folder)["file"].to_pylist()
    with_column(folder, "file", pa.array([place, *files[1:]]))
    before = beside(folder)
    for use in (look, lambda f: pack(FaceStore.open(f), f.parent / "set.zip")):
        with pytest.raises(InputError, match=r"faces\.parquet .*is no picture in its folders"):
            use(folder)
    assert beside(folder) == before


@pytest.mark.parametrize("name", ["../other", "a/b", "..", "a\\b", "a:b", "a\0b", "x" * 300])
@pytest.mark.parametrize("column", ["person", "rejected"])
def test_a_name_is_no_path(folder, column, name):
    with_column(folder, column, pa.array([name] * 8))
    with pytest.raises(InputError, match=r"faces\.parquet .*cannot be the name of a folder"):
        look(folder)


@pytest.mark.parametrize("place", [*OUT, "faces/ann/0000000000000000.png"])
def test_a_plan_moves_nothing_out_of_the_set_nor_over_others(folder, place):
    rows = table_of(folder).to_pylist()
    plan = {"to": {rows[0]["id"]: place}, "changes": {}, "settings": {}}
    (folder / ".moves.json").write_text(json.dumps(plan))
    before = beside(folder), sorted(folder.rglob("*.png"))
    with pytest.raises(InputError, match=r"\.moves\.json is damaged: .*delete it"):
        open_set(folder)
    assert (beside(folder), sorted(folder.rglob("*.png"))) == before


@pytest.mark.parametrize(
    "plan",
    [
        [], {}, {"to": []}, {"to": {}, "changes": {"person": {"a": 5}}, "settings": {}},
        {"to": {}, "changes": {"person": {"a": "../b"}}, "settings": {}},
        {"to": {}, "changes": {"identity": {"a": "b"}}, "settings": {}},
        {"to": {}, "changes": {}, "settings": {"inputs": 5}},
        {"to": {}, "changes": {}, "settings": {"cluster": {"suggestions": [{"one": 1}]}}},
    ],
)  # fmt: skip
def test_a_tampered_plan_is_said_in_a_sentence(folder, plan):
    (folder / ".moves.json").write_text(json.dumps(plan))
    with pytest.raises(InputError, match=r"\.moves\.json is damaged: .*delete it"):
        open_set(folder)


@pytest.mark.parametrize(
    "name",
    ["faces", "rejected", "doubtful", ".journal", ".moves.json", ".lock", "set.json",
     "faces.parquet", "PICTURE"],
)  # fmt: skip
def test_no_part_of_a_set_is_a_link(folder, tmp_path, name):
    path = folder / name
    if name == "PICTURE":
        path = next((folder / "faces").rglob("*.png"))
    aim = tmp_path / "aim"
    if path.exists():
        shutil.move(path, aim)
    elif name in ("rejected", "doubtful", ".journal"):
        (aim / "empty").mkdir(parents=True)
    else:
        aim.write_text("mine")
    path.symlink_to(aim)
    before = beside(folder)
    with pytest.raises(InputError, match="symbolic link"):
        look(folder)
    assert beside(folder) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
@pytest.mark.parametrize("name", ["set.json", "faces.parquet", ".moves.json", ".lock"])
def test_pipes_are_not_waited_for(folder, name):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(SosieError):
        look(folder)


def test_tables_of_other_programs_are_read(folder):
    """What pandas and polars make of the columns: categories, wide types, columns with nulls."""
    before = FaceStore.open(folder).read()
    table = table_of(folder)
    changed = {
        "id": table["id"].cast(pa.large_string()),
        "person": table["person"].dictionary_encode(),
        "rejected": pa.nulls(8),
        "split": pa.array([None] * 8, pa.string()),
        "frame": table["frame"].cast(pa.float64()),
        "scene": table["scene"].cast(pa.int64()),
        "yaw": table["yaw"].cast(pa.float64()),
        "phash": table["phash"],
        "identity": pa.array(table["identity"].to_pylist(), pa.list_(pa.float32())),
        "matrix": pa.array(table["matrix"].to_pylist(), pa.large_list(pa.float64())),
    }
    for name, values in changed.items():
        table = table.set_column(table.column_names.index(name), name, values)
    table = table.append_column("__index_level_0__", pa.array(range(8)))
    write(folder, table.select(sorted(table.column_names)), row_group_size=3)
    after = FaceStore.open(folder).read()
    assert list(after) == list(before)
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values, err_msg=name)
        assert after[name].dtype == values.dtype, name
    look(folder)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("id", pa.nulls(8), "without a value"),
        ("id", pa.array([5] * 8), "is of int64"),
        ("file", pa.array([b"\xff"] * 8), "is of binary"),
        ("frame", pa.array([0.5] * 8), "column frame"),
        ("size_px", pa.array([2**40] * 8), "column size_px"),
        ("size_px", pa.array([0] * 8), "a size of 0 pixels"),
        ("phash", pa.array([-1] * 8), "column phash"),
        ("yaw", pa.array([float("nan")] * 8), "no finite numbers"),
        ("yaw", pa.array(["1"] * 8), "is of string"),
        ("identity", pa.array([[1.0] * 511] * 8), "lists of 511 numbers, not 512"),
        ("identity", pa.array([[1.0] * 512] * 8), "not of unit length"),
        ("identity", pa.array([[None] * 512] * 8, pa.list_(pa.float32())), "no numbers"),
        ("identity", pa.array([None] * 8, pa.list_(pa.float32())), "without a value"),
        ("identity", pa.array([1.0] * 8), "not a list of 512"),
        ("matrix", pa.array([[float("inf")] * 6] * 8), "no finite numbers"),
    ],
)
def test_a_column_that_is_none_is_said_in_a_sentence(folder, name, values, words):
    with_column(folder, name, values)
    with pytest.raises(InputError, match=rf"faces\.parquet is damaged.*{words}"):
        FaceStore.open(folder).read()


@pytest.mark.parametrize("name", SCHEMA.names)
def test_a_column_that_is_missing_or_twice_is_said(folder, name):
    table = table_of(folder)
    write(folder, table.drop_columns([name]))
    with pytest.raises(InputError, match=f"no columns '{name}'"):
        FaceStore.open(folder).read()
    write(folder, table.append_column(name, table[name]))
    with pytest.raises(InputError, match=f"several columns '{name}'"):
        FaceStore.open(folder).read()


def test_a_table_claims_no_more_than_its_file_can_hold(folder):
    names = [name for name in SCHEMA.names if name != "landmarks"]
    table = table_of(folder).slice(0, 1).select(names).take(pa.array(np.zeros(300_000, np.int64)))
    write(folder, table)
    for use in (len, lambda store: store.read(["id"])):
        with pytest.raises(InputError, match="claims to hold 300,000 faces"):
            use(FaceStore.open(folder))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("inputs", 5), ("inputs", [{}]), ("inputs", [{"sha256": 5}]), ("inputs", [[]]),
        ("inputs", [{"sha256": "a", "folder": "../x"}]), ("folders", {"a": "../x"}),
        ("inputs", [{"sha256": "a", "counts": {"kept": "1"}}]), ("options", {}), ("size_px", "16"),
        ("inputs", [{"sha256": "a", "resume": {"next": 1}}]), ("merging", [5]), ("align", []),
        ("cluster", []), ("cluster", {"suggestions": [{"one": "a", "other": "b"}]}),
        ("cluster", {"suggestions": [{"one": "a", "other": "b", "similarity": 10**400}]}),
    ],
)  # fmt: skip
def test_tampered_settings_are_said_in_a_sentence(folder, key, value):
    settings = json.loads((folder / "set.json").read_text())
    (folder / "set.json").write_text(json.dumps({**settings, key: value}))
    with pytest.raises(InputError, match=r"set\.json is (damaged|not valid)"):
        look(folder)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": NaN}', '"\\ud800"', "9" * 5000, "\0"])
def test_json_that_is_none_is_said_in_a_sentence(folder, text):
    for name in (".moves.json", "set.json"):
        (folder / name).write_text(text)
        with pytest.raises(InputError, match="is not valid JSON"):
            look(folder)


@pytest.mark.parametrize(
    ("name", "about"),
    [
        ("abc", {b"inputs": b"[]"}), ("-5", {b"inputs": b"[]"}), ("00000000", {}),
        ("00000000", {b"inputs": b"\xff"}), ("00000000", {b"inputs": b"5"}),
        ("00000000", {b"inputs": b'[{"folder": "x"}]'}),
        ("00000000", {b"inputs": b'[{"sha256": "a", "folder": "../x"}]'}),
    ],
)  # fmt: skip
def test_a_tampered_journal_is_said_in_a_sentence(folder, name, about):
    (folder / ".journal").mkdir()
    table = table_of(folder).replace_schema_metadata(about)
    pq.write_table(table, folder / ".journal" / f"{name}.parquet")
    before = (folder / "faces.parquet").read_bytes()
    with pytest.raises(InputError, match=rf"\.journal/{name}\.parquet"):
        open_set(folder)
    assert (folder / "faces.parquet").read_bytes() == before


def test_damaged_bytes_are_always_said_in_a_sentence(folder, tmp_path):
    """A hundred sets with a few bytes changed, or cut short: an error of ours, or none."""
    chance = random.Random(0)
    before = beside(folder)
    for number in range(100):
        bad = tmp_path / "bad"
        shutil.copytree(folder, bad)
        path = bad / ("faces.parquet", "set.json")[number % 2]
        content = bytearray(path.read_bytes())
        if number % 10 == 0:
            content = content[: chance.randrange(len(content))]
        else:
            # The end of a table holds what it claims.
            tail = len(content) if number % 4 else min(len(content), 4000)
            for _ in range(chance.choice([1, 4, 32])):
                content[-1 - chance.randrange(tail)] = chance.randrange(256)
        path.write_bytes(content)
        try:
            look(bad)
        except SosieError as error:
            assert len(str(error)) < 1000
        shutil.rmtree(bad)
    assert beside(folder) == before
