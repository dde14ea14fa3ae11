"""What figures depend on beside pictures and settings, and what times are to be read with."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from pathlib import Path

import sosie
from sosie.errors import UnavailableError, install_hint
from sosie.models.cards import embedded_cards
from sosie.swapping.sameness import swap_code

EXTRA = ("jinja2", "matplotlib", "scipy")
"""What the extra `eval` installs, by the names that are imported."""

_PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "scipy", "torch")
# What of the evaluation swaps.
_MAKERS = Path(__file__).with_name("generators.py")


def user_folder() -> Path:
    """Where this user's evaluations are kept unless told otherwise."""
    folder = os.environ.get("XDG_CACHE_HOME")
    return (Path(folder) if folder else Path.home() / ".cache") / "sosie" / "evaluation"


@contextmanager
def extra_packages() -> Iterator[None]:
    """Raises UnavailableError where an import within lacks a package of the extra `eval`."""
    try:
        yield
    except ModuleNotFoundError as error:
        absent = (error.name or "").split(".")[0]
        if absent not in EXTRA:
            raise
        raise UnavailableError(
            f"This needs the package {absent}, which is not installed: {install_hint('eval')}."
        ) from error


@cache
def packages() -> dict[str, str]:
    """Package -> version, of those whose version may change a figure and that are there."""
    found = {}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


@cache
def weight_digests() -> dict[str, str]:
    """Network of this package -> SHA-256 of its weights."""
    return {name: card.sha256 for name, card in embedded_cards().items()}


@cache
def made_by() -> str:
    """SHA-256 of the code that makes the swaps of a run: results are taken over only where it is
    the same."""
    return hashlib.sha256(swap_code().encode() + _MAKERS.read_bytes()).hexdigest()


def machine() -> dict[str, str | int]:
    """This machine: `system`, `processor`, `threads`, and the versions `python` and `sosie`."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor_name(),
        "threads": os.cpu_count() or 1,
        "python": platform.python_version(),
        "sosie": sosie.__version__,
    }


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
