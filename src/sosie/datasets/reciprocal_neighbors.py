"""What faces each face has for neighbors, as sparse rows: k-reciprocal encoding, Zhong et al.,
"Re-ranking person re-identification with k-reciprocal encoding", CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sosie.datasets.nearest_neighbors import Rows, neighbors
from sosie.datasets.scratch_arrays import Scratch, parts
from sosie.types import FloatArray

# Chosen with `linkage.CUT` on identities that are not held out; `docs/reports/datasets.md` has the
# figures.
_NEIGHBORS, _EXPANDED = 20, 6
_EXPANDED_FROM = 0.55
_STEEPNESS = 6.0

_SPARE = 40
"""Room for numbers a face beyond those that the encodings can have, for the rows put later."""


class Contexts:
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
        moved = Contexts(self._number, 2 * (int(self._lengths.sum()) + more))
        for part in parts(len(held)):
            moved.put(held[part], self.rows(held[part]))
        self.__dict__.update(moved.__dict__)


def contexts(identities: Scratch) -> Contexts:
    """The encodings of faces, each of unit length. identities: N x D, of unit length.

    Neighbors count that have each other among their nearest, by their likeness, and each row is
    the sum of those of its few nearest, if they are close.
    """
    number = len(identities.values)
    rows, cosines = neighbors(identities, _NEIGHBORS)
    made = Contexts(number, number * (_NEIGHBORS * _EXPANDED + _SPARE))
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
