"""What was computed before, kept by the exact inputs that it was computed from.

A key is the SHA-256 of everything that decides: pixels, weights, settings, and the code itself. So
nothing in the cache is ever out of date, and all of it can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from functools import cache as remembered
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie import foreign
from sosie.errors import OutputError
from sosie.models.cards import embedded_cards
from sosie.output import atomic_output

Arrays = Mapping[str, NDArray[Any]]

PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "scipy", "scikit-image", "torch")
"""Those whose version may change a figure; an absent one has none."""

# Code that no figure and no swap depends on, and what of the rest makes no results.
_APART = {"app", "training", "recipes", "datasets", "nn", "__pycache__"}
_MEASURING, _MAKERS = "evaluation/", ("evaluation/baselines.py", "evaluation/generators.py")
_IN_MEMORY = 512


def user_folder() -> Path:
    """Where this user's evaluations are kept unless told otherwise."""
    folder = os.environ.get("XDG_CACHE_HOME")
    return (Path(folder) if folder else Path.home() / ".cache") / "sosie" / "evaluation"


class Cache:
    """Named arrays by key, in memory and, where a folder is given, on disk.

    A folder that cannot be written to is done without: a cache is no result. Threads may share it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._lock = Lock()
        self._recent: OrderedDict[str, dict[str, NDArray[Any]]] = OrderedDict()

    def get(self, kind: str, key: str) -> dict[str, NDArray[Any]] | None:
        """What was put under a key, or None."""
        name = f"{kind}/{key}"
        with self._lock:
            if name in self._recent:
                self._recent.move_to_end(name)
                return self._recent[name]
        if self._folder is None:
            return None
        try:
            arrays = read_arrays((self._place(kind, key)).read_bytes())
        except (OSError, ValueError):
            return None
        self._remember(name, arrays)
        return arrays

    def put(self, kind: str, key: str, arrays: Arrays) -> None:
        """Keep arrays, which must not be written to any more."""
        self._remember(f"{kind}/{key}", dict(arrays))
        if self._folder is None:
            return
        file = self._place(kind, key)
        with suppress(OSError, OutputError):
            file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_output(file, overwrite=True, durable=False) as pending:
                pending.path.write_bytes(write_arrays(arrays))

    def _place(self, kind: str, key: str) -> Path:
        assert self._folder is not None
        return self._folder / kind / key[:2] / f"{key}.npz"

    def _remember(self, name: str, arrays: dict[str, NDArray[Any]]) -> None:
        with self._lock:
            self._recent[name] = arrays
            if len(self._recent) > _IN_MEMORY:
                self._recent.popitem(last=False)


def write_arrays(arrays: Arrays) -> bytes:
    """Arrays as the content of an .npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def read_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Arrays from the content of an .npz file. Raises ValueError where it is none."""
    return foreign.parse_arrays(content)


def key_of(*parts: object) -> str:
    """A key of everything in `parts`: arrays by their content, all else by its `repr`."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            total.update(f"{part.dtype}{part.shape}".encode())
            total.update(np.ascontiguousarray(part).data)
        else:
            total.update(repr(part).encode())
        total.update(b"\0")
    return total.hexdigest()


@remembered
def versions() -> dict[str, str]:
    """Package -> version, of those of PACKAGES that are there."""
    found = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


@remembered
def code_digest(measuring: bool = True) -> str:
    """SHA-256 of the code that swaps and measures, which `__version__` does not follow closely.

    measuring: False leaves out what no result of a swap depends on.
    """
    total = hashlib.sha256()
    for name, content in sorted(_sources(resources.files("sosie"), "")):
        if not measuring and name.startswith(_MEASURING) and name not in _MAKERS:
            continue
        total.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return total.hexdigest()


@remembered
def weight_digests() -> dict[str, str]:
    """Network of this package -> SHA-256 of its weights."""
    return {name: card.sha256 for name, card in embedded_cards().items()}


def basis() -> tuple[object, ...]:
    """What every key has in it beside its own parts."""
    return (code_digest(), weight_digests(), versions())


def _sources(folder: Traversable, path: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in _APART:
            found += _sources(entry, f"{path}{entry.name}/")
        elif entry.name.endswith(".py"):
            found.append((f"{path}{entry.name}", entry.read_bytes()))
    return found
