"""One exception tree. The library raises; only `sosie.app` prints and exits.

Every message is one clear sentence that says what was wrong, and what to do about it.
"""

from __future__ import annotations

_LONGEST = 1200
"""Letters of a message. Two paths of the greatest length that is common take less."""


def install_hint(extra: str, force: bool = False) -> str:
    """The part of a sentence that says how to install one of Sosie's extras.

    force: whether its packages are there already, but broken.
    """
    flag = " --force-reinstall" if force else ""
    return f"run `pip install{flag} '.[{extra}]'` in the folder of Sosie's source"


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
