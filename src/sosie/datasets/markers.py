"""By what a set of faces is known, in a folder or packed, without reading its table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sosie import foreign
from sosie.errors import InputError

SETTINGS, TABLE, MANIFEST = "set.json", "faces.parquet", "manifest.json"
"""Files of a set; the manifest is there only where it is packed."""

SET_FORMAT, PACK_FORMAT = "sosie faces", "sosie pack"
"""What the settings and the manifest call themselves."""

VERSION = 1
"""Of the settings, the table and the manifest."""

FACES, REJECTED, DOUBTFUL = FOLDERS = ("faces", "rejected", "doubtful")
"""Folders of the set: faces by input or person, those put aside by reason, those unsure."""

PICTURES = (".png", ".jpg", ".webp")
"""Endings of a set's pictures."""


def _identity(value: object) -> None:
    if not isinstance(value, list) or len(value) != _NUMBERS:
        raise ValueError(f"should be a list of {_NUMBERS} numbers")
    foreign.check(value, [float])


_NUMBERS = 512
_TRACK_FORM: dict[Any, Any] = {
    "number": int,
    "seen_s": float,
    "x": float,
    "y": float,
    "size_px": float,
    "identity": _identity,
}
RESUME_FORM: dict[Any, Any] = {
    "next": int,
    "warm": {"index": int, "time_s": float, "scene": int},
    "linker": {"scene": int, "next": int, "tracks": [_TRACK_FORM]},
    "thinner": {"thinned": int, "kept": {str: {"good": [int], "rejected": [int]}}},
}
"""Where a video is taken up again that an earlier run did not finish."""

INPUT_FORM: dict[Any, Any] = {
    "sha256": str,
    "path?": str,
    "kind?": str,
    "folder?": foreign.folder_name,
    "size_bytes?": int,
    "mtime_ns?": int,
    "state?": str,
    "options?": int,
    "counts?": {str: int},
    "error?": str,
    "resume?": RESUME_FORM,
}
"""What is known of an input."""

CLUSTER_FORM: dict[Any, Any] = {
    "likeness?": float,
    "suggestions?": [{"one": str, "other": str, "similarity": float}],
}
"""What the last clustering left for the report."""

SETTINGS_FORM: dict[Any, Any] = {
    "format": str,
    "version": int,
    "align?": str,
    "size_px?": int,
    "inputs?": [INPUT_FORM],
    "folders?": {str: foreign.folder_name},
    "options?": [dict],
    "cluster?": CLUSTER_FORM,
    "merging?": [str],
}
"""What `set.json` holds."""


def checked(told: object, kind: str, form: Any, what: str, unknown: str, remedy: str) -> Any:
    """The settings of a set or the list of contents of a pack, if they are such.

    kind: what `format` must be. what: that tells it, as a subject. unknown: the message where it is
    of another kind. Raises InputError.
    """
    if not isinstance(told, dict) or told.get("format") != kind:
        raise InputError(unknown)
    if told.get("version") != VERSION:
        raise InputError(
            f"{what} is of version {foreign.shown(told.get('version'))}, and this Sosie reads "
            f"{VERSION}: update Sosie."
        )
    try:
        foreign.check(told, form)
    except ValueError as error:
        raise InputError(f"{what} is damaged: {error}; {remedy}.") from error
    return told


def is_set(folder: Path) -> bool:
    """Whether a folder holds a set, be its settings damaged; others' `set.json` are none."""
    path = folder / SETTINGS
    try:
        told = foreign.read_json(path, object, "")
    except (OSError, InputError):
        return path.is_file() and (folder / TABLE).is_file()
    return isinstance(told, dict) and told.get("format") == SET_FORMAT


def is_packed_set(archive: Path) -> bool:
    """Whether a zip is what `sosie dataset pack` writes, by its list of contents. Raises
    InputError where it is no zip."""
    with foreign.open_zip(archive) as source:
        try:
            content = foreign.read_member(source, MANIFEST)
            told = foreign.parse_json(content, {"format": str}, MANIFEST, "")
        except InputError:
            return False
    return bool(told["format"] == PACK_FORMAT)
