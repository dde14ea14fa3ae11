"""One run at a time: a file that is locked while a process changes a set."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from sosie import foreign
from sosie.errors import OutputError

_NAME = ".lock"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Raises OutputError where another process holds the lock, or the folder cannot be written to.

    The system lets go of it whenever the process ends.
    """
    path = foreign.inside(folder, _NAME, f"The set {folder}")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is not a regular file; remove it and run the command again.")
    try:
        file = path.open("w")
    except OSError as error:
        raise OutputError(
            f"The folder {folder} cannot be written to ({error.strerror}); check its permissions."
        ) from error
    with file:
        if not _locked(file):
            raise OutputError(f"Another run is at work on {folder}; wait until it has ended.")
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()


def _locked(file: IO[str]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
