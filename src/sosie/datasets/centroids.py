"""What the people of a set are like in the mean, and who is like whom, in blocks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sosie.datasets.nearest_neighbors import COLUMNS, ROWS
from sosie.datasets.scratch_arrays import Scratch, parts
from sosie.types import FloatArray


class Means:
    """The mean identities of groups: float32, `number` x D, on disk where they are many.

    identities: N x D. groups: N, numbers of groups; only those below `number` count.
    """

    def __init__(self, identities: Scratch, groups: NDArray[np.intp], number: int) -> None:
        self.sizes = np.bincount(groups[groups < number], minlength=number).astype(np.float32)
        self._identities, self._groups = identities, groups
        self._means = Scratch((number, identities.values.shape[1]))
        for part in parts(len(groups)):
            rows = part.start + np.flatnonzero(groups[part] < number)
            where, places = np.unique(groups[rows], return_inverse=True)
            sums = np.zeros((len(where), identities.values.shape[1]), np.float32)
            np.add.at(sums, places, identities.rows(rows))
            self._means.put(where, self._means.rows(where) + sums / self.sizes[where, None])

    def __len__(self) -> int:
        return len(self.sizes)

    def alike(self, identity: FloatArray) -> FloatArray:
        """Mean cosine of each group with an identity."""
        found = [self._rows(part) @ identity for part in parts(len(self))]
        return np.concatenate([*found, np.zeros(0, np.float32)])

    def own_and_nearest(self) -> tuple[FloatArray, FloatArray]:
        """Mean cosine of each row with the others of its group (nan where there are none, or it is
        in no group that counts), and that with the group of the others it is most like."""
        own = np.full(len(self._groups), np.nan, np.float32)
        nearest = np.full(len(self._groups), -np.inf, np.float32)
        for part in parts(len(own), ROWS):
            rows = part.start + np.flatnonzero(self._groups[part] < len(self))
            mine, groups = self._identities.rows(rows), self._groups[rows]
            for some in parts(len(self), COLUMNS):
                alike = mine @ self._rows(some).T
                here = np.flatnonzero((groups >= some.start) & (groups < some.stop))
                place, size = groups[here] - some.start, self.sizes[groups[here]]
                # A face's cosine with itself, 1, does not count.
                others = (alike[here, place] * size - 1) / np.maximum(size - 1, 1)
                own[rows[here]] = np.where(size > 1, others, np.nan)
                alike[here, place] = -np.inf
                nearest[rows] = np.maximum(nearest[rows], alike.max(1, initial=-np.inf))
        return own, nearest

    def pairs(self, least: float, count: int) -> list[tuple[int, int, float]]:
        """The pairs of groups with the highest mean cosines, of those from `least` on: at most
        `count`, the highest first."""
        found: list[tuple[int, int, float]] = []
        for one in parts(len(self), ROWS):
            mine = self._rows(one)
            for other in parts(len(self), COLUMNS):
                alike = mine @ self._rows(other).T
                rows, columns = np.arange(one.start, one.stop), np.arange(other.start, other.stop)
                alike[rows[:, None] >= columns] = -np.inf
                enough = np.flatnonzero(alike >= least)
                best = enough[np.argsort(-alike.ravel()[enough], kind="stable")[:count]]
                a, b = np.divmod(best, len(columns))
                values = alike.ravel()[best].tolist()
                found += zip(rows[a].tolist(), columns[b].tolist(), values, strict=True)
        return sorted(found, key=lambda pair: (-pair[2], pair[:2]))[:count]

    def _rows(self, part: slice) -> FloatArray:
        return self._means.rows(np.arange(part.start, part.stop))
