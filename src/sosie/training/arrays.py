"""Arrays on disk that are whole or absent, however a run ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def save_arrays(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as an .npz file; its folder is made where need be."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = _unfinished(file)
    # By an open file: to a path, numpy would add an ending.
    with unfinished.open("wb") as opened:
        np.savez(opened, **arrays)
    unfinished.replace(file)


@contextmanager
def new_bytes(file: Path, shape: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    """A new .npy file of uint8, mapped to be filled; it is there when the block ends."""
    unfinished = _unfinished(file)
    array: NDArray[np.uint8] = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
        unfinished, mode="w+", dtype=np.uint8, shape=shape
    )
    yield array
    array.flush()  # type: ignore[attr-defined]
    unfinished.replace(file)


def _unfinished(file: Path) -> Path:
    return file.with_name(f"{file.name}.part")
