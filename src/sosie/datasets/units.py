"""Faces that are judged together (of a track or a photo), and what people's are in the mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sosie.analysis.embedder import NUMBERS
from sosie.datasets.markers import FACES
from sosie.datasets.neighbors import COLUMNS, ROWS, Scratch, parts
from sosie.datasets.store import FaceStore
from sosie.types import FloatArray

_COLUMNS = ("id", "file", "input_sha256", "frame", "track", "person", "rejected", "identity")


@dataclass(frozen=True)
class Units:
    """The faces of a set that are not rejected, and the units that they make.

    ids, files: of each face. unit: number of each face's unit. identities: float32, units x 512,
    the mean of the unit's, of unit length. sizes: faces of each unit. person: of each unit, ""
    where none is fixed. apart: sets of units that are seen in one frame.
    """

    ids: list[str]
    files: list[str]
    unit: NDArray[np.intp]
    identities: Scratch
    sizes: NDArray[np.intp]
    person: list[str]
    apart: frozenset[tuple[int, ...]]


def read_units(store: FaceStore, keep_people: bool = True) -> Units:
    """The units of a set. keep_people: a face that lies in a person's folder is that person's."""
    tracks: dict[tuple[str, int, str], int] = {}
    inputs: dict[str, int] = {}
    names: dict[str, str] = {"": ""}
    ids: list[str] = []
    files: list[str] = []
    person: list[str] = []
    most = len(store)
    # Three numbers a face: its unit, its input's and its frame's.
    told = np.zeros((3, most), np.int64)
    sums = Scratch((most, NUMBERS))
    for batch in store.batches(_COLUMNS):
        for k in np.flatnonzero(batch["rejected"] == ""):
            fixed = _fixed(str(batch["person"][k]), batch["file"][k]) if keep_people else ""
            sha, track = str(batch["input_sha256"][k]), int(batch["track"][k])
            number = len(person)
            # Faces of photos have no track: each is a unit.
            if track >= 0:
                number = tracks.setdefault((sha, track, fixed), number)
            if number == len(person):
                person.append(names.setdefault(fixed, fixed))
            sums.values[number] += batch["identity"][k]
            told[:, len(ids)] = number, inputs.setdefault(sha, len(inputs)), batch["frame"][k]
            ids.append(batch["id"][k])
            files.append(batch["file"][k])
        sums.release()
    told = told[:, : len(ids)]
    return Units(
        ids=ids,
        files=files,
        unit=np.asarray(told[0], np.intp),
        identities=_unit_length(sums, len(person)),
        sizes=np.bincount(told[0], minlength=len(person)),
        person=person,
        apart=_together(told),
    )


def _unit_length(sums: Scratch, number: int) -> Scratch:
    """The first rows, each divided by its length."""
    sums.values = sums.values[:number]
    every = np.arange(number)
    for part in parts(number):
        rows = sums.rows(every[part])
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        sums.put(every[part], rows / np.maximum(lengths, 1e-6))
    return sums


def _fixed(person: str, file: str) -> str:
    return person if file.split("/")[:2] == [FACES, person] else ""


def _together(told: NDArray[np.int64]) -> frozenset[tuple[int, ...]]:
    """Units of each frame in which there are several. told: unit, input, frame of each face."""
    unit, sha, frame = told[:, np.lexsort(told)]
    ends = np.flatnonzero((np.diff(sha) != 0) | (np.diff(frame) != 0)) + 1
    several = set()
    for begin, end in zip([0, *ends.tolist()], [*ends.tolist(), len(unit)], strict=True):
        if end - begin > 1:
            several.add(tuple(np.unique(unit[begin:end]).tolist()))
    return frozenset(units for units in several if len(units) > 1)


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
