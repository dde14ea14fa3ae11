"""Where a result goes: checked before any work, and put under its name only when it is whole."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sosie.errors import OutputError, UsageError
from sosie.files import StrPath

_FULL = (errno.ENOSPC, errno.EDQUOT)


def check_output(output: StrPath, inputs: Iterable[StrPath] = (), overwrite: bool = False) -> Path:
    """The path that a result is to be written to, checked before any work is done.

    A symbolic link is followed: what it points to is what will be replaced.

    Raises UsageError where `output` is one of `inputs` (by any spelling or link), OutputError where
    it exists without `overwrite`, is a folder or a device, or its folder is absent or unwritable.
    """
    path = Path(os.path.realpath(output))
    for source in inputs:
        if _same_file(path, source):
            raise UsageError(
                f"The output {os.fspath(output)} is also an input; give the output another name."
            )
    if path.is_dir():
        raise OutputError(f"The output {os.fspath(output)} is a folder; give the name of a file.")
    if path.exists():
        if not path.is_file():
            raise OutputError(
                f"The output {os.fspath(output)} is not a regular file; give another name."
            )
        if not overwrite:
            raise OutputError(
                f"The output {os.fspath(output)} exists already; give another name, or --overwrite."
            )
    check_folder(path.parent)
    return path


def check_folder(folder: Path) -> None:
    """Raises OutputError where `folder` is not there, is no folder or cannot be written to."""
    if not folder.exists():
        raise OutputError(f"The folder {folder} does not exist; create it first.")
    if not folder.is_dir():
        raise OutputError(f"{folder} is not a folder; give an output inside a folder.")
    effective = os.access in os.supports_effective_ids
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=effective):
        raise _no_permission(folder)


class PendingOutput:
    """A file that is being written under a hidden name next to its final one.

    path: where to write now. final: the name that it gets once it is whole.
    """

    def __init__(self, final: Path) -> None:
        self.final = final
        self.path = _create_hidden(final)

    def keep_partial(self) -> Path | None:
        """Gives what was written so far a name that says so: `film.partial.mp4` for `film.mp4`.

        An earlier partial file is left alone (the next is `film.partial-2.mp4`). Returns None, and
        keeps nothing, where nothing was written. The final name is then not written any more.
        """
        if self.path.stat().st_size == 0:
            return None
        number = 1
        while True:
            mark = "partial" if number == 1 else f"partial-{number}"
            partial = self.final.with_name(f"{self.final.stem}.{mark}{self.final.suffix}")
            if not os.path.lexists(partial):
                break
            number += 1
        self.path.replace(partial)
        return partial

    def commit(self, overwrite: bool) -> None:
        """Flushes the file to the disk and puts it under its final name."""
        descriptor = os.open(self.path, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if self.final.exists():
            if not overwrite:
                raise OutputError(
                    f"The output {self.final} was created by another program meanwhile; "
                    f"give another name, or --overwrite."
                )
            shutil.copymode(self.final, self.path)
        self.path.replace(self.final)


@contextmanager
def atomic_output(path: StrPath, overwrite: bool = False) -> Iterator[PendingOutput]:
    """A file that appears under `path` whole or not at all.

    Yields a `PendingOutput`; write to its `path` (same folder, same extension). At a normal end it
    is put under its final name; at any exception it is removed, unless `keep_partial` was called.
    Raises OutputError as `check_output` does, and where the disk is full.
    """
    final = check_output(path, overwrite=overwrite)
    pending = PendingOutput(final)
    try:
        yield pending
        if pending.path.exists():
            pending.commit(overwrite)
    except Exception as error:
        code = getattr(error, "errno", None)
        if code in _FULL:
            raise OutputError(full_disk(final)) from error
        raise
    finally:
        with suppress(FileNotFoundError):
            pending.path.unlink()


def full_disk(path: Path) -> str:
    """The sentence for a disk that is full."""
    return f"The disk is full: {path} could not be written; free some space in {path.parent}."


def _same_file(path: Path, source: StrPath) -> bool:
    if os.path.normcase(os.path.realpath(source)) == os.path.normcase(path):
        return True
    try:
        return path.samefile(source)
    except OSError:
        return False


def _no_permission(folder: Path) -> OutputError:
    return OutputError(f"The folder {folder} cannot be written to; check its permissions.")


def _create_hidden(final: Path) -> Path:
    # Not tempfile: its files are readable by their owner alone, and so would be the result.
    name = f".{final.stem[:40]}.{secrets.token_hex(4)}.tmp{final.suffix}"
    path = final.with_name(name)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        if error.errno in _FULL:
            raise OutputError(full_disk(final)) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise _no_permission(final.parent) from error
        raise OutputError(
            f"{final} could not be created ({error.strerror}); give another name or folder."
        ) from error
    return path
