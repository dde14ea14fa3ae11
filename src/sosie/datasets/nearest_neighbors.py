"""The rows most alike to each, found in blocks: no table of all pairs is ever needed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.datasets.scratch_arrays import Scratch, parts
from sosie.types import FloatArray

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
