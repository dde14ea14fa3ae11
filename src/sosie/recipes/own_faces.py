"""One's own faces, of one set or of two people: cut out once, a few photos kept for figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.embedder import SIDE_PX, Embedder
from sosie.analysis.embedder import TEMPLATE as EMBEDDED
from sosie.datasets.people import open_people
from sosie.datasets.split import is_validation
from sosie.errors import InputError
from sosie.geometry import alignment
from sosie.models.zoo import open_network
from sosie.recipes.two_people.faces import require_enough, require_two, unit_length
from sosie.training.recipe import Materials
from sosie.types import FloatArray

SOURCE, TARGET = "source", "target"
"""What the people of two sets are called."""

TEMPLATE = "ffhq"
LEAST_CUT_PX = 160
"""Faces are cut out at this size or more, so that smiles and spectacles can be told on them."""

# What is cut off at random of a face's sides, as a share: it stands a little elsewhere each time.
_JITTER = 0.06
# So many faces of each set are compared.
_COMPARED = 24


@dataclass(frozen=True)
class OwnFaces:
    """parts: uint8, N x C x C x 3, RGB, of one set or of two; rows count through both. people:
    whose each is, N. train, held: rows to learn from, and rows that only figures are of."""

    parts: tuple[NDArray[np.uint8], ...]
    people: NDArray[np.str_]
    train: NDArray[np.intp]
    held: NDArray[np.intp]

    @property
    def every(self) -> NDArray[np.intp]:
        """All rows that may be used, in order."""
        return np.sort(np.concatenate([self.train, self.held]))

    def of(self, person: str, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Those of the rows that show somebody."""
        return np.asarray(rows[self.people[rows] == person])

    def face(self, row: int) -> NDArray[np.uint8]:
        """One face, C x C x 3."""
        for part in self.parts:
            if row < len(part):
                break
            row -= len(part)
        return np.asarray(part[row])

    def pictures(self, rows: NDArray[np.intp], size_px: int) -> NDArray[np.uint8]:
        """Whole faces, N x S x S x 3."""
        return np.stack([shrunk(self.face(row), size_px) for row in rows.tolist()])


def open_own(materials: Materials, size_px: int, least: int) -> OwnFaces:
    """The faces of one set, or of a source's and a target's; one photo in twelve is held out, by
    the hash of its name.

    Raises InputError where a set has fewer than `least`, or both sets show one person.
    """
    if materials.pair is None:
        return _joined(materials, [("", materials.data)], size_px, least)
    own = _joined(
        materials, list(zip((SOURCE, TARGET), materials.pair, strict=True)), size_px, least
    )
    require_two(*(unit_length(_identities(own, one).mean(0)) for one in (SOURCE, TARGET)))
    return own


def _joined(
    materials: Materials, places: Sequence[tuple[str, Path]], size_px: int, least: int
) -> OwnFaces:
    cut_px, before = max(size_px, LEAST_CUT_PX), 0
    parts, people, train, held = [], [], [], []
    for name, place in places:
        if place.is_file() and place.suffix.lower() != ".zip":
            raise InputError(
                f"{place} is no folder of photos, no set of faces and no .zip: take the frames of "
                f"a video with `sosie dataset extract` first."
            )
        found = open_people(place, materials.cache, TEMPLATE, cut_px, materials.workers)
        usable = np.flatnonzero(found.splits != "test")
        require_enough(len(usable), least, place)
        apart = np.array([is_validation(found.names[row]) for row in usable.tolist()])
        if not apart.any():
            apart[-1] = True
        parts.append(found.faces)
        people.append(np.full(len(found.people), name) if name else found.people)
        train.append(usable[~apart] + before)
        held.append(usable[apart] + before)
        before += len(found.people)
    joined = [np.concatenate(rows) for rows in (people, train, held)]
    return OwnFaces(tuple(parts), joined[0], joined[1], joined[2])


def _identities(own: OwnFaces, person: str) -> FloatArray:
    """Who is in some faces of a set: N x 512, unit length."""
    rows = own.of(person, own.every)
    rows = rows[:: max(1, len(rows) // _COMPARED)][:_COMPARED]
    side = own.parts[0].shape[1]
    points = alignment.template_points(TEMPLATE, side)
    matrix = alignment.align_matrix(points, EMBEDDED, SIDE_PX)
    faces = [alignment.crop(own.face(row), matrix, SIDE_PX) for row in rows.tolist()]
    embedder = Embedder(open_network("identity", "cpu", 1))
    return embedder.embed(np.asarray(np.stack(faces), np.uint8))


def shrunk(face: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    """A square picture at another size."""
    small = cv2.resize(face, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def jittered(face: NDArray[np.uint8], size_px: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A face for a sample: mirrored half of the time, a little nearer and beside its place."""
    side = len(face)
    inner = side - int(rng.integers(0, 1 + round(_JITTER * side)))
    left, top = rng.integers(0, side - inner + 1, 2).tolist()
    part = face[top : top + inner, left : left + inner]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    return shrunk(np.ascontiguousarray(part), size_px)
