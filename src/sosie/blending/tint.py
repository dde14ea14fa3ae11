"""The tint of a picture without colors of its own: gray, sepia, blueprint, one colored lamp.

In such a picture the chroma of a pixel follows from its luma. The face that is put in goes onto the
same line, as far as the picture around it keeps to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.types import FloatArray, Pixels

# Luma, then what red and blue have more than it (Rec. 601, unscaled: gray is 0).
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_KNOTS = 16
# The picture is measured at about this many pixels a side, where noise has averaged out.
_SIDE_PX = 64
# What a kink of the line costs, and how surely a knot that no pixel speaks for stays at 0.
_STIFF, _SLIGHT = 1e-4, 1e-6
# All but this share of the pixels must keep to the line within the first distance (of 1) to be a
# picture of one tint; from the second on it has colors. Gray photos and sepia stay below 0.005,
# faces in colored photos above 0.04.
_MOST = 98.0
_ON_LINE, _OFF_LINE = 0.016, 0.036

# Less color than this is gray: it shows in no picture.
_GRAY = 1e-4


@dataclass(frozen=True)
class Tint:
    """line: _KNOTS x 2, at even steps of luma from 0 to 1: what red and blue have more than luma.
    strength: 0..1, how far the picture keeps to that line: 0 for one with colors of its own."""

    line: FloatArray
    strength: float

    def applied(self, pixels: FloatArray) -> FloatArray:
        """RGB float32, h x w x 3, 0..1, with the luma that they have and the tint's color."""
        if self.strength <= 0:
            return pixels
        luma = pixels @ _LUMA
        steps = np.linspace(0, 1, _KNOTS, dtype=np.float32)
        red, blue = (np.interp(luma, steps, column).astype(np.float32) for column in self.line.T)
        green = -(red * _LUMA[0] + blue * _LUMA[2]) / _LUMA[1]
        tinted = luma[..., None] + np.stack([red, green, blue], axis=-1)
        # All of it is written as such, so that gray is gray to the bit.
        mixed = pixels + (tinted - pixels) * np.float32(self.strength)
        chosen = tinted if self.strength >= 1 else mixed
        return np.asarray(np.clip(chosen, 0, 1), np.float32)

    def towards(self, other: Tint, share: float) -> Tint:
        """A mean of two: this one, gone `share` (0..1) of the way to the other."""
        return Tint(
            np.asarray(self.line + (other.line - self.line) * np.float32(share), np.float32),
            self.strength + (other.strength - self.strength) * share,
        )


def no_tint() -> Tint:
    """That of a picture with colors of its own."""
    return Tint(np.zeros((_KNOTS, 2), np.float32), 0.0)


def measure_tint(pixels: Pixels) -> Tint:
    """The tint of a part of a picture: RGB, h x w x 3, uint8 or uint16, a face and some around."""
    shrink = min(1.0, _SIDE_PX / max(pixels.shape[:2]))
    size = [max(1, round(side * shrink)) for side in pixels.shape[1::-1]]
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    small *= np.float32(1 / np.iinfo(pixels.dtype).max)
    luma = (small @ _LUMA).ravel()
    color = small.reshape(-1, 3)[:, [0, 2]] - luma[:, None]
    place = np.clip(luma, 0, 1) * (_KNOTS - 1)
    # The weights of a straight line between two knots: a least-squares fit of such lines.
    weights = np.maximum(1 - np.abs(place[:, None] - np.arange(_KNOTS)), 0).astype(np.float64)
    normal = weights.T @ weights + len(weights) * (_STIFF * _kinks() + _SLIGHT * np.eye(_KNOTS))
    line = np.linalg.solve(normal, weights.T @ color)
    line[np.abs(line) < _GRAY] = 0
    away = float(np.percentile(np.linalg.norm(color - weights @ line, axis=1), _MOST))
    strength = float(np.clip((_OFF_LINE - away) / (_OFF_LINE - _ON_LINE), 0, 1))
    return Tint(np.asarray(line, np.float32), strength)


@cache
def _kinks() -> NDArray[np.float64]:
    bends = np.diff(np.eye(_KNOTS), 2, axis=0)
    return np.asarray(bends.T @ bends)
