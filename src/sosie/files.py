"""Files that are read: looked at before they are opened."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from sosie.errors import InputError

StrPath = str | os.PathLike[str]

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def require_file(path: StrPath, kind: str = "file") -> Path:
    """The path of a regular file that may be read and is not empty.

    A pipe, a socket or a device is refused without opening it: that may wait for ever, or never
    end. A link is followed. kind: what is wanted (`picture`, `film`, ...), for the message.
    Raises InputError with what is wrong and what to do.
    """
    path = Path(path)
    try:
        facts = path.stat()
        if stat.S_ISDIR(facts.st_mode):
            raise InputError(f"{path} is a folder; give the name of a {kind}.")
        special = next((name for is_kind, name in _KINDS if is_kind(facts.st_mode)), None)
        if special is not None:
            raise InputError(f"{path} is {special} and not a file; save what it gives as a {kind}.")
        with path.open("rb") as file:
            empty = not file.read(1)
    except (OSError, ValueError) as error:
        raise InputError(_why_not(path, error)) from error
    if empty:
        raise InputError(f"{path} is empty (0 bytes); copy or download it again.")
    return path


def read_file(path: StrPath, kind: str = "file") -> bytes:
    """The content of a file that `require_file` takes. Raises InputError as that does."""
    path = require_file(path, kind)
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(_why_not(path, error)) from error


def _why_not(path: Path, error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"{path} does not exist; check the name."
    if isinstance(error, PermissionError):
        return f"{path} cannot be read; check its permissions."
    if isinstance(error, ValueError):  # a zero byte in the name
        return f"{str(path)!r} is no name of a file; check it."
    if error.errno == errno.ENAMETOOLONG:
        return f"The name {shortened(path)} is too long for a file; check it."
    return f"{path} cannot be read ({error.strerror})."


def shortened(path: StrPath) -> str:
    """A path for a message: in the middle of a very long one stands `...`."""
    text = os.fspath(path)
    return text if len(text) <= 160 else f"{text[:70]}...{text[-70:]}"
