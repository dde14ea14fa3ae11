"""One exception tree. The library raises; only `sosie.app` prints and exits.

Every message is one clear sentence that says what was wrong, and what to do about it.
"""

from __future__ import annotations


def install_hint(extra: str, force: bool = False) -> str:
    """The part of a sentence that says how to install one of Sosie's extras.

    force: whether its packages are there already, but broken.
    """
    flag = " --force-reinstall" if force else ""
    return f"run `pip install{flag} '.[{extra}]'` in the folder of Sosie's source"


class SosieError(Exception):
    """Base of all errors that Sosie raises on purpose. `exit_code` is the command line's."""

    exit_code = 1


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
