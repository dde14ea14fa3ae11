"""Faces that are judged together: those of one track of a video, or a single photo's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sosie.analysis.embedder import NUMBERS
from sosie.datasets.markers import FACES
from sosie.datasets.scratch_arrays import Scratch, parts
from sosie.datasets.store import FaceStore

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
