"""A source in a file of its own (`.sosie`): its faces, found and cut out, to be used again.

The file is safetensors (numbers and a JSON card, nothing that runs): for each photo the pixels
around the face, what is visible of it, what lies before it, and its landmarks. It holds the
person's face, and no path.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.analysis.analyzer import make_face
from sosie.analysis.parser import SIDE_PX, FaceParts
from sosie.errors import InputError
from sosie.files import open_regular
from sosie.geometry import alignment, mesh
from sosie.methods.base import Source
from sosie.output import atomic_output

SUFFIX = ".sosie"

_CARD, _FORMAT = "sosie.identity", 1
# Around the landmarks so much of the photo is kept, in sizes of the face: crops reach so far.
_MARGIN = 1.0
_MAX_PHOTOS = 256
_EXPRESSIONS = 52
_PARTS = (len(fields(FaceParts)), SIDE_PX, SIDE_PX)


def save_identity(
    sources: Sequence[Source], names: Sequence[str], path: Path, overwrite: bool
) -> None:
    """Write source photos (at most 256) with their names. Raises OutputError where it cannot."""
    from safetensors.numpy import save

    arrays: dict[str, NDArray[Any]] = {}
    for number, source in enumerate(sources):
        x0, y0, x1, y1 = _window(source)
        shift = np.array([x0, y0, 0], np.float32)
        face = source.face
        parts: dict[str, NDArray[Any]] = {
            "pixels": source.pixels[y0:y1, x0:x1],
            "visible": source.visible[y0:y1, x0:x1],
            "landmarks": face.landmarks - shift,
            "score": np.array([face.score]),
        }
        if source.parts is not None:
            parts["parts"] = np.stack(list(vars(source.parts).values()))
        if face.expression is not None:
            parts["expression"] = face.expression
        arrays |= {f"{number}.{key}": np.ascontiguousarray(part) for key, part in parts.items()}
    card = {"format": _FORMAT, "photos": [PurePath(name).name for name in names]}
    with atomic_output(path, overwrite) as pending:
        pending.path.write_bytes(save(arrays, metadata={_CARD: json.dumps(card)}))


def load_identity(path: Path) -> tuple[list[Source], list[str]]:
    """The source photos of a file, and their names. Raises InputError where it is no such file."""
    from safetensors import SafetensorError, safe_open

    try:
        with open_regular(path, "photo or identity file"), safe_open(path, "numpy") as opened:
            card = json.loads((opened.metadata() or {})[_CARD])
            arrays = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        names = card["photos"]
        if card["format"] != _FORMAT or not _are_names(names):
            raise ValueError("another format")
        return [_source(arrays, number) for number in range(len(names))], names
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path} is no identity file of Sosie, or it is damaged: make one with "
            f"`sosie source PHOTO --save {path.name}`."
        ) from error


def _source(arrays: dict[str, NDArray[Any]], number: int) -> Source:
    pixels, visible, landmarks, score = (
        arrays[f"{number}.{key}"] for key in ("pixels", "visible", "landmarks", "score")
    )
    expression, parts = (arrays.get(f"{number}.{key}") for key in ("expression", "parts"))
    if (
        pixels.ndim != 3
        or pixels.shape[2] != 3
        or pixels.dtype not in (np.uint8, np.uint16)
        or 0 in pixels.shape
        or visible.shape != pixels.shape[:2]
        or score.shape != (1,)
        or landmarks.shape != (mesh.POINTS, 3)
        or any(a.dtype != np.float32 for a in (visible, landmarks))
        or not all(np.isfinite(a).all() for a in (visible, landmarks, score))
        or (expression is not None and expression.shape != (_EXPRESSIONS,))
        or (parts is not None and (parts.shape != _PARTS or parts.dtype != np.float32))
    ):
        raise ValueError("arrays of other shapes")
    told = None if parts is None else FaceParts(*parts)
    return Source(pixels, make_face(landmarks, float(score[0]), expression), visible, told)


def _are_names(names: object) -> bool:
    return (
        isinstance(names, list)
        and 0 < len(names) <= _MAX_PHOTOS
        and all(isinstance(name, str) for name in names)
    )


def _window(source: Source) -> tuple[int, int, int, int]:
    return alignment.face_window(source.face.landmarks, _MARGIN, source.pixels.shape)
