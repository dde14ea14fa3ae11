"""Each epoch shows every row once, in an order of its own that never changes."""

from __future__ import annotations

import numpy as np

from sosie.training.sampler import Shuffled

ROWS = np.array([3, 5, 8, 13, 21, 34, 55, 89])


def test_every_epoch_holds_all_rows_in_another_order():
    order = Shuffled(ROWS)
    epochs = [[order[index] for index in range(start, start + 8)] for start in (0, 8, 16)]
    assert [sorted(epoch) for epoch in epochs] == [ROWS.tolist()] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_an_index_has_its_row_whoever_asks_and_when():
    one, other = Shuffled(ROWS), Shuffled(ROWS)
    backwards = [other[index] for index in reversed(range(24))]
    assert [one[index] for index in range(24)] == backwards[::-1]
