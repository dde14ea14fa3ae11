"""A set of faces on disk: pictures in folders, `faces.parquet` with a row a face, `set.json`.

What a run adds is first put aside in small files (`.journal`), each whole or absent, and merged
into the table later: a set that was left at any moment is opened again as it was at the last of
them. Neither merging nor changing holds more than a part of the table in memory.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sosie import foreign
from sosie.datasets import face_rows, tables
from sosie.datasets.face_rows import COLUMNS, SCHEMA, FaceRow
from sosie.datasets.markers import (
    FACES,
    FOLDERS,
    INPUT_FORM,
    PICTURES,
    REJECTED,
    SET_FORMAT,
    SETTINGS,
    SETTINGS_FORM,
    TABLE,
    VERSION,
    checked,
)
from sosie.datasets.tables import BATCH_ROWS
from sosie.errors import InputError, OutputError
from sosie.output import atomic_output, remove_if_abandoned

MISSING = "missing"
"""What `rejected` says of a face whose picture somebody deleted."""

_JOURNAL = ".journal"
_RESTORE = "restore it from a copy"
_READ_ROWS = 8192


@dataclass(frozen=True)
class Synced:
    """What `FaceStore.sync` found.

    moved: faces whose picture was moved by hand. missing: whose picture is gone. strange: pictures
    in the set's folders that belong to no face, relative to the set.
    """

    moved: int
    missing: int
    strange: tuple[str, ...]


class FaceStore:
    """An open set. `settings` is what `set.json` holds; `save_settings` writes it."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        self.settings = settings
        self._table = folder / TABLE
        self._journal = folder / _JOURNAL

    @classmethod
    def create(cls, folder: Path, settings: Mapping[str, Any]) -> FaceStore:
        """A new set without faces. settings: what `set.json` is to hold besides its version.

        Raises OutputError where the folder cannot be made, or holds something else already.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Hidden files are the system's own, such as those of a mounted disk.
            others = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
        except OSError as error:
            raise OutputError(
                f"The folder {folder} cannot be created or read ({error.strerror}); give another."
            ) from error
        _refuse_links(folder)
        if others:
            raise OutputError(
                f"The folder {folder} holds other things ({sorted(others)[0]}) and is no set of "
                f"faces; give an empty or a new one."
            )
        store = cls(folder, {"format": SET_FORMAT, "version": VERSION, **settings})
        store.save_settings()
        return store

    @classmethod
    def open(cls, folder: Path) -> FaceStore:
        """The set in a folder, with what an interrupted run left merged into its table.

        Raises InputError where there is none, or it is damaged or of a later version.
        """
        _refuse_links(folder)
        store = cls(folder, _read_settings(folder))
        store.merge()
        return store

    @staticmethod
    def is_set(folder: Path) -> bool:
        """Whether a folder holds a set."""
        return (folder / SETTINGS).is_file()

    def save_settings(self) -> None:
        """Write `set.json`, whole or not at all."""
        text = json.dumps(self.settings, indent=1, ensure_ascii=False, allow_nan=False)
        with atomic_output(self.folder / SETTINGS, overwrite=True) as pending:
            pending.path.write_text(text + "\n", encoding="utf-8")

    def discard(self) -> None:
        """Remove a set that has no faces, and its folder where nothing else is in it."""
        (self.folder / SETTINGS).unlink()
        with suppress(OSError):
            self.folder.rmdir()

    # Reading

    def place(self, file: str) -> Path:
        """Where a picture lies of which the table says `file`. Raises InputError where that is not
        in the set, be it through a symbolic link."""
        return foreign.inside(self.folder, file, f"The table of {self.folder}")

    @property
    def input_folders(self) -> set[str]:
        """The names under which the pictures of inputs lie until they are sorted."""
        inputs = self.settings.get("inputs", [])
        return {entry["folder"] for entry in inputs if "folder" in entry}

    def __len__(self) -> int:
        """How many faces the table has, rejected ones too."""
        if not self._table.exists():
            return 0
        return tables.row_count(self._table)

    def read(self, columns: Sequence[str] = COLUMNS) -> dict[str, NDArray[Any]]:
        """Columns of the whole table: text as objects, numbers in their type, arrays N x shape.

        All columns of 100,000 faces take 0.9 GB, `landmarks` most of them: name those you need.
        """
        none = SCHEMA.empty_table().select(list(columns))
        return face_rows.to_arrays(pa.concat_tables([none, *self._tables(columns, _READ_ROWS)]))

    def batches(
        self, columns: Sequence[str] = COLUMNS, size: int = BATCH_ROWS, strict: bool = True
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """As `read`, some rows at a time, in the table's order. strict: see `tables.tables`."""
        for table in self._tables(columns, size, strict):
            yield face_rows.to_arrays(table)

    def rows(self) -> Iterator[FaceRow]:
        """Every face, in the table's order."""
        for table in self._tables(COLUMNS, BATCH_ROWS):
            yield from face_rows.to_rows(table)

    # Adding

    def append(self, rows: Sequence[FaceRow], inputs: Sequence[Mapping[str, Any]] = ()) -> None:
        """Add faces, whose pictures are there already, and what is now known of inputs.

        inputs: JSON objects, each with the `sha256` of its input. All of it is on disk, or nothing,
        whenever the process ends. The next `merge` brings the faces into the table and the objects
        into `settings["inputs"]`, in the place of an earlier one of the same input.
        """
        self._journal.mkdir(exist_ok=True)
        number = max((int(path.stem) for path in self._entries()), default=-1) + 1
        table = face_rows.to_table(list(rows)).replace_schema_metadata(
            {"inputs": json.dumps(list(inputs), ensure_ascii=False, allow_nan=False)}
        )
        with atomic_output(self._journal / f"{number:08}.parquet") as pending:
            pq.write_table(table, pending.path, compression="zstd")

    def merge(self) -> None:
        """Bring what `append` put aside into the table and the settings, each face once."""
        entries = self._entries()
        if not entries:
            return
        inputs = {entry["sha256"]: entry for entry in self.settings.get("inputs", [])}
        for path in entries:
            inputs.update((entry["sha256"], entry) for entry in _told_inputs(path))
        if any(tables.row_count(path) for path in entries):
            known = set(self.read(["id"])["id"])
            tables.write_table(self._table, self._merged(entries, known))
        self.settings["inputs"] = list(inputs.values())
        self.save_settings()
        # These alone: another process may have added some since.
        for path in entries:
            path.unlink()
        with suppress(OSError):
            self._journal.rmdir()

    def tidy(self) -> None:
        """Remove the unfinished files of a killed process. Not while another is at work."""
        for path in self.folder.rglob(".*.tmp.*"):
            if path.is_symlink():
                path.unlink()
            elif path.is_file():
                remove_if_abandoned(path)
        with suppress(OSError):
            self._journal.rmdir()

    # Changing

    def update(self, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Change values: column -> id of the face -> new value. Other faces stay as they are."""
        if any(changes.values()):
            changed = (_changed(table, changes) for table in self._all_tables())
            tables.write_table(self._table, changed)

    def keep(self, ids: Collection[str]) -> None:
        """Forget all faces but these; their pictures stay where they are."""
        wanted = pa.array(sorted(ids), pa.string())
        kept = (table.filter(pc.is_in(table["id"], wanted)) for table in self._all_tables())
        tables.write_table(self._table, kept)

    def move(
        self,
        files: Mapping[str, str],
        to: Mapping[str, str],
        changes: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Move pictures and write their new places into the table.

        files: id -> where it is; to: id -> where it is to be, both relative to the set; changes: as
        `update`. Stopped in between, `sync` finds what was moved. Empty folders are removed. Raises
        OutputError where a picture cannot be moved, and InputError, before any is, where one would
        come from or go to another place than the set.
        """
        moves = [(self.place(files[face]), self.place(target)) for face, target in to.items()]
        for source, target_path in moves:
            _move(source, target_path)
        self.update({**(changes or {}), "file": to})
        for name in FOLDERS:
            _remove_empty(self.folder / name)

    def sync(self) -> Synced:
        """Bring the table in line with what lies on disk, after pictures were moved by hand.

        A picture is found again by the id in its name. Its new folder tells whose it is (the folder
        under `faces/`; none for that of an input) and whether it is rejected, and why.
        """
        places = self._places()
        inputs = self.input_folders
        changes: dict[str, dict[str, Any]] = {"file": {}, "person": {}, "rejected": {}}
        known: set[str] = set()
        missing = moved = 0
        for batch in self.batches(("id", "file", "rejected")):
            for face, file, rejected in zip(*batch.values(), strict=True):
                found = places.get(face, [])
                known.add(face)
                if not found:
                    missing += 1
                    if rejected != MISSING:
                        changes["rejected"][face] = MISSING
                elif file not in found or rejected == MISSING:
                    moved += file not in found
                    place = file if file in found else found[0]
                    self._require_place(place)
                    changes["file"][face] = place
                    _take_place(changes, face, place, inputs)
        self.update(changes)
        strange = sorted(f for face, found in places.items() if face not in known for f in found)
        # Names of files need be no text.
        told = (file.encode("utf-8", "backslashreplace").decode() for file in strange)
        return Synced(moved, missing, tuple(told))

    # Inside

    def _entries(self) -> list[Path]:
        # Without hidden files, which are those that were not finished.
        found = sorted(p for p in self._journal.glob("*.parquet") if not p.name.startswith("."))
        for path in found:
            if not (path.stem.isascii() and path.stem.isdecimal()) or path.is_symlink():
                raise InputError(f"{path} is no part of a set's journal; delete or move it away.")
        return found

    def _tables(self, columns: Sequence[str], size: int, strict: bool = True) -> Iterator[pa.Table]:
        if self._table.exists():
            yield from tables.tables(self._table, columns, size, strict)

    def _all_tables(self) -> Iterator[pa.Table]:
        """As it is, for being written again: whatever figures others left there stay."""
        return self._tables(COLUMNS, BATCH_ROWS, strict=False)

    def _require_place(self, place: str) -> None:
        try:
            tables.check_place(place)
        except ValueError as error:
            raise InputError(
                f"In {self.folder} {error}, as not every system takes its name; rename it."
            ) from error

    def _merged(self, entries: Sequence[Path], known: set[str]) -> Iterator[pa.Table]:
        yield from self._all_tables()
        # A run that was stopped while it merged has these in the table already.
        for path in entries:
            for table in tables.tables(path, COLUMNS):
                fresh = [face not in known for face in table["id"].to_pylist()]
                yield table.filter(pa.array(fresh, pa.bool_()))
                known.update(table["id"].to_pylist())

    def _places(self) -> dict[str, list[str]]:
        """id -> places of pictures named so, sorted."""
        found = [
            (Path(current) / name).relative_to(self.folder).as_posix()
            for folder in FOLDERS
            for current, _, files in os.walk(self.folder / folder)
            for name in files
            if name.endswith(PICTURES) and not name.startswith(".")
        ]
        places: dict[str, list[str]] = {}
        for place in sorted(found):
            places.setdefault(id_of(place), []).append(place)
        return places


def id_of(file: str) -> str:
    """The id in the name of a picture: what follows the last dash."""
    return PurePosixPath(file).stem.rpartition("-")[2]


def _read_settings(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS
    try:
        about = foreign.read_json(path, object, _RESTORE)
    except FileNotFoundError as error:
        raise InputError(
            f"{folder} is no set of faces; make one with `sosie dataset extract`."
        ) from error
    unknown = f"{path} does not describe a set of faces; give the folder of one."
    return dict(checked(about, SET_FORMAT, SETTINGS_FORM, str(path), unknown, _RESTORE))


def _told_inputs(path: Path) -> list[dict[str, Any]]:
    """What an entry of the journal tells of inputs."""
    told = tables.metadata(path).get(b"inputs", b"")
    remedy = "delete it to go on without its faces"
    return list(foreign.parse_json(told, [INPUT_FORM], str(path), remedy))


def _refuse_links(folder: Path) -> None:
    """Raises InputError where a part of a set lies elsewhere: what is done to the set is to be done
    to nothing else."""
    for name in (SETTINGS, TABLE, _JOURNAL, *FOLDERS):
        foreign.inside(folder, name, f"The set {folder}")


def _changed(table: pa.Table, changes: Mapping[str, Mapping[str, Any]]) -> pa.Table:
    ids = table["id"].to_pylist()
    for name, values in changes.items():
        if values:
            old = table[name].to_pylist()
            new = [values.get(face, value) for face, value in zip(ids, old, strict=True)]
            field = SCHEMA.field(name)
            table = table.set_column(COLUMNS.index(name), field, pa.array(new, field.type))
    return table


def _take_place(
    changes: dict[str, dict[str, Any]], face: str, place: str, inputs: set[str]
) -> None:
    """What a picture's folder says of the face."""
    parts = PurePosixPath(place).parts
    folder = parts[1] if len(parts) > 2 else ""
    changes["rejected"][face] = folder if parts[0] == REJECTED else ""
    if parts[0] == FACES:
        changes["person"][face] = "" if folder in inputs else folder


def _move(source: Path, target: Path) -> None:
    if source == target:
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
    except OSError as error:
        raise OutputError(
            f"{source} cannot be moved to {target} ({error.strerror}); check the permissions."
        ) from error


def _remove_empty(folder: Path) -> None:
    inner = sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True)
    for path in inner:
        with suppress(OSError):
            path.rmdir()
