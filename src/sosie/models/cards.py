"""Weight files and their cards: what a file is, what it was made from, and that it is unchanged.

A card is a JSON file beside the weight file, by the same name; both lie in the package's folder
`models/files`. The files are checked against their cards whenever they are read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import PurePath
from typing import Any

from sosie.errors import InputError

SHIPPED = (
    *("beard", "detector", "expression", "face_shape", "face_texture", "identity", "landmarks"),
    *("parser", "swap"),
)
"""The models without which the package is not whole: a file and a card each."""

_FOLDER = resources.files("sosie.models") / "files"
_REMEDY = "install Sosie again"


@dataclass(frozen=True)
class Origin:
    """Data or a network that a weight file was made from."""

    name: str
    license: str
    use: str


@dataclass(frozen=True)
class Card:
    """What there is to know about a weight file.

    name: the file's name without its ending. file: its name. sha256: of its bytes, hexadecimal.
    summary: what it is for. license: of the file, an SPDX identifier.
    data, teachers: what it was fitted on, and the networks that it learned from.
    date: when it was made, YYYY-MM-DD. figures: what was measured, name -> number, the most telling
    first.
    remake: the command that makes it again.
    """

    name: str
    file: str
    sha256: str
    summary: str
    license: str
    data: tuple[Origin, ...]
    teachers: tuple[Origin, ...]
    date: str
    figures: Mapping[str, float]
    remake: str


@dataclass(frozen=True)
class Verdict:
    """What was found of one embedded model.

    size_bytes: of its weight file; None where that cannot be read. fault: a sentence that says what
    is wrong and what to do; empty where the model is whole.
    """

    name: str
    size_bytes: int | None
    fault: str


def embedded_names() -> list[str]:
    """The models of the package: those that it must have, and whatever else lies there."""
    entries = [entry.name for entry in _FOLDER.iterdir()] if _FOLDER.is_dir() else []
    found = {PurePath(name).stem for name in entries if not name.startswith(".")}
    return sorted(found | set(SHIPPED))


def embedded_cards() -> dict[str, Card]:
    """The cards of the package's models, by name.

    Raises InputError where a card cannot be read.
    """
    return {name: read_card(name) for name in embedded_names()}


def read_embedded(name: str) -> bytes:
    """The content of the weight file of that name in the package, checked against its card.

    Raises InputError where the file or its card is absent, unreadable or not what it was.
    """
    card = read_card(name)
    content = _read(card.file)
    if hashlib.sha256(content).hexdigest() != card.sha256:
        raise InputError(
            f"The weight file {card.file} of Sosie is damaged or was changed: its SHA-256 is not "
            f"the one on its card; {_REMEDY}."
        )
    return content


def check(name: str) -> Verdict:
    """Whether the embedded model of that name is whole; any fault of it is in the answer."""
    size = None
    try:
        size = len(_read(read_card(name).file))
        read_embedded(name)
    except InputError as error:
        return Verdict(name, size, str(error))
    return Verdict(name, size, "")


def read_card(name: str) -> Card:
    """The card of the embedded model of that name. Raises InputError where it is not valid."""
    content = _read(f"{name}.json")
    try:
        return parse_card(content, name)
    except ValueError as error:
        raise InputError(
            f"The card {name}.json of Sosie is not valid ({error}): {_REMEDY}."
        ) from error


def parse_card(content: bytes, name: str) -> Card:
    """A card from its JSON. Raises ValueError where it is not one of the model `name`."""
    entries = json.loads(content)
    if not isinstance(entries, dict):
        raise ValueError("it is no JSON object")
    entries = with_license(entries)
    _require_keys(entries, Card)
    for key in ("data", "teachers"):
        if not isinstance(entries[key], list):
            raise ValueError(f"{key} is no list")
        entries[key] = tuple(_origin(entry) for entry in entries[key])
    figures = entries["figures"]
    if not isinstance(figures, dict) or not all(
        isinstance(figure, int | float) for figure in figures.values()
    ):
        raise ValueError("its figures are not all numbers")
    texts = set(entries) - {"data", "teachers", "figures"}
    wrong = sorted(key for key in texts if not isinstance(entries[key], str))
    if wrong:
        raise ValueError(f"{', '.join(wrong)} should be text")
    if entries["name"] != name or PurePath(entries["file"]).stem != name:
        raise ValueError(f"it is not the card of {name}")
    if PurePath(entries["file"]).name != entries["file"]:
        raise ValueError("it names a file in another folder")
    return Card(**entries)


def _origin(entry: Any) -> Origin:
    if not isinstance(entry, dict):
        raise ValueError("an origin is no JSON object")
    entry = with_license(entry)
    _require_keys(entry, Origin)
    return Origin(**entry)


def with_license(entries: Any) -> dict[str, Any]:
    """A card's entries as they are called today; `license` was written `licence` before 0.2.

    Raises TypeError where they are no JSON object.
    """
    if not isinstance(entries, dict):
        raise TypeError("it is no JSON object")
    return {("license" if key == "licence" else key): value for key, value in entries.items()}


def _require_keys(entries: dict[str, Any], record: type[Card | Origin]) -> None:
    wrong = sorted({field.name for field in fields(record)} ^ set(entries))
    if wrong:
        raise ValueError(f"it lacks, or should not have, {', '.join(wrong)}")


def _read(name: str) -> bytes:
    try:
        return (_FOLDER / name).read_bytes()
    except OSError as error:
        raise InputError(f"The file {name} of Sosie cannot be read: {_REMEDY}.") from error
