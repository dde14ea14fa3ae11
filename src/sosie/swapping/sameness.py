"""Whether two swaps are the same: what their results depend on, in a form that can be kept.

Photos, weights and masks are told by their content. A target, which may be large, is told by its
size and by samples of its content, and so is each picture of a sequence; that its frames are the
same is checked again where work is resumed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sosie import records
from sosie.files import open_regular
from sosie.media.masks import DrawnMasks
from sosie.media.targets import target_sequence
from sosie.methods.base import Source
from sosie.models.cards import SHIPPED, read_card
from sosie.options import MODEL_FILES, SwapOptions
from sosie.processors.base import Request
from sosie.types import FloatArray

# Files up to this size are read whole; of larger ones so many pieces of this size, evenly spread.
_WHOLE_BYTES = 64 << 20
_PIECES, _PIECE_BYTES = 64, 1 << 16
# Pictures of a sequence that are more than this together are told by samples.
_WHOLE_SEQUENCE_BYTES, _PIECES_A_PICTURE = 1 << 30, 8
_LIBRARIES = ("av", "numpy", "onnxruntime", "opencv-python-headless")
_WHEREABOUTS = ("overwrite", "work", "restart", "compare", "watch", "workers", "scheduler")
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
    options = options.absolute()
    known = {k: v for k, v in options.to_dict().items() if k not in _WHEREABOUTS}
    same = {
        "Sosie's version": sosie,
        "code of Sosie": swap_code(),
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "target": _digest_of_target(target),
        "sources": hashlib.blake2b(records.pack(list(sources)), digest_size=16).hexdigest(),
        "references": hashlib.blake2b(records.pack(list(identities)), digest_size=16).hexdigest(),
        "weights": _weights(options),
        "masks": _digest_of_masks(options.masks),
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


def digest_of(path: Path, whole_bytes: int = _WHOLE_BYTES, pieces: int = _PIECES) -> str:
    """Of a file's content; of one of more than `whole_bytes`, of its size and of so many pieces of
    it. Raises InputError."""
    digest = hashlib.blake2b(digest_size=16)
    with open_regular(path) as file:
        size = file.seek(0, 2)
        digest.update(str(size).encode())
        if size <= max(whole_bytes, pieces * _PIECE_BYTES):
            file.seek(0)
            while piece := file.read(1 << 20):
                digest.update(piece)
        else:
            for number in range(pieces):
                file.seek((size - _PIECE_BYTES) * number // (pieces - 1))
                digest.update(file.read(_PIECE_BYTES))
    return digest.hexdigest()


def _digest_of_target(target: Path) -> str:
    """Of a file, or of the pictures of a sequence and their numbers."""
    sequence = target_sequence(target)
    if sequence is None:
        return digest_of(target)
    paths = {number: sequence.path(number) for number in sequence.numbers()}
    total = sum(path.stat().st_size for path in paths.values())
    whole = total if total <= _WHOLE_SEQUENCE_BYTES else 0
    return _digest_of_pictures(paths, whole, _PIECES_A_PICTURE)


def _digest_of_masks(masks: str | None) -> str:
    """Of the masks that somebody drew: all of their content."""
    if masks is None:
        return ""
    return _digest_of_pictures(DrawnMasks(Path(masks)).paths, _WHOLE_BYTES, _PIECES)


def _digest_of_pictures(paths: Mapping[int, Path], whole_bytes: int, pieces: int) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for number, path in sorted(paths.items()):
        digest.update(f"{number} {digest_of(path, whole_bytes, pieces)} ".encode())
    return digest.hexdigest()


def _weights(options: SwapOptions) -> dict[str, str]:
    """Of the networks of the package by their cards, which say what their files are; of the user's
    own by their content."""
    found = {name: read_card(name).sha256 for name in SHIPPED}
    named = {name: getattr(options, name) for name in MODEL_FILES}
    named |= {text: Request.parsed(text).value for text in options.processors}
    for name, value in named.items():
        if value is None:
            continue
        if Path(value).is_file():
            found[name] = digest_of(Path(value))
        elif Path(value).is_dir():
            folder = Path(value)
            for file in sorted({*folder.glob("*.onnx"), *folder.glob("*/*.onnx")}):
                found[f"{name}: {file.relative_to(folder)}"] = digest_of(file)
    return found


def _version(package: str) -> str:
    try:
        return version(package)
    except ImportError:  # another make of the same library
        return ""


def _shown(value: Any) -> str:
    return "not given" if value is None else str(value)
