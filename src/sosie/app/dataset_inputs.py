"""What `sosie dataset extract` is to read: the videos and photos that paths stand for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from sosie.datasets.extract.inputs import Archives, Input, Member, is_archive
from sosie.datasets.extract.job import Failure
from sosie.datasets.markers import is_packed_set, is_set
from sosie.datasets.store import FaceStore
from sosie.errors import InputError
from sosie.media.kinds import PHOTO_SUFFIXES, VIDEO_SUFFIXES, Kind, kind_of

_HEAD_BYTES = 1 << 20
"""So much of a file in an archive tells what its name says already."""


def gather(
    paths: Iterable[Path], out: Path, archives: Archives
) -> tuple[list[Input], list[Failure], list[Path]]:
    """The videos and photos, in order; the paths that cannot be read; and the files in folders and
    archives that are neither.

    Folders are searched with all folders in them, by name, but for hidden files and sets of faces.
    archives: where zip archives are open, for as long as the inputs are read.
    Raises InputError where there is nothing to read at all.
    """
    inputs: list[Input] = []
    failures: list[Failure] = []
    ignored: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = list(_media_in(path, out, ignored))
            inputs += found
            if not found:
                failures.append(Failure(str(path), _why_nothing(path, out)))
            continue
        try:
            kind = kind_of(path)
        except InputError as error:
            failures.append(Failure(str(path), str(error)))
            continue
        if kind is None and is_archive(path):
            _in_archive(path, archives, inputs, failures, ignored)
        elif kind is None:
            message = f"{path} is neither a video nor a photo that can be read; leave it out."
            failures.append(Failure(str(path), message))
        else:
            inputs.append(Input(path, kind))
    if not inputs:
        raise InputError(failures[0].error if failures else "There is nothing to read.")
    return inputs, failures, ignored


def _why_nothing(folder: Path, out: Path) -> str:
    if folder.resolve() == out.resolve():
        return f"{folder} is where the set is to be (--out); give the set a folder of its own."
    if is_set(folder):
        return f"{folder} is a set of faces already; `sosie dataset merge` joins sets."
    return f"The folder {folder} holds no video and no photo; check it."


def _in_archive(
    archive: Path,
    archives: Archives,
    inputs: list[Input],
    failures: list[Failure],
    ignored: list[Path],
) -> None:
    if is_packed_set(archive):
        message = f"{archive} is a packed set: `sosie dataset unpack` it, or merge it."
        failures.append(Failure(str(archive), message))
        return
    before = len(inputs), len(failures)
    try:
        for name, found in archives.members(archive):
            try:
                if isinstance(found, InputError):
                    raise found
                kind = _kind_of_member(found)
            except InputError as error:
                failures.append(Failure(str(name), str(error)))
                continue
            if kind is None:
                ignored.append(name)
            else:
                inputs.append(Input(name, kind, found))
    except InputError as error:
        failures.append(Failure(str(archive), str(error)))
    if before == (len(inputs), len(failures)):
        message = f"The archive {archive} holds no video and no photo; check it."
        failures.append(Failure(str(archive), message))


def _kind_of_member(member: Member) -> Kind | None:
    """As `kind_of`. Of what is named as a photo or video the head is enough."""
    is_named = member.name.suffix.lower() in PHOTO_SUFFIXES | VIDEO_SUFFIXES
    with member.on_disk(_HEAD_BYTES if is_named else None) as place:
        return kind_of(place)


def _media_in(folder: Path, out: Path, ignored: list[Path]) -> Iterator[Input]:
    for current, folders, files in os.walk(folder):
        here = Path(current)
        if here.resolve() == out.resolve() or FaceStore.is_set(here):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.startswith("."):
                continue
            kind = kind_of(here / name)
            if kind is None:
                ignored.append(here / name)
            else:
                yield Input(here / name, kind)
