"""Average linkage: against the plain algorithm, and with people kept apart."""

from __future__ import annotations

import errno
import tracemalloc

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster
from scipy.cluster.hierarchy import linkage as plain_linkage
from scipy.spatial.distance import squareform

from sosie.datasets import linkage as module
from sosie.datasets import neighbors as neighbor_module
from sosie.datasets.linkage import CUT, FLOOR, cut, linkage
from sosie.datasets.neighbors import Scratch, neighbors, reciprocal_neighbors
from sosie.errors import OutputError

COUNTS = {"anna": 12, "ben": 7, "cleo": 4, "dan": 1}


def partition(groups):
    """Groups as sets of rows."""
    return {frozenset(np.flatnonzero(groups == g).tolist()) for g in np.unique(groups)}


def stored(identities):
    """As the linkage has them."""
    made = Scratch(identities.shape)
    made.put(np.arange(len(identities)), identities)
    return made


def distances(identities):
    """All pairs in a table."""
    encoded = reciprocal_neighbors(stored(identities)).rows(np.arange(len(identities))).toarray()
    alike = 0.8 * identities @ identities.T + 0.2 * encoded @ encoded.T
    return squareform(np.clip(1 - alike, 0, None).round(6), checks=False)


def plain(identities, level):
    """Joined by scipy."""
    return fcluster(plain_linkage(distances(identities), "average"), 1 - level, "distance")


@pytest.mark.parametrize("level", [0.35, 0.45, CUT, 0.6])
@pytest.mark.parametrize("spread", [0.5, 0.9])
def test_it_joins_as_the_plain_algorithm_does(people, level, spread):
    identities, _ = people({f"p{k}": 3 + k for k in range(12)}, spread, seed=2)
    groups = cut(np.arange(len(identities)), linkage(identities), level)
    assert partition(groups) == partition(plain(identities, level))


def test_blocks_of_any_size_give_the_same(people, monkeypatch):
    identities, _ = people(COUNTS)
    whole = linkage(identities)
    monkeypatch.setattr(neighbor_module, "_OFFERED", 2)
    for place in (neighbor_module, module):
        monkeypatch.setattr(place, "ROWS", 3)
        monkeypatch.setattr(place, "COLUMNS", 5)
    monkeypatch.setattr(module, "_PAIRS", 2)
    monkeypatch.setattr(module, "_RENEWED", 2)
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


def test_neighbors_are_the_most_alike(people):
    identities, _ = people(COUNTS)
    rows, cosines = neighbors(stored(identities), 5)
    alike = identities @ identities.T
    assert (rows[:, 0] == np.arange(len(rows))).all()
    np.testing.assert_allclose(cosines, -np.sort(-alike, 1)[:, :5], atol=1e-5)


def test_arrays_on_disk_give_the_same(people, monkeypatch):
    identities, _ = people(COUNTS)
    whole = linkage(identities)
    monkeypatch.setattr(neighbor_module, "_HELD_BYTES", 0)
    monkeypatch.setattr(neighbor_module, "_PART_ROWS", 3)
    assert [(m.kept, m.gone) for m in linkage(identities)] == [(m.kept, m.gone) for m in whole]


@pytest.mark.parametrize("known", [1, 2, 5])
def test_how_many_neighbors_are_known_changes_nothing(people, monkeypatch, known):
    """What is not known of others is searched for where it matters."""
    identities, _ = people({f"p{k}": 3 + k for k in range(12)}, 0.8, seed=4)
    whole = linkage(identities)
    monkeypatch.setattr(module, "_KNOWN", known)
    assert [(m.kept, m.gone) for m in linkage(identities)] == [(m.kept, m.gone) for m in whole]


@pytest.mark.parametrize("seed", range(2))
def test_strangers_join_as_the_plain_algorithm_has_them(seed, monkeypatch):
    """All a little alike: much of it just about enough to be joined."""
    monkeypatch.setattr(module, "_KNOWN", 8)
    rng = np.random.default_rng(seed)
    identities = rng.normal(size=(600, 32)) + 0.35
    identities /= np.linalg.norm(identities, axis=1, keepdims=True)
    identities = identities.astype(np.float32)
    merges = np.sort([merge.likeness for merge in linkage(identities)])
    heights = 1 - plain_linkage(distances(identities), "average")[:, 2]
    np.testing.assert_allclose(merges, np.sort(heights[heights >= FLOOR]), atol=2e-5)


def test_a_face_is_found_under_the_name_of_what_it_became_long_ago(monkeypatch):
    """Row 7 is like row 2 alone of the first three, and looks again only when row 6 is gone: row 2
    is part of row 1 by then, and that of row 0."""
    monkeypatch.setattr(module, "_CONTEXT_SHARE", 0.0)
    table = np.full((8, 8), 0.2)
    alike = {(1, 2): 0.8, (0, 1): 0.7, (0, 2): 0.7, (4, 5): 0.8, (3, 4): 0.7, (3, 5): 0.7,
             (3, 6): 0.62, (4, 6): 0.62, (5, 6): 0.62, (6, 7): 0.6, (2, 7): 0.58, (0, 7): 0.29,
             (1, 7): 0.29, (3, 7): 0.22, (4, 7): 0.22, (5, 7): 0.22}  # fmt: skip
    for (a, b), cosine in alike.items():
        table[a, b] = table[b, a] = cosine
    np.fill_diagonal(table, 1)
    identities = np.linalg.cholesky(table).astype(np.float32)
    merges = linkage(identities)
    assert (merges[-1].kept, merges[-1].gone) == (0, 7)
    assert merges[-1].likeness == pytest.approx((0.58 + 0.29 + 0.29) / 3, abs=1e-5)


def test_pictures_that_are_all_the_same_come_together(people):
    """Whose likenesses are equal but for their rounding."""
    identities, _ = people({"anna": 1, "ben": 1}, spread=0.9)
    groups = cut(np.arange(120), linkage(np.repeat(identities, 60, axis=0)), CUT)
    assert partition(groups) == {frozenset(range(60)), frozenset(range(60, 120))}


def test_a_set_of_rows_is_apart_as_its_pairs_are(people):
    identities, _ = people({"anna": 9, "ben": 3}, spread=0.4)
    pairs = [(a, b) for a in (0, 2, 5) for b in (0, 2, 5) if a < b]
    whole, by_pairs = linkage(identities, apart=[(0, 2, 5)]), linkage(identities, apart=pairs)
    assert whole == by_pairs
    groups = cut(np.arange(12), whole, FLOOR)
    assert len({groups[0], groups[2], groups[5]}) == 3


def test_a_full_disk_is_told_of(monkeypatch):
    monkeypatch.setattr(neighbor_module, "_HELD_BYTES", 0)

    def full(*_args, **_values):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(neighbor_module.tempfile, "TemporaryFile", full)
    with pytest.raises(OutputError, match=r"no room for 0 MB.*TMPDIR"):
        Scratch((10, 10))


def test_memory_hardly_grows_with_the_faces(monkeypatch):
    """By 800 bytes a face, of the 2 KB that an identity has; the blocks are made small here."""
    monkeypatch.setattr(neighbor_module, "_HELD_BYTES", 0)
    for place in (neighbor_module, module):
        monkeypatch.setattr(place, "ROWS", 128)
        monkeypatch.setattr(place, "COLUMNS", 256)
    peaks = []
    for number in (1000, 4000):
        identities = np.random.default_rng(0).normal(size=(number, 512)).astype(np.float32)
        identities /= np.linalg.norm(identities, axis=1, keepdims=True)
        kept = stored(identities)
        tracemalloc.start()
        linkage(kept)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / 3000 < 800
