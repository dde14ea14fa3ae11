"""Zip archives of photos and films as inputs: unpacked for one run, known by their names within."""

from __future__ import annotations

import os
import shutil
import stat
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from sosie.errors import InputError

# What is broken or foreign in an archive, as the standard library says it.
_BROKEN = (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, ValueError)


def is_archive(path: Path) -> bool:
    """Whether a file is a zip archive, by its content."""
    return path.is_file() and zipfile.is_zipfile(path)


def unpack(archive: Path, folder: Path) -> Iterator[tuple[Path, Path | InputError]]:
    """Every plain file of an archive, in the order of names: what it is called (the archive's path
    and its own in there), and where it is now, in `folder` under a number.

    Instead of the place there is an InputError where a name leads out of the archive, or the file
    is encrypted or damaged. No name from within decides where anything is written. Raises
    InputError where the archive itself cannot be read. Hidden files are left out.
    """
    try:
        with zipfile.ZipFile(archive) as source:
            entries = sorted(source.infolist(), key=lambda entry: entry.filename)
            for number, entry in enumerate(entries):
                parts = PurePosixPath(entry.filename).parts
                if entry.is_dir() or not parts or parts[-1].startswith("."):
                    continue
                known_as = archive / entry.filename
                if _leads_out(entry):
                    yield (
                        known_as,
                        InputError(
                            f"{archive} holds {entry.filename!r}, which is no plain file within "
                            f"it; it is not read."
                        ),
                    )
                    continue
                place = folder / f"{number}{PurePosixPath(entry.filename).suffix}"
                try:
                    _unpack_one(source, entry, place)
                except _BROKEN as error:
                    yield (
                        known_as,
                        InputError(
                            f"{entry.filename} in {archive} is encrypted or damaged ({error})."
                        ),
                    )
                    continue
                yield known_as, place
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"The archive {archive} cannot be read ({error}).") from error


def _leads_out(entry: zipfile.ZipInfo) -> bool:
    name = entry.filename
    parts = name.split("/")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    return (
        name.startswith("/")
        or any(part in ("", ".", "..") for part in parts)
        or any(sign in name for sign in ("\\", ":", "\0"))
        or kind not in (0, stat.S_IFREG)
    )


def _unpack_one(source: zipfile.ZipFile, entry: zipfile.ZipInfo, place: Path) -> None:
    with source.open(entry) as packed, place.open("wb") as file:
        shutil.copyfileobj(packed, file, 1 << 20)
    # As old as in the archive, so that a later run knows it again without reading it.
    age_s = time.mktime((*entry.date_time, 0, 0, -1))
    os.utime(place, (age_s, age_s))
