"""Method `vae`: a space of one's own faces, in which two people are exchanged."""

from __future__ import annotations

from pathlib import Path

from sosie.methods.vae.latent import LatentSpace
from sosie.methods.vae.swapper import VaeSwapper
from sosie.methods.weights import trained_file
from sosie.options import SwapOptions

_HOW = (
    "train some with `sosie train vae --source FOLDER --target FOLDER`, and name them with "
    "--weights, as RUN/snapshot.safetensors"
)


def open_space(weights: Path, provider: str = "cpu", threads: int | None = None) -> LatentSpace:
    """The space that a training of `vae` wrote. Raises InputError where it is none, or damaged."""
    options = SwapOptions(method="vae", weights=str(weights), provider=provider, threads=threads)
    return LatentSpace(*trained_file("vae", _HOW, options))


def _open(options: SwapOptions) -> VaeSwapper:
    return VaeSwapper(*trained_file("vae", _HOW, options))


METHOD = _open
