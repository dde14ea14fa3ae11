"""Directions in a generator's latents: read from a file, or its principal components.

Source: Härkönen et al. 2020, "GANSpace: Discovering Interpretable GAN Controls", section 2.1: the
principal components of the latents that the mapping makes of noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from sosie.errors import InputError
from sosie.files import open_regular
from sosie.methods.megafs.codes import Codes
from sosie.output import atomic_output
from sosie.types import FloatArray

_DRAWN = 10_000
_SLOPE, _RATE = 0.2, 0.01
_MOST_DEPTH = 32

_LATENTS, _STRUCTURE = "latents", "structure"


def components(generator: Path, count: int) -> dict[str, FloatArray]:
    """The first principal components of a generator's latents, `pc1` and on, L each, for one
    standard deviation; always the same of one file.

    generator: the snapshot of `sosie train stylegan2` or of an import. Raises InputError where it
    holds no mapping.
    """
    layers = _mapping(generator)
    latent = len(layers[0][1])
    drawn = np.random.default_rng(0).normal(size=(_DRAWN, latent)).astype(np.float32)
    x = drawn / np.sqrt(np.square(drawn).mean(1, keepdims=True) + 1e-8)
    for weight, bias in layers:
        x = x @ (weight.T * np.float32(_RATE / math.sqrt(weight.shape[1]))) + bias * _RATE
        x = np.where(x > 0, x, _SLOPE * x) * math.sqrt(2)
    values, vectors = np.linalg.eigh(np.cov(x.astype(np.float64).T))
    order = np.argsort(values)[::-1][:count]
    found = {}
    for number, k in enumerate(order, 1):
        # The sign of a component is arbitrary: its largest number is above 0.
        vector = vectors[:, k] * np.sign(vectors[np.abs(vectors[:, k]).argmax(), k])
        found[f"pc{number}"] = np.asarray(vector * np.sqrt(max(values[k], 0)), np.float32)
    return found


def _mapping(file: Path) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Weight and bias of each layer of the mapping."""
    tensors = _read(file, "name the generator's snapshot")
    layers: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for number in range(_MOST_DEPTH):
        for prefix in ("", "generator."):
            weight = tensors.get(f"{prefix}mapping.{number}.weight")
            bias = tensors.get(f"{prefix}mapping.{number}.bias")
            if weight is not None and bias is not None:
                layers.append((weight, bias))
    square = all(w.shape == (len(b), len(b)) and len(b) == len(layers[0][1]) for w, b in layers)
    if not layers or not square:
        raise InputError(f"{file} holds no mapping of StyleGAN2: name the generator's snapshot.")
    return layers


def read_directions(file: Path, count: int, latent: int) -> dict[str, FloatArray]:
    """Directions by name from a `.safetensors`: L, or count x L, numbers each.

    Raises InputError where it is none, or its directions are of other latents.
    """
    found = _read(file, "name a file of directions")
    for name, values in found.items():
        sound = values.shape in ((latent,), (count, latent)) and values.dtype.kind == "f"
        if not sound or not np.isfinite(values).all():
            raise InputError(
                f"The direction {name} in {file} should be {latent}, or {count} x {latent}, "
                f"numbers: it is of another generator, or damaged."
            )
    return {name: values.astype(np.float32) for name, values in found.items()}


def limited(direction: FloatArray, count: int, first: int, last: int) -> FloatArray:
    """A direction as it moves the latents of the layers first to last (from 0) alone: C x L."""
    spread = np.broadcast_to(direction, (count, direction.shape[-1]))
    layers = np.arange(count)[:, None]
    return np.asarray(np.where((layers >= first) & (layers <= last), spread, 0), np.float32)


def write_codes(codes: Codes, file: Path, told: Mapping[str, str], overwrite: bool) -> None:
    """Write codes as `.safetensors`, whole or not at all. Raises OutputError."""
    tensors = {_LATENTS: codes.latents, _STRUCTURE: codes.structure}
    with atomic_output(file, overwrite=overwrite) as pending:
        save_file(tensors, pending.path, metadata=dict(told))


def read_codes(file: Path, like: Codes) -> Codes:
    """Codes that `write_codes` wrote. Raises InputError where they are of other networks than
    `like`."""
    found = _read(file, "name codes that `sosie invert` wrote")
    names = {_LATENTS: like.latents, _STRUCTURE: like.structure}
    for name, wanted in names.items():
        values = found.get(name)
        if values is None or values.shape != wanted.shape or not np.isfinite(values).all():
            raise InputError(
                f"{file} holds no codes of these networks: name some that `sosie invert` wrote "
                f"with the same --weights."
            )
    return Codes(*(np.asarray(found[name], np.float32) for name in names))


def _read(file: Path, remedy: str) -> dict[str, NDArray[Any]]:
    try:
        with open_regular(file), safe_open(file, "np") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is no .safetensors file, or it is damaged: {remedy}.") from error
