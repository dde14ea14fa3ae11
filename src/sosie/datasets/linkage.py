"""Which faces are one person's: average linkage over identities, in memory that grows with their
number alone.

The likeness of two faces is the cosine of their identities, mixed with how far they have the same
neighbours: Zhong et al., "Re-ranking person re-identification with k-reciprocal encoding", CVPR
2017, with the cosine of the encodings in place of their Jaccard distance. Both are dot products, so
that the mean likeness of two groups is the dot product of their means, and no table of all pairs
is ever needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sosie.types import FloatArray

CUT = 0.50
"""Mean likeness from which on two groups are taken for one person's."""

FLOOR = 0.30
"""Mean likeness below which nothing is joined, whatever number of people is asked for."""

# Chosen with CUT on identities that are not held out; `docs/datasets.md` has the figures.
_CONTEXT_SHARE = 0.2
_NEIGHBOURS, _EXPANDED = 20, 6
_EXPANDED_FROM = 0.55
_STEEPNESS = 6.0
_BLOCK_VALUES = 1 << 23

Groups = NDArray[np.intp]


@dataclass(frozen=True)
class Merge:
    """Two groups that became one. kept, gone: rows that stand for them; the first stands for both
    from then on. likeness: the mean over all pairs."""

    kept: int
    gone: int
    likeness: float


def linkage(
    identities: FloatArray, start: Groups | None = None, apart: Iterable[tuple[int, int]] = ()
) -> list[Merge]:
    """The joins of average linkage down to FLOOR, in an order in which they can be made.

    identities: float32, N x D, of unit length. start: N, groups that are one from the outset; None
    has each face alone. apart: pairs of rows that are different people and never come together.
    The rows of a merge are the first of each group of `start`.

    Two groups that are each other's most alike stay so whatever else is joined, so that all such
    pairs are joined at once (Murtagh, "A survey of recent advances in hierarchical clustering
    algorithms", 1983): the result is that of joining the most alike pair again and again.
    """
    groups = np.arange(len(identities)) if start is None else start
    if len(groups) < 2:
        return []
    links = _Links(identities, groups, apart)
    merges = []
    while pairs := links.mutual_pairs():
        merges += [links.join(a, b) for a, b in pairs]
        links.refresh()
    return merges


def cut(groups: Groups, merges: Sequence[Merge], likeness: float) -> Groups:
    """The groups after all merges of at least this likeness: N, numbered from 0 in the order of
    their first rows. groups: as `start` of `linkage`."""
    first = _first_rows(groups)
    parent = np.arange(len(groups))
    # A group is joined before it is swallowed, so that one pass from the end finds every root.
    for merge in reversed(merges):
        if merge.likeness >= likeness:
            parent[merge.gone] = parent[merge.kept]
    roots = parent[first]
    _, where, numbers = np.unique(roots, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(where))[numbers], np.intp)


def neighbours(identities: FloatArray, count: int) -> tuple[NDArray[np.intp], FloatArray]:
    """The `count` faces most alike to each, itself first, and their cosines: both N x count."""
    number = len(identities)
    count = min(count, number)
    rows = np.empty((number, count), np.intp)
    cosines = np.empty((number, count), np.float32)
    for part in _blocks(number, number):
        alike = identities[part] @ identities.T
        # Of several pictures that are the same, a face's nearest is itself.
        alike[np.arange(len(alike)), np.arange(part.start, part.stop)] = 2
        best = np.argpartition(-alike, count - 1, axis=1)[:, :count]
        found = np.take_along_axis(alike, best, 1)
        order = np.argsort(-found, axis=1, kind="stable")
        rows[part] = np.take_along_axis(best, order, 1)
        cosines[part] = np.minimum(np.take_along_axis(found, order, 1), 1)
    return rows, cosines


def context(identities: FloatArray) -> sparse.csr_matrix:
    """What faces each one has for neighbours: sparse float32, N x N, rows of unit length.

    Neighbours count that have each other among their nearest, by their likeness, and each row is
    the sum of those of its few nearest, if they are close.
    """
    number = len(identities)
    rows, cosines = neighbours(identities, _NEIGHBOURS)
    weights = np.exp((cosines - 1) * _STEEPNESS)
    one_way = _sparse(rows, weights)
    mutual = one_way.multiply(_sparse(rows, np.ones_like(weights)).T).tocsr()
    mutual = sparse.diags(1 / np.asarray(mutual.sum(1)).ravel()) @ mutual
    # Not of strangers: a face that has few of its own person's would share theirs.
    close = (cosines >= _EXPANDED_FROM).astype(np.float32)
    spread = _sparse(rows[:, :_EXPANDED], close[:, :_EXPANDED]) @ mutual
    norms = np.sqrt(np.asarray(spread.multiply(spread).sum(1)).ravel())
    scaled = sparse.diags(1 / np.maximum(norms, 1e-9)) @ spread
    assert scaled.shape == (number, number)
    return sparse.csr_matrix(scaled, dtype=np.float32)


class _Links:
    """The groups so far: their means, and for each the group most alike to it."""

    def __init__(
        self, identities: FloatArray, groups: Groups, apart: Iterable[tuple[int, int]]
    ) -> None:
        first = _first_rows(groups)
        self._rows = np.unique(first)
        place = np.searchsorted(self._rows, first)
        number = len(self._rows)
        self._sizes = np.bincount(place, minlength=number).astype(np.float64)
        gather = sparse.csr_matrix(
            (1 / self._sizes[place], (place, np.arange(len(first)))), (number, len(first))
        )
        self._dense = np.asarray(gather @ identities, np.float32)
        self._context = sparse.csr_matrix(gather @ context(identities), dtype=np.float32)
        self._joined: list[tuple[int, int, float]] = []
        self._apart: dict[int, set[int]] = {}
        for a, b in apart:
            self._keep_apart(int(place[a]), int(place[b]))
        self._alive = np.arange(number)
        self._nearest = np.full(number, -1)
        self._likeness = np.full(number, -np.inf)
        self._search(self._alive)

    def mutual_pairs(self) -> list[tuple[int, int]]:
        """Groups that are each other's most alike and may be joined."""
        mine = self._alive
        nearest = self._nearest[mine]
        mutual = (nearest >= 0) & (self._nearest[nearest] == mine) & (mine < nearest)
        return list(zip(mine[mutual].tolist(), nearest[mutual].tolist(), strict=True))

    def join(self, a: int, b: int) -> Merge:
        """Make b part of a. The nearest groups are right again after `refresh`."""
        likeness = float(self._likeness[a])
        share = self._sizes[b] / (self._sizes[a] + self._sizes[b])
        self._dense[a] += share * (self._dense[b] - self._dense[a])
        self._sizes[a] += self._sizes[b]
        self._joined.append((a, b, share))
        for other in self._apart.pop(b, set()):
            self._apart[other].discard(b)
            self._keep_apart(a, other)
        return Merge(int(self._rows[a]), int(self._rows[b]), likeness)

    def refresh(self) -> None:
        """Find the nearest groups again of what was joined, and of those that had it nearest."""
        changed = np.zeros(len(self._rows), bool)
        gone = np.zeros(len(self._rows), bool)
        for a, b, _ in self._joined:
            changed[[a, b]] = gone[b] = True
        self._context = self._joined_context()
        self._joined.clear()
        alive = self._alive[~gone[self._alive]]
        # What has nothing alike never will: no join raises the mean likeness above its parts'.
        alive = alive[self._likeness[alive] >= FLOOR]
        self._alive = alive
        self._search(alive[changed[alive] | changed[self._nearest[alive]]])

    def _joined_context(self) -> sparse.csr_matrix:
        number = len(self._rows)
        keep = np.ones(number, np.float32)
        kept, gone = ([pair[k] for pair in self._joined] for k in (0, 1))
        shares = np.array([share for *_, share in self._joined], np.float32)
        keep[kept], keep[gone] = 1 - shares, 0
        moved = sparse.csr_matrix((shares, (kept, gone)), (number, number))
        mix = sparse.diags(keep) + moved
        return sparse.csr_matrix(mix @ self._context, dtype=np.float32)

    def _search(self, wanted: NDArray[np.intp]) -> None:
        """Set the nearest living group of each of these."""
        if len(self._alive) < 2:
            self._nearest[wanted], self._likeness[wanted] = -1, -np.inf
            return
        pool, pool_context = self._dense[self._alive], self._context[self._alive].T.tocsr()
        place = {int(row): k for k, row in enumerate(self._alive)}
        for block in _blocks(len(wanted), len(pool)):
            part = wanted[block]
            alike = self._dense[part] @ pool.T
            alike *= 1 - _CONTEXT_SHARE
            shared = (self._context[part] @ pool_context).tocoo()
            alike[shared.row, shared.col] += _CONTEXT_SHARE * shared.data
            for k, row in enumerate(part.tolist()):
                others = [place[o] for o in self._apart.get(row, ()) if o in place]
                alike[k, [place[row], *others]] = -np.inf
            best = alike.argmax(1)
            self._likeness[part] = alike[np.arange(len(part)), best]
            enough = self._likeness[part] >= FLOOR
            self._nearest[part] = np.where(enough, self._alive[best], -1)

    def _keep_apart(self, a: int, b: int) -> None:
        if a != b:
            self._apart.setdefault(a, set()).add(b)
            self._apart.setdefault(b, set()).add(a)


def _first_rows(groups: Groups) -> NDArray[np.intp]:
    """For each row the first row of its group."""
    _, first, numbers = np.unique(groups, return_index=True, return_inverse=True)
    return first[numbers]


def _sparse(columns: NDArray[np.intp], values: FloatArray) -> sparse.csr_matrix:
    number, count = columns.shape
    ends = np.arange(number + 1) * count
    return sparse.csr_matrix((values.ravel(), columns.ravel(), ends), (number, number))


def _blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of so many rows that a block of them by the columns stays small."""
    step = max(1, _BLOCK_VALUES // max(columns, 1))
    for begin in range(0, rows, step):
        yield slice(begin, min(begin + step, rows))
