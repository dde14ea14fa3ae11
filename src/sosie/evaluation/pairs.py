"""Lists of pairs, pairs.json: which source goes into which target, so that runs can be compared.

    {"format": 1, "name": "lfw-200", "seed": 0, "root": "../data", "protocol": {...},
     "pairs": [{"id": "0001", "source": "a.jpg", "target": "b.jpg", "source_person": "Ann",
                "target_person": "Ben", "other_source": "c.jpg"}, ...],
     "sha256": {"a.jpg": "..."}}

Only `format` and `pairs`, and of a pair `id`, `source` and `target`, must be there. Paths are
relative to `root`, and that to the file's folder. A source may be a list of photos of one person.
A path may lead into a zip archive (`lfw-0.zip/Ann/1.webp`) or name a frame of a video
(`000.mp4#120`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sosie import foreign
from sosie.errors import InputError
from sosie.files import StrPath
from sosie.output import atomic_output

FORMAT = 1
"""The version of the file's form that is written and read."""

# Results are files of these names, on systems that take upper and lower case for the same too.
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")
_REQUIRED = ("id", "source", "target")
_TEXTS = ("target", "source_person", "target_person", "other_source")
_ROOT_KEYS = {"format", "name", "seed", "root", "protocol", "pairs", "sha256"}


@dataclass(frozen=True)
class Pair:
    """One swap to make and to judge.

    id: unique in its list, and the name of the result's file. sources: photos of the person who is
    put in; target: the picture that is changed. source_person, target_person: who they are, ""
    where that is not known. other_source: another real photo of the source's person, by which the
    limit of identity is told. Pictures are named as in the list.
    """

    id: str
    sources: tuple[str, ...]
    target: str
    source_person: str = ""
    target_person: str = ""
    other_source: str | None = None

    @property
    def pictures(self) -> tuple[str, ...]:
        """Every picture of the pair."""
        other = () if self.other_source is None else (self.other_source,)
        return (*self.sources, self.target, *other)


@dataclass(frozen=True)
class BadEntry:
    """An entry of a list that is no pair. id: a name that no pair has. reason: a sentence."""

    id: str
    reason: str


@dataclass(frozen=True)
class PairList:
    """A list of pairs, read or drawn.

    root: the folder that the pictures are in, as a path. bad: entries that are no pairs, which a
    run lists as failed. seed, protocol: how the list was drawn, as far as it is known.
    sha256: picture -> digest of its file's bytes, for those that are to be checked.
    digest: SHA-256 of the file that the list was read from; "" for one that was drawn.
    """

    name: str
    root: Path
    pairs: tuple[Pair, ...]
    bad: tuple[BadEntry, ...] = ()
    seed: int | None = None
    protocol: Mapping[str, Any] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""


def read_pairs(path: StrPath) -> PairList:
    """The list in a file.

    Raises InputError where the file cannot be read or is no such list. Entries that are no pairs
    (without a target, with the id of another) do not stop it: they are in `bad`.
    """
    file = Path(path)
    remedy = "draw one with `sosie eval protocol`"
    try:
        content = foreign.read_text_file(file, remedy)
    except FileNotFoundError as error:
        raise InputError(f"The list of pairs {file} does not exist; {remedy}.") from error
    entries = foreign.parse_json(content, object, f"The list of pairs {file}", remedy)
    try:
        return _parse(entries, file, hashlib.sha256(content).hexdigest())
    except ValueError as error:
        raise InputError(f"{file} is no list of pairs: {error}.") from error


def write_pairs(pairs: PairList, path: StrPath, overwrite: bool = False) -> None:
    """Write a list, whole or not at all. Its root is written relative to the file where it can be.

    Raises OutputError where the file cannot be written, or exists without `overwrite`.
    """
    entries = {
        "format": FORMAT,
        "name": pairs.name,
        "seed": pairs.seed,
        "root": _relative(pairs.root, Path(path)),
        "protocol": dict(pairs.protocol),
        "pairs": [_entry(pair) for pair in pairs.pairs],
        "sha256": dict(pairs.sha256),
    }
    text = json.dumps(entries, indent=1, ensure_ascii=False) + "\n"
    with atomic_output(path, overwrite) as pending:
        pending.path.write_text(text, "utf-8")


def _entry(pair: Pair) -> dict[str, Any]:
    source = pair.sources[0] if len(pair.sources) == 1 else list(pair.sources)
    return {
        "id": pair.id,
        "source": source,
        "target": pair.target,
        "source_person": pair.source_person,
        "target_person": pair.target_person,
        "other_source": pair.other_source,
    }


def _relative(root: Path, file: Path) -> str:
    try:
        return Path(os.path.relpath(root.resolve(), file.resolve().parent)).as_posix()
    except ValueError:  # another drive
        return root.resolve().as_posix()


def _parse(entries: Any, file: Path, digest: str) -> PairList:
    if not isinstance(entries, dict):
        raise ValueError("it should be a JSON object with the key pairs")
    if entries.get("format") != FORMAT:
        raise ValueError(f"its format is {entries.get('format')!r}, and {FORMAT} is read")
    unknown = sorted(set(entries) - _ROOT_KEYS)
    if unknown:
        raise ValueError(f"it has the unknown keys {', '.join(unknown)}")
    if not isinstance(entries.get("pairs"), list) or not entries["pairs"]:
        raise ValueError("its pairs should be a list of at least one")
    for key, kind in (("name", str), ("root", str), ("seed", int)):
        if not isinstance(entries.get(key), kind | None):
            raise ValueError(f"its {key} should be {'a number' if kind is int else 'text'} or null")
    for key in ("protocol", "sha256"):
        if not isinstance(entries.get(key, {}), dict):
            raise ValueError(f"its {key} should be a JSON object")
    foreign.check(entries.get("sha256", {}), {str: str}, "its sha256")
    pairs, bad = _read_entries(entries["pairs"])
    return PairList(
        name=entries.get("name") or file.stem,
        root=file.parent / (entries.get("root") or "."),
        pairs=pairs,
        bad=bad,
        seed=entries.get("seed"),
        protocol=entries.get("protocol", {}),
        sha256=entries.get("sha256", {}),
        digest=digest,
    )


def _read_entries(entries: list[Any]) -> tuple[tuple[Pair, ...], tuple[BadEntry, ...]]:
    pairs, bad = [], []
    numbers: dict[str, int] = {}
    for number, entry in enumerate(entries, 1):
        try:
            pair = _pair(entry)
            before = numbers.setdefault(pair.id.lower(), number)
            if before != number:
                raise ValueError(f"its id {pair.id} is that of entry {before}; give it its own")
            pairs.append(pair)
        except ValueError as error:
            known = entry.get("id") if isinstance(entry, dict) else None
            bad.append(
                BadEntry(
                    f"{known or 'no id'} (entry {number})",
                    f"Entry {number} of the list is no pair: {error}.",
                )
            )
    return tuple(pairs), tuple(bad)


def _pair(entry: Any) -> Pair:
    if not isinstance(entry, dict):
        raise ValueError("it should be a JSON object")
    absent = [key for key in _REQUIRED if not entry.get(key)]
    if absent:
        raise ValueError(f"it has no {' and no '.join(absent)}")
    if not isinstance(entry["id"], str) or not _ID.fullmatch(entry["id"]):
        raise ValueError(
            f"its id {entry['id']!r} is no name for a file; use letters, digits, dots and dashes"
        )
    sources = entry["source"] if isinstance(entry["source"], list) else [entry["source"]]
    if not all(isinstance(source, str) and source for source in sources):
        raise ValueError("its source should be a path, or a list of paths")
    wrong = [key for key in _TEXTS if not isinstance(entry.get(key), str | None)]
    if wrong:
        raise ValueError(f"its {' and '.join(wrong)} should be text")
    pictures = [*sources, entry["target"], entry.get("other_source") or entry["target"]]
    if out := [name for name in pictures if not foreign.is_inside(name)]:
        raise ValueError(f"its picture {foreign.shown(out[0])} leads out of the root")
    return Pair(
        id=entry["id"],
        sources=tuple(sources),
        target=entry["target"],
        source_person=entry.get("source_person") or "",
        target_person=entry.get("target_person") or "",
        other_source=entry.get("other_source") or None,
    )
