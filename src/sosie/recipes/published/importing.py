"""A published checkpoint, recognized by what is in it, into files that Sosie and others can use."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from sosie.errors import InputError, OutputError, UsageError, nearest
from sosie.files import open_regular
from sosie.models.onnx_matrix import last_matrix
from sosie.recipes.published.files import (
    SnapshotCard,
    WithEmbeddingMap,
    export,
    make_card,
    save_snapshot,
)
from sosie.recipes.published.networks import (
    TABLE,
    Published,
    find_published,
    load_published,
    networks_of,
    published_shapes,
    seems_to_be,
)
from sosie.training.checkpoint import is_training_file
from sosie.training.checkpoint_file import Arrays, read_checkpoint

_MAPPED = "inswapper_reswapper_128"
"""The network that an embedding map belongs to."""

_MAP_SHAPE = (512, 512)

_HEADER = 10_000
"""More bytes than numpy writes before the numbers of a .npy."""

_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Imported:
    """What an import wrote. deviation: of the ONNX file from torch; 1 is the most let pass."""

    card: SnapshotCard
    snapshot: Path
    onnx: Path
    deviation: float


def import_weights(
    method: str,
    file: Path,
    folder: Path,
    *,
    network: str | None = None,
    embedding_map: Path | None = None,
    overwrite: bool = False,
) -> Imported:
    """Turn a published checkpoint into NETWORK.safetensors and NETWORK.onnx in `folder`.

    method: whose checkpoint it is. network: which of its networks; needed only where the file fits
    two. embedding_map: for inswapper, the 512 x 512 numbers that its ONNX file then holds: a .npy,
    or an inswapper_128.onnx.
    Raises UsageError on an unknown method or network, InputError where the file is another one
    (with what it seems to be), OutputError where a result exists or cannot be written, SosieError
    where the ONNX file does not compute the same.
    """
    known = networks_of(method)
    if network is not None and network not in known:
        raise UsageError(f"{method} has no network {network!r}: {nearest(network, known)}.")
    open_regular(file).close()
    if is_training_file(file):
        raise InputError(
            f"{file} was written by `sosie train` and needs no import: swap with it by `--method "
            f"{method} --weights`."
        )
    matrix = None if embedding_map is None else _read_map(embedding_map)
    name, state = _recognized(file, read_checkpoint(file), known, network)
    if matrix is not None and name != _MAPPED:
        raise UsageError(f"{name} takes no embedding map: leave --embedding-map out.")
    snapshot, onnx = folder / f"{name}.safetensors", folder / f"{name}.onnx"
    for result in (snapshot, onnx):
        if result.exists() and not overwrite:
            raise OutputError(f"{result} exists: name another folder, or add --overwrite.")
    _require_finite(file, state)
    built = load_published(name, state)
    # The largest have gigabytes, and export needs them again.
    state.clear()
    card = make_card(name, built, file.name, _sha256(file), matrix is not None)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_snapshot(built, card, snapshot)
        entry = known[name]
        whole = entry.exported(built) if matrix is None else WithEmbeddingMap(built, matrix)
        deviation = export(whole.eval(), card, onnx, entry.opset)
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"The results cannot be written to {folder} ({error}): make room, or name another."
        ) from error
    return Imported(card, snapshot, onnx, deviation)


def _recognized(
    file: Path, found: Mapping[str, Arrays], known: Mapping[str, Published], network: str | None
) -> tuple[str, Arrays]:
    """The network that the file holds, of `known`, and its weights."""
    if network is not None and not published_shapes(network) and _hits(found, known):
        # It has no parameters, and so it is in every file of its method.
        return network, {}
    wanted = known if network is None else {network: known[network]}
    hits = _hits(found, wanted)
    names = sorted({name for name, _, _ in hits})
    if not names:
        others = sorted({name for name, _, _ in _hits(found, _every())})
        largest = max(found.values(), key=lambda arrays: sum(a.size for a in arrays.values()))
        what = f"it seems to be {' or '.join(others)}" if others else seems_to_be(_shapes(largest))
        asked = network or f"a network of {next(iter(known.values())).method}"
        raise InputError(f"{file} is not {asked}: {what}; name another file, or its own method.")
    if len(names) > 1 and len({place for _, place, _ in hits}) == len(hits):
        raise UsageError(
            f"{file} holds {', '.join(names)}: import them one by one, each named with --network."
        )
    if len(names) > 1:
        raise UsageError(
            f"{file} fits {' and '.join(names)}, which take different pixels: say with --network "
            f"which of them it is."
        )
    # Inference takes the running averages where training kept some.
    averaged = [hit for hit in hits if "ema" in hit[1].lower()]
    chosen = averaged or hits
    if len(chosen) > 1:
        places = ", ".join(place or "the top level" for _, place, _ in chosen)
        raise InputError(
            f"{file} holds {names[0]} more than once (in {places}): save the one that is meant."
        )
    return names[0], chosen[0][2]


def _hits(
    found: Mapping[str, Arrays], networks: Mapping[str, Published]
) -> list[tuple[str, str, Arrays]]:
    """Network, place in the file, weights: wherever a place holds exactly a network."""
    hits = []
    for place, arrays in found.items():
        for name, entry in networks.items():
            wanted = published_shapes(name)
            state = _with_counters(entry.from_file(arrays), wanted)
            if wanted and _shapes(state) == wanted:
                hits.append((name, place, state))
    return hits


def _every() -> dict[str, Published]:
    return {name: find_published(name) for name in TABLE}


def _with_counters(arrays: Arrays, wanted: Mapping[str, Any]) -> Arrays:
    """With the batch norms' counters, which PyTorch did not save before 0.4 and nothing reads."""
    missing = [key for key in wanted if key.endswith(_COUNTER) and key not in arrays]
    return {**arrays, **{key: np.zeros(wanted[key], np.int64) for key in missing}}


def _shapes(arrays: Arrays) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in arrays.items()}


def _require_finite(file: Path, state: Arrays) -> None:
    for key, value in state.items():
        if value.dtype.kind == "c":
            raise InputError(f"{file} holds complex numbers (in {key}): name another.")
        if not np.isfinite(value).all():
            raise InputError(
                f"{file} holds numbers that are not finite (in {key}): its training failed, or it "
                f"is damaged; name another."
            )


def _read_map(file: Path) -> NDArray[np.float32]:
    matrix = last_matrix(file) if file.suffix == ".onnx" else _read_npy(file)
    if matrix.shape != _MAP_SHAPE:
        raise InputError(f"{file} is no embedding map: it should hold 512 x 512 numbers.")
    if not np.isfinite(matrix).all():
        raise InputError(f"{file} holds numbers that are not finite: name an embedding map.")
    return matrix


def _read_npy(file: Path) -> NDArray[np.float32]:
    """The embedding map in a .npy, of which no more is read than a map has."""
    values = 8 * math.prod(_MAP_SHAPE)
    form: Any = np.lib.format
    try:
        with open_regular(file) as opened:
            content = io.BytesIO(opened.read(values + _HEADER))
        form.read_magic(content)
        shape, by_columns, dtype = form.read_array_header_1_0(content)
        if dtype.kind != "f":
            raise ValueError("no floating-point numbers")
        order: Literal["F", "C"] = "F" if by_columns else "C"
        matrix = np.frombuffer(content.read(), dtype).reshape(shape, order=order)
        return matrix.astype(np.float32)
    except Exception as error:  # numpy takes the header for a literal, and fails in many ways
        raise InputError(
            f"{file} is no .npy file of an embedding map, which holds 512 x 512 numbers: name one."
        ) from error


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
