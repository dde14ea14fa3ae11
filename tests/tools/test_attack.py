"""What is made to harm is done or refused, and nothing else; what else happened would be seen."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", exc_type=ImportError)
if not sys.platform.startswith("linux"):
    pytest.skip("counts memory and processes as Linux does", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
COUNTS = {"weights": 600, "media": 6, "onnx": 3, "outputs": 1}


@pytest.mark.parametrize("kind", COUNTS)
def test_a_slice_of_an_attack_finds_nothing(kind):
    command = [
        sys.executable,
        "-m",
        "tools.attack",
        kind,
        "--count",
        str(COUNTS[kind]),
        "--seed",
        "1",
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    _, count, accepted, refused, failed, _, _ = re.findall(r"[\w.]+", done.stdout.splitlines()[-1])
    assert (int(count), int(failed)) == (COUNTS[kind], 0)
    if kind == "weights":
        assert min(int(accepted), int(refused)) > 10


CARELESS = """
import dataclasses, os, sys, time
from tools.attack import trial
from tools.attack.trial import Case, judge

trial.CPU_S, trial.WALL_S, trial.MEMORY_MB = 1, 3, 300

def spin():
    while True:
        pass

def sleep(folder):
    time.sleep(60)

CASES = {
    "raises": lambda folder: [][1],
    "writes outside": lambda folder: open(folder.parent / "mine.txt", "w").close(),
    "leaves": lambda folder: (folder / ".o.tmp").write_text("x"),
    "removes": lambda folder: os.remove(folder.parent / "mine" / "mine.txt"),
    "runs": lambda folder: os.system("true"),
    "imports": lambda folder: __import__("antigravity" + "s"),
    "talks": lambda folder: os.write(2, b"libpng warning"),
    "spins": lambda folder: spin(),
    "waits": sleep,
    "takes": lambda folder: len(b"a" * (600 << 20)),
    "dies": lambda folder: os.abort(),
}
def run(folder):
    CASES[sys.argv[1]](folder)
    return []
case = Case("careless", run, strict=sys.argv[1] == "imports")
fine = Case("fine", lambda folder: [])
rows = judge([(0, case), (1, fine)], 1, None, print, batch=2)
print(rows["careless"].kinds["failed"], rows["fine"].kinds["accepted"])
"""


@pytest.mark.parametrize(
    "how",
    [
        *("raises", "writes outside", "leaves", "removes", "runs", "imports", "talks", "spins"),
        *("waits", "takes", "dies"),
    ],
)
def test_what_is_careless_would_be_found(how):
    done = subprocess.run(
        [sys.executable, "-c", CARELESS, how],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "1 1", done.stdout
