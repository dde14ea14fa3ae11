"""A folder of results: made beside its place, and put there only when it is whole."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from sosie.errors import OutputError
from sosie.output import check_folder, locked, not_written, remove_if_abandoned, sync
from sosie.stops import stops_held

_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EACCES, errno.ENOSYS)
"""Errors of a disk that has no links, or none to there."""

_LIKELY_WRITERS = 8
"""So many hidden folders of one output are looked for, which killed processes may have left."""


class PendingFolder:
    """Files that are being written into a hidden folder beside the one that they belong into.

    path: the name that is given to a writer, in the hidden folder. final: the same name at its
    place. Used like a `sosie.output.PendingOutput`: the folder is locked as long as its process
    lives, and what killed processes have left of the same place is removed first.
    """

    def __init__(self, final: Path) -> None:
        self.final = final
        self._place = final.parent
        for number in range(1, _LIKELY_WRITERS + 1):
            remove_if_abandoned(self._named(number))
        for number in count(1):
            self._hidden = self._named(number)
            try:
                self._hidden.mkdir()
                break
            except FileExistsError:
                continue
        self._lock = _lock_of(self._hidden)
        self.path = self._hidden / final.name
        self._is_settled = False

    def require(self) -> None:
        """Raises OutputError where somebody has removed the folder that is being written."""
        if not self._hidden.is_dir():
            raise OutputError(
                f"{self._place} was removed while it was being written: there is no result; write "
                f"it again."
            )

    def take(self, folder: Path) -> None:
        """Has all files of another folder too, which keeps them: as links where that is one disk,
        else as copies."""
        for path in sorted(folder.iterdir()):
            copy = self._hidden / path.name
            with suppress(FileNotFoundError):
                copy.unlink()
            try:
                copy.hardlink_to(path)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                shutil.copy2(path, copy)

    def keep_partial(self) -> Path | None:
        """Gives the folder with what was written so far a name that says so: `shot.partial` for
        `shot`. Returns None where nothing was written."""
        if not self._hidden.is_dir() or not any(self._hidden.iterdir()):
            return None
        for number in count(1):
            mark = "partial" if number == 1 else f"partial-{number}"
            partial = self._place.with_name(f"{self._place.name}.{mark}")
            if not os.path.lexists(partial):
                break
        with stops_held():
            self._hidden.rename(partial)
            self._is_settled = True
        return partial

    def commit(self) -> None:
        """Puts all files at their place. Those of other names that are there stay."""
        if self._is_settled:
            return
        with stops_held():
            self.require()
            if not self._place.exists():
                self._hidden.rename(self._place)
            else:
                for path in sorted(self._hidden.iterdir()):
                    path.replace(self._place / path.name)
                    # Where both are one file already, nothing was moved.
                    path.unlink(missing_ok=True)
                self._hidden.rmdir()
            sync(self._place)
            self._is_settled = True

    def release(self) -> None:
        """Removes the hidden folder, where it has not got a name of its own."""
        if not self._is_settled:
            with stops_held(), suppress(OSError):
                shutil.rmtree(self._hidden)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _named(self, number: int) -> Path:
        return self._place.with_name(f".{self._place.name[:40]}.{number}.tmp")


@contextmanager
def atomic_folder(path: Path) -> Iterator[PendingFolder]:
    """Files that appear in the folder of `path` all or not at all.

    path: a name in that folder, which need not exist; the one that it lies in must. Raises
    OutputError where it cannot be written.
    """
    final = Path(os.path.realpath(path.parent)) / path.name
    check_folder(final.parent.parent)
    if final.parent.exists():
        check_folder(final.parent)
    pending: PendingFolder | None = None
    try:
        pending = PendingFolder(final)
        yield pending
        pending.commit()
    except OSError as error:
        named = None if error.filename is None else Path(os.fspath(error.filename))
        if error.errno is not None and (named is None or final.parent.parent in named.parents):
            raise OutputError(not_written(final.parent, error)) from error
        raise
    finally:
        if pending is not None:
            pending.release()


def _lock_of(folder: Path) -> int | None:
    """The open descriptor that holds a folder's lock, as long as the process lives."""
    if sys.platform == "win32":  # which opens no folders
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    locked(descriptor, wait=True)
    return descriptor
