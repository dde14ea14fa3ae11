"""Weight files and their cards: what a file is, what it was made from, and that it is unchanged.

A card is a JSON file beside the weight file, by the same name. The files of the package itself are
checked against their cards whenever they are read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any

from sosie.errors import InputError

_FOLDER = resources.files("sosie")
_REMEDY = "install Sosie again"


@dataclass(frozen=True)
class Origin:
    """Data or a network that a weight file was made from."""

    name: str
    licence: str
    use: str


@dataclass(frozen=True)
class Card:
    """What there is to know about a weight file.

    name: the file's name without its ending. file: its name. sha256: of its bytes, hexadecimal.
    summary: what it is for. licence: of the file, an SPDX identifier.
    data, teachers: what it was fitted on, and the networks that it learned from.
    date: when it was made, YYYY-MM-DD. figures: what was measured, name -> number.
    remake: the command that makes it again.
    """

    name: str
    file: str
    sha256: str
    summary: str
    licence: str
    data: tuple[Origin, ...]
    teachers: tuple[Origin, ...]
    date: str
    figures: Mapping[str, float]
    remake: str


def embedded_cards() -> dict[str, Card]:
    """The cards of the weight files in the package, by name.

    Raises InputError where a card cannot be read.
    """
    found = sorted(entry.name for entry in _FOLDER.iterdir() if entry.name.endswith(".json"))
    return {name.removesuffix(".json"): _read_card(name) for name in found}


def verify(card: Card) -> None:
    """Check that the file of an embedded card is there and is the one that the card describes.

    Raises InputError otherwise.
    """
    _read_checked(card)


def read_embedded(name: str) -> bytes:
    """The content of the weight file of that name in the package, checked against its card.

    Raises InputError where the file or its card is absent, unreadable or not what it was.
    """
    return _read_checked(_read_card(f"{name}.json"))


def _read_checked(card: Card) -> bytes:
    content = _read(card.file)
    if hashlib.sha256(content).hexdigest() != card.sha256:
        raise InputError(
            f"The weight file {card.file} of Sosie is damaged or was changed: its SHA-256 is not "
            f"the one on its card; {_REMEDY}."
        )
    return content


def _read_card(name: str) -> Card:
    try:
        entries = json.loads(_read(name))
        wrong = sorted({field.name for field in fields(Card)} ^ set(entries))
        if wrong:
            raise ValueError(f"it lacks, or should not have, {', '.join(wrong)}")
        for key in ("data", "teachers"):
            entries[key] = tuple(_origin(entry) for entry in entries[key])
    except (ValueError, TypeError) as error:
        raise InputError(f"The card {name} of Sosie is not valid ({error}): {_REMEDY}.") from error
    return Card(**entries)


def _origin(entry: dict[str, Any]) -> Origin:
    return Origin(**entry)


def _read(name: str) -> bytes:
    try:
        return (_FOLDER / name).read_bytes()
    except OSError as error:
        raise InputError(f"The file {name} of Sosie cannot be read: {_REMEDY}.") from error
