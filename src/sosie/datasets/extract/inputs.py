"""Inputs as a set knows them: told apart by their content, each with a folder of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sosie.datasets.extract.shelf import safe_name
from sosie.datasets.store import FACES, FaceStore
from sosie.errors import InputError

DONE, PARTIAL, FAILED = "done", "partial", "failed"
"""What `state` says of an input: all of it, a part of it, or none or a part as it is damaged."""


@dataclass(frozen=True)
class Input:
    """A film or a photo to extract from.

    path: where its content is. known_as: what the set calls it, where that is another name, such as
    that within an archive.
    """

    path: Path
    kind: Literal["film", "photo"]
    known_as: Path | None = None

    @property
    def name(self) -> Path:
        """What it is called, in the set and in messages."""
        return self.known_as or self.path


class Ledger:
    """What a set knows of its inputs: `set.json`'s `inputs`, by content."""

    def __init__(self, store: FaceStore) -> None:
        self._store = store
        self._entries: dict[str, dict[str, Any]] = {
            entry["sha256"]: entry for entry in store.settings.get("inputs", [])
        }
        self._by_path = {entry["path"]: entry for entry in self._entries.values()}
        # A film, or the folder of photos -> its folder in the set.
        self._folders: dict[str, str] = store.settings.setdefault("folders", {})

    def entry_of(self, one: Input) -> dict[str, Any]:
        """What is known of an input, or a new entry with a folder. Raises InputError where the file
        cannot be read."""
        path = one.name.absolute()
        try:
            facts = one.path.stat()
            known = self._by_path.get(str(path), {})
            # As large and as old as before: the content is taken for the same.
            same = (known.get("size_bytes"), known.get("mtime_ns")) == (
                facts.st_size,
                facts.st_mtime_ns,
            )
            sha256 = known["sha256"] if same else _sha256(one.path)
        except OSError as error:
            raise InputError(f"{one.name} cannot be read ({error.strerror}).") from error
        if sha256 not in self._entries:
            self._entries[sha256] = {
                "sha256": sha256,
                "path": str(path),
                "kind": one.kind,
                "folder": self._folder_for(path, one.kind),
                "size_bytes": facts.st_size,
                "mtime_ns": facts.st_mtime_ns,
                "state": PARTIAL,
            }
        return self._entries[sha256]

    def told(self, entry: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
        """The entry with what is now known of it; `resume` and `error` do not outlive it."""
        kept = {k: v for k, v in entry.items() if k not in ("resume", "error")}
        self._entries[entry["sha256"]] = {**kept, **facts}
        return self._entries[entry["sha256"]]

    def _folder_for(self, path: Path, kind: str) -> str:
        """A film's own name, or that of the folder in which a photo lies, which all its photos
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
