"""What was computed before, kept by the exact inputs that it was computed from.

A key is the SHA-256 of everything that decides: pixels, weights, settings, and the versions of what
looks and measures. So nothing in the cache is ever out of date, and all of it can be deleted at any
time.
"""

from __future__ import annotations

import hashlib
import io
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie import foreign
from sosie.errors import OutputError
from sosie.output import atomic_output

Arrays = Mapping[str, NDArray[Any]]

_IN_MEMORY = 512


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
            arrays = foreign.parse_arrays(self._place(kind, key).read_bytes())
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


def pack_vectors(vectors: Arrays) -> dict[str, NDArray[Any]]:
    """Vectors by names that no other arrays of a file have."""
    return {f"vector:{name}": vector for name, vector in vectors.items()}


def unpack_vectors(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """What `pack_vectors` was given."""
    kept = {name.partition("vector:")[::2]: array for name, array in arrays.items()}
    return {name: array for (before, name), array in kept.items() if not before and name}


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
