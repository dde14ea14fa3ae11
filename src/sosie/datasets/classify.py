"""A classifier for one's own people: a linear layer, fitted on what an encoder tells of faces. That
is Sosie's identity network, or one that the user has trained.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie import foreign
from sosie.analysis.selection import SAME_PERSON
from sosie.errors import InputError, UsageError
from sosie.models import cards
from sosie.output import atomic_output
from sosie.types import FloatArray

# Identities are of unit length: without this the layer could not become sure of anything.
_SCALE = 10.0
_PENALTY = 1.0
_ROUNDS = 1000
_FIELDS = ("names", "weights", "bias", "means", "encoder")
# Not in files of before, which are all of the identity network.
_LEAST = "least"
ANYBODY = -1.0
"""As `least` of a classifier: nobody is a stranger."""


@dataclass(frozen=True)
class Samples:
    """Faces with names. identities: float32, N x D, unit length; D is 512 of the identity network.
    names: whose each is. groups: faces of one group (a track of a video, a photo) are never on both
    sides of a test."""

    identities: FloatArray
    names: list[str]
    groups: list[str]


@dataclass(frozen=True)
class Guess:
    """Whose face it is. name: "" where it is like nobody known. probability: of the most likely
    person among those known, 0..1. similarity: mean cosine with that person's faces."""

    name: str
    probability: float
    similarity: float


@dataclass(frozen=True)
class Classifier:
    """names: of the people, sorted. weights, bias: float32, people x D and people, of a softmax
    over them. means: float32, people x D, mean identity of each. encoder: SHA-256 of the network
    that it goes with. least: mean cosine with a person's faces below which a face is a stranger's.
    """

    names: tuple[str, ...]
    weights: FloatArray
    bias: FloatArray
    means: FloatArray
    encoder: str
    least: float = SAME_PERSON

    def guess(self, identities: FloatArray) -> list[Guess]:
        """identities: float32, N x D, unit length."""
        scores = _SCALE * identities @ self.weights.T + self.bias
        odds = np.exp(scores - scores.max(1, keepdims=True))
        odds /= odds.sum(1, keepdims=True)
        alike = identities @ self.means.T
        guesses = []
        for row, best in enumerate(odds.argmax(1).tolist()):
            similarity = float(alike[row, best])
            name = self.names[best] if similarity >= self.least else ""
            guesses.append(Guess(name, float(odds[row, best]), similarity))
        return guesses

    def save(self, path: Path, overwrite: bool = False) -> None:
        """Write an `.npz` of plain arrays, whole or not at all."""
        arrays = {name: np.asarray(getattr(self, name)) for name in (*_FIELDS, _LEAST)}
        with atomic_output(path, overwrite) as pending, pending.path.open("wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: Path, encoder: str | None = None) -> Classifier:
        """Read what `save` wrote. Nothing in the file is executed. encoder: SHA-256 of the network
        that it is to go with; None is the identity network. Raises InputError where it is no
        classifier, damaged, or goes with another network."""
        if not path.exists():
            raise InputError(f"{path} does not exist; check the name.")
        try:
            if not path.is_file():
                raise ValueError("it is no file")
            arrays = foreign.parse_arrays(path.read_bytes())
            names, layer, bias, means, made_for = (arrays[name] for name in _FIELDS)
            _require_shapes(names, layer, bias, means, made_for)
            least = float(arrays.get(_LEAST, np.float32(SAME_PERSON)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is no classifier, or damaged; fit one anew.") from error
        if str(made_for) != (encoder or encoder_hash()):
            raise InputError(
                f"{path} was fitted on another version of the identity network, or on other "
                f"weights: name these with --weights, or fit it anew."
            )
        layer, bias, means = (np.asarray(part, np.float32) for part in (layer, bias, means))
        return cls(tuple(names.tolist()), layer, bias, means, str(made_for), least)


@dataclass(frozen=True)
class Trial:
    """How a classifier did on faces that it was not fitted on. confusion: int, people x people: of
    those in the row, how many were taken for whom in the column, nobody in the last column; all 0
    of people whose faces are of one photo or track, so that none could be kept for the test."""

    names: tuple[str, ...]
    confusion: NDArray[np.intp]
    train: int
    test: int

    @property
    def accuracy(self) -> float:
        """Share of the test's faces that got their own name; nan without a test."""
        return float(np.trace(self.confusion)) / self.test if self.test else float("nan")


def fit(
    samples: Samples, test_share: float, encoder: str | None = None, least: float = SAME_PERSON
) -> tuple[Classifier, Trial]:
    """A classifier of all people of the samples, fitted on the share that is not for the test.

    encoder: SHA-256 of the network that the samples are of; None is the identity network. least: as
    `Classifier` has it. The test's groups follow from their names alone. Raises UsageError where
    the share is not in 0..1, InputError where there are fewer than two people, or none of them has
    faces enough for a test.
    """
    if not 0 <= test_share < 1:
        raise UsageError(f"A share of {test_share} is no test; give one from 0 to below 1, as 0.2.")
    names = sorted(set(samples.names))
    if len(names) < 2:
        raise InputError(
            f"A classifier tells two people or more apart, and there {'is' if names else 'are'} "
            f"{len(names)}: give a folder for each person."
        )
    test = _test_rows(samples, test_share)
    labels = np.array([names.index(name) for name in samples.names])
    fitted = _fitted(samples.identities[~test], labels[~test], names)
    classifier = replace(fitted, encoder=encoder or fitted.encoder, least=least)
    confusion = np.zeros((len(names), len(names) + 1), np.intp)
    for label, guess in zip(labels[test], classifier.guess(samples.identities[test]), strict=True):
        confusion[label, names.index(guess.name) if guess.name else len(names)] += 1
    return classifier, Trial(tuple(names), confusion, int((~test).sum()), int(test.sum()))


def encoder_hash() -> str:
    """SHA-256 of the identity network of this installation."""
    return cards.read_card("identity").sha256


def _require_shapes(
    names: NDArray[Any],
    layer: NDArray[Any],
    bias: NDArray[Any],
    means: NDArray[Any],
    encoder: NDArray[Any],
) -> None:
    """Raises ValueError where arrays are not those of a classifier."""
    people = len(names) if names.ndim == 1 else 0
    numbers_each = layer.shape[1] if layer.ndim == 2 else 0
    texts = names.dtype.kind == "U" and encoder.dtype.kind == "U" and encoder.ndim == 0
    wide = (people, numbers_each)
    shapes = (layer.shape, bias.shape, means.shape) == (wide, (people,), wide)
    numbers = all(part.dtype.kind == "f" for part in (layer, bias, means))
    if people < 1 or numbers_each < 1 or not texts or not shapes or not numbers:
        raise ValueError("the arrays are not those of a classifier")
    if not all(np.isfinite(part).all() for part in (layer, bias, means)):
        raise ValueError("it holds numbers that are none")


def _fitted(identities: FloatArray, labels: NDArray[np.intp], names: Sequence[str]) -> Classifier:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=_PENALTY, max_iter=_ROUNDS, class_weight="balanced")
    model.fit(_SCALE * identities, labels)
    layer, bias = model.coef_, model.intercept_
    if len(names) == 2:
        # Of two people the package keeps the difference alone.
        layer, bias = np.concatenate([-layer, layer]) / 2, np.concatenate([-bias, bias]) / 2
    means = np.stack([identities[labels == k].mean(0) for k in range(len(names))])
    return Classifier(
        tuple(names),
        np.asarray(layer, np.float32),
        np.asarray(bias, np.float32),
        np.asarray(means, np.float32),
        encoder_hash(),
    )


def _test_rows(samples: Samples, share: float) -> NDArray[np.bool_]:
    """Which faces are for the test: of each person that share of the groups, but at least one, and
    at least one is left; none of those who have a single one."""
    test = np.zeros(len(samples.names), bool)
    if share == 0:
        return test
    for name in sorted(set(samples.names)):
        rows = [k for k, own in enumerate(samples.names) if own == name]
        groups = sorted({samples.groups[k] for k in rows}, key=_order)
        if len(groups) < 2:
            continue
        number = min(max(round(share * len(groups)), 1), len(groups) - 1)
        chosen = set(groups[:number])
        test[[k for k in rows if samples.groups[k] in chosen]] = True
    if not test.any():
        raise InputError(
            "Everybody has faces of one photo or track only, and a test needs two of a person: add "
            "some, or give --test 0."
        )
    return test


def _order(group: str) -> str:
    return hashlib.sha256(group.encode()).hexdigest()
