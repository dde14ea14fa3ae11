"""How well numbers of faces tell people apart: the protocol of LFW on any people's pictures.

As in "Labeled Faces in the Wild" (Huang et al. 2007), view 2: people are drawn alike, however many
pictures there are of them; pairs fall into ten folds by person; the threshold that is best on nine
folds is applied to the tenth. The pairs are drawn several times over and the figures are the means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sosie.types import FloatArray

_FOLDS, _DRAWS, _PAIRS_A_PERSON = 10, 10, 2
_STRANGERS = 100_000
_FALSE_ACCEPTS = 0.001
_LEAST_PEOPLE = 4


@dataclass(frozen=True)
class Verification:
    """accuracy: share of pairs judged right, 10-fold. true_accepts: share of the pairs of one
    person that pass where one in a thousand pairs of two people does. distance: of the means of
    both kinds of pairs, in standard deviations. pairs: drawn, of both kinds, each time."""

    accuracy: float
    true_accepts: float
    distance: float
    pairs: int


def verification(
    numbers: FloatArray, people: NDArray[np.str_], draws: int = _DRAWS, seed: int = 0
) -> Verification:
    """numbers: float32, N x D, of unit length. people: N, whom each shows.

    Of each person with several pictures two pairs are drawn, or the one there is, and as many pairs
    of different people. Where fewer than 20 people have several pictures there are fewer folds;
    ValueError where fewer than 4 have.
    """
    names, person = np.unique(people, return_inverse=True)
    rows = [np.flatnonzero(person == k) for k in range(len(names))]
    several = sum(len(own) > 1 for own in rows)
    if several < _LEAST_PEOPLE:
        raise ValueError(
            f"{several} people with several pictures are too few to choose a threshold"
        )
    folds = min(_FOLDS, several // 2)
    rng = np.random.default_rng(seed)
    products = np.asarray(numbers @ numbers.T, np.float32)
    found = [_once(products, rows, folds, rng) for _ in range(draws)]
    accuracy, true_accepts, distance, pairs = np.mean(found, 0)
    return Verification(float(accuracy), float(true_accepts), float(distance), round(float(pairs)))


def _once(
    products: FloatArray, rows: list[NDArray[np.intp]], folds: int, rng: np.random.Generator
) -> tuple[float, float, float, int]:
    order = rng.permutation(len(rows))
    # People with several pictures first, so that each fold gets its share of them.
    order = order[np.argsort([len(rows[person]) < 2 for person in order], kind="stable")]
    fold_of = np.empty(len(rows), np.intp)
    fold_of[order] = np.arange(len(rows)) % folds
    same, same_fold = _own_pairs(rows, fold_of, rng)
    other, other_fold = [], []
    for fold in range(folds):
        members = np.flatnonzero(fold_of == fold)
        count = int((same_fold == fold).sum())
        other.append(_strange_pairs(rows, members, count, rng))
        other_fold.append(np.full(count, fold))
    alike = _chosen(products, same)
    apart = _chosen(products, np.concatenate(other))
    accuracy = _accuracy(alike, same_fold, apart, np.concatenate(other_fold))
    strangers = _chosen(products, _strange_pairs(rows, order, _STRANGERS, rng))
    threshold = np.quantile(strangers, 1 - _FALSE_ACCEPTS)
    spread = np.sqrt((alike.var() + strangers.var()) / 2)
    distance = (alike.mean() - strangers.mean()) / max(float(spread), 1e-9)
    return accuracy, float((alike >= threshold).mean()), float(distance), 2 * len(alike)


def _own_pairs(
    rows: list[NDArray[np.intp]], fold_of: NDArray[np.intp], rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of pictures of one person, P x 2, and the fold of each."""
    pairs, folds = [], []
    for person, own in enumerate(rows):
        first, second = np.triu_indices(len(own), 1)
        chosen = rng.permutation(len(first))[:_PAIRS_A_PERSON]
        pairs += [(own[first[k]], own[second[k]]) for k in chosen]
        folds += [fold_of[person]] * len(chosen)
    return np.array(pairs), np.array(folds)


def _strange_pairs(
    rows: list[NDArray[np.intp]],
    members: NDArray[np.intp],
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Pairs of pictures of two people among `members`, people drawn alike: count x 2."""
    one = rng.integers(0, len(members), count)
    two = (one + rng.integers(1, len(members), count)) % len(members)
    lengths = np.array([len(own) for own in rows])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    flat = np.concatenate(rows)
    chosen = [members[one], members[two]]
    return np.stack([flat[starts[p] + rng.integers(0, lengths[p])] for p in chosen], 1)


def _chosen(products: FloatArray, pairs: NDArray[np.intp]) -> NDArray[np.float64]:
    return np.asarray(products[pairs[:, 0], pairs[:, 1]], np.float64)


def _accuracy(
    alike: NDArray[np.float64],
    alike_fold: NDArray[np.intp],
    apart: NDArray[np.float64],
    apart_fold: NDArray[np.intp],
) -> float:
    shares = []
    for fold in np.unique(alike_fold):
        threshold = _best_threshold(alike[alike_fold != fold], apart[apart_fold != fold])
        right = (alike[alike_fold == fold] >= threshold).tolist()
        right += (apart[apart_fold == fold] < threshold).tolist()
        shares.append(np.mean(right))
    return float(np.mean(shares))


def _best_threshold(alike: NDArray[np.float64], apart: NDArray[np.float64]) -> float:
    """The middle between two products where most pairs are judged right."""
    values = np.concatenate([alike, apart])
    order = np.argsort(values)
    is_alike = np.concatenate([np.ones(len(alike)), np.zeros(len(apart))])[order]
    # What lies below the k-th place is called apart, the rest alike.
    right = np.concatenate([[0], np.cumsum(1 - is_alike)]) + (
        len(alike) - np.concatenate([[0], np.cumsum(is_alike)])
    )
    place = int(np.argmax(right))
    ordered = values[order]
    low, high = ordered[max(place - 1, 0)], ordered[min(place, len(ordered) - 1)]
    return float(low + high) / 2
