"""What there is to say of a set: the figures that its report shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.datasets import coverage
from sosie.datasets.clean import doubles
from sosie.datasets.contact_sheets import spread
from sosie.datasets.coverage import Coverage, Wish
from sosie.datasets.store import FaceStore
from sosie.errors import NoFaceError
from sosie.types import FloatArray

_COLUMNS = (
    *coverage.COLUMNS, "file", "person", "rejected", "input", "face_px", "identity", "phash",
    "split", "size_px", "input_sha256", "track",
)  # fmt: skip
_SHEET, _SMALL_SHEET, _LARGE_SHEETS = 24, 8, 40
_DOUBLE_BITS = 6


@dataclass(frozen=True)
class PersonFindings:
    """Of one person; "" stands for the faces that are nobody's yet. inputs: videos and photos that
    show the person. face_px, sharpness: float, a face each. pictures: a few files that show the
    range. doubles: faces that show what another one does."""

    name: str
    covered: Coverage
    wishes: list[Wish]
    inputs: int
    face_px: FloatArray
    sharpness: FloatArray
    pictures: list[Path]
    doubles: int


@dataclass(frozen=True)
class SetFindings:
    """Of a whole set. people: with most faces first. rejected: reason -> faces. splits: `train`,
    `test`, "" -> faces. suggestions: pairs of people that may be one, with their similarity."""

    folder: Path
    faces: int
    people: list[PersonFindings]
    unsorted: PersonFindings | None
    rejected: dict[str, int]
    splits: dict[str, int]
    sizes: dict[int, int]
    inputs: int
    suggestions: list[tuple[str, str, float]]


def examine(store: FaceStore) -> SetFindings:
    """The figures of a set. Raises NoFaceError where it has no face that is not rejected."""
    table = store.read(_COLUMNS)
    usable = table["rejected"] == ""
    if not usable.any():
        raise NoFaceError(f"{store.folder} has no faces that are not rejected: extract some first.")
    counts = Counter(table["person"][usable].tolist())
    names = sorted(counts, key=lambda name: (-counts[name], name))
    people = []
    for number, name in enumerate(names):
        rows = np.flatnonzero(usable & (table["person"] == name))
        own = {column: values[rows] for column, values in table.items()}
        shown = _SHEET if number < _LARGE_SHEETS else _SMALL_SHEET
        people.append(_person(name, own, store, shown))
    known = [person for person in people if person.name]
    return SetFindings(
        folder=store.folder,
        faces=int(usable.sum()),
        people=known,
        unsorted=next((person for person in people if not person.name), None),
        rejected=dict(Counter(table["rejected"][~usable].tolist()).most_common()),
        splits=dict(Counter(table["split"][usable].tolist())),
        sizes=dict(Counter(table["size_px"][usable].tolist()).most_common()),
        inputs=len(set(table["input"].tolist())),
        suggestions=_suggestions(store, set(counts)),
    )


def _person(
    name: str, own: Mapping[str, NDArray[Any]], store: FaceStore, shown: int
) -> PersonFindings:
    covered = coverage.cover(own)
    seen = np.column_stack(
        [own["yaw"] / 30, own["pitch"] / 20, own["side_light"] * 5, own["expression"] * 1.5]
    )
    good = np.flatnonzero(coverage.good(own))
    rows = good if len(good) >= shown else np.arange(len(seen))
    chosen = rows[spread(seen[rows], shown)]
    pictures = [store.place(own["file"][k]) for k in chosen[np.argsort(own["yaw"][chosen])]]
    # Among faces that nobody has sorted yet, likenesses say little, and there may be very many.
    pairs = doubles(own, _DOUBLE_BITS) if name else []
    return PersonFindings(
        name=name,
        covered=covered,
        wishes=coverage.wishes(covered),
        inputs=len(set(own["input"].tolist())),
        face_px=own["face_px"],
        sharpness=own["sharpness"],
        pictures=pictures,
        doubles=len({b for _, b, _ in pairs}),
    )


def _suggestions(store: FaceStore, people: set[str]) -> list[tuple[str, str, float]]:
    """Those of the last clustering, of people that are still there."""
    told = store.settings.get("cluster", {}).get("suggestions", [])
    pairs = ((str(p["one"]), str(p["other"]), float(p["similarity"])) for p in told)
    return [pair for pair in pairs if {pair[0], pair[1]} <= people]
