"""Faces that are judged together: those of one track of a film, or a single photo's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sosie.analysis.recogniser import NUMBERS
from sosie.datasets.store import FACES, FaceStore
from sosie.types import FloatArray

_COLUMNS = ("id", "file", "input_sha256", "frame", "track", "person", "rejected", "identity")


@dataclass(frozen=True)
class Units:
    """The faces of a set that are not rejected, and the units that they make.

    ids, files: of each face. unit: number of each face's unit. identities: float32, units x 512,
    the mean of the unit's, of unit length. sizes: faces of each unit. person: of each unit, ""
    where none is fixed. apart: pairs of units that are seen in one frame.
    """

    ids: list[str]
    files: list[str]
    unit: NDArray[np.intp]
    identities: FloatArray
    sizes: NDArray[np.intp]
    person: list[str]
    apart: frozenset[tuple[int, int]]


def read_units(store: FaceStore, keep_people: bool = True) -> Units:
    """The units of a set. keep_people: a face that lies in a person's folder is that person's."""
    numbers: dict[tuple[str, int, str], int] = {}
    sums: list[FloatArray] = []
    ids: list[str] = []
    files: list[str] = []
    unit: list[int] = []
    seen: dict[tuple[str, int], set[int]] = {}
    for batch in store.batches(_COLUMNS):
        for k in np.flatnonzero(batch["rejected"] == ""):
            person = _fixed(str(batch["person"][k]), batch["file"][k]) if keep_people else ""
            sha, frame = str(batch["input_sha256"][k]), int(batch["frame"][k])
            track = int(batch["track"][k])
            # Faces of photos have no track: each is a unit, by a number that no track has.
            number = numbers.setdefault(
                (sha, track if track >= 0 else ~len(ids), person), len(sums)
            )
            if number == len(sums):
                sums.append(np.zeros_like(batch["identity"][k]))
            sums[number] += batch["identity"][k]
            ids.append(batch["id"][k])
            files.append(batch["file"][k])
            unit.append(number)
            seen.setdefault((sha, frame), set()).add(number)
    identities = np.array(sums, np.float32).reshape(-1, NUMBERS)
    identities /= np.maximum(np.linalg.norm(identities, axis=1, keepdims=True), 1e-6)
    return Units(
        ids=ids,
        files=files,
        unit=np.array(unit, np.intp),
        identities=identities,
        sizes=np.bincount(unit, minlength=len(sums)) if unit else np.zeros(0, np.intp),
        person=[key[2] for key in numbers],
        apart=frozenset(_together(seen)),
    )


def _fixed(person: str, file: str) -> str:
    return person if file.split("/")[:2] == [FACES, person] else ""


def _together(seen: dict[tuple[str, int], set[int]]) -> Iterator[tuple[int, int]]:
    for numbers in seen.values():
        yield from combinations(sorted(numbers), 2)
