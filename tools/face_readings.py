"""What the shape model is fitted on: landmarks and expression weights of a folder of pictures.

Pictures are read in processes of their own, a part of an archive at a time; each part is kept in a
cache folder, so that a run can stop and go on. Held-out people are never read.
"""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import sys
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import mediapipe
import numpy as np
from mediapipe.tasks.python.vision.face_landmarker import Blendshapes
from numpy.typing import NDArray

from sosie.analysis.analyser import create_analyser
from sosie.datasets.split import identity_of, is_held_out
from sosie.types import Face

TEACHER = "face_landmarker.task"
ARCHIVES = {
    "lfw": "lfw-*.zip",
    "celeba": "celeba-*.zip",
    "hires": "hires.zip",
    "youtube": "youtube_faces_68.zip",
}
"""Group -> the archives of its pictures.

Clips are left out: they are few, and the benchmark of swaps draws on all of them.
"""

_PART = 250
# The teacher sees a square of so many times the face's size, and must find the same face there:
# within this share of its size on average.
_TEACHER_VIEW = 2.2
_SAME_FACE = 0.05
# A change of what is read, or how, starts a new cache.
_READING = 1


@dataclass(frozen=True)
class Readings:
    """One row a picture that shows a face.

    people: the identity of each. landmarks: float32, N x 478 x 3, as `Face.landmarks`.
    weights: float32, N x E, 0..1; NaN where the teacher does not see the face that Sosie sees.
    weight_names: E names, such as `jawOpen` and `mouthSmileLeft`.
    pictures: how many were looked at.
    """

    people: NDArray[np.str_]
    landmarks: NDArray[np.float32]
    weights: NDArray[np.float32]
    weight_names: tuple[str, ...]
    pictures: int

    def select(self, rows: NDArray[np.bool_]) -> Readings:
        """Some of the rows."""
        return replace(
            self,
            people=self.people[rows],
            landmarks=self.landmarks[rows],
            weights=self.weights[rows],
        )


@dataclass(frozen=True)
class Part:
    """Some pictures of one archive: the unit of work and of the cache."""

    group: str
    archive: Path
    names: tuple[str, ...]

    def cache_file(self, folder: Path, teacher: Path) -> Path:
        """Where this part's readings are kept: a name that changes with all that they depend on."""
        made_from = (_READING, self.archive.stat().st_size, self.names, _digest(teacher))
        key = repr((*made_from, version("mediapipe")))
        return folder / f"{self.archive.stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"


def read_folder(
    data: Path, teachers: Path, cache_folder: Path, workers: int, limit: int | None = None
) -> Readings:
    """Read all pictures of people who are not held out, at most `limit` of each group.

    data: folder with the archives of ARCHIVES. teachers: folder with the TEACHER.
    """
    teacher = teachers / TEACHER
    cache_folder.mkdir(parents=True, exist_ok=True)
    parts = [part for group in ARCHIVES for part in _parts(data, group, limit)]
    files = [part.cache_file(cache_folder, teacher) for part in parts]
    _read_missing(
        [(p, f) for p, f in zip(parts, files, strict=True) if not f.exists()], teacher, workers
    )
    return _collected(parts, files)


def _parts(data: Path, group: str, limit: int | None) -> Iterator[Part]:
    archives = sorted(data.glob(ARCHIVES[group]))
    if not archives:
        raise SystemExit(f"There is no {ARCHIVES[group]} in {data}: give the folder of the data.")
    left = limit
    for archive in archives:
        with zipfile.ZipFile(archive) as opened:
            names = [n for n in opened.namelist() if n.endswith(".webp")]
        names = [n for n in names if not is_held_out(identity_of(group, n))]
        # By a hash of the person, so that a limit takes whole people, from all over the alphabet.
        names.sort(key=lambda n: (hashlib.sha256(identity_of(group, n).encode()).digest(), n))
        names = names[:left]
        left = None if left is None else left - len(names)
        for start in range(0, len(names), _PART):
            yield Part(group, archive, tuple(names[start : start + _PART]))


def _read_missing(missing: list[tuple[Part, Path]], teacher: Path, workers: int) -> None:
    total, done, started = sum(len(part.names) for part, _ in missing), 0, time.monotonic()
    if not missing:
        return
    # A fresh interpreter each: MediaPipe's threads do not survive a fork.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=fresh) as pool:
        futures = {pool.submit(_read_part, part, file, teacher): part for part, file in missing}
        for future in as_completed(futures):
            future.result()
            done += len(futures[future].names)
            rate = done / (time.monotonic() - started)
            print(f"{done} of {total} pictures, {rate:.1f} a second", file=sys.stderr, flush=True)


def _collected(parts: list[Part], files: list[Path]) -> Readings:
    people: list[str] = []
    landmarks, weights, names = [], [], ()
    for part, file in zip(parts, files, strict=True):
        with np.load(file, allow_pickle=False) as kept:
            found = kept["found"]
            people += [identity_of(part.group, part.names[index]) for index in found]
            landmarks.append(kept["landmarks"])
            weights.append(kept["weights"])
            names = tuple(str(name) for name in kept["weight_names"])
    return Readings(
        np.array(people),
        np.concatenate(landmarks),
        np.concatenate(weights),
        names,
        sum(len(part.names) for part in parts),
    )


def _read_part(part: Part, file: Path, teacher: Path) -> None:
    reader = _reader(teacher)
    found, landmarks, weights = [], [], []
    with zipfile.ZipFile(part.archive) as opened:
        for index, name in enumerate(part.names):
            encoded = np.frombuffer(opened.read(name), np.uint8)
            pixels = np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[:, :, ::-1])
            face = reader.face(pixels)
            if face is not None:
                found.append(index)
                landmarks.append(face.landmarks)
                weights.append(reader.weights(pixels, face))
    content = io.BytesIO()
    np.savez(
        content,
        found=np.array(found, np.int32),
        landmarks=np.array(landmarks, np.float32).reshape(-1, 478, 3),
        weights=np.array(weights, np.float32).reshape(-1, len(reader.weight_names)),
        weight_names=np.array(reader.weight_names),
    )
    unfinished = file.with_suffix(".part")
    unfinished.write_bytes(content.getvalue())
    unfinished.replace(file)


class _Reader:
    """Sosie's analyser and the teacher, each on one thread."""

    def __init__(self, teacher: Path) -> None:
        cv2.setNumThreads(1)
        self._analyser = create_analyser(threads=1)
        vision = mediapipe.tasks.vision
        self._teacher = vision.FaceLandmarker.create_from_options(
            vision.FaceLandmarkerOptions(
                base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(teacher)),
                output_face_blendshapes=True,
                min_face_detection_confidence=0.3,
                min_face_presence_confidence=0.3,
            )
        )
        # All but the one that is no expression but the absence of all.
        self.weight_names = tuple(_camel_case(b.name) for b in Blendshapes if b.name != "NEUTRAL")

    def face(self, pixels: NDArray[np.uint8]) -> Face | None:
        """The largest face. The thorough search, many times slower, only where the quick one
        finds none."""
        faces = self._analyser.analyse(pixels, thorough=False) or self._analyser.analyse(pixels)
        return max(faces, key=lambda face: face.size_px, default=None)

    def weights(self, pixels: NDArray[np.uint8], face: Face) -> NDArray[np.float32]:
        """The teacher's expression weights of that face, NaN where it sees another or none."""
        half = face.size_px * _TEACHER_VIEW / 2
        height, width = pixels.shape[:2]
        x0, x1 = (int(np.clip(face.centre[0] + s * half, 0, width)) for s in (-1, 1))
        y0, y1 = (int(np.clip(face.centre[1] + s * half, 0, height)) for s in (-1, 1))
        view = mediapipe.Image(
            image_format=mediapipe.ImageFormat.SRGB,
            data=np.ascontiguousarray(pixels[y0:y1, x0:x1]),
        )
        seen: Any = self._teacher.detect(view)
        nothing = np.full(len(self.weight_names), np.nan, np.float32)
        if not seen.face_blendshapes:
            return nothing
        points = np.array([(p.x, p.y) for p in seen.face_landmarks[0]])
        points = points * (x1 - x0, y1 - y0) + (x0 - 0.5, y0 - 0.5)
        apart_px = np.linalg.norm(points - face.landmarks[:, :2], axis=1).mean()
        if apart_px > _SAME_FACE * face.size_px:
            return nothing
        scores = {c.category_name: c.score for c in seen.face_blendshapes[0]}
        return np.array([scores[name] for name in self.weight_names], np.float32)


@cache
def _reader(teacher: Path) -> _Reader:
    return _Reader(teacher)


@cache
def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _camel_case(name: str) -> str:
    """JAW_OPEN -> jawOpen: as the teacher names its answers."""
    first, *others = name.lower().split("_")
    return first + "".join(word.capitalize() for word in others)
