"""The people that a swapper learns from: pictures aligned once and kept as one mapped array, and
the pairs of a source and a target that are drawn of them.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.analyzer import Analyzer, create_analyzer
from sosie.datasets.array_files import open_cache, save_arrays
from sosie.datasets.images import Picture, find_pictures, read_each
from sosie.datasets.split import is_held_out, is_validation
from sosie.errors import InputError
from sosie.geometry import alignment
from sosie.types import FloatArray

_PART = 250
# A change of what is read, or how, starts a new cache.
_VERSION = 2
# Pictures are made smaller than this before the search: nobody needs larger faces here.
_LONGEST_PX = 720

_COLUMNS = ("people", "names", "splits")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class People:
    """Aligned faces with the people they show.

    faces: uint8, N x S x S x 3, RGB, mapped from the disk. people: N names; a face of nobody in
    particular has a name of its own. names: N, where each is from. splits: N, `train` or `test`
    where a set of faces was split, "" elsewhere. unreadable, faceless: pictures that were left out
    because they are damaged, or show no face.
    """

    faces: NDArray[np.uint8]
    people: NDArray[np.str_]
    names: NDArray[np.str_]
    splits: NDArray[np.str_]
    unreadable: int
    faceless: int

    @property
    def count(self) -> int:
        """How many people there are."""
        return len(np.unique(self.people))

    def split(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows to learn from, and rows to validate on: other people, chosen by their names' hash.

        Those of a set that was split and are for tests are in neither; people of no such set are
        for tests by their names' hash. Of fewer than ten people nobody else is set apart, nor where
        fewer than two people would be left to learn from or to validate on, as a swap takes two:
        both are then the same rows. Raises InputError where all are for tests.
        """
        tests = self.splits == "test"
        every = np.flatnonzero(~tests)
        if not len(every):
            raise InputError("All faces are of the split `test`: run `sosie dataset split` again.")
        if len(np.unique(self.people[every])) < 10:
            return every, every
        by_name = np.array([is_held_out(name) for name in self.people])
        held = tests | (by_name & (self.splits == ""))
        validation = np.array([is_validation(name) for name in self.people]) & ~held
        learned = ~(held | validation)
        if min(len(np.unique(self.people[part])) for part in (learned, validation)) < 2:
            return every, every
        return np.flatnonzero(learned), np.flatnonzero(validation)


@dataclass(frozen=True)
class Pair:
    """Rows of a source and a target. same: they show one person. self_made: they are one photo,
    where the method wants two and the person has no other: `other_self` makes another of it."""

    source: int
    target: int
    same: bool
    self_made: bool


class Pairs:
    """Draws pairs with a share `same` that show one person.

    people: name of the person in each row. rows: those to draw from. same: SimSwap 0.5, GHOST 0.2,
    FaceShifter 0.2 (its paper; public code of it has 0.8). same_photo: such a pair is one photo
    twice (FaceShifter) and not two photos of one person (SimSwap, GHOST).
    Raises InputError where there is nobody to swap with and `same` is below 1.
    """

    def __init__(
        self,
        people: NDArray[np.str_],
        rows: NDArray[np.intp],
        same: float,
        same_photo: bool = False,
    ) -> None:
        self._rows, self._same, self._same_photo = rows, same, same_photo
        _, self._person = np.unique(people, return_inverse=True)
        order = rows[np.argsort(self._person[rows], kind="stable")]
        starts = np.flatnonzero(np.diff(self._person[order], prepend=-1))
        groups = np.split(order, starts[1:])
        self._of = {int(self._person[group[0]]): group for group in groups if len(group)}
        if same < 1 and len(self._of) < 2:
            raise InputError(
                f"All {len(rows)} faces are of one person, and to learn swapping takes at least "
                f"two: add a folder with somebody else, or fine-tune a trained network with "
                f"--finetune."
            )

    def draw(self, rng: np.random.Generator) -> Pair:
        """A pair. Every face is as often the target as any other."""
        target = int(rng.choice(self._rows))
        own = self._of[int(self._person[target])]
        if rng.random() < self._same:
            others = own[own != target]
            if self._same_photo or not len(others):
                return Pair(target, target, True, not self._same_photo)
            return Pair(int(rng.choice(others)), target, True, False)
        while True:
            source = int(rng.choice(self._rows))
            if self._person[source] != self._person[target]:
                return Pair(source, target, False, False)


def open_people(
    data: Path, cache_folder: Path, template: str, size_px: int, workers: int = 0
) -> People:
    """The largest face of every picture in `data`, cut out by an alignment template; of a set of
    faces those in people's folders, where the table says that they are.

    The faces are cut once and kept in `cache_folder`; a run that stops goes on where it was.
    template: a name in `sosie.geometry.alignment.TEMPLATES`. size_px: side of the crops. workers:
    processes that read pictures; 0 reads them here. Pictures that are damaged or show no face are
    left out, counted and logged. Raises InputError where there are no pictures, or no face in any.
    """
    pictures = find_pictures(data)
    parts = [pictures[start : start + _PART] for start in range(0, len(pictures), _PART)]
    folder = cache_folder / f"people-{_key(pictures, template, size_px)}"
    columns = open_cache(
        folder,
        "people.npz",
        ("faces",),
        _read_part,
        lambda: [((part, template, size_px), len(part)) for part in parts],
        workers=workers,
    )
    unreadable, faceless = int(columns["unreadable"]), int(columns["faceless"])
    if unreadable or faceless:
        _log.info(
            "people: of %d pictures %d could not be read and %d show no face; they are left out",
            len(pictures), unreadable, faceless,
        )  # fmt: skip
    if not len(columns["people"]):
        raise InputError(f"No picture in {data} shows a face that can be found: name others.")
    known = {name: columns[name] for name in ("faces", *_COLUMNS)}
    return People(**known, unreadable=unreadable, faceless=faceless)


def _key(pictures: Sequence[Picture], template: str, size_px: int) -> str:
    digest = hashlib.sha256(repr((_VERSION, template, size_px)).encode())
    for place in sorted({picture.container for picture in pictures}):
        if place.is_file():
            digest.update(f"{place.name} {place.stat().st_size}".encode())
    for picture in pictures:
        size = _size(picture)
        digest.update(f"{picture.name}\0{picture.person}\0{size}\0{picture.split}\n".encode())
        if picture.points is not None:
            digest.update(picture.points.tobytes())
    return digest.hexdigest()[:12]


def _size(picture: Picture) -> int:
    """Of a picture's file in bytes; 0 within a zip, or where there is none."""
    file = picture.container / picture.name
    return file.stat().st_size if picture.container.is_dir() and file.is_file() else 0


def _read_part(file: Path, part: Sequence[Picture], template: str, size_px: int) -> None:
    faces = []
    counts = {"unreadable": 0, "faceless": 0}
    columns: dict[str, list[str]] = {name: [] for name in _COLUMNS}
    for picture, pixels in read_each(part, counts):
        face = _aligned(picture, pixels, template, size_px)
        if face is None:
            counts["faceless"] += 1
            continue
        place = f"{picture.container.name}/{picture.name}"
        faces.append(face)
        told = (picture.person or place, place, picture.split)
        for name, value in zip(_COLUMNS, told, strict=True):
            columns[name].append(value)
    save_arrays(
        file,
        {
            "faces": np.array(faces, np.uint8).reshape(-1, size_px, size_px, 3),
            **{name: np.array(values, np.str_) for name, values in columns.items()},
            **{name: np.array(count) for name, count in counts.items()},
        },
    )


def _aligned(
    picture: Picture, pixels: NDArray[np.uint8], template: str, size_px: int
) -> NDArray[np.uint8] | None:
    if picture.points is None:
        pixels, points = _found(pixels)
    else:
        # The picture may have been made smaller or larger since.
        points = (picture.points + 0.5) * (pixels.shape[1] / picture.points_px) - 0.5
    if points is None:
        return None
    matrix = alignment.align_matrix(points, template, size_px)
    return np.asarray(alignment.crop(pixels, matrix, size_px), np.uint8)


def _found(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], FloatArray | None]:
    """The picture, no larger than anybody needs it, and the five points of its largest face."""
    scale = _LONGEST_PX / max(pixels.shape[:2])
    if scale < 1:
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    faces = _analyzer().analyze(pixels, thorough=False)
    spans = [np.ptp(face.landmarks[:, :2], axis=0).prod() for face in faces]
    return pixels, faces[int(np.argmax(spans))].points5 if faces else None


@cache
def _analyzer() -> Analyzer:
    cv2.setNumThreads(1)
    return create_analyzer(threads=1)
