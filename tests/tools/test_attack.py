"""Damaged weights are read or refused, and nothing else happens; what else did would be seen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", exc_type=ImportError)

FILE = Path(__file__).resolve().parents[2] / "tools" / "attack.py"


def test_damaged_weights_are_read_or_refused(tmp_path):
    command = [sys.executable, str(FILE), "weights", "--count", "1500", "--seed", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    report = json.loads(done.stdout)
    assert report["failures"] == []
    assert report["read"] + report["refused"] == 1500
    assert min(report["read"], report["refused"]) > 50
    assert list(tmp_path.iterdir()) == []


CARELESS = """
import importlib.util, json, os, pickle, sys, time
from pathlib import Path

spec = importlib.util.spec_from_file_location("attack", sys.argv[1])
attack = sys.modules["attack"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(attack)
attack.SECONDS = 1
attack.MEMORY_MIB = 100
READERS = {
    "raises": lambda file: changed(file) and [][1],
    "writes": lambda file: changed(file) and open(file.with_name("trace"), "w").close(),
    "renames": lambda file: changed(file) and os.replace(file, file.with_name("other")),
    "runs": lambda file: changed(file) and eval("1 + 1"),
    "imports": lambda file: changed(file) and __import__("antigravity" + "s"),
    "waits": lambda file: changed(file) and time.sleep(3),
    "takes": lambda file: changed(file) and len(b"a" * (200 << 20)),
}
def changed(file):
    return file.read_bytes() != b"N" * 200
sample = attack.Sample(".bin", b"N" * 200, READERS[sys.argv[2]])
print(json.dumps(attack.attack({"sample": sample}, 3, 0)))
"""


@pytest.mark.parametrize(
    "reader", ["raises", "writes", "renames", "runs", "imports", "waits", "takes"]
)
def test_a_careless_reader_would_be_found(tmp_path, reader):
    command = [sys.executable, "-c", CARELESS, str(FILE), reader]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    assert json.loads(done.stdout)["failures"]
