"""Arrays too large to be held: on disk and mapped, so that memory does not grow with their size."""

from __future__ import annotations

import math
import mmap
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sosie.errors import OutputError

_HELD_BYTES = 16 << 20
"""Arrays up to this size are in memory."""

_ZEROS = bytes(1 << 20)
_PART_ROWS = 512
"""So many rows are touched, and let go of, at once: around each the system maps up to 64 KB."""


class Scratch:
    """A new array of zeros that is gone with the object: `values`, of any size.

    Raises OutputError where the folder for temporary files has not the room.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> None:
        self._mapped: mmap.mmap | None = None
        self.values: NDArray[Any]
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if size <= _HELD_BYTES:
            self.values = np.zeros(shape, dtype)
            return
        self._mapped = _mapped(size)
        self.values = np.frombuffer(self._mapped, dtype, math.prod(shape)).reshape(shape)

    def rows(self, which: NDArray[np.intp]) -> NDArray[Any]:
        """A copy of these rows. They are found faster in rising order."""
        taken = np.empty((len(which), *self.values.shape[1:]), self.values.dtype)
        for part in parts(len(which)):
            taken[part] = self.values[which[part]]
            self.release()
        return taken

    def put(self, which: NDArray[np.intp], values: NDArray[Any]) -> None:
        """Write these rows."""
        for part in parts(len(which)):
            self.values[which[part]] = values[part]
            self.release()

    def release(self) -> None:
        """Let the system have the memory of what was read or written; nothing is lost."""
        if self._mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._mapped.madvise(mmap.MADV_DONTNEED)


def parts(number: int, size: int | None = None) -> Iterator[slice]:
    """Slices of so many rows that a mapped array can be read by."""
    step = size or _PART_ROWS
    for begin in range(0, number, step):
        yield slice(begin, min(begin + step, number))


def _mapped(size: int) -> mmap.mmap:
    try:
        with tempfile.TemporaryFile(prefix="sosie-") as file:
            # Written, not only made as long: on a full disk a page that is first mapped kills.
            for begin in range(0, size, len(_ZEROS)):
                file.write(_ZEROS[: size - begin])
            file.flush()
            return mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise OutputError(
            f"{tempfile.gettempdir()} has no room for {size / 1e6:.0f} MB ({error.strerror}); "
            f"name another folder for temporary files in TMPDIR."
        ) from error
