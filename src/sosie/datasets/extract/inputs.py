"""Inputs as a set knows them: told apart by their content, each with a folder of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sosie.datasets.extract.archives import Member
from sosie.datasets.extract.writer import safe_name
from sosie.datasets.markers import FACES
from sosie.datasets.store import FaceStore
from sosie.errors import InputError

DONE, PARTIAL, FAILED = "done", "partial", "failed"
"""What `state` says of an input: all of it, a part of it, or none or a part as it is damaged."""


@dataclass(frozen=True)
class Input:
    """A video or a photo to extract from.

    name: what it is called, in the set and in messages: its path, or that of its archive and its
    own in there. member: of an archive, where it is in one.
    """

    name: Path
    kind: Literal["film", "photo"]
    member: Member | None = None

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
                "folder": self._folder_for(path, one.kind),
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

    def _folder_for(self, path: Path, kind: str) -> str:
        """A video's own name, or that of the folder in which a photo lies, which all its photos
        share. A name that is taken gets a number."""
        origin, name = (path.parent, path.parent.name) if kind == "photo" else (path, path.stem)
        key = str(origin)
        if key not in self._folders:
            self._folders[key] = self._free(safe_name(name))
            # Before any picture is in it, which a later run would take for somebody else's.
            self._store.save_settings()
        return self._folders[key]

    def _free(self, name: str) -> str:
        # Folders that are no input's are a person's.
        taken = {folder.casefold() for folder in self._folders.values()}
        people = self._store.folder / FACES
        if people.is_dir():
            taken |= {folder.name.casefold() for folder in people.iterdir()}
        number, free = 1, name
        while free.casefold() in taken:
            number += 1
            free = f"{name}-{number}"
        return free
