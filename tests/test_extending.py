"""What others add to Sosie, and how few files it takes: a method, a processor, an option of `swap`.

A method of another package is in `tests/methods/test_entry_points.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import sosie
from sosie.errors import UnavailableError, UsageError
from sosie.options import SwapOptions
from sosie.processors import create_processor, processor_names

NEGATIVE = """
from dataclasses import replace
from sosie.processors.base import Card, as_number

class Negative:
    card = Card("negative", "faces as on a film", "CC0", "face")
    providers = {}
    def __init__(self, share): self.share = share
    def process(self, crops, faces):
        return [replace(f, pixels=f.pixels + (1 - 2 * f.pixels) * self.share) for f in faces]

def create(request, options):
    return Negative(as_number(request.value, "negative", "share", 1.0, 0, 1))
"""


def test_a_processor_is_two_files_and_has_its_value(
    other_package: Callable[[str, str], None], hopper_path: Path, astronaut_path: Path
) -> None:
    points = "[sosie.processors]\nnegative = brought:create\nlost = brought:Absent\n"
    other_package(NEGATIVE, points)
    assert "negative" in processor_names()
    plain, none, whole = (
        sosie.swap_image(hopper_path, astronaut_path, method="mesh", processors=asked).image
        for asked in ((), ("negative:0",), ("negative",))
    )
    assert np.array_equal(plain, none)
    assert np.abs(whole.astype(int) - plain).max() > 60
    with pytest.raises(UsageError, match="did you mean 'negative'"):
        create_processor("negativ", SwapOptions())
    with pytest.raises(UnavailableError, match="of the package brought, cannot be loaded"):
        create_processor("lost", SwapOptions())


OPTION = {
    "    overwrite: replace an existing output.\n": "    glow: how much the face glows, 0..1.\n",
    "    overwrite: bool = _option(False)\n": "    glow: float = _option(0.25, within=(0, 1))\n",
    "    overwrite: bool\n": "    glow: float\n",
}
"""Line of options.py -> the line that is added after it for another option: its words, its field
and its keyword."""


@pytest.fixture
def with_option(tmp_path: Path) -> Path:
    """A folder with a package `sosie` that differs in one file."""
    package = tmp_path / "sosie"
    package.mkdir()
    source = Path(sosie.__file__).parent
    for child in source.iterdir():
        if child.name not in ("options.py", "__pycache__"):
            (package / child.name).symlink_to(child)
    text = (source / "options.py").read_text("utf-8")
    for line, added in OPTION.items():
        assert text.count(line) == 1
        text = text.replace(line, line + added)
    (package / "options.py").write_text(text)
    return tmp_path


def test_an_option_of_swap_is_one_file(with_option: Path) -> None:
    """It is a flag with its words and its default, a keyword, and a key of JSON."""

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, "PYTHONPATH": str(with_option), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    told = run("-m", "sosie.app", "swap", "-h")
    assert "--glow" in told
    assert "how much the face glows, 0..1." in told
    assert "default: 0.25" in told
    files = ("-s", "a.png", "-t", "b.png", "-o", "c.png")
    assert "glow must be between 0 and 1, not 2.0" in run(
        "-m", "sosie.app", "swap", *files, "--glow", "2"
    )
    code = """
import dataclasses, json, sosie
options = sosie.SwapOptions.from_dict({"glow": 0.5})
print(json.dumps([options.glow, "glow" in dataclasses.asdict(options)]))
try:
    sosie.swap_image("a.png", "b.png", glow=3)
except sosie.UsageError as error:
    print(error)
"""
    value, refused = run("-c", code).splitlines()
    assert json.loads(value) == [0.5, True]
    assert "glow must be between 0 and 1, not 3" in refused
