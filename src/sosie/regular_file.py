"""Files of others, opened without waiting on a pipe and without touching a device."""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

from sosie.errors import InputError

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
)


def open_regular(path: Path) -> BufferedReader:
    """A regular file, opened for reading; a link is followed.

    A pipe, a socket or a device is refused before it is opened, for that may wait for ever, never
    end, or do something. Raises InputError where the path is one, is absent, or cannot be read.
    """
    try:
        _require_regular(path, path.stat().st_mode)
        # What the name means may have changed since: opening such a thing must not wait either.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
        opened = os.fdopen(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb")
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}: check the name.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        # A zero byte in the name.
        raise InputError(f"{str(path)!r} is no name of a file: check it.") from error
    try:
        _require_regular(path, os.fstat(opened.fileno()).st_mode)
    except InputError:
        opened.close()
        raise
    return opened


def _require_regular(path: Path, mode: int) -> None:
    special = next((kind for is_kind, kind in _KINDS if is_kind(mode)), None)
    if special is not None:
        raise InputError(f"{path} is {special} and not a file: name a file.")
