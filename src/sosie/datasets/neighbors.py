"""Whom each face is most like, in memory that hardly grows with the number of faces.

Large arrays lie on disk and are mapped (`Scratch`); the rows most alike to each are found in blocks
(`neighbors`), so that no table of all pairs is ever needed; what faces each has for neighbors are
sparse rows (`reciprocal_neighbors`): k-reciprocal encoding, Zhong et al., "Re-ranking person
re-identification with k-reciprocal encoding", CVPR 2017.
"""

from __future__ import annotations

import math
import mmap
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import sparse

from sosie.errors import OutputError
from sosie.types import FloatArray

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


ROWS, COLUMNS = 2048, 4096
"""Sides of the blocks that all pairs are compared in."""

_OFFERED = 128
"""Rows whose best are found at once."""

Rows = NDArray[np.int32]


class Best:
    """The `count` largest values of each row so far, in no order, of those above `floor`.

    values: float32, rows x count, `floor` where there are fewer. columns: int32, -1 there.
    """

    def __init__(self, rows: int, count: int, floor: float) -> None:
        self.values = np.full((rows, count), floor, np.float32)
        self.columns = np.full((rows, count), -1, np.int32)

    def offer(self, block: FloatArray, columns: NDArray[np.integer[Any]]) -> None:
        """Take what is larger from the values of some more columns: rows x len(columns)."""
        for part in parts(len(block), _OFFERED):
            self._offer(part, block[part], columns)

    def _offer(self, part: slice, block: FloatArray, columns: NDArray[np.integer[Any]]) -> None:
        held, owned = self.values[part], self.columns[part]
        found = np.flatnonzero(block > held.min(1)[:, None])
        if not len(found):
            return
        rows, places = np.divmod(found, block.shape[1])
        counts = np.bincount(rows, minlength=len(block))
        slots = np.arange(len(found)) - np.repeat(np.cumsum(counts) - counts, counts)
        count = held.shape[1]
        values = np.full((len(block), count + counts.max()), -np.inf, np.float32)
        owners = np.full(values.shape, -1, np.int32)
        values[:, :count], owners[:, :count] = held, owned
        values[rows, count + slots] = block.ravel()[found]
        owners[rows, count + slots] = columns[places]
        kept = np.argpartition(-values, count - 1, axis=1)[:, :count]
        held[:] = np.take_along_axis(values, kept, 1)
        owned[:] = np.take_along_axis(owners, kept, 1)


def neighbors(identities: Scratch, count: int) -> tuple[Rows, FloatArray]:
    """The `count` faces most alike to each, itself first, and their cosines: both N x count."""
    number = len(identities.values)
    count = min(count, number)
    found = np.empty((number, count), np.int32)
    cosines = np.ones((number, count), np.float32)
    found[:, 0] = np.arange(number)
    for some in parts(number, ROWS) if count > 1 else ():
        mine = identities.rows(np.arange(some.start, some.stop))
        best = Best(len(mine), count - 1, -np.inf)
        for others in parts(number, COLUMNS):
            columns = np.arange(others.start, others.stop)
            block = mine @ identities.rows(columns).T
            # Of several pictures that are the same, a face's nearest is itself.
            own = np.arange(max(some.start, others.start), min(some.stop, others.stop))
            block[own - some.start, own - others.start] = -np.inf
            best.offer(block, columns)
        order = np.argsort(-best.values, axis=1, kind="stable")
        found[some, 1:] = np.take_along_axis(best.columns, order, 1)
        cosines[some, 1:] = np.minimum(np.take_along_axis(best.values, order, 1), 1)
    return found, cosines


# Chosen with `linkage.CUT` on identities that are not held out; `docs/reports/datasets.md` has the
# figures.
_NEIGHBORS, _EXPANDED = 20, 6
_EXPANDED_FROM = 0.55
_STEEPNESS = 6.0

_SPARE = 40
"""Room for numbers a face beyond those that the encodings can have, for the rows put later."""


class ReciprocalNeighbors:
    """Sparse rows, float32, number x number. What is put in the place of a row may be longer."""

    def __init__(self, number: int, room: int) -> None:
        """room: for how many numbers besides zeros there is to be room at first."""
        self._number, self._used = number, 0
        self._starts = np.zeros(number, np.int64)
        self._lengths = np.zeros(number, np.int32)
        self._columns, self._values = Scratch((room,), np.int32), Scratch((room,), np.float32)

    def rows(self, which: NDArray[np.integer[Any]]) -> sparse.csr_matrix:
        """These rows, len(which) x number."""
        lengths = self._lengths[which]
        ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        columns = np.empty(ends[-1], np.int32)
        values = np.empty(ends[-1], np.float32)
        for part in parts(len(which)):
            begin, end = ends[part.start], ends[part.stop]
            offsets = self._starts[which[part]] - ends[part.start : part.stop]
            places = np.repeat(offsets, lengths[part]) + np.arange(begin, end)
            columns[begin:end] = self._columns.values[places]
            values[begin:end] = self._values.values[places]
            self._columns.release()
            self._values.release()
        return sparse.csr_matrix((values, columns, ends), (len(which), self._number))

    def put(self, which: NDArray[np.integer[Any]], rows: sparse.csr_matrix) -> None:
        """Have these rows from now on in the place of those that were there."""
        self._lengths[which] = 0
        end = self._used + rows.nnz
        if end > len(self._values.values):
            self._move(rows.nnz)
            end = self._used + rows.nnz
        self._columns.values[self._used : end] = rows.indices
        self._values.values[self._used : end] = rows.data
        self._columns.release()
        self._values.release()
        self._starts[which] = self._used + rows.indptr[:-1]
        self._lengths[which] = np.diff(rows.indptr)
        self._used = end

    def drop(self, which: NDArray[np.integer[Any]]) -> None:
        """Forget these rows."""
        self._lengths[which] = 0

    def _move(self, more: int) -> None:
        """Leave what nobody needs any longer behind, with room for more."""
        held = np.flatnonzero(self._lengths)
        moved = ReciprocalNeighbors(self._number, 2 * (int(self._lengths.sum()) + more))
        for part in parts(len(held)):
            moved.put(held[part], self.rows(held[part]))
        self.__dict__.update(moved.__dict__)


def reciprocal_neighbors(identities: Scratch) -> ReciprocalNeighbors:
    """The encodings of faces, each of unit length. identities: N x D, of unit length.

    Neighbors count that have each other among their nearest, by their likeness, and each row is
    the sum of those of its few nearest, if they are close.
    """
    number = len(identities.values)
    rows, cosines = neighbors(identities, _NEIGHBORS)
    made = ReciprocalNeighbors(number, number * (_NEIGHBORS * _EXPANDED + _SPARE))
    mutual = sparse.vstack([*_mutual(rows, cosines), _sparse(rows[:0], cosines[:0], number)], "csr")
    # Not of strangers: a face that has few of its own person's would share theirs.
    close = (cosines[:, :_EXPANDED] >= _EXPANDED_FROM).astype(np.float32)
    for part in parts(number):
        spread = _sparse(rows[part, :_EXPANDED], close[part], number) @ mutual
        spread.eliminate_zeros()
        norms = np.sqrt(np.asarray(spread.multiply(spread).sum(1)).ravel())
        scaled = sparse.diags(1 / np.maximum(norms, 1e-9)) @ spread
        made.put(np.arange(part.start, part.stop), sparse.csr_matrix(scaled, dtype=np.float32))
    return made


def _mutual(rows: Rows, cosines: FloatArray) -> Iterator[sparse.csr_matrix]:
    """By parts, the neighbors that have each other, their weights summing up to 1."""
    for part in parts(len(rows)):
        own = np.arange(part.start, part.stop)[:, None, None]
        weights = np.exp((cosines[part] - 1) * _STEEPNESS)
        weights *= (rows[rows[part]] == own).any(2)
        weights /= weights.sum(1, keepdims=True)
        table = _sparse(rows[part], weights, len(rows))
        table.eliminate_zeros()
        yield table


def _sparse(columns: Rows, values: FloatArray, number: int) -> sparse.csr_matrix:
    ends = np.arange(len(columns) + 1) * columns.shape[1]
    # Copies, as a sparse matrix changes its numbers where zeros are left out.
    held = values.flatten(), columns.flatten(), ends
    return sparse.csr_matrix(held, (len(columns), number))
