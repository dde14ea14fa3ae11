"""The face cache: one row a picture that shows a face, cut out, as upright as there, labeled.

Pictures are read in processes of their own, a part of an archive at a time. Each part is kept, so
that a run can stop and go on; when all are there they become one array that is mapped, not read.
"""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.datasets.array_files import new_bytes, save_arrays
from sosie.datasets.split import identity_of, is_held_out, is_validation
from sosie.errors import InputError
from sosie.geometry import alignment
from sosie.recipes.teachers import (
    DETECTOR_FILE,
    LANDMARKER_FILE,
    LandmarkTeacher,
    YuNet,
    teacher_file,
)
from sosie.stops import leave_stops
from sosie.training.recipe import Materials

ARCHIVES = {
    "lfw": "lfw-*.zip",
    "celeba": "celeba-*.zip",
    "hires": "hires.zip",
    "youtube": "youtube_faces_68.zip",
}
"""Group -> the archives of its pictures. `clips` are test material only."""

CROP_PX, CROP_FACES = 224, 2.2
"""Side of a cached crop, in pixels and in faces (the larger side of the landmarks' bounds)."""

_PART = 250
_COLUMNS = ("crops", "landmarks", "expression", "rotation", "agreement", "matrices", "names")
# A change of what is read, or how, starts a new cache.
_VERSION = 1


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FaceSet:
    """The cached faces.

    crops: uint8, N x 224 x 224 x 3, RGB, mapped from the disk. landmarks: float32, N x 478 x 3, in
    pixels of the crop. expression: float32, N x 52, 0..1, by `expression_names`. rotation: float32,
    N x 3 x 3, see `TeacherReading`. agreement: float32, N, see there. people, groups, archives,
    names: where each is from. matrices: float64, N x 2 x 3, picture -> crop.
    """

    crops: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    expression: NDArray[np.float32]
    expression_names: tuple[str, ...]
    rotation: NDArray[np.float32]
    agreement: NDArray[np.float32]
    people: NDArray[np.str_]
    groups: NDArray[np.str_]
    archives: NDArray[np.str_]
    names: NDArray[np.str_]
    matrices: NDArray[np.float64]

    @property
    def test(self) -> NDArray[np.bool_]:
        """The people on whom nothing is fitted and nothing chosen."""
        return np.array([is_held_out(person) for person in self.people])

    @property
    def validation(self) -> NDArray[np.bool_]:
        """The people on whom the best snapshot is chosen."""
        return np.array([is_validation(person) for person in self.people])

    @property
    def train(self) -> NDArray[np.bool_]:
        """All others."""
        return ~(self.test | self.validation)


@dataclass(frozen=True)
class Part:
    """Some pictures of one archive: the unit of work."""

    group: str
    archive: Path
    names: tuple[str, ...]


def open_faces(materials: Materials) -> FaceSet:
    """The cached faces of `materials.data`; they are cut out and labeled first where need be.

    Raises InputError where an archive or a teacher is absent.
    """
    parts = [part for group in ARCHIVES for part in picture_parts(materials.data, group)]
    for name in (DETECTOR_FILE, LANDMARKER_FILE):
        teacher_file(materials.teachers, name)
    made_from = [(p.archive.name, p.archive.stat().st_size, p.names) for p in parts]
    key = repr((_VERSION, made_from, _digest(materials.teachers / LANDMARKER_FILE)))
    folder = materials.cache / f"faces-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    if not (folder / "faces.npz").exists():
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"part-{number:03}.npz" for number in range(len(parts))]
        _read_missing(parts, files, materials)
        _merge(parts, files, folder)
    with np.load(folder / "faces.npz", allow_pickle=False) as kept:
        arrays = {name: kept[name] for name in kept.files}
    names = tuple(str(name) for name in arrays.pop("expression_names"))
    crops = np.load(folder / "crops.npy", mmap_mode="r")
    return FaceSet(crops=crops, expression_names=names, **arrays)


def picture_parts(data: Path, group: str) -> Iterator[Part]:
    """All pictures of a group in parts. Raises InputError where there is no archive of it."""
    archives = sorted(data.glob(ARCHIVES[group]))
    if not archives:
        raise InputError(f"There is no {ARCHIVES[group]} in {data}: give the folder of the data.")
    for archive in archives:
        with zipfile.ZipFile(archive) as opened:
            names = sorted(name for name in opened.namelist() if name.endswith(".webp"))
        for start in range(0, len(names), _PART):
            yield Part(group, archive, tuple(names[start : start + _PART]))


def decode(encoded: bytes) -> NDArray[np.uint8]:
    """A picture file of an archive as RGB uint8."""
    pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(pixels[:, :, ::-1], np.uint8)


def _read_missing(parts: list[Part], files: list[Path], materials: Materials) -> None:
    missing = [(p, f) for p, f in zip(parts, files, strict=True) if not f.exists()]
    total, done, started = sum(len(part.names) for part, _ in missing), 0, time.monotonic()
    # A fresh interpreter each: MediaPipe's threads do not survive a fork.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        max(1, materials.workers), mp_context=fresh, initializer=leave_stops
    ) as pool:
        futures = {
            pool.submit(_read_part, part, file, materials.teachers): part for part, file in missing
        }
        for future in as_completed(futures):
            future.result()
            done += len(futures[future].names)
            rate = done / (time.monotonic() - started)
            _log.info("faces: %d of %d pictures, %.1f a second", done, total, rate)


def _read_part(part: Part, file: Path, teachers: Path) -> None:
    detector, teacher = _teachers(teachers)
    rows: dict[str, list[object]] = {key: [] for key in _COLUMNS}
    with zipfile.ZipFile(part.archive) as opened:
        for name in part.names:
            pixels = decode(opened.read(name))
            found = detector.detect(pixels).boxes
            if not len(found):
                continue
            box = max(found, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
            reading = teacher.read(pixels, box)
            if reading is None:
                continue
            matrix = crop_matrix(reading.landmarks)
            points = reading.landmarks.copy()
            points[:, :2] = alignment.transform_points(points[:, :2], matrix)
            points[:, 2] *= matrix[0, 0]
            rows["crops"].append(
                alignment.warp(pixels, matrix, CROP_PX, CROP_PX, cv2.BORDER_REPLICATE)
            )
            rows["landmarks"].append(points)
            rows["expression"].append(reading.expression)
            rows["rotation"].append(reading.rotation)
            rows["agreement"].append(np.float32(reading.agreement))
            rows["matrices"].append(matrix)
            rows["names"].append(name)
    save_arrays(
        file,
        {key: np.array(values) for key, values in rows.items()}
        | {"expression_names": np.array(teacher.expression_names)},
    )


def crop_matrix(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Picture -> cached crop, for a face with these landmarks."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    scale = CROP_PX / (float((high - low).max()) * CROP_FACES)
    return np.column_stack([np.eye(2) * scale, (CROP_PX - 1) / 2 - scale * (low + high) / 2])


def _merge(parts: list[Part], files: list[Path], folder: Path) -> None:
    """All parts as one array of crops and one file of labels; the parts are removed."""
    columns: dict[str, list[NDArray[np.generic]]] = {}
    counts = []
    for part, file in zip(parts, files, strict=True):
        with np.load(file, allow_pickle=False) as kept:
            count = len(kept["names"])
            counts.append(count)
            if not count:
                continue
            for name in kept.files:
                if name not in ("crops", "expression_names"):
                    columns.setdefault(name, []).append(kept[name])
            people = [identity_of(part.group, str(name)) for name in kept["names"]]
            columns.setdefault("people", []).append(np.array(people))
            columns.setdefault("groups", []).append(np.full(count, part.group))
            columns.setdefault("archives", []).append(np.full(count, part.archive.name))
            expression_names = kept["expression_names"]
    with new_bytes(folder / "crops.npy", (sum(counts), CROP_PX, CROP_PX, 3)) as crops:
        row = 0
        for count, file in zip(counts, files, strict=True):
            if count:
                with np.load(file, allow_pickle=False) as kept:
                    crops[row : row + count] = kept["crops"]
                row += count
    merged = {name: np.concatenate(values) for name, values in columns.items()}
    save_arrays(folder / "faces.npz", merged | {"expression_names": expression_names})
    for file in files:
        file.unlink()


@cache
def _teachers(folder: Path) -> tuple[YuNet, LandmarkTeacher]:
    cv2.setNumThreads(1)
    return YuNet(folder), LandmarkTeacher(folder)


@cache
def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
