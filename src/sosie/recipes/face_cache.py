"""The face cache: one row a picture that shows a face, cut out, as upright as there, labeled.

Pictures are read in processes of their own, a part of an archive at a time. Each part is kept, so
that a run can stop and go on; when all are there they become one array that is mapped, not read.
"""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.datasets.array_files import open_cache, save_arrays, short_hash
from sosie.datasets.split import identity_of, is_held_out, is_validation
from sosie.errors import InputError
from sosie.geometry import alignment
from sosie.recipes.teachers import (
    DETECTOR_FILE,
    LANDMARKER_FILE,
    LandmarkTeacher,
    TeacherReading,
    YuNet,
    teacher_file,
)
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
_COLUMNS = (
    *("crops", "landmarks", "expression", "rotation", "agreement", "matrices", "names"),
    *("people", "groups", "archives"),
)
# A change of what is read, or how, starts a new cache.
_VERSION = 1


_log = logging.getLogger(__name__)


class BySplit:
    """Rows of a cache, `people` among its columns, by whom they may be used for."""

    people: NDArray[np.str_]

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
class FaceSet(BySplit):
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
    folder = materials.cache / f"faces-{short_hash(key)}"
    arrays = open_cache(
        folder,
        "faces.npz",
        ("crops",),
        _read_part,
        lambda: [((part, materials.teachers), len(part.names)) for part in parts],
        workers=max(1, materials.workers),
        common=("expression_names",),
    )
    names = tuple(str(name) for name in arrays.pop("expression_names"))
    return FaceSet(expression_names=names, **arrays)


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


def _read_part(file: Path, part: Part, teachers: Path) -> None:
    rows: dict[str, list[object]] = {key: [] for key in _COLUMNS}
    with zipfile.ZipFile(part.archive) as opened:
        for name in part.names:
            pixels = decode(opened.read(name))
            reading = read_largest(pixels, teachers)
            if reading is None:
                continue
            matrix = crop_matrix(reading.landmarks)
            points = reading.landmarks.copy()
            points[:, :2] = alignment.transform_points(points[:, :2], matrix)
            points[:, 2] *= matrix[0, 0]
            row = (
                alignment.warp(pixels, matrix, CROP_PX, CROP_PX, cv2.BORDER_REPLICATE),
                *(points, reading.expression, reading.rotation, np.float32(reading.agreement)),
                *(matrix, name, identity_of(part.group, name), part.group, part.archive.name),
            )
            for key, value in zip(_COLUMNS, row, strict=True):
                rows[key].append(value)
    save_arrays(
        file,
        {key: np.array(values) for key, values in rows.items()}
        | {"expression_names": np.array(_teachers(teachers)[1].expression_names)},
    )


def read_largest(pixels: NDArray[np.uint8], teachers: Path) -> TeacherReading | None:
    """What the landmark teacher says of the largest face of a picture; None where none is seen."""
    detector, teacher = _teachers(teachers)
    boxes = detector.detect(pixels).boxes
    if not len(boxes):
        return None
    return teacher.read(pixels, max(boxes, key=lambda b: (b[2] - b[0]) * (b[3] - b[1])))


def crop_matrix(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Picture -> cached crop, for a face with these landmarks."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    scale = CROP_PX / (float((high - low).max()) * CROP_FACES)
    return np.column_stack([np.eye(2) * scale, (CROP_PX - 1) / 2 - scale * (low + high) / 2])


@cache
def _teachers(folder: Path) -> tuple[YuNet, LandmarkTeacher]:
    cv2.setNumThreads(1)
    return YuNet(folder), LandmarkTeacher(folder)


@cache
def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
