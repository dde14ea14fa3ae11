"""Where a result goes: checked before any work, and put under its name only when it is whole."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from itertools import count
from pathlib import Path

from sosie.errors import OutputError, UsageError
from sosie.files import StrPath
from sosie.stops import stops_held

if sys.platform != "win32":
    import fcntl

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of the system that say that a disk, or the user's share of it, is full."""


_LIKELY_WRITERS = 8
"""So many hidden files of one output are looked for, which killed processes may have left."""


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
    _require_possible(path)
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


def make_folder(folder: Path, remedy: str = "give another one") -> None:
    """Make a folder and those above it. Raises OutputError where that cannot be done.

    remedy: what to do then, for the message.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {folder} cannot be created ({error.strerror}); {remedy}."
        ) from error


class PendingOutput:
    """A file that is being written under a hidden name next to its final one.

    path: where to write now. final: the name that it gets once it is whole. The hidden file is
    locked as long as its process lives. What killed processes have left of the same output is
    removed first. durable: whether it must be on the disk before it gets its name, so that a loss
    of power cannot leave it empty.
    """

    def __init__(self, final: Path, durable: bool = True) -> None:
        self.final = final
        self._is_durable = durable
        self._is_settled = False
        _remove_abandoned(final)
        self.path, self._lock = _create_hidden(final)

    def require(self) -> None:
        """Raises OutputError where somebody has removed the file that is being written."""
        if not os.path.lexists(self.path):
            raise OutputError(_removed(self.final))

    def keep_partial(self) -> Path | None:
        """Gives what was written so far a name that says so: `video.partial.mp4` for `video.mp4`.

        An earlier partial file is left alone (the next is `video.partial-2.mp4`). Returns None, and
        keeps nothing, where nothing was written. The final name is then not written any more.
        """
        if not os.path.lexists(self.path) or self.path.stat().st_size == 0:
            return None
        number = 1
        while True:
            mark = "partial" if number == 1 else f"partial-{number}"
            partial = self.final.with_name(f"{self.final.stem}.{mark}{self.final.suffix}")
            if not os.path.lexists(partial):
                break
            number += 1
        with stops_held():
            sync(self.path)
            self.path.replace(partial)
            self._is_settled = True
        return partial

    def commit(self, overwrite: bool) -> None:
        """Flushes the file to the disk and puts it under its final name, where it was not kept as a
        part. Raises OutputError where it is not there, then or before."""
        if self._is_settled:
            return
        with stops_held():
            self.require()
            if self._is_durable:
                sync(self.path)
            if self.final.exists():
                if not overwrite or self.final.is_dir():
                    raise OutputError(
                        f"The output {self.final} was created by another program meanwhile; "
                        f"give another name{'' if self.final.is_dir() else ', or --overwrite'}."
                    )
                shutil.copymode(self.final, self.path)
            self.path.replace(self.final)
            self._is_settled = True
            if not self.final.exists():
                raise OutputError(_removed(self.final))
            if self._is_durable:
                sync(self.final.parent)

    def release(self) -> None:
        """Removes the hidden file, where it has not got a name of its own, and its lock."""
        with stops_held():
            # Once it has a name of its own, the hidden one may be another process's.
            if not self._is_settled:
                with suppress(OSError):
                    self.path.unlink()
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None


@contextmanager
def atomic_output(
    path: StrPath, overwrite: bool = False, durable: bool = True
) -> Iterator[PendingOutput]:
    """A file that appears under `path` whole or not at all.

    Yields a `PendingOutput`; write to its `path` (same folder, same extension). At a normal end it
    is put under its final name; at any exception it is removed, unless `keep_partial` was called.
    durable: False for what can be made again, and is small and many. Raises OutputError as
    `check_output` does, and where the file cannot be written (a full disk) or is gone at the end.
    """
    final = check_output(path, overwrite=overwrite)
    pending: PendingOutput | None = None
    try:
        with stops_held():
            pending = PendingOutput(final, durable)
        yield pending
        pending.commit(overwrite)
    except OSError as error:
        # One without a name comes from a file that is open: from writing to it.
        named = None if error.filename is None else Path(os.fspath(error.filename)).parent
        if error.errno is not None and named in (None, final.parent):
            raise OutputError(not_written(final, error)) from error
        raise
    finally:
        if pending is not None:
            pending.release()


def write_whole(path: StrPath, content: bytes | str) -> None:
    """Writes a file, whole or not at all; it replaces one that is there. Text is UTF-8.

    Raises OutputError where it cannot be written.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with atomic_output(path, overwrite=True) as pending:
        pending.path.write_bytes(data)


def not_written(path: Path, error: OSError) -> str:
    """The sentence for an error of the system in writing an output."""
    if error.errno in FULL:
        return full_disk(path)
    if error.errno == errno.EFBIG:
        return (
            f"{path} has reached the largest size that a file may have there, by the disk's format "
            f"or `ulimit -f`; write it to another disk, or in parts."
        )
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return _removed(path)
    return f"{path} could not be written ({error.strerror}); check the folder and the disk."


def full_disk(path: Path) -> str:
    """The sentence for a disk that is full."""
    return f"The disk is full: {path} could not be written; free some space in {path.parent}."


def _removed(path: Path) -> str:
    return (
        f"{path} was removed, or its folder was, while it was being written: there is no result; "
        f"write it again."
    )


def sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, have reached the disk."""
    is_folder = path.is_dir()
    if is_folder and os.name == "nt":
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        # Some file systems, and devices, know nothing of it.
        with suppress(OSError) if is_folder else nullcontext():
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _require_possible(path: Path) -> None:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        shown = f"{path.name[:40]}..." if len(path.name) > 60 else repr(path.name)
        raise OutputError(
            f"The output {shown} is no name that a file can have here ({reason}); give another."
        ) from error


def _same_file(path: Path, source: StrPath) -> bool:
    if os.path.normcase(os.path.realpath(source)) == os.path.normcase(path):
        return True
    try:
        return path.samefile(source)
    except OSError:
        return False


def _no_permission(folder: Path) -> OutputError:
    return OutputError(f"The folder {folder} cannot be written to; check its permissions.")


def _create_hidden(final: Path) -> tuple[Path, int | None]:
    """A new hidden file beside `final`, and the open descriptor that holds its lock."""
    for number in count(1):
        path = _hidden(final, number)
        try:
            # Not tempfile: its files are readable by their owner alone, and so would be the result.
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            continue  # of another process that writes the same output
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise _no_permission(final.parent) from error
            if error.errno in FULL:
                raise OutputError(not_written(final, error)) from error
            raise OutputError(
                f"{final} could not be created ({error.strerror}); give another name or folder."
            ) from error
        if sys.platform == "win32":  # which renames no file that is open
            os.close(descriptor)
            return path, None
        locked(descriptor, wait=True)
        # Another process may have taken it for abandoned before it was locked.
        if path.exists():
            return path, descriptor
        os.close(descriptor)
    raise AssertionError


def _remove_abandoned(final: Path) -> None:
    """Removes hidden files of this output whose processes have died. By their names, since a folder
    of many results takes long to list."""
    for number in range(1, _LIKELY_WRITERS + 1):
        remove_if_abandoned(_hidden(final, number))


def _hidden(final: Path, number: int) -> Path:
    return final.with_name(f".{final.stem[:40]}.{number}.tmp{final.suffix}")


def remove_if_abandoned(path: Path) -> None:
    """Removes the hidden file or folder of an output, unless a process is writing it or may be."""
    if sys.platform == "win32":
        return
    with suppress(OSError):
        # A pipe of this name would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            if locked(descriptor, wait=False):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        finally:
            os.close(descriptor)


def locked(descriptor: int, wait: bool) -> bool:
    """Locks an open file for this process. False where another one has it, or the file system has
    no locks: then nothing on it is ever taken for abandoned."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True
