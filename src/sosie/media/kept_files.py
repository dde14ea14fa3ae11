"""Files that a long piece of work has written, until all of them are whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from sosie.errors import InputError
from sosie.output import sync

_PIECE_BYTES = 1 << 20


class KeptFiles:
    """Notes which files of a folder were written since the last segment ended."""

    def __init__(self) -> None:
        self._new: dict[Path, None] = {}

    def wrote(self, path: Path) -> None:
        """Notes a file. It must not be changed afterwards."""
        self._new[path] = None

    def end(self) -> dict[str, str]:
        """Names and digests of the new files, once they have reached the disk. Raises OSError."""
        folders = {path.parent for path in self._new}
        digests = {}
        for path in self._new:
            sync(path)
            digests[path.name] = file_digest(path)
        for folder in folders:
            sync(folder)
        self._new = {}
        return digests


def check_files(folder: Path, digests: dict[str, str]) -> None:
    """Raises InputError where a file that was kept is gone, or is not as it was written."""
    for name, digest in digests.items():
        path = folder / name
        try:
            found = file_digest(path)
        except OSError:
            found = ""
        if found != digest:
            raise InputError(
                f"{path}, which an earlier run wrote, is damaged or gone; begin that work anew "
                f"with --restart."
            )


def file_digest(path: Path) -> str:
    """Of all of a file's content. Raises OSError."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def names_of(all_facts: Iterable[dict[str, dict[str, str]]]) -> set[str]:
    """The names of all files of some segments, by what was kept with these."""
    return {name for facts in all_facts for name in facts.get("files", {})}
