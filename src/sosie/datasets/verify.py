"""Whether a set is whole: its table against its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sosie.datasets.store import MISSING, FaceStore, id_of

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
