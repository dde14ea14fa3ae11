"""The order in which a recipe goes through what it learns from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Shuffled:
    """Rows by the index of a sample: all of them once an epoch, in an order of each epoch's own."""

    def __init__(self, rows: NDArray[np.intp]) -> None:
        self._rows = rows
        self._epoch = -1
        self._order = rows[:0]

    def __getitem__(self, index: int) -> int:
        epoch, place = divmod(index, len(self._rows))
        if self._epoch != epoch:
            self._epoch = epoch
            self._order = np.random.default_rng(epoch).permutation(len(self._rows))
        return int(self._rows[self._order[place]])
