"""Methods of several networks: where the file of each lies, and what the files say of licenses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from sosie.errors import InputError
from sosie.methods.imported import CARD
from sosie.models.cards import with_license
from sosie.models.session import Session


def part_file(
    method: str,
    folder: Path,
    part: str,
    names: Sequence[str],
    ending: str,
    ways: Sequence[str] = ("train", "import"),
) -> Path:
    """The file of a part of a method in a folder or in one of its folders.

    part: as messages call it. names: of its files, without their ending; the first is that of
    `sosie train`. ending: `.onnx` or `.safetensors`. ways: how such a file comes about.

    Raises InputError where there is none, or more than one.
    """
    found = sorted(
        path
        for name in names
        for path in (*folder.glob(f"{name}{ending}"), *folder.glob(f"*/{name}{ending}"))
    )
    if not found:
        told = {
            "train": f"train it with `sosie train {names[0]} --run {folder / part}`",
            "import": f"import a published one with `sosie weights import {method}`",
        }
        raise InputError(
            f"There is no {names[0]}{ending} in {folder}, or in a folder of it: "
            f"{', or '.join(told[way] for way in ways)}."
        )
    if len(found) > 1:
        raise InputError(
            f"{folder} holds the {part} of {method} more than once ({found[0]}, {found[1]}): keep "
            f"the one that is meant there."
        )
    return found[0]


def licenses_of(sessions: Iterable[Session]) -> str:
    """What the networks' files say of their licenses."""
    cards = [session.metadata.get(CARD, "{}") for session in sessions]
    return "; ".join(sorted({_license(card) for card in cards}))


def _license(card: str) -> str:
    try:
        return str(with_license(json.loads(card)).get("license", "unknown"))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return "unknown"
