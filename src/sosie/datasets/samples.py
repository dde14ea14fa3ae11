"""Named faces: from a set, or from folders of photos, one for each person."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sosie.analysis.analyzer import Analyzer
from sosie.datasets.classify import Samples
from sosie.datasets.markers import PICTURES
from sosie.datasets.store import FaceStore
from sosie.errors import InputError
from sosie.media.image import load_photo
from sosie.types import FloatArray

SUFFIXES = {*PICTURES, ".jpeg", ".bmp", ".tif", ".tiff", ".avif", ".gif"}
"""Of the files of a folder that are taken for photos."""


def samples_of_set(store: FaceStore) -> Samples:
    """The faces of a set that are somebody's and not rejected."""
    table = store.read(("id", "input_sha256", "track", "person", "rejected", "identity"))
    rows = np.flatnonzero((table["rejected"] == "") & (table["person"] != ""))
    groups = [
        f"{table['input_sha256'][k]}/{table['track'][k]}"
        if table["track"][k] >= 0
        else str(table["id"][k])
        for k in rows
    ]
    return Samples(table["identity"][rows], table["person"][rows].tolist(), groups)


def samples_of_folders(
    folder: Path, analyzer: Analyzer, on_photo: Callable[[int], None] | None = None
) -> tuple[Samples, list[str]]:
    """The largest face of every photo in the folders inside `folder`, each named for a person; and
    a sentence on every photo that could not be used.

    on_photo: called with how many photos are done. Raises InputError where there is no such folder.
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
                identity = identity_in(path, analyzer)
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
    return Samples(np.array(identities, np.float32).reshape(-1, 512), names, groups), notes


def photos_in(folder: Path) -> list[Path]:
    """The photos in a folder and those inside it, by name, without hidden ones."""
    found = []
    for place, inner, files in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        names = (n for n in files if Path(n).suffix.lower() in SUFFIXES and not n.startswith("."))
        found += [Path(place) / name for name in sorted(names)]
    return found


def identity_in(path: Path, analyzer: Analyzer) -> FloatArray | None:
    """Whose the largest face of a photo is: float32, 512; None where it shows none."""
    pixels = load_photo(path).pixels
    faces = analyzer.analyze(pixels)
    if not faces:
        return None
    return analyzer.identify(pixels, max(faces, key=lambda face: face.size_px))
