"""The identity network beside its teachers, on people that training never saw.

Faces are aligned by the landmark teacher's points, for both alike; the teachers' answers to a face
and to its mirror image are averaged. The protocol is that of `verification`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sosie.analysis.embedder import Embedder
from sosie.errors import UsageError
from sosie.models.cards import read_embedded
from sosie.models.session import create_session
from sosie.recipes.evaluate_table import Row
from sosie.recipes.face_cache import FaceSet, open_faces
from sosie.recipes.identity.answers import Answers, open_answers
from sosie.recipes.identity.measures import Verification, verification
from sosie.recipes.identity.samples import aligned
from sosie.recipes.identity.teachers import IdentityTeachers
from sosie.training.recipe import Materials
from sosie.types import FloatArray

GROUPS = {"lfw": "LFW", "celeba": "CelebA"}
"""Groups of pictures whose people have several each -> their names."""

_MIN_ACCURACY, _MIN_TRUE_ACCEPTS = 98.0, 95.0
_BATCH = 32


def measure(materials: Materials, limit: int | None) -> list[Row]:
    """Rows of the table. limit: pictures of each group to look at, at most.

    Raises InputError where data, a teacher or the network's file are absent, and UsageError where
    the limit leaves too few people.
    """
    embedder = Embedder(create_session(read_embedded("identity"), threads=1))
    faces = open_faces(materials)
    answers = open_answers(materials, faces)
    teachers = IdentityTeachers(materials.teachers, answers.dlib_mean(faces.train))
    rows = []
    for group, name in GROUPS.items():
        chosen = people_first(faces, group, limit)
        numbers = embeddings(embedder, faces, chosen)
        own = Answers(answers.first[chosen], answers.second[chosen])
        first = own.first.mean(1)
        first /= np.linalg.norm(first, axis=1, keepdims=True)
        by = {"ours": numbers, "first": first, "joined": own.joined(teachers)}
        try:
            found = {key: verification(n, faces.people[chosen]) for key, n in by.items()}
        except ValueError as error:
            raise UsageError(
                f"{limit} pictures leave too few people to verify ({error}): give a larger limit."
            ) from error
        rows += _rows(name, found, bounded=group == "lfw")
    return rows


def people_first(faces: FaceSet, group: str, limit: int | None) -> NDArray[np.intp]:
    """Rows of the test people's faces in a group: `limit` of them, of people with most pictures
    first."""
    rows = np.flatnonzero(faces.test & (faces.groups == group))
    _, person, counts = np.unique(faces.people[rows], return_inverse=True, return_counts=True)
    # Two of each person with several, then two more: a trial needs pairs of many people.
    place = np.zeros(len(rows), np.intp)
    for number in range(len(counts)):
        own = np.flatnonzero(person == number)
        place[own] = np.arange(len(own)) // 2
    order = np.lexsort((person, place + 1_000_000 * (counts[person] < 2)))
    return np.sort(rows[order[:limit]])


def embeddings(embedder: Embedder, faces: FaceSet, rows: NDArray[np.intp]) -> FloatArray:
    """What the network says of the faces in these rows, N x 512."""
    found = []
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        crops = [aligned(faces.crops[row], faces.landmarks[row])[0] for row in part]
        found.append(embedder.embed(np.stack(crops)))
    return np.concatenate(found)


def _rows(name: str, found: dict[str, Verification], bounded: bool) -> list[Row]:
    """Ours beside the first teacher, and beside both teachers joined."""
    rows = []
    people = f"people of {name}, {found['ours'].pairs} pairs"
    for figure, key, bound in (
        ("verification, 10-fold", "accuracy", _MIN_ACCURACY),
        ("true accepts at 0.1 % false ones", "true_accepts", _MIN_TRUE_ACCEPTS),
    ):
        ours, first, joined = (
            100 * float(getattr(found[who], key)) for who in ("ours", "first", "joined")
        )
        text = f"{figure}, {people}"
        rows += [
            Row("identity", text, ours, first, bound if bounded else None, ">=", "%"),
            Row("identity", f"{text}, beside both teachers", ours, joined, None, ">=", "%"),
        ]
    return rows
