"""Sets as zip files, not compressed: pictures are already, and any part can be read alone.

Every zip has its own list of contents with hashes (`manifest.json`, its last entry), so that what
was cut short, exchanged or put there by others is seen. Whether a set itself is whole, its table
against its pictures, is checked here too.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sosie import foreign
from sosie.datasets.markers import FOLDERS, MANIFEST, PACK_FORMAT, SETTINGS, TABLE, VERSION, checked
from sosie.datasets.store import MISSING, FaceStore, id_of
from sosie.errors import InputError, OutputError, UsageError
from sosie.files import require_file
from sosie.output import atomic_output, check_folder, check_output, full_disk

_CHUNK, _LEAST = 1 << 20, 1_000_000
_DATE = (1980, 1, 1, 0, 0, 0)
_SHARD = re.compile(r"(.+)-(\d{3,})$")
_FORM: dict[Any, Any] = {
    "format": str,
    "version": int,
    "pack": str,
    "shard": int,
    "shards": int,
    "files": {str: str},
}


def pack(
    store: FaceStore, out: Path, shard_bytes: int | None = None, overwrite: bool = False
) -> list[Path]:
    """Write a set into `out`, a `.zip`; with `shard_bytes` into several of at most about so many
    bytes each: `set-000.zip`, `set-001.zip`, ... for `set.zip`. Returns their paths.

    The same set makes the same bytes. Raises UsageError where `out` is no `.zip` or the shards are
    too small, InputError where a picture is gone, and OutputError where nothing can be written.
    """
    if out.suffix.lower() != ".zip":
        raise UsageError(f"{out} is no name of a zip file; give one such as set.zip.")
    if shard_bytes is not None and shard_bytes < _LEAST:
        raise UsageError("A shard holds 1 MB or more; give --shard-mb 1 or more.")
    shards = _shards(store, shard_bytes)
    if len(shards) == 1 and shard_bytes is None:
        paths = [out]
    else:
        paths = [out.with_name(f"{out.stem}-{k:03}{out.suffix}") for k in range(len(shards))]
    for path in paths:
        check_output(path, overwrite=overwrite)
    with _file(store.folder, TABLE) as table:
        name = hashlib.file_digest(table, "sha256").hexdigest()
    written: list[Path] = []
    try:
        for number, (path, files) in enumerate(zip(paths, shards, strict=True)):
            about = {"format": PACK_FORMAT, "version": VERSION, "pack": name}
            about |= {"shard": number, "shards": len(shards)}
            _write_shard(store.folder, path, files, about, overwrite)
            written.append(path)
    except BaseException:
        # Some shards alone are no set.
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return paths


def unpack(source: Path, out: Path) -> int:
    """Write the set of a zip, or of all the shards beside it, into the new folder `out`, whole or
    not at all. Returns how many files there are.

    Raises InputError where the zip is no pack, damaged or incomplete, or its names lead out of the
    folder; OutputError where `out` exists and is not empty, or the disk has not the room.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out} exists already and is not empty; give a new folder.")
    out.parent.mkdir(parents=True, exist_ok=True)
    check_folder(out.parent)
    hidden = out.with_name(f".{out.name}.unpacking")
    shutil.rmtree(hidden, ignore_errors=True)
    number = 0
    try:
        with open_pack(source) as shards:
            room = shutil.disk_usage(out.parent).free
            if sum(entry.file_size for _, files in shards for entry in files) > room:
                raise OutputError(full_disk(out))
            for archive, files in shards:
                hashes = _hashes(archive)
                for entry in files:
                    target = foreign.inside(hidden, entry.filename, str(archive.filename))
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("xb") as sink:
                        _check_hash(archive, entry, hashes, sink)
                    number += 1
        if not FaceStore.is_set(hidden):
            raise InputError(f"{source} holds no {SETTINGS}; it is no whole set.")
        with suppress(FileNotFoundError):
            out.rmdir()
        hidden.rename(out)
    except OSError as error:
        raise OutputError(f"{out} could not be written ({error.strerror}).") from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    return number


def verify_pack(source: Path) -> list[str]:
    """What is wrong with a zip or its shards: a sentence each, none where all is well. Raises
    InputError where it is no pack that could be read."""
    problems = []
    with open_pack(source) as shards:
        names = {entry.filename for _, files in shards for entry in files}
        problems += [f"{n} is missing from the pack." for n in (SETTINGS, TABLE) if n not in names]
        for archive, files in shards:
            hashes = _hashes(archive)
            problems += [
                f"{name} is listed, but not in {archive.filename}."
                for name in sorted(set(hashes) - {entry.filename for entry in files})
            ]
            for entry in files:
                try:
                    _check_hash(archive, entry, hashes)
                except InputError as error:
                    problems.append(str(error))
    return problems


def _shards(store: FaceStore, shard_bytes: int | None) -> list[list[str]]:
    """Files of each shard; the table and the settings are in the first."""
    files = [SETTINGS, TABLE]
    table = store.read(("file", "rejected"))
    present = table["rejected"] != MISSING
    files += sorted(table["file"][present].tolist())
    shards: list[list[str]] = [[]]
    size = 0
    for file in files:
        with _file(store.folder, file) as opened:
            length = opened.seek(0, 2)
        if shards[-1] and shard_bytes is not None and size + length > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(file)
        size += length
    return shards


def _write_shard(
    folder: Path, path: Path, files: Sequence[str], about: dict[str, Any], overwrite: bool
) -> None:
    hashes = {}
    with (
        atomic_output(path, overwrite) as pending,
        zipfile.ZipFile(pending.path, "w", zipfile.ZIP_STORED) as archive,
    ):
        for file in files:
            digest = hashlib.sha256()
            with _file(folder, file) as source, _entry(archive, file) as sink:
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    sink.write(chunk)
            hashes[file] = digest.hexdigest()
        with _entry(archive, MANIFEST) as sink:
            sink.write(json.dumps({**about, "files": hashes}, ensure_ascii=False).encode())


def _file(folder: Path, name: str) -> io.BufferedReader:
    """A file of a set, which lies in it and is a plain one."""
    path = foreign.inside(folder, name, f"The table of {folder}")
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a regular file; move it away.")
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path} is gone or cannot be read; run the command again.") from error


def _entry(archive: zipfile.ZipFile, name: str) -> Any:
    """An entry to write to; the same for the same content, on every day and by everyone."""
    info = zipfile.ZipInfo(name, _DATE)
    info.external_attr = 0o644 << 16
    return archive.open(info, "w", force_zip64=True)


Shard = tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]


@contextmanager
def open_pack(source: Path) -> Iterator[list[Shard]]:
    """The zips of a pack in order, each with its entries, all names checked. source: the zip, or
    any of its shards, which lie beside it.

    Raises InputError where it is no pack, incomplete, or has names that lead out of a set.
    """
    require_file(source, "zip of a set")
    shards: list[Shard] = []
    try:
        shards.extend((foreign.open_zip(path), []) for path in shards_of(source))
        parts = [_manifest(archive) for archive, _ in shards]
        _check_complete(source, parts)
        seen: set[str] = set()
        for archive, files in shards:
            for entry in archive.infolist():
                _check_entry(archive, entry, seen)
                if entry.filename != MANIFEST:
                    files.append(entry)
        yield shards
    finally:
        for archive, _ in shards:
            archive.close()


def shards_of(source: Path) -> list[Path]:
    """The zip, or all the shards that lie beside it."""
    match = _SHARD.match(source.stem)
    if not match:
        return [source]
    same = re.compile(re.escape(match[1]) + r"-\d{3,}" + re.escape(source.suffix))
    return sorted(path for path in source.parent.iterdir() if same.fullmatch(path.name))


def _manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    name = f"{MANIFEST} of {archive.filename}"
    remedy = "it is no set packed by `sosie dataset pack`, or damaged"
    if MANIFEST not in archive.NameToInfo:
        raise InputError(f"{archive.filename} is no set packed by `sosie dataset pack`.")
    about = foreign.parse_json(foreign.read_member(archive, MANIFEST), object, name, remedy)
    no_pack = f"{archive.filename} is no set packed by `sosie dataset pack`."
    return dict(checked(about, PACK_FORMAT, _FORM, name, no_pack, "pack the set anew"))


def _hashes(archive: zipfile.ZipFile) -> dict[str, str]:
    return {str(name): str(value) for name, value in _manifest(archive)["files"].items()}


def _check_complete(source: Path, parts: Sequence[dict[str, Any]]) -> None:
    wanted = int(parts[0]["shards"])
    numbers = [int(part["shard"]) for part in parts]
    if len({part["pack"] for part in parts}) > 1:
        raise InputError(f"The shards beside {source} are of different sets; keep one set's alone.")
    # Of claims without end no more is counted than there could be.
    missing = sorted(set(range(min(wanted, len(numbers) + 1))) - set(numbers))
    if missing or len(numbers) != wanted:
        number = f"shard {missing[0]:03}" if missing else "a shard"
        raise InputError(f"Of the {wanted} shards of {source}, {number} is not there, or twice.")


def _check_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, seen: set[str]) -> None:
    """Raises InputError where an entry is none of a set's files."""
    name = entry.filename
    folder, slash, _ = name.partition("/")
    own = name in (MANIFEST, TABLE, SETTINGS) or (slash and folder in FOLDERS)
    if not own or not foreign.is_inside(name):
        raise InputError(
            f"{archive.filename} holds {name!r}, which is no file of a set or leads out of its "
            f"folder; it is not unpacked."
        )
    if problem := foreign.member_problem(entry):
        raise InputError(f"{archive.filename} holds {name!r}, which {problem}.")
    stored = entry.compress_type == zipfile.ZIP_STORED and entry.file_size == entry.compress_size
    if not stored or entry.flag_bits & 1:
        raise InputError(
            f"{archive.filename} holds {name!r} compressed or encrypted: it is no pack."
        )
    if name != MANIFEST and name in seen:
        raise InputError(f"{archive.filename} holds {name!r} twice; pack the set anew.")
    seen.add(name)


def _check_hash(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, hashes: dict[str, str], sink: Any = None
) -> None:
    """Read an entry, and write it to `sink`. Raises InputError where it is not as it was packed."""
    digest = hashlib.sha256()
    try:
        with archive.open(entry) as source:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                if sink is not None:
                    sink.write(chunk)
    except foreign.BROKEN as error:
        if isinstance(error, OSError) and sink is not None:
            raise
        raise InputError(f"{entry.filename} in {archive.filename} is damaged.") from error
    if digest.hexdigest() != hashes.get(entry.filename):
        raise InputError(f"{entry.filename} in {archive.filename} is not what was packed.")


_COLUMNS = (
    "id", "file", "size_px", "rejected", "matrix", "landmarks", "identity", "box", "score",
)  # fmt: skip


def verify_set(store: FaceStore) -> list[str]:
    """What is wrong with a set: a sentence each, none where all is well."""
    problems = [
        f"{name} belongs to no face of the table; delete it or move it away."
        for name in store.sync().strange
    ]
    known: set[str] = set()
    for batch in store.batches(_COLUMNS, strict=False):
        for row, face in enumerate(batch["id"].tolist()):
            if face in known:
                problems.append(f"The table has the face {face} twice.")
            known.add(face)
            problems += _numbers(batch, row)
            if batch["rejected"][row] != MISSING:
                problems += _picture(store, batch, row)
    return problems


def _numbers(batch: Mapping[str, NDArray[Any]], row: int) -> list[str]:
    face = batch["id"][row]
    problems = [
        f"{name} of the face {face} is not a number."
        for name in ("matrix", "landmarks", "identity", "box", "score")
        if not np.isfinite(batch[name][row]).all()
    ]
    if abs(float(np.linalg.norm(batch["identity"][row])) - 1) > 1e-3:
        problems.append(f"identity of the face {face} is not of unit length.")
    (a, b, _), (c, d, _) = batch["matrix"][row]
    if abs(a - d) + abs(b + c) > 1e-3 * (abs(a) + abs(b)) or a * a + b * b == 0:
        problems.append(f"matrix of the face {face} is no rotation, scale and shift.")
    return problems


def _picture(store: FaceStore, batch: Mapping[str, NDArray[Any]], row: int) -> list[str]:
    file, side = str(batch["file"][row]), int(batch["size_px"][row])
    if id_of(file) != batch["id"][row]:
        return [f"{file} is not named by its face {batch['id'][row]}."]
    path = store.place(file)
    if path.exists() and not path.is_file():
        return [f"{file} is no regular file."]
    try:
        with Image.open(path) as picture:
            picture.load()
            size = picture.size
    except FileNotFoundError:
        return [f"{file} is missing."]
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return [f"{file} cannot be read as a picture."]
    if size != (side, side):
        return [f"{file} is {size[0]} x {size[1]} pixels, and the table says {side} x {side}."]
    return []
