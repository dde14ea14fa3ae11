"""Faces with names: from a set, from folders of photos a person each, or from single photos."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sosie.analysis.analyzer import Analyzer
from sosie.analysis.embedder import NUMBERS
from sosie.analysis.selection import select_faces
from sosie.datasets.classify import Samples
from sosie.datasets.markers import PICTURES
from sosie.datasets.store import FaceStore
from sosie.errors import InputError, NoFaceError
from sosie.geometry import alignment
from sosie.media.image import load_photo
from sosie.types import FloatArray, Pixels


def read_references(
    named: Sequence[tuple[str, Path]], analyzer: Analyzer
) -> tuple[dict[str, FloatArray], list[str]]:
    """name -> identity, float32, 512, unit length: the mean over that name's photos. And notes on
    photos that show several faces, of which the largest counts.

    Raises InputError where a photo cannot be read, NoFaceError where it shows no face.
    """
    sums: dict[str, FloatArray] = {}
    notes = []
    for name, path in named:
        pixels = load_photo(path).pixels
        found = analyzer.analyze(pixels)
        try:
            face = select_faces(found, "largest", pixels)[0]
        except NoFaceError as error:
            raise NoFaceError(f"{path}: {error}") from None
        if len(found) > 1:
            notes.append(f"{path} shows {len(found)} faces; the largest is taken for {name}.")
        sums[name] = sums.get(name, 0) + analyzer.identify(pixels, face)
    return {name: np.asarray(s / np.linalg.norm(s), np.float32) for name, s in sums.items()}, notes


SUFFIXES = {*PICTURES, ".jpeg", ".bmp", ".tif", ".tiff", ".avif", ".gif"}
"""Of the files of a folder that are taken for photos."""


Describe = Callable[[Pixels, FloatArray], FloatArray]
"""Tells of a face in a picture, by its five points, what an encoder sees in it: D numbers."""


def samples_of_set(store: FaceStore, describe: Describe | None = None) -> Samples:
    """The faces of a set that are somebody's and not rejected.

    describe: what is told of them beside the identity, behind it in `Samples.identities`. Raises
    InputError where a picture of the set cannot be read for it.
    """
    table = store.read(("id", "input_sha256", "track", "person", "rejected", "identity", *_PLACES))
    rows = np.flatnonzero((table["rejected"] == "") & (table["person"] != ""))
    groups = [
        f"{table['input_sha256'][k]}/{table['track'][k]}"
        if table["track"][k] >= 0
        else str(table["id"][k])
        for k in rows
    ]
    identities = table["identity"][rows]
    if describe is not None:
        told = [_told_of(store, {n: table[n][k] for n in _PLACES}, describe) for k in rows]
        identities = np.column_stack([identities, np.array(told, np.float32)])
    return Samples(identities, table["person"][rows].tolist(), groups)


_PLACES = ("file", "size_px", "matrix", "points5")


def _told_of(store: FaceStore, row: Mapping[str, Any], describe: Describe) -> FloatArray:
    """What is told of one face of a set."""
    pixels = load_photo(store.place(str(row["file"]))).pixels
    points = alignment.transform_points(row["points5"], row["matrix"])
    # The picture may have been made smaller or larger since.
    points = (points + 0.5) * (pixels.shape[1] / int(row["size_px"])) - 0.5
    return describe(pixels, np.asarray(points, np.float32))


def samples_of_folders(
    folder: Path,
    analyzer: Analyzer,
    on_photo: Callable[[int], None] | None = None,
    describe: Describe | None = None,
) -> tuple[Samples, list[str]]:
    """The largest face of every photo in the folders inside `folder`, each named for a person; and
    a sentence on every photo that could not be used.

    on_photo: called with how many photos are done. describe: as of `samples_of_set`. Raises
    InputError where there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; check the name.")
    people = sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
    if not people:
        raise InputError(f"{folder} holds no folders; put each person's photos into one of a name.")
    identities: list[FloatArray] = []
    names: list[str] = []
    groups: list[str] = []
    notes: list[str] = []
    for person in people:
        for path in photos_in(person):
            try:
                identity = identity_in(path, analyzer, describe)
            except InputError as error:
                notes.append(str(error))
                continue
            if identity is None:
                notes.append(f"{path} shows no face.")
                continue
            identities.append(identity)
            names.append(person.name)
            groups.append(path.relative_to(folder).as_posix())
            if on_photo:
                on_photo(len(names))
    found = np.array(identities, np.float32) if identities else np.zeros((0, NUMBERS), np.float32)
    return Samples(found, names, groups), notes


def photos_in(folder: Path) -> list[Path]:
    """The photos in a folder and those inside it, by name, without hidden ones."""
    found = []
    for place, inner, files in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        names = (n for n in files if Path(n).suffix.lower() in SUFFIXES and not n.startswith("."))
        found += [Path(place) / name for name in sorted(names)]
    return found


def identity_in(
    path: Path, analyzer: Analyzer, describe: Describe | None = None
) -> FloatArray | None:
    """Whose the largest face of a photo is: float32, 512, and behind it what `describe` tells; None
    where it shows none."""
    pixels = load_photo(path).pixels
    faces = analyzer.analyze(pixels)
    if not faces:
        return None
    face = max(faces, key=lambda one: one.size_px)
    identity = analyzer.identify(pixels, face)
    if describe is None:
        return identity
    return np.concatenate([identity, describe(pixels, face.points5)])
