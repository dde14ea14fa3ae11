"""Files that are read: looked at before they are opened.

What stands in them is `sosie.foreign`'s to check.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
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
    """The path of a regular file that may be read and is not empty; see `open_regular`.

    kind: what is wanted (`picture`, `video`, ...), for the message. Raises InputError with what is
    wrong and what to do.
    """
    path = Path(path)
    with open_regular(path, kind) as file:
        try:
            empty = not file.read(1)
        except OSError as error:
            raise InputError(_why_not(path, error)) from error
    if empty:
        raise InputError(f"{path} is empty (0 bytes); copy or download it again.")
    return path


def open_regular(path: Path, kind: str = "file") -> BufferedReader:
    """A regular file, opened for reading; a link is followed.

    Raises InputError where the path is a pipe, a socket, a device or a folder, is absent, or cannot
    be read.
    """
    try:
        return open_plain(path)
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder; give the name of a {kind}.") from error
    except IrregularError as error:
        raise InputError(
            f"{path} is {error.strerror} and not a file; save what it gives as a {kind}."
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(_why_not(path, error)) from error


class IrregularError(OSError):
    """A pipe, a socket or a device stands where a file should; `strerror` says which."""


def open_plain(path: Path) -> BufferedReader:
    """As `open_regular`, for those who word the error themselves.

    A pipe, a socket or a device is refused before it is opened, for that may wait for ever, never
    end, or do something. Raises IrregularError for one, IsADirectoryError for a folder, and
    otherwise what the system does: OSError, or ValueError at a name that is none.
    """
    _require_plain(path, path.stat().st_mode)
    # What the name means may have changed since: opening such a thing must not wait either.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    opened = os.fdopen(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb")
    try:
        _require_plain(path, os.fstat(opened.fileno()).st_mode)
    except OSError:
        opened.close()
        raise
    return opened


def _require_plain(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    special = next((name for is_kind, name in _KINDS if is_kind(mode)), None)
    if special is not None:
        raise IrregularError(errno.EINVAL, special, str(path))


def _why_not(path: Path, error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"{path} does not exist; check the name."
    if isinstance(error, PermissionError):
        return f"{path} cannot be read; check its permissions."
    if isinstance(error, ValueError):  # a zero byte in the name
        return f"{str(path)!r} is no name of a file; check it."
    if error.errno == errno.ENAMETOOLONG:
        return f"The name {shortened_path(path)} is too long for a file; check it."
    return f"{path} cannot be read ({error.strerror})."


def shortened_path(path: StrPath) -> str:
    """A path for a message: in the middle of a very long one stands `...`."""
    text = os.fspath(path)
    return text if len(text) <= 160 else f"{text[:70]}...{text[-70:]}"


def with_absolute_file(processor: str) -> str:
    """What is asked of a processor, `NAME:FILE,setting=value`, with the whole path of the file or
    folder."""
    name, colon, rest = processor.partition(":")
    file, comma, settings = rest.partition(",")
    if not file or not Path(file).exists():
        return processor
    return f"{name}{colon}{Path(file).absolute()}{comma}{settings}"
