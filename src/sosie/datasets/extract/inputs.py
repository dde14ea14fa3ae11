"""Inputs as a set knows them: told apart by their content, each with a folder of its own.

Those in zip archives are known by their names within, and put on disk one at a time, for as long as
each is read.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self

from sosie import foreign
from sosie.datasets.extract.writer import safe_name
from sosie.datasets.hints import Hint
from sosie.datasets.markers import FACES
from sosie.datasets.store import FaceStore
from sosie.datasets.transactions import LOCK, held
from sosie.errors import InputError, OutputError

_PREFIX = "sosie-unpacked-"
_CHUNK = 1 << 20
_SPARE_BYTES = 64 << 20
"""So much room is left on the disk that members are unpacked to."""

_ABANDONED_S, _TRIES = 600.0, 10
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


class Archives(ExitStack):
    """The archives of a run, open until it ends, and the folder that members are unpacked to.

    What a run that was killed left there is removed by the next one.
    """

    def __enter__(self) -> Self:
        super().__enter__()
        self._folder = self.enter_context(_temporary_folder())
        return self

    def members(self, archive: Path) -> Iterator[tuple[Path, Member | InputError]]:
        """Every plain file of an archive, in the order of names; in its place an InputError where
        its name leads out or it would fill the disk. Hidden files are left out.

        Raises InputError where the archive itself cannot be read, or would fill the disk.
        """
        source = self.enter_context(foreign.open_zip(archive))
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
    with ExitStack() as stack:
        yield _locked_folder(stack)


def _locked_folder(stack: ExitStack) -> Path:
    """A new folder that is locked, and removed when the stack ends."""
    for _ in range(_TRIES):
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        # Another run may take it for abandoned before it is locked, and remove it.
        with suppress(OutputError):
            stack.enter_context(held(folder))
            if (folder / LOCK).exists():
                return folder
    raise OutputError(
        f"The folder {tempfile.gettempdir()} cannot be used for what is unpacked; name another in "
        f"TMPDIR."
    )


def _remove_abandoned(folder: Path) -> None:
    about = folder.lstat()
    own = not hasattr(os, "getuid") or about.st_uid == os.getuid()
    if folder.is_symlink() or not own:
        return
    # A young one without a lock may be about to have one.
    if not (folder / LOCK).exists() and time.time() - about.st_mtime < _ABANDONED_S:
        return
    with suppress(OutputError, InputError), held(folder):
        shutil.rmtree(folder, ignore_errors=True)


DONE, PARTIAL, FAILED = "done", "partial", "failed"
"""What `state` says of an input: all of it, a part of it, or none or a part as it is damaged."""


@dataclass(frozen=True)
class Input:
    """A video or a photo to extract from.

    name: what it is called, in the set and in messages: its path, or that of its archive and its
    own in there. member: of an archive, where it is in one. hint: what another tool knew of it.
    person: whose faces these are, "" where unknown.
    """

    name: Path
    kind: Literal["photo", "video"]
    member: Member | None = None
    hint: Hint | None = None
    person: str = ""

    @contextmanager
    def opened(self) -> Iterator[Path]:
        """Where its content is meanwhile. Raises InputError where an archive does not give it."""
        if self.member is None:
            yield self.name
            return
        with self.member.on_disk() as place:
            yield place

    def facts(self) -> tuple[int, int]:
        """Its length in bytes, and when it was changed in nanoseconds."""
        if self.member is not None:
            return self.member.size_bytes, self.member.mtime_ns
        about = self.name.stat()
        return about.st_size, about.st_mtime_ns

    def sha256(self) -> str:
        """Of its content. Raises InputError or OSError where it cannot be read."""
        if self.member is not None:
            return self.member.sha256()
        with self.name.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


class Ledger:
    """What a set knows of its inputs: `set.json`'s `inputs`, by content."""

    def __init__(self, store: FaceStore) -> None:
        self._store = store
        self._entries: dict[str, dict[str, Any]] = {
            entry["sha256"]: entry for entry in store.settings.get("inputs", [])
        }
        self._by_path = {entry.get("path"): entry for entry in self._entries.values()}
        # A video, or the folder of photos -> its folder in the set.
        self._folders: dict[str, str] = store.settings.setdefault("folders", {})

    def entry_of(self, one: Input) -> dict[str, Any]:
        """What is known of an input, or a new entry with a folder. Raises InputError where the file
        cannot be read."""
        path = one.name.absolute()
        try:
            facts = one.facts()
            known = self._by_path.get(str(path), {})
            # As large and as old as before: the content is taken for the same.
            same = (known.get("size_bytes"), known.get("mtime_ns")) == facts
            sha256 = known["sha256"] if same else one.sha256()
        except OSError as error:
            raise InputError(f"{one.name} cannot be read ({error.strerror}).") from error
        if not {"folder", "state"} <= self._entries.get(sha256, {}).keys():
            self._entries[sha256] = {
                "sha256": sha256,
                "path": str(path),
                "kind": one.kind,
                "folder": self._folder_for(path, one.kind, one.person),
                "size_bytes": facts[0],
                "mtime_ns": facts[1],
                "state": PARTIAL,
            }
        return self._entries[sha256]

    def told(self, entry: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
        """The entry with what is now known of it; `resume` and `error` do not outlive it."""
        kept = {k: v for k, v in entry.items() if k not in ("resume", "error")}
        self._entries[entry["sha256"]] = {**kept, **facts}
        return self._entries[entry["sha256"]]

    def _folder_for(self, path: Path, kind: str, person: str) -> str:
        """A video's own name, or that of the folder in which a photo lies, which all its photos
        share. A name that is taken, be it by a person of the input, gets a number. Raises
        InputError where another input has the person's name."""
        if person.casefold() in {folder.casefold() for folder in self._folders.values()}:
            raise InputError(
                f"{person!r} is the name of an input's folder in the set {self._store.folder}: "
                f"give the person another."
            )
        origin, name = (path.parent, path.parent.name) if kind == "photo" else (path, path.stem)
        key = str(origin)
        if key not in self._folders:
            self._folders[key] = self._free(safe_name(name), person)
            # Before any picture is in it, which a later run would take for somebody else's.
            self._store.save_settings()
        return self._folders[key]

    def _free(self, name: str, person: str) -> str:
        # Folders that are no input's are a person's.
        taken = {folder.casefold() for folder in (*self._folders.values(), person)}
        people = self._store.folder / FACES
        if people.is_dir():
            taken |= {folder.name.casefold() for folder in people.iterdir()}
        number, free = 1, name
        while free.casefold() in taken:
            number += 1
            free = f"{name}-{number}"
        return free
