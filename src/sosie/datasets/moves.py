"""Moving the pictures of a set by a plan that survives a stop."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sosie.datasets.lock import held
from sosie.datasets.store import FaceStore
from sosie.errors import InputError
from sosie.media.output import atomic_output, check_folder

_PLAN = ".moves.json"


def open_set(folder: Path) -> FaceStore:
    """The set in a folder, as it lies on disk: what was moved by hand is found again, and what a
    stopped command had still to move is moved.

    Raises InputError where there is none, OutputError where it cannot be written to.
    """
    store = FaceStore.open(folder)
    store.sync()
    finish_moves(store)
    return store


@contextmanager
def hold_set(folder: Path, change: bool = True) -> Iterator[FaceStore]:
    """As `open_set`, for this process alone while it works.

    change: raises OutputError before any work where the set cannot be changed. Otherwise one that
    nobody may write to is read as it is. Raises OutputError where another run is at work on it.
    """
    if not FaceStore.is_set(folder) or not (change or os.access(folder, os.W_OK)):
        yield open_set(folder)
        return
    check_folder(folder)
    with held(folder):
        yield open_set(folder)


def move_faces(
    store: FaceStore,
    to: Mapping[str, str],
    changes: Mapping[str, Mapping[str, Any]],
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Move pictures and change the table: stopped in between, `open_set` does the rest.

    to: id -> new place, relative to the set. changes: column -> id -> value. settings: what is to
    stand in `set.json` afterwards besides what does.
    """
    plan = {"to": dict(to), "changes": {k: dict(v) for k, v in changes.items()}}
    plan["settings"] = dict(settings or {})
    with atomic_output(store.folder / _PLAN, overwrite=True) as pending:
        pending.path.write_text(json.dumps(plan, ensure_ascii=False), encoding="utf-8")
    finish_moves(store)


def finish_moves(store: FaceStore) -> None:
    """Do what is left of a plan, if there is one."""
    path = store.folder / _PLAN
    if not path.exists():
        return
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        to, changes, settings = plan["to"], plan["changes"], plan["settings"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged; delete it and run the command again.") from error
    table = store.read(("id", "file"))
    files = {
        face: file
        for face, file in zip(table["id"], table["file"], strict=True)
        if face in to and (store.folder / file).exists()
    }
    store.move(files, {face: to[face] for face in files}, changes)
    if settings:
        store.settings.update(settings)
        store.save_settings()
    path.unlink()
