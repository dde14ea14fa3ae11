"""What a dataset on disk holds: pictures, and who is on each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sosie import foreign
from sosie.errors import InputError, UsageError
from sosie.evaluation.image_store import archive_of

PICTURES = {".avif", ".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
"""Endings of the pictures that are looked for."""

CELEBA_LIST = "identity_CelebA.txt"
"""The list of CelebA: a line a picture, its name and its person's number."""


@dataclass(frozen=True)
class Portrait:
    """A picture of one person. name: its path below the gallery's root. person: who that is."""

    name: str
    person: str


@dataclass(frozen=True)
class Gallery:
    """Pictures below one folder. root: that folder."""

    root: Path
    portraits: tuple[Portrait, ...]


def open_gallery(places: Sequence[Path], by_person: bool) -> Gallery:
    """The pictures in folders and zip archives, or in folders of archives (`hires.zip/ffhq`).

    by_person: a folder holds one person's pictures, and a picture that lies in none is a person of
    its own; where an identity_CelebA.txt lies in or beside a folder, it says who is who. False:
    each picture shows a person of its own. People are named as in `sosie.datasets.split`:
    `celeba/7367` for folder 7367 of `celeba-0.zip` or of a folder `celeba`.

    Raises InputError where a place does not exist or holds no picture.
    """
    root = _common_root(places)
    portraits: list[Portrait] = []
    for place in places:
        listed = celeba_people(place) if by_person else {}
        found = list(_pictures(place))
        if not found:
            raise InputError(f"{place} holds no picture; give another folder or zip archive.")
        group, base = _group(place)
        for inside in found:
            name = Path(os.path.relpath(place / inside, root)).as_posix()
            portraits.append(Portrait(name, _person(group, base / inside, by_person, listed)))
    unique = {portrait.name: portrait for portrait in portraits}
    return Gallery(root, tuple(unique[name] for name in sorted(unique)))


def celeba_people(place: Path) -> dict[str, str]:
    """Picture's file name -> person, from the list of CelebA in or beside a folder; empty where
    there is none. Raises InputError for one that cannot be read."""
    for folder in (place, place.parent):
        file = folder / CELEBA_LIST
        if file.is_file():
            people = dict(line.split() for line in _lines(file))
            return {name: f"celeba/{number}" for name, number in people.items()}
    return {}


def _lines(file: Path) -> Iterator[str]:
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read as text; download it again.") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            if len(line.split()) != 2:
                raise InputError(
                    f"Line {number} of {file} should be a picture's name and a person's number; "
                    f"download the list again."
                )
            yield line


def _person(group: str, inside: PurePosixPath, by_person: bool, listed: dict[str, str]) -> str:
    if inside.name in listed:
        return listed[inside.name]
    folder = inside.parent.as_posix()
    return f"{group}/{folder}" if by_person and folder != "." else f"{group}/{inside}"


def _pictures(place: Path) -> Iterator[PurePosixPath]:
    """The pictures in a folder or archive, as paths below it, in order."""
    if place.is_dir():
        names: Iterable[str] = (
            path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()
        )
    else:
        archive = archive_of(place)
        if archive is None:
            what = "is neither a folder nor a zip archive" if place.exists() else "does not exist"
            raise InputError(f"{place} {what}; give a folder of pictures or a .zip.")
        file, inside = archive
        with foreign.open_zip(file) as opened:
            start = f"{inside}/" if inside else ""
            inner = (name for name in opened.namelist() if foreign.is_inside(name))
            names = [name.removeprefix(start) for name in inner if name.startswith(start)]
    for name in sorted(names):
        pure = PurePosixPath(name)
        hidden = any(part.startswith((".", "__MACOSX")) for part in pure.parts)
        if pure.suffix.lower() in PICTURES and not hidden:
            yield pure


def _group(place: Path) -> tuple[str, PurePosixPath]:
    """The name of the dataset that a place belongs to, and the place's path below it."""
    archive = archive_of(place)
    if archive is None:
        return place.resolve().name, PurePosixPath()
    file, inside = archive
    return re.sub(r"-\d+$", "", file.stem), PurePosixPath(inside)


def _common_root(places: Sequence[Path]) -> Path:
    """The folder that all places lie in, or the one place itself where that is a folder."""
    if not places:
        raise UsageError("No dataset was given; name a folder or a zip archive.")
    folders = []
    for place in places:
        archive = archive_of(place)
        folders.append(archive[0].parent if archive else place)
    try:
        return Path(os.path.commonpath([folder.absolute() for folder in folders]))
    except ValueError as error:
        raise UsageError("The places lie on several drives; draw pairs from one.") from error
