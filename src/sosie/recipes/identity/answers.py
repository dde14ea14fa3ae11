"""What the identity teachers say of the cached faces, asked once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sosie.datasets.array_files import save_arrays
from sosie.recipes.face_cache import FaceSet
from sosie.recipes.identity.samples import aligned
from sosie.recipes.identity.teachers import IDENTITY_FILE, IdentityTeachers
from sosie.recipes.teachers import teacher_file
from sosie.recipes.teachers_dlib import find_dlib_file
from sosie.training.recipe import Materials

_BATCH = 64
# A change of what is asked, or how, starts a new cache.
_VERSION = 1


@dataclass(frozen=True)
class Answers:
    """first: float32, N x 2 x 256; second: float32, N x 2 x 128: both teachers' answers, of unit
    length, to each face and to its mirror image."""

    first: NDArray[np.float32]
    second: NDArray[np.float32]

    def dlib_mean(self, rows: NDArray[np.bool_]) -> NDArray[np.float32]:
        """The mean of the second teacher's answers of unit length to some faces, 128."""
        return np.asarray(self.second[rows].mean((0, 1)), np.float32)

    def joined(self, teachers: IdentityTeachers) -> NDArray[np.float32]:
        """Both answers as one, the mean over face and mirror image, of unit length: N x 384."""
        both = [torch.from_numpy(_unit(a.mean(1))) for a in (self.first, self.second)]
        return np.asarray(teachers.joined(*both).numpy(), np.float32)


def open_answers(
    materials: Materials, faces: FaceSet, on_done: Callable[[int], None] | None = None
) -> Answers:
    """The kept answers; the teachers are asked first where need be. on_done: told of each batch.

    Raises InputError or UnavailableError where a teacher is absent.
    """
    made_from = [str(_VERSION), *map("/".join, zip(faces.archives, faces.names, strict=True))]
    digest = hashlib.sha256("\n".join(made_from).encode())
    for file in (teacher_file(materials.teachers, IDENTITY_FILE), find_dlib_file()):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    kept = materials.cache / f"identity-{digest.hexdigest()[:12]}.npz"
    if not kept.exists():
        answers = _asked(IdentityTeachers(materials.teachers), faces, on_done)
        save_arrays(kept, {"first": answers.first, "second": answers.second})
    with np.load(kept, allow_pickle=False) as arrays:
        return Answers(arrays["first"], arrays["second"])


def _asked(
    teachers: IdentityTeachers, faces: FaceSet, on_done: Callable[[int], None] | None
) -> Answers:
    count = len(faces.crops)
    answers = Answers(np.empty((count, 2, 256), np.float32), np.empty((count, 2, 128), np.float32))
    for start in range(0, count, _BATCH):
        rows = range(start, min(start + _BATCH, count))
        pairs = [aligned(faces.crops[row], faces.landmarks[row]) for row in rows]
        seen, chips = (
            torch.from_numpy(np.stack(pictures)) for pictures in zip(*pairs, strict=True)
        )
        for mirrored in (0, 1):
            # Pictures are N x H x W x 3: the mirror image has its columns the other way round.
            turned = [x.flip(2) if mirrored else x for x in (seen, chips)]
            first, second, _ = teachers.answers(turned[0], turned[1])
            answers.first[rows.start : rows.stop, mirrored] = first.numpy()
            answers.second[rows.start : rows.stop, mirrored] = second.numpy()
        if on_done is not None:
            on_done(rows.stop)
    return answers


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norm, 1e-6), np.float32)
