"""Arrays on disk that are whole or absent, however a run ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.output import atomic_output


def save_arrays(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as an .npz file; its folder is made where need be."""
    file.parent.mkdir(parents=True, exist_ok=True)
    # By an open file: to a path, numpy would add an ending.
    with (
        atomic_output(file, overwrite=True, durable=False) as pending,
        pending.path.open("wb") as opened,
    ):
        np.savez(opened, **arrays)


@contextmanager
def new_bytes(file: Path, shape: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    """A new .npy file of uint8, mapped to be filled; it is there when the block ends."""
    with atomic_output(file, overwrite=True, durable=False) as pending:
        array: NDArray[np.uint8] = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
            pending.path, mode="w+", dtype=np.uint8, shape=shape
        )
        yield array
        array.flush()  # type: ignore[attr-defined]
