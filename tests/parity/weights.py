"""The parity kit: its networks' names, shapes, inputs, outputs, and the weights that follow."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PREFIX = "a:"
"""What the kit's own weights are drawn by. Any other gives other weights, as good a test."""


def make_parameter(
    key: str, shape: tuple[int, ...], gain: float, prefix: str = PREFIX
) -> NDArray[Any]:
    """The value of the parameter `key`, by the rule of the kit's README."""
    rng = np.random.default_rng(zlib.crc32((prefix + key).encode()))
    n = np.asarray(rng.standard_normal(shape, dtype=np.float32))
    size = int(np.prod(shape))
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    if key.endswith("running_var"):
        return np.asarray(np.float32(0.5) + rng.random(shape, dtype=np.float32))
    if key.endswith("running_mean") or size == 1:
        return np.asarray(np.float32(0.1) * n)
    if len(shape) >= 2 and max(shape) < size:
        n *= np.float32(gain / np.sqrt(np.prod(shape[1:])))
        return n
    if key.endswith("bias"):
        return np.asarray(np.float32(0.1) * n)
    return np.asarray(1 + np.float32(0.1) * n)


def make_weights(folder: Path, prefix: str = PREFIX) -> dict[str, NDArray[Any]]:
    """All parameters of the network that the kit's folder describes."""
    keys = json.loads((folder / "keys.json").read_text("utf-8"))
    gain = read_meta(folder)["gain"]
    return {
        key: make_parameter(key, tuple(shape), gain, prefix) for key, (shape, _) in keys.items()
    }


def read_meta(folder: Path) -> dict[str, Any]:
    meta: dict[str, Any] = json.loads((folder / "meta.json").read_text("utf-8"))
    return meta


def read_inputs(folder: Path) -> list[NDArray[np.float32]]:
    """The network's inputs, in order."""
    names = read_meta(folder)["inputs"]
    return [np.load(folder.parent / "inputs" / f"{n}.npy").astype(np.float32) for n in names]


def read_expected(folder: Path) -> list[NDArray[np.float32]]:
    """Every k-th value of each output, k as `thin` takes it."""
    with np.load(folder / "expect.npz") as stored:
        return [stored[f"out{k}"] for k in range(len(stored.files))]


def thin(output: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the kit keeps of an output."""
    return output.ravel()[:: -(-output.size // 4096)]


def agrees(ours: NDArray[np.float32], expected: NDArray[np.float32]) -> bool:
    """The kit's rule, on thinned outputs."""
    return ours.shape == expected.shape and np.allclose(
        ours, expected, rtol=1e-3, atol=1e-3 * float(expected.std())
    )
