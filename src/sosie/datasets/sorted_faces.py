"""The faces of a set that a training learns from: those that are sorted, each with what the table
knows of its place in the picture. A set lies in a folder or is packed.
"""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sosie import foreign
from sosie.datasets import tables
from sosie.datasets.face_rows import to_arrays
from sosie.datasets.markers import DOUBTFUL, FACES, TABLE
from sosie.datasets.pack import open_pack
from sosie.datasets.transactions import hold_set
from sosie.errors import InputError
from sosie.geometry import alignment
from sosie.types import FloatArray

_COLUMNS = ("file", "person", "rejected", "split", "size_px", "matrix", "points5")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SortedFace:
    """A face of a person. container: the set's folder, or the zip the picture is in. name: the
    picture's path in there. points: 5 x 2, in a picture of `size_px` squared. split: `train`,
    `test` or ""."""

    container: Path
    name: str
    person: str
    points: FloatArray
    size_px: int
    split: str


def sorted_faces(place: Path) -> list[SortedFace]:
    """The faces of a set that lie in people's folders, in the table's order. place: its folder, or
    its zip, of which any shard will do.

    What is rejected, doubtful or nobody's yet is left out, and counted in the log. Raises
    InputError where the set is damaged, or has no such faces; OutputError where another command is
    at work on it.
    """
    left = {"rejected": 0, "doubtful": 0, "not sorted": 0}
    found: list[SortedFace] = []
    with _opened(place) as (where, batches):
        for batch in batches:
            for k, file in enumerate(batch["file"]):
                person = str(batch["person"][k])
                if reason := _why_not(file, person, batch["rejected"][k]):
                    left[reason] += 1
                    continue
                points = alignment.transform_points(batch["points5"][k], batch["matrix"][k])
                size = int(batch["size_px"][k])
                split = str(batch["split"][k])
                found.append(SortedFace(where(file), file, person, points, size, split))
    told = ", ".join(f"{number} {what}" for what, number in left.items())
    if not found:
        advice = "extract some first" if not sum(left.values()) else "run `sosie dataset cluster`"
        raise InputError(f"{place} has no faces in people's folders ({told}): {advice}.")
    if sum(left.values()):
        _log.info("%s: %d faces of people; left out: %s", place, len(found), told)
    return found


def _why_not(file: str, person: str, rejected: str) -> str:
    if rejected:
        return "rejected"
    if file.startswith(f"{DOUBTFUL}/"):
        return "doubtful"
    # By the folder, as a hand may have moved it: the table still has the person it was taken from.
    return "" if person and file.split("/")[:2] == [FACES, person] else "not sorted"


_Batches = Iterator[Mapping[str, NDArray[Any]]]


@contextmanager
def _opened(place: Path) -> Iterator[tuple[Callable[[str], Path], _Batches]]:
    """What tells the container that a picture is in, and the table."""
    if place.is_dir():
        with hold_set(place, change=False) as store:

            def within(file: str) -> Path:
                store.place(file)
                return place

            yield within, store.batches(_COLUMNS)
        return
    with open_pack(place) as shards:
        containers = {entry.filename: archive for archive, entries in shards for entry in entries}

        def where(file: str) -> Path:
            if file not in containers:
                raise InputError(f"{file} is missing from {place}; pack the set anew.")
            return Path(str(containers[file].filename))

        where(TABLE)
        yield where, _packed_table(containers[TABLE])


def _packed_table(archive: zipfile.ZipFile) -> Iterator[Mapping[str, NDArray[Any]]]:
    name = f"{TABLE} in {archive.filename}"
    try:
        source = archive.open(TABLE)
    except foreign.BROKEN as error:
        raise InputError(f"{name} is damaged; pack the set anew.") from error
    with source:
        size = archive.getinfo(TABLE).file_size
        for table in tables.tables(tables.PackedTable(source, size, name), _COLUMNS):
            yield to_arrays(table)
