"""Zip archives of photos and videos as inputs: known by their names within, and put on disk one
member at a time, for as long as it is read."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from sosie import foreign
from sosie.datasets.lock import held
from sosie.errors import InputError, OutputError

_PREFIX = "sosie-unpacked-"
_CHUNK = 1 << 20
_SPARE_BYTES = 64 << 20
"""So much room is left on the disk that members are unpacked to."""

_ABANDONED_S = 600.0
_LONGEST_SUFFIX = 10


def is_archive(path: Path) -> bool:
    """Whether a file is a zip archive, by its content."""
    return path.is_file() and zipfile.is_zipfile(path)


@dataclass(frozen=True)
class Member:
    """A file in an archive. name: the archive's path and its own in there."""

    name: Path
    source: zipfile.ZipFile
    entry: zipfile.ZipInfo
    folder: Path

    @property
    def size_bytes(self) -> int:
        return self.entry.file_size

    @property
    def mtime_ns(self) -> int:
        """When it was changed, as the archive says in the local time of whoever packed it; 0 where
        that is no time."""
        with suppress(ValueError, OverflowError):
            return int(time.mktime((*self.entry.date_time, 0, 0, -1))) * 1_000_000_000
        return 0

    def sha256(self) -> str:
        """Of its content. Raises InputError where it is encrypted or damaged."""
        digest = hashlib.sha256()
        for chunk in self._chunks(self.size_bytes):
            digest.update(chunk)
        return digest.hexdigest()

    @contextmanager
    def on_disk(self, most: int | None = None) -> Iterator[Path]:
        """A file with its content, or the first `most` bytes, that is removed again. No name from
        within decides where it is written. Raises InputError where it is damaged or there is no
        room for it."""
        size = self.size_bytes if most is None else min(most, self.size_bytes)
        if size > shutil.disk_usage(self.folder).free - _SPARE_BYTES:
            raise InputError(
                f"{self.name} needs {size / 1e6:.0f} MB in {self.folder.parent}, which has no room "
                f"for it; name another folder for temporary files in TMPDIR."
            )
        suffix = PurePosixPath(self.entry.filename).suffix
        suffix = suffix if len(suffix) <= _LONGEST_SUFFIX else ""
        place = self.folder / f"{secrets.token_hex(6)}{suffix}"
        try:
            with place.open("xb") as file:
                for chunk in self._chunks(size):
                    file.write(chunk)
            yield place
        finally:
            place.unlink(missing_ok=True)

    def _chunks(self, size: int) -> Iterator[bytes]:
        left = size
        try:
            with self.source.open(self.entry) as packed:
                while left and (chunk := packed.read(min(_CHUNK, left))):
                    left -= len(chunk)
                    yield chunk
                if left:
                    raise EOFError("it ends too early")
        except foreign.BROKEN as error:
            raise InputError(
                f"{self.entry.filename} in {self.source.filename} is encrypted or damaged "
                f"({foreign.reason(error)})."
            ) from error


class Archives:
    """The archives of a run, open until it ends, and the folder that members are unpacked to.

    What a run that was killed left there is removed by the next one.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._folder = self._stack.enter_context(_temporary_folder())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def members(self, archive: Path) -> Iterator[tuple[Path, Member | InputError]]:
        """Every plain file of an archive, in the order of names; in its place an InputError where
        its name leads out or it would fill the disk. Hidden files are left out.

        Raises InputError where the archive itself cannot be read, or would fill the disk.
        """
        source = self._stack.enter_context(foreign.open_zip(archive))
        entries = [entry for entry in source.infolist() if not entry.is_dir()]
        whole = sum(entry.file_size for entry in entries)
        if foreign.is_bomb(whole, archive.stat().st_size):
            raise InputError(
                f"{archive} would unpack to {whole / 1e9:.1f} GB, many times its size, as no "
                f"photos and videos do; it is not read."
            )
        for entry in sorted(entries, key=lambda entry: entry.filename):
            parts = PurePosixPath(entry.filename).parts
            if not parts or parts[-1].startswith("."):
                continue
            if problem := foreign.member_problem(entry):
                message = f"{archive} holds {entry.filename!r}, which {problem}; it is not read."
                yield archive / parts[-1], InputError(message)
                continue
            name = archive / entry.filename
            yield name, Member(name, source, entry, self._folder)


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A new folder for this process alone. Those of processes that were killed are removed."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            _remove_abandoned(left)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        with held(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    about = folder.lstat()
    own = not hasattr(os, "getuid") or about.st_uid == os.getuid()
    # A younger one may be about to be locked.
    if folder.is_symlink() or not own or time.time() - about.st_mtime < _ABANDONED_S:
        return
    with suppress(OutputError, InputError), held(folder):
        shutil.rmtree(folder, ignore_errors=True)
