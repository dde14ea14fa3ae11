"""The people that a swapper learns from: pictures aligned once, and kept as one mapped array."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import time
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie import foreign
from sosie.analysis.analyzer import Analyzer, create_analyzer
from sosie.datasets.array_files import new_bytes, save_arrays
from sosie.datasets.images import Picture, find_pictures, read_picture
from sosie.datasets.split import is_held_out, is_validation
from sosie.errors import InputError
from sosie.geometry import alignment
from sosie.stops import leave_stops
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
    if not (folder / "people.npz").exists():
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"part-{number:05}.npz" for number in range(len(parts))]
        _read_missing(parts, files, template, size_px, workers)
        _merge(files, folder, size_px)
    with np.load(folder / "people.npz", allow_pickle=False) as kept:
        columns = {name: kept[name] for name in kept.files}
    unreadable, faceless = int(columns["unreadable"]), int(columns["faceless"])
    if unreadable or faceless:
        _log.info(
            "people: of %d pictures %d could not be read and %d show no face; they are left out",
            len(pictures), unreadable, faceless,
        )  # fmt: skip
    if not len(columns["people"]):
        raise InputError(f"No picture in {data} shows a face that can be found: name others.")
    faces = np.load(folder / "faces.npy", mmap_mode="r")
    people, names, splits = (columns[name] for name in _COLUMNS)
    return People(faces, people, names, splits, unreadable, faceless)


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


def _read_missing(
    parts: Sequence[Sequence[Picture]],
    files: Sequence[Path],
    template: str,
    size_px: int,
    workers: int,
) -> None:
    missing = [(p, f) for p, f in zip(parts, files, strict=True) if not f.exists()]
    total, done, started = sum(len(part) for part, _ in missing), 0, time.monotonic()
    for count in _run(missing, template, size_px, workers):
        done += count
        rate = done / max(time.monotonic() - started, 1e-9)
        _log.info("people: %d of %d pictures, %.0f a second", done, total, rate)


def _run(
    missing: Sequence[tuple[Sequence[Picture], Path]], template: str, size_px: int, workers: int
) -> Iterator[int]:
    """Read parts, here or in processes of their own; how many pictures each had, as it is done."""
    if not workers:
        for part, file in missing:
            _read_part(part, file, template, size_px)
            yield len(part)
        return
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=fresh, initializer=leave_stops) as pool:
        futures = {pool.submit(_read_part, p, f, template, size_px): len(p) for p, f in missing}
        for future in as_completed(futures):
            future.result()
            yield futures[future]


def _read_part(part: Sequence[Picture], file: Path, template: str, size_px: int) -> None:
    faces, unreadable, faceless = [], 0, 0
    columns: dict[str, list[str]] = {name: [] for name in _COLUMNS}
    with _opened(part) as archives:
        for picture in part:
            try:
                pixels = read_picture(picture, archives.get(picture.container))
            except (ValueError, OSError, InputError, cv2.error):
                unreadable += 1
                continue
            face = _aligned(picture, pixels, template, size_px)
            if face is None:
                faceless += 1
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
            "unreadable": np.array(unreadable),
            "faceless": np.array(faceless),
        },
    )


@contextmanager
def _opened(part: Sequence[Picture]) -> Iterator[dict[Path, zipfile.ZipFile]]:
    places = {picture.container for picture in part if picture.container.is_file()}
    archives = {place: foreign.open_zip(place) for place in places}
    try:
        yield archives
    finally:
        for archive in archives.values():
            archive.close()


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


def _merge(files: Sequence[Path], folder: Path, size_px: int) -> None:
    """All parts as one array of faces and one file of what is known of them."""
    columns: dict[str, list[NDArray[np.str_]]] = {name: [] for name in _COLUMNS}
    unreadable = faceless = 0
    for file in files:
        with np.load(file, allow_pickle=False) as kept:
            for name, values in columns.items():
                values.append(kept[name])
            unreadable += int(kept["unreadable"])
            faceless += int(kept["faceless"])
    total = sum(map(len, columns["people"]))
    with new_bytes(folder / "faces.npy", (total, size_px, size_px, 3)) as faces:
        row = 0
        for file in files:
            with np.load(file, allow_pickle=False) as kept:
                faces[row : row + len(kept["faces"])] = kept["faces"]
                row += len(kept["faces"])
    merged = {name: np.concatenate(values) for name, values in columns.items()}
    counts = {"unreadable": np.array(unreadable), "faceless": np.array(faceless)}
    save_arrays(folder / "people.npz", merged | counts)
    for file in files:
        file.unlink()


@cache
def _analyzer() -> Analyzer:
    cv2.setNumThreads(1)
    return create_analyzer(threads=1)
