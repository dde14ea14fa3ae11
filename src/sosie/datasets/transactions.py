"""Changing a set: one process at a time, and pictures moved by a plan that survives a stop."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from sosie import foreign
from sosie.datasets import tables
from sosie.datasets.markers import CLUSTER_FORM
from sosie.datasets.store import FaceStore, id_of
from sosie.errors import InputError, OutputError
from sosie.output import atomic_output, check_folder

LOCK = ".lock"
"""The name of the file in a set that is locked while a run changes the set."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Raises OutputError where another process holds the lock, or the folder cannot be written to.

    The system lets go of it whenever the process ends.
    """
    path = foreign.inside(folder, LOCK, f"The set {folder}")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is not a regular file; remove it and run the command again.")
    try:
        file = path.open("w")
    except OSError as error:
        raise OutputError(
            f"The folder {folder} cannot be written to ({error.strerror}); check its permissions."
        ) from error
    with file:
        if not _locked(file):
            raise OutputError(f"Another run is at work on {folder}; wait until it has ended.")
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()


def _locked(file: IO[str]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


_PLAN = ".moves.json"


def _place(value: object) -> None:
    try:
        tables.check_place(value)
    except ValueError:
        raise ValueError("should be a picture's place in the set") from None


def _name(value: object) -> None:
    if value != "":
        foreign.folder_name(value)


_FORM: dict[Any, Any] = {
    "to": {str: _place},
    "changes": {"person?": {str: _name}, "rejected?": {str: _name}},
    "settings": {"cluster?": CLUSTER_FORM},
}


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
    for place in to.values():
        store.place(place)
    with atomic_output(_plan_of(store), overwrite=True) as pending:
        pending.path.write_text(json.dumps(plan, ensure_ascii=False), encoding="utf-8")
    finish_moves(store)


def finish_moves(store: FaceStore) -> None:
    """Do what is left of a plan, if there is one."""
    path = _plan_of(store)
    remedy = "delete it and run the command again"
    try:
        plan = foreign.read_json(path, _FORM, remedy)
    except FileNotFoundError:
        return
    to, changes, settings = plan["to"], plan["changes"], plan["settings"]
    for face, place in to.items():
        # Named otherwise, a picture could take the place of another face's.
        if id_of(place) != face:
            raise InputError(f"{path} is damaged: {place} is not named by its face; {remedy}.")
    odd = [*(set(changes) - {"person", "rejected"}), *(set(settings) - {"cluster"})]
    if odd:
        raise InputError(f"{path} is damaged: it would change {odd[0]}; {remedy}.")
    table = store.read(("id", "file"))
    files = {
        face: file
        for face, file in zip(table["id"], table["file"], strict=True)
        if face in to and store.place(file).exists()
    }
    store.move(files, {face: to[face] for face in files}, changes)
    if settings:
        store.settings.update(settings)
        store.save_settings()
    path.unlink()


def _plan_of(store: FaceStore) -> Path:
    return foreign.inside(store.folder, _PLAN, f"The set {store.folder}")
