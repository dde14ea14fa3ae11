"""Average linkage: against the plain algorithm, and with people kept apart."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster
from scipy.cluster.hierarchy import linkage as plain_linkage
from scipy.spatial.distance import squareform

from sosie.datasets import linkage as module
from sosie.datasets.linkage import CUT, FLOOR, context, cut, linkage, neighbours

COUNTS = {"anna": 12, "ben": 7, "cleo": 4, "dan": 1}


def partition(groups):
    """Groups as sets of rows."""
    return {frozenset(np.flatnonzero(groups == g).tolist()) for g in np.unique(groups)}


def plain(identities, level):
    """All pairs in a table, joined by scipy."""
    encoded = context(identities).toarray()
    alike = 0.8 * identities @ identities.T + 0.2 * encoded @ encoded.T
    apart = squareform(np.clip(1 - alike, 0, None).round(6), checks=False)
    return fcluster(plain_linkage(apart, "average"), 1 - level, "distance")


@pytest.mark.parametrize("level", [0.35, 0.45, CUT, 0.6])
@pytest.mark.parametrize("spread", [0.5, 0.9])
def test_it_joins_as_the_plain_algorithm_does(people, level, spread):
    identities, _ = people({f"p{k}": 3 + k for k in range(12)}, spread, seed=2)
    groups = cut(np.arange(len(identities)), linkage(identities), level)
    assert partition(groups) == partition(plain(identities, level))


def test_blocks_of_any_size_give_the_same(people, monkeypatch):
    identities, _ = people(COUNTS)
    whole = linkage(identities)
    monkeypatch.setattr(module, "_BLOCK_VALUES", 1)
    assert [(m.kept, m.gone) for m in linkage(identities)] == [(m.kept, m.gone) for m in whole]


def test_people_are_found(people):
    identities, names = people(COUNTS, spread=0.6)
    groups = cut(np.arange(len(names)), linkage(identities), CUT)
    assert partition(groups) == partition(np.unique(names, return_inverse=True)[1])


def test_what_is_apart_never_comes_together(people):
    identities, names = people({"anna": 6}, spread=0.2)
    merges = linkage(identities, apart=[(0, 1), (1, 2)])
    groups = cut(np.arange(6), merges, FLOOR)
    assert groups[0] != groups[1] != groups[2]
    assert len(set(groups)) == 2
    assert set(names) == {"anna"}


def test_what_is_one_from_the_outset_stays_so(people):
    identities, names = people({"anna": 4, "ben": 4}, spread=0.3)
    start = np.arange(8)
    one, other = np.flatnonzero(names == "anna")[0], np.flatnonzero(names == "ben")[0]
    start[other] = start[one] = min(one, other)
    groups = cut(start, linkage(identities, start), 0.99)
    assert groups[one] == groups[other]
    assert len(set(groups)) == 7


def test_groups_are_numbered_by_their_first_rows(people):
    identities, _ = people(COUNTS)
    groups = cut(np.arange(len(identities)), linkage(identities), CUT)
    first = [int(np.flatnonzero(groups == g)[0]) for g in range(groups.max() + 1)]
    assert first == sorted(first)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_hardly_any_faces(people, number):
    identities, _ = people({"anna": 2}, spread=0.3)
    merges = linkage(identities[:number])
    assert len(merges) == max(number - 1, 0)
    assert len(cut(np.arange(number), merges, CUT)) == number


def test_neighbours_are_the_most_alike(people):
    identities, _ = people(COUNTS)
    rows, cosines = neighbours(identities, 5)
    alike = identities @ identities.T
    assert (rows[:, 0] == np.arange(len(rows))).all()
    np.testing.assert_allclose(cosines, -np.sort(-alike, 1)[:, :5], atol=1e-5)


def test_many_faces_need_little_memory(monkeypatch):
    """Less than half of a table of all pairs, which would be 36 MB."""
    monkeypatch.setattr(module, "_BLOCK_VALUES", 1 << 16)
    rng = np.random.default_rng(0)
    identities = rng.normal(size=(3000, 64)).astype(np.float32)
    identities /= np.linalg.norm(identities, axis=1, keepdims=True)
    tracemalloc.start()
    linkage(identities)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 18e6
