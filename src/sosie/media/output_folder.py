"""A folder of results: made beside its place, and put there only when it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from sosie.errors import OutputError
from sosie.output import check_folder, not_written
from sosie.stops import stops_held


class PendingFolder:
    """Files that are being written into a hidden folder beside the one that they belong into.

    path: the name that is given to a writer, in the hidden folder. final: the same name at its
    place. Used like a `sosie.output.PendingOutput`.
    """

    def __init__(self, final: Path) -> None:
        self.final = final
        self._place = final.parent
        for number in count(1):
            self._hidden = self._place.with_name(f".{self._place.name[:40]}.{number}.tmp")
            try:
                self._hidden.mkdir()
                break
            except FileExistsError:
                continue
        self.path = self._hidden / final.name
        self._is_settled = False

    def require(self) -> None:
        """Raises OutputError where somebody has removed the folder that is being written."""
        if not self._hidden.is_dir():
            raise OutputError(
                f"{self._place} was removed while it was being written: there is no result; write "
                f"it again."
            )

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
                self._hidden.rmdir()
            self._is_settled = True

    def release(self) -> None:
        """Removes the hidden folder, where it has not got a name of its own."""
        if not self._is_settled:
            with stops_held(), suppress(OSError):
                shutil.rmtree(self._hidden)


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
