"""Which faces are one person's: average linkage over identities, in memory that hardly grows with
their number.

The likeness of two faces is the cosine of their identities, mixed with how far they have the same
neighbors: Zhong et al., "Re-ranking person re-identification with k-reciprocal encoding", CVPR
2017, with the cosine of the encodings in place of their Jaccard distance. Both are dot products, so
that the mean likeness of two groups is the dot product of their means, and no table of all pairs
is ever needed.

Nor are all pairs compared again when groups were joined. Each group knows those most alike to it,
and a bound of all others' likeness. A joined group is as alike to another as its parts are in the
mean, so that bounds are known of it too; all are compared with it only where the bound is above
what it still knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from sosie.datasets.neighbors import COLUMNS, ROWS, Best, Scratch, parts, reciprocal_neighbors
from sosie.types import FloatArray

CUT = 0.46
"""Mean likeness from which on two groups are taken for one person's."""

FLOOR = 0.30
"""Mean likeness below which nothing is joined, whatever number of people is asked for."""

# Chosen with CUT on identities that are not held out; `docs/reports/datasets.md` has the figures.
_CONTEXT_SHARE = 0.2

_KNOWN = 32
"""How many of the groups most alike to it each one knows."""

_PAIRS, _RENEWED = 4096, 1024
"""Pairs that are compared, and groups that are looked at, at once."""

Groups = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Merge:
    """Two groups that became one. kept, gone: rows that stand for them; the first stands for both
    from then on. likeness: the mean over all pairs."""

    kept: int
    gone: int
    likeness: float


def linkage(
    identities: FloatArray | Scratch,
    start: Groups | None = None,
    apart: Iterable[Iterable[int]] = (),
) -> list[Merge]:
    """The joins of average linkage down to FLOOR, in an order in which they can be made.

    identities: float32, N x D, of unit length. start: N, groups that are one from the outset; None
    has each face alone. apart: sets of rows that are all different people, and never come together.
    The rows of a merge are the first of each group of `start`. Raises OutputError where the folder
    for temporary files has not the room for the identities of many.

    Two groups that are each other's most alike stay so whatever else is joined, so that all such
    pairs are joined at once (Murtagh, "A survey of recent advances in hierarchical clustering
    algorithms", 1983): the result is that of joining the most alike pair again and again.
    """
    stored = identities if isinstance(identities, Scratch) else _stored(identities)
    groups = np.arange(len(stored.values)) if start is None else start
    if len(groups) < 2:
        return []
    links = _Links(stored, _first_rows(groups), apart)
    merges: list[Merge] = []
    while len(pairs := links.mutual_pairs()):
        merges += links.join(pairs)
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


class _Apart:
    """Which groups never come together: those that have a set of `apart` in common."""

    def __init__(self, apart: Iterable[Iterable[int]], first: Groups) -> None:
        self._groups: list[set[int]] = []
        self._sets: dict[int, set[int]] = {}
        for number, rows in enumerate(apart):
            self._groups.append({int(first[row]) for row in rows})
            for group in self._groups[-1]:
                self._sets.setdefault(group, set()).add(number)

    def strike(self, group: int, others: NDArray[np.int32]) -> None:
        """Put -1 for each of some groups that one must not be joined with."""
        mine = self._sets.get(group)
        if mine:
            none: set[int] = set()
            clash = [not mine.isdisjoint(self._sets.get(other, none)) for other in others.tolist()]
            others[clash] = -1

    def join(self, kept: int, gone: int) -> None:
        """Have what held for either hold for the first."""
        for number in self._sets.pop(gone, set()):
            self._groups[number].discard(gone)
            self._groups[number].add(kept)
            self._sets.setdefault(kept, set()).add(number)

    def pairs(self, groups: NDArray[np.integer[Any]], place: NDArray[np.int32]) -> NDArray[np.intp]:
        """Of some groups the numbers, and the places of those they must not be joined with, their
        own among them: 2 x M, ordered by nothing."""
        found = [(k, group) for k, group in enumerate(groups.tolist())]
        for k, group in enumerate(groups.tolist() if self._sets else ()):
            for number in self._sets.get(group, ()):
                found += [(k, other) for other in self._groups[number]]
        numbers, others = np.array(found, np.intp).reshape(-1, 2).T
        return np.stack([numbers, place[others]])


class _Links:
    """The groups so far, by their first rows: their means, and for each those most alike to it.

    A group that has nothing alike by FLOOR is out of it: no join raises a mean likeness above its
    parts'. What a group knows of another is right if neither has changed since (`_at`, `_looked`).
    """

    def __init__(self, identities: Scratch, first: Groups, apart: Iterable[Iterable[int]]) -> None:
        number = len(first)
        self._contexts = reciprocal_neighbors(identities)
        self._dense = Scratch(identities.values.shape)
        self._sizes = np.bincount(first, minlength=number).astype(np.float64)
        self._gather(identities, first)
        self._apart = _Apart(apart, first)
        self._root = np.arange(number, dtype=np.int32)
        self._known = np.full((number, _KNOWN), -1, np.int32)
        self._values = np.full((number, _KNOWN), -np.inf, np.float32)
        self._bound = np.full(number, FLOOR, np.float32)
        self._nearest = np.full(number, -1, np.int32)
        self._likeness = np.full(number, -np.inf, np.float32)
        self._at, self._looked = np.zeros(number, np.int32), np.zeros(number, np.int32)
        self._round = 0
        self._alive = self._sizes > 0
        self._search(np.flatnonzero(self._alive))
        self._part_with_lonely()

    def mutual_pairs(self) -> NDArray[np.intp]:
        """Groups that are each other's most alike and may be joined: M x 2."""
        mine = np.flatnonzero(self._alive)
        nearest = self._nearest[mine]
        mutual = (self._nearest[nearest] == mine) & (mine < nearest)
        if len(mine) and not mutual.any():
            # Equal likenesses, each rounded otherwise from either side, can make a ring.
            mutual[self._likeness[mine].argmax()] = True
        return np.stack([mine[mutual], nearest[mutual]], 1)

    def join(self, pairs: NDArray[np.intp]) -> list[Merge]:
        """Make the second of each pair part of the first, and find the nearest groups again of
        what changed, and of those that had it nearest."""
        self._round += 1
        kept, gone = pairs.T
        merges = [
            Merge(int(a), int(b), float(self._likeness[a])) for a, b in zip(kept, gone, strict=True)
        ]
        share = (self._sizes[gone] / (self._sizes[gone] + self._sizes[kept])).astype(np.float32)
        for part in parts(len(pairs)):
            self._mix(kept[part], gone[part], share[part])
        self._sizes[kept] += self._sizes[gone]
        self._root[gone] = kept
        # What an earlier round made part of these that are gone now.
        self._root = self._root[self._root]
        self._alive[gone] = False
        self._at[pairs] = self._round
        for merge in merges:
            self._apart.join(merge.kept, merge.gone)
        self._renew(kept, gone, share)
        others = np.flatnonzero(self._alive & (self._looked < self._round))
        others = others[self._at[self._nearest[others]] == self._round]
        self._renew(others)
        unsure = self._alive & (self._bound > np.maximum(self._likeness, FLOOR))
        self._search(np.flatnonzero(unsure))
        self._part_with_lonely()
        return merges

    def _gather(self, identities: Scratch, first: Groups) -> None:
        """The means of the groups at the outset."""
        order = np.argsort(first, kind="stable")
        unfinished = -1
        for part in parts(len(order)):
            rows = order[part]
            groups, place = np.unique(first[rows], return_inverse=True)
            weights = (1 / self._sizes[first[rows]]).astype(np.float32)
            mean = sparse.csr_matrix((weights, (place, np.arange(len(rows)))))
            dense = np.asarray(mean @ identities.rows(rows), np.float32)
            context = mean @ self._contexts.rows(rows)
            if groups[0] == unfinished:
                begun = sparse.csr_matrix(([1], ([0], [0])), (len(groups), 1))
                dense[0] += self._dense.rows(groups[:1])[0]
                context = context + begun @ self._contexts.rows(groups[:1])
            self._dense.put(groups, dense)
            self._contexts.drop(rows)
            self._contexts.put(groups, sparse.csr_matrix(context, dtype=np.float32))
            unfinished = groups[-1]

    def _mix(self, kept: Groups, gone: Groups, share: FloatArray) -> None:
        """The means of pairs that are joined, `share` of each the second's."""
        one, other = self._dense.rows(kept), self._dense.rows(gone)
        self._dense.put(kept, one + share[:, None] * (other - one))
        mixed = sparse.diags(1 - share) @ self._contexts.rows(kept)
        mixed = mixed + sparse.diags(share) @ self._contexts.rows(gone)
        self._contexts.drop(gone)
        self._contexts.put(kept, sparse.csr_matrix(mixed, dtype=np.float32))

    def _part_with_lonely(self) -> None:
        self._alive &= self._likeness >= FLOOR

    def _renew(self, groups: Groups, gone: Groups | None = None, share: Any = None) -> None:
        """Look again at what groups know. gone: what was made part of each just now, whose
        knowledge is joined with theirs, and its share."""
        for part in parts(len(groups), _RENEWED):
            some = groups[part]
            known, values = self._known[some], self._values[some]
            if gone is None:
                old = self._at[known] > self._looked[some][:, None]
            else:
                other, weight = gone[part], share[part]
                known = np.concatenate([known, self._known[other]], 1)
                values = np.concatenate([values, self._values[other]], 1)
                old = np.ones(known.shape, bool)
                self._bound[some] += weight * (self._bound[other] - self._bound[some])
            self._know(some, *self._brought_up(some, known, values, old))

    def _brought_up(
        self, groups: Groups, known: NDArray[np.int32], values: FloatArray, old: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int32], FloatArray]:
        """What is known of others as it is now. old: what has to be computed again."""
        known = np.where(known >= 0, self._root[known], -1)
        known = np.where(self._alive[known], known, -1)
        order = np.argsort(known, axis=1, kind="stable")
        known = np.take_along_axis(known, order, 1)
        values, old = np.take_along_axis(values, order, 1), np.take_along_axis(old, order, 1)
        known[:, 1:][known[:, 1:] == known[:, :-1]] = -1
        known[known == groups[:, None]] = -1
        for row, group in enumerate(groups):
            self._apart.strike(int(group), known[row])
        rows, slots = np.nonzero((known >= 0) & old)
        values[rows, slots] = self._compared(groups[rows], known[rows, slots])
        values[known < 0] = -np.inf
        return known, values

    def _know(self, groups: Groups, known: NDArray[np.int32], values: FloatArray) -> None:
        """Keep the most alike of what is known of groups, and find the nearest."""
        if known.shape[1] > _KNOWN:
            order = np.argsort(-values, axis=1, kind="stable")
            known = np.take_along_axis(known, order[:, :_KNOWN], 1)
            values = np.take_along_axis(values, order[:, : _KNOWN + 1], 1)
            self._bound[groups] = np.maximum(self._bound[groups], values[:, _KNOWN])
            values = values[:, :_KNOWN]
        best = values.argmax(1)
        rows = np.arange(len(groups))
        self._known[groups], self._values[groups] = known, values
        self._nearest[groups], self._likeness[groups] = known[rows, best], values[rows, best]
        self._looked[groups] = self._round

    def _compared(
        self, ones: NDArray[np.integer[Any]], others: NDArray[np.integer[Any]]
    ) -> FloatArray:
        """The likeness of pairs of groups."""
        found = np.empty(len(ones), np.float32)
        for part in parts(len(ones), _PAIRS):
            groups, place = np.unique([ones[part], others[part]], return_inverse=True)
            one, other = place.reshape(2, -1)
            dense, context = self._dense.rows(groups), self._contexts.rows(groups)
            alike = np.einsum("ij,ij->i", dense[one], dense[other])
            shared = np.asarray(context[one].multiply(context[other]).sum(1)).ravel()
            found[part] = (1 - _CONTEXT_SHARE) * alike + _CONTEXT_SHARE * shared
        return found

    def _search(self, wanted: Groups) -> None:
        """Compare groups with all others."""
        alive = np.flatnonzero(self._alive)
        place = np.full(len(self._root), -1, np.int32)
        place[alive] = np.arange(len(alive))
        for some in parts(len(wanted), ROWS):
            groups = wanted[some]
            dense = self._dense.rows(groups) * np.float32(1 - _CONTEXT_SHARE)
            context = self._contexts.rows(groups) * np.float32(_CONTEXT_SHARE)
            best = Best(len(groups), _KNOWN, FLOOR)
            rows, places = self._apart.pairs(groups, place)
            for part in parts(len(alive), COLUMNS):
                columns = alive[part]
                block = dense @ self._dense.rows(columns).T
                shared = (context @ self._contexts.rows(columns).T).tocoo()
                block[shared.row, shared.col] += shared.data
                own = (places >= part.start) & (places < part.stop)
                block[rows[own], places[own] - part.start] = -np.inf
                best.offer(block, columns)
            full = (best.columns >= 0).all(1)
            self._bound[groups] = np.where(full, best.values.min(1), FLOOR)
            best.values[best.columns < 0] = -np.inf
            self._know(groups, best.columns, best.values)


def _stored(identities: FloatArray) -> Scratch:
    stored = Scratch(identities.shape)
    every = np.arange(len(identities))
    for part in parts(len(identities)):
        stored.put(every[part], identities[part])
    return stored


def _first_rows(groups: Groups) -> NDArray[np.intp]:
    """For each row the first row of its group."""
    _, first, numbers = np.unique(groups, return_index=True, return_inverse=True)
    return first[numbers]
