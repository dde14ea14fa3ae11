"""Material and settings that all tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray
from PIL import Image

from sosie.app.samples import sample_portraits

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("ci", derandomize=True, deadline=None, max_examples=50, database=None)
settings.register_profile("explore", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def astronaut_path() -> Path:
    """A portrait of Eileen Collins, 512 x 512, from the installed scikit-image."""
    return sample_portraits()["astronaut"]


@pytest.fixture(scope="session")
def hopper_path() -> Path:
    """A portrait of Grace Hopper, 512 x 606, from the installed matplotlib."""
    return sample_portraits()["hopper"]


@pytest.fixture(scope="session")
def astronaut(astronaut_path: Path) -> NDArray[np.uint8]:
    """RGB, 512 x 512 x 3, not writable."""
    return _pixels(astronaut_path)


@pytest.fixture(scope="session")
def hopper(hopper_path: Path) -> NDArray[np.uint8]:
    """RGB, 606 x 512 x 3, not writable."""
    return _pixels(hopper_path)


def _pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        pixels = np.array(picture.convert("RGB"))
    pixels.setflags(write=False)
    return pixels


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of test photos and clips that are not part of the repository, or a skip."""
    named = os.environ.get("SOSIE_SHARED")
    shared = Path(named) if named else ROOT.parent / "shared"
    if not (shared / "data").is_dir():
        pytest.skip(f"needs the test data: set SOSIE_SHARED to its folder ({shared} has no data/)")
    return shared / "data"


@pytest.fixture(scope="session")
def run_python() -> Callable[[str], str]:
    """Run code in a fresh interpreter that sees this checkout, and return what it prints."""

    def run(code: str) -> str:
        result = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run
