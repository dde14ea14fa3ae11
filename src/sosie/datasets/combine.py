"""Sets brought together, and a set divided by person."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from sosie.analysis.selection import SAME_PERSON
from sosie.datasets.face_rows import FaceRow
from sosie.datasets.markers import REJECTED
from sosie.datasets.store import MISSING, FaceStore
from sosie.errors import InputError, OutputError, UsageError
from sosie.types import FloatArray

_BATCH = 256
_ALIGNED = ("align", "size_px")
"""Of the settings, what sets must share."""


@dataclass(frozen=True)
class Merged:
    """faces: of the merged set. twice: faces that several sets had, taken once. renamed: set, name
    and new name of people and inputs whose name another one has. joined: names that several sets
    have, of people who are alike."""

    faces: int
    twice: int
    renamed: tuple[tuple[str, str, str], ...]
    joined: tuple[str, ...]


def merge(sources: Sequence[FaceStore], out: Path) -> Merged:
    """Copy the faces of several sets into the new set `out`. Stopped, it goes on when run again.

    People of one name are one person if their faces are alike; otherwise the later one is renamed.
    Raises UsageError where the sets' pictures are aligned differently or fewer than two are given,
    OutputError where `out` holds something else.
    """
    if len(sources) < 2:
        raise UsageError("Give two sets or more to merge.")
    if out.resolve() in [source.folder.resolve() for source in sources]:
        raise UsageError(f"{out} is one of the sets to merge; give a new folder.")
    _check_alike(sources)
    store = _begin(sources, out)
    names = _Names()
    maps = [names.take(source) for source in sources]
    known = set(store.read(("id",))["id"])
    twice = 0
    seen: set[str] = set()
    for source, renamed in zip(sources, maps, strict=True):
        store.append([], [_renamed_input(entry, renamed) for entry in _inputs(source)])
        rows: list[FaceRow] = []
        for row in source.rows():
            if row.id in seen:
                twice += 1
            elif row.id not in known:
                rows.append(_copied(source, store, row, renamed))
            seen.add(row.id)
            if len(rows) == _BATCH:
                store.append(rows)
                rows = []
        store.append(rows)
    store.merge()
    store.settings["folders"] = {
        path: renamed.get(folder, folder)
        for source, renamed in zip(sources, maps, strict=True)
        for path, folder in source.settings.get("folders", {}).items()
    }
    del store.settings["merging"]
    store.save_settings()
    changes = [
        (str(source.folder), old, new)
        for source, renamed in zip(sources, maps, strict=True)
        for old, new in renamed.items()
        if old != new
    ]
    return Merged(len(store), twice, tuple(changes), tuple(sorted(names.joined)))


def split(store: FaceStore, test_share: float) -> dict[str, tuple[int, int]]:
    """Write into the table which people are for testing. Returns part -> people and faces; the part
    "" has the faces that are nobody's.

    A person's part follows from the name alone, so that it stays when others come; only where one
    part would have nobody, the person nearest to it is taken. Raises UsageError where the share is
    not between 0 and 1, InputError where fewer than two people are sorted.
    """
    if not 0 < test_share < 1:
        raise UsageError(f"A share of {test_share} is no split; give one between 0 and 1, as 0.2.")
    table = store.read(("id", "person"))
    people = sorted(set(table["person"].tolist()) - {""})
    if len(people) < 2:
        raise InputError(
            f"{store.folder} has {len(people)} sorted people, and a split by person needs two: "
            f"run `sosie dataset cluster` first."
        )
    place = {name: _place(name) for name in people}
    order = sorted(people, key=lambda name: place[name])
    tests = {name for name in people if place[name] < test_share} or {order[0]}
    if len(tests) == len(people):
        tests.discard(order[-1])
    parts = {name: "test" if name in tests else "train" for name in people}
    values = {
        face: parts.get(name, "") for face, name in zip(table["id"], table["person"], strict=True)
    }
    store.update({"split": values})
    told = {}
    for part in ("train", "test", ""):
        members = [name for name, where in parts.items() if where == part]
        told[part] = (len(members), sum(value == part for value in values.values()))
    return told


class _Names:
    """Names of people and of inputs' folders that are taken, over all sets."""

    def __init__(self) -> None:
        self.joined: set[str] = set()
        self._people: dict[str, FloatArray] = {}
        self._inputs: dict[str, str] = {}

    def take(self, source: FaceStore) -> dict[str, str]:
        """Old name -> new name of a set's people and inputs' folders."""
        means = _means(source)
        own = {*means, *source.input_folders}
        renamed = {}
        for entry in _inputs(source):
            folder, sha = str(entry.get("folder", "")), str(entry["sha256"])
            if not folder:
                continue
            same = self._inputs.get(folder) == sha
            # The photos of a folder share it, and are many inputs.
            if folder not in renamed:
                taken = folder in self._people or (folder in self._inputs and not same)
                renamed[folder] = self._free(folder, own) if taken else folder
            self._inputs.setdefault(renamed[folder], sha)
        for name, mean in means.items():
            known = self._people.get(name)
            if known is not None and float(known @ mean) >= SAME_PERSON:
                self.joined.add(name)
                renamed[name] = name
                continue
            taken = known is not None or name in self._inputs
            renamed[name] = self._free(name, own) if taken else name
            self._people[renamed[name]] = mean
        return renamed

    def _free(self, name: str, own: set[str]) -> str:
        """A name that nobody has here or in the set at hand: a number stays one."""
        if name.isdecimal():
            candidates = (f"{n:0{len(name)}}" for n in count(1))
        else:
            candidates = (f"{name}-{n}" for n in count(2))
        taken = {*self._people, *self._inputs, *own}
        return next(candidate for candidate in candidates if candidate not in taken)


def _means(source: FaceStore) -> dict[str, FloatArray]:
    """Of each person the mean identity, so that a dot product is a mean cosine."""
    table = source.read(("person", "identity"))
    return {
        name: np.asarray(table["identity"][table["person"] == name].mean(0), np.float32)
        for name in sorted(set(table["person"].tolist()) - {""})
    }


def _check_alike(sources: Sequence[FaceStore]) -> None:
    kinds: dict[tuple[Any, ...], Path] = {}
    for source in sources:
        kinds.setdefault(tuple(source.settings.get(key) for key in _ALIGNED), source.folder)
    if len(kinds) > 1:
        (one, first), (other, second) = list(kinds.items())[:2]
        raise UsageError(
            f"{first} has pictures of {one[0]}, {one[1]} px and {second} of {other[0]}, "
            f"{other[1]} px; sets are merged that are aligned alike."
        )


def _begin(sources: Sequence[FaceStore], out: Path) -> FaceStore:
    told = [str(source.folder.resolve()) for source in sources]
    if FaceStore.is_set(out):
        store = FaceStore.open(out)
        if store.settings.get("merging") != told:
            raise OutputError(f"{out} is a set already; give a new folder.")
        return store
    dropped = ("format", "version", "inputs", "folders", "cluster", "merging")
    settings = {k: v for k, v in sources[0].settings.items() if k not in dropped}
    return FaceStore.create(out, {**settings, "inputs": [], "merging": told})


def _copied(source: FaceStore, out: FaceStore, row: FaceRow, renamed: Mapping[str, str]) -> FaceRow:
    """The row as the merged set has it, its picture copied."""
    parts = list(PurePosixPath(row.file).parts)
    # faces/NAME/..., doubtful/NAME/..., rejected/REASON/NAME/...
    place = 2 if parts[0] == REJECTED else 1
    if len(parts) > place + 1:
        parts[place] = renamed.get(parts[place], parts[place])
    file = "/".join(parts)
    if row.rejected != MISSING:
        origin, target = source.place(row.file), out.place(file)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if not origin.is_file():
                raise InputError(f"{origin} is gone or no file; run the command again.")
            shutil.copyfile(origin, target)
        except OSError as error:
            raise OutputError(
                f"{origin} cannot be copied to {target} ({error.strerror})."
            ) from error
    return dataclasses.replace(row, file=file, person=renamed.get(row.person, row.person))


def _inputs(source: FaceStore) -> list[Mapping[str, Any]]:
    return list(source.settings.get("inputs", []))


def _renamed_input(entry: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    folder = str(entry.get("folder", ""))
    return {**entry, "folder": renamed[folder]} if folder else dict(entry)


def _place(name: str) -> float:
    """Where a name lies between 0 and 1."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
