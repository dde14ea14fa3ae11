"""By what a set of faces is known, in a folder or packed, without reading its table."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

SETTINGS, TABLE, MANIFEST = "set.json", "faces.parquet", "manifest.json"
"""Files of a set; the manifest is there only where it is packed."""

SET_FORMAT, PACK_FORMAT = "sosie faces", "sosie pack"
"""What the settings and the manifest call themselves."""


def is_set(folder: Path) -> bool:
    """Whether a folder holds a set, be its settings damaged; others' `set.json` are none."""
    path = folder / SETTINGS
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return path.is_file() and (folder / TABLE).is_file()
    return isinstance(told, dict) and told.get("format") == SET_FORMAT


def is_packed_set(archive: Path) -> bool:
    """Whether a zip is what `sosie dataset pack` writes, by its list of contents. Raises as
    `zipfile.ZipFile` where it is no zip."""
    with zipfile.ZipFile(archive) as source:
        try:
            return bool(json.loads(source.read(MANIFEST))["format"] == PACK_FORMAT)
        except (KeyError, ValueError, TypeError, zipfile.BadZipFile, RuntimeError, OSError):
            return False
