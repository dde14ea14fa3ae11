"""Whether two swaps are the same: what their results depend on, in a form that can be kept.

Photos and weights are told by their content. A target, which may be large, is told by its size and
by samples of its content; that its frames are the same is checked again where work is resumed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sosie import records
from sosie.files import open_regular
from sosie.methods.base import Source
from sosie.models.cards import SHIPPED, read_card
from sosie.options import SwapOptions
from sosie.processors.base import Request
from sosie.types import FloatArray

# Files up to this size are read whole; of larger ones so many pieces of this size, evenly spread.
_WHOLE_BYTES = 64 << 20
_PIECES, _PIECE_BYTES = 64, 1 << 16
_LIBRARIES = ("av", "numpy", "onnxruntime", "opencv-python-headless")
# What an option names that is a file of its own.
_FILES = ("model", "weights", "encoder", "converter", "face_model")
_BESIDE = ("overwrite", "work", "restart", "compare", "watch")
# What of the package no swap depends on.
_APART = {"app", "training", "recipes", "datasets", "nn", "evaluation"}


def sameness(
    target: Path,
    sources: Sequence[Sequence[Source]],
    identities: Sequence[FloatArray | None],
    options: SwapOptions,
    sosie: str,
) -> dict[str, Any]:
    """What the result of a swap depends on, as JSON keeps it.

    sources, identities: of the people who are put in, and replaced. sosie: its version. Raises
    InputError where a file cannot be read.
    """
    known = {k: v for k, v in options.to_dict().items() if k not in _BESIDE}
    same = {
        "Sosie's version": sosie,
        "code of Sosie": swap_code(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "target": digest_of(target),
        "sources": hashlib.blake2b(records.pack(list(sources)), digest_size=16).hexdigest(),
        "references": hashlib.blake2b(records.pack(list(identities)), digest_size=16).hexdigest(),
        "weights": _weights(options),
        "masks": _listed(options.masks),
        "options": known,
    }
    return dict(json.loads(json.dumps(same)))


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """In words what is not the same."""
    words = []
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict) and name in ("options", "libraries"):
            words += [
                f"{key} was {_shown(old.get(key))} and is {_shown(new.get(key))}"
                for key in sorted({*old, *new})
                if old.get(key) != new.get(key)
            ]
        elif name == "Sosie's version":
            words.append(f"{name} was {old} and is {new}")
        else:
            many = name.endswith("s")
            words.append(f"the {name} {'are' if many else 'is'} not the same")
    return words


@cache
def swap_code() -> str:
    """SHA-256 of the code that makes swaps: of a checkout `__version__` does not follow it."""
    root, total = Path(__file__).parent.parent, hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        name = file.relative_to(root)
        if name.parts[0] not in _APART:
            total.update(name.as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return total.hexdigest()


def digest_of(path: Path) -> str:
    """Of a file's content; of a large one, of its size and of pieces of it. Raises InputError."""
    digest = hashlib.blake2b(digest_size=16)
    with open_regular(path) as file:
        size = file.seek(0, 2)
        digest.update(str(size).encode())
        if size <= _WHOLE_BYTES:
            file.seek(0)
            while piece := file.read(1 << 20):
                digest.update(piece)
        else:
            for number in range(_PIECES):
                file.seek((size - _PIECE_BYTES) * number // (_PIECES - 1))
                digest.update(file.read(_PIECE_BYTES))
    return digest.hexdigest()


def _listed(masks: str | None) -> list[list[Any]]:
    """What lies beside the masks that somebody drew, with the sizes and dates of the files."""
    if masks is None:
        return []
    folder = Path(masks) if Path(masks).is_dir() else Path(masks).parent
    found = ((path.name, path.stat()) for path in sorted(folder.iterdir()))
    return [[name, facts.st_size, facts.st_mtime_ns] for name, facts in found]


def _weights(options: SwapOptions) -> dict[str, str]:
    """Of the networks of the package by their cards, which say what their files are; of the user's
    own by their content."""
    found = {name: read_card(name).sha256 for name in SHIPPED}
    named = {name: getattr(options, name) for name in _FILES}
    named |= {text: Request.parsed(text).value for text in options.processors}
    for name, value in named.items():
        if value is not None and Path(value).is_file():
            found[name] = digest_of(Path(value))
    return found


def _version(package: str) -> str:
    try:
        return version(package)
    except ImportError:  # another make of the same library
        return ""


def _shown(value: Any) -> str:
    return "not given" if value is None else str(value)
