"""One exception tree. The library raises; only `sosie.app` prints and exits.

Every message is one clear sentence that says what was wrong, and what to do about it.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import PurePath

_LONGEST = 1200
"""Letters of a message. Two paths of the greatest length that is common take less."""


def install_hint(extra: str, force: bool = False) -> str:
    """The part of a sentence that says how to install one of Sosie's extras.

    force: whether its packages are there already, but broken.
    """
    flag = " --force-reinstall" if force else ""
    return f"run `pip install{flag} '.[{extra}]'` in the folder of Sosie's source"


def nearest(value: str, known: Iterable[str]) -> str:
    """A sentence part that names the known values and the one nearest to `value`."""
    known = list(known)
    close = difflib.get_close_matches(value, known, n=1, cutoff=0.5)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"choose one of {', '.join(known)}{hint}"


@contextmanager
def needs_extra(extra: str, packages: Collection[str]) -> Iterator[None]:
    """Raises UnavailableError where what is done within lacks one of an extra's packages, or one
    that cannot be loaded for want of a library."""
    try:
        yield
    except ImportError as error:
        # A package that is not there has a name; one that lacks a library, a path of its own.
        absent = (error.name or "").split(".")[0]
        broken = [name for name in packages if name in PurePath(error.path or "").parts]
        if absent in packages:
            reason = f"This needs the package {absent}, which is not installed"
        elif broken:
            reason = f"The package {broken[0]} cannot be loaded ({error})"
        else:
            raise
        hint = install_hint(extra, force=absent not in packages)
        raise UnavailableError(f"{reason}: {hint}.") from error


class SosieError(Exception):
    """Base of all errors that Sosie raises on purpose. `exit_code` is the command line's.

    As text it is one line that can be printed, and not a long one: what it quotes of a file's
    content, or of a library that read it, is whatever somebody wrote there.
    """

    exit_code = 1

    def __str__(self) -> str:
        text = "".join(_shown(letter) for letter in super().__str__())
        if len(text) <= _LONGEST:
            return text
        return f"{text[: _LONGEST // 2]}...{text[-_LONGEST // 3 :]}"


def _shown(letter: str) -> str:
    if letter.isprintable():
        return letter
    return " " if letter.isspace() else repr(letter)[1:-1]


class UsageError(SosieError):
    """An option or argument that cannot be meant: unknown value, output equal to input."""

    exit_code = 2


class InputError(SosieError):
    """A file that is absent, unreadable, truncated, of the wrong kind, or out of bounds."""


class OutputError(SosieError):
    """A result that cannot be written: folder, permission, full disk, existing file."""


class UnavailableError(SosieError):
    """A codec, execution provider, model or optional package that is not there."""


class NoFaceError(SosieError):
    """No usable face was found in a source or a target."""

    exit_code = 3


class InterruptedSwapError(SosieError):
    """The user stopped a video; what was done stands in `partial`, if anything was."""

    exit_code = 4

    def __init__(self, message: str, partial: str | None = None) -> None:
        super().__init__(message)
        self.partial = partial


class InterruptedTrainingError(SosieError):
    """The user stopped a training; its state is saved and it can go on."""

    exit_code = 4


class InterruptedDatasetError(SosieError):
    """The user stopped work on a set of faces; what was done is kept, and it can go on."""

    exit_code = 4
