"""What faces look like: a linear-Gaussian model of the unwrapped texture, and what it fills in.

A texture is the mean plus K directions with independent normal weights, plus noise. Given the
pixels that a photo shows, the most probable weights tell the others (probabilistic principal
components with missing data: Tipping and Bishop, "Probabilistic principal component analysis",
1999). The file `face_texture.npz` is made by `tools/fit_face_texture.py`.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.methods.graft.unwrap import HEIGHT, WIDTH
from sosie.models.cards import read_embedded
from sosie.types import FloatArray

# A pixel that is further from what the others tell than this (of 1) counts less, and in how many
# rounds what is told is corrected for that.
_OUTLIER, _ROUNDS = 0.08, 3
# A pixel of less weight is not looked at.
_NOTHING = 1e-3


@dataclass(frozen=True)
class TextureModel:
    """mean: HEIGHT x WIDTH x 3, RGB 0..1. basis: K x HEIGHT x WIDTH x 3: directions, each as long
    as one standard deviation of faces. noise: the variance that a pixel has to count as if it were
    one alone: its neighbors tell nearly the same."""

    mean: FloatArray
    basis: FloatArray
    noise: float

    def fill(self, texture: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The most probable whole texture, and how far each pixel that was shown is trusted.

        texture: HEIGHT x WIDTH x 3, 0..1, what is shown of a face; weight: HEIGHT x WIDTH, 0..1,
        how surely. The answers have the same shapes; the trust is at most `weight`, and less where
        a pixel does not fit a face: a strand, a rim, a highlight.
        """
        flat = self.basis.reshape(len(self.basis), -1)
        seen = (texture - self.mean).reshape(-1)
        trust = weight
        told = np.zeros_like(seen)
        for _ in range(_ROUNDS + 1):
            heavy = np.repeat(trust.reshape(-1), 3)
            shown = np.flatnonzero(heavy > _NOTHING)
            part = flat[:, shown] * heavy[shown]
            normal = part @ flat[:, shown].T + self.noise * np.eye(len(flat), dtype=np.float32)
            told = np.linalg.solve(normal, part @ seen[shown]).astype(np.float32) @ flat
            apart = np.abs(seen - told).reshape(HEIGHT, WIDTH, 3).mean(2)
            robust = weight / (1 + (apart / _OUTLIER) ** 2)
            before, trust = trust, robust
        whole = np.clip(self.mean + told.reshape(self.mean.shape), 0, 1)
        return np.asarray(whole, np.float32), np.asarray(before, np.float32)


@cache
def texture_model() -> TextureModel:
    """The shipped model, read once. Raises InputError where its file is not what its card says."""
    return unpack(read_embedded("face_texture"))


def unpack(content: bytes) -> TextureModel:
    """A model from its file.

    Faces and their mirror images are alike, so that each direction is its own mirror image, or that
    with the other sign: its left half is kept.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as z:
        halves = z["basis"].astype(np.float32) * z["scale"][:, None, None, None]
        sign = z["sign"].astype(np.float32)[:, None, None, None]
        half = z["mean"].astype(np.float32)
        return TextureModel(
            np.concatenate([half, half[:, ::-1]], axis=1),
            np.concatenate([halves, halves[:, :, ::-1] * sign], axis=2),
            float(z["noise"]),
        )


def pack(model: TextureModel) -> dict[str, NDArray[Any]]:
    """A model's arrays as its file holds them, the directions in 8 bits."""
    half = WIDTH // 2
    left = model.basis[:, :, :half]
    sign = np.where((model.basis * model.basis[:, :, ::-1]).sum((1, 2, 3)) > 0, 1, -1)
    scale = np.abs(left).max((1, 2, 3)) / 127
    return {
        "mean": model.mean[:, :half].astype(np.float16),
        "basis": np.rint(left / scale[:, None, None, None]).astype(np.int8),
        "scale": scale.astype(np.float32),
        "sign": sign.astype(np.int8),
        "noise": np.array(model.noise, np.float32),
    }
