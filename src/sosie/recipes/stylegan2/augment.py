"""Changes that a discriminator sees of real and of made pictures alike, with gradients.

Source: Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training", table 1:
color, translation and cutout. With few pictures a discriminator learns them by heart without it.
"""

from __future__ import annotations

import torch
from torch.nn import functional

_SHIFTED, _CUT = 1 / 8, 1 / 2
"""Farthest shift, and side of what is cut out, as shares of the picture's side."""


def augmented(pictures: torch.Tensor) -> torch.Tensor:
    """N x 3 x S x S in -1..1 -> the same, each picture changed at random in all three ways."""
    return _cut_out(_moved(_tinted(pictures)))


def _tinted(x: torch.Tensor) -> torch.Tensor:
    """Brighter or darker, more or less colorful, of more or less contrast."""
    x = x + _drawn(x) - 0.5
    gray = x.mean(1, keepdim=True)
    x = (x - gray) * (2 * _drawn(x)) + gray
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * (_drawn(x) + 0.5) + mean


def _drawn(x: torch.Tensor) -> torch.Tensor:
    return torch.rand(x.shape[0], 1, 1, 1, device=x.device, dtype=x.dtype)


def _moved(x: torch.Tensor) -> torch.Tensor:
    """Shifted by whole pixels; what comes in is 0."""
    count, _, side, _ = x.shape
    most = round(side * _SHIFTED)
    padded = functional.pad(x, (most, most, most, most))
    steps = torch.arange(side, device=x.device)
    rows, columns = (
        steps + torch.randint(0, 2 * most + 1, (count, 1), device=x.device) for _ in range(2)
    )
    picture = torch.arange(count, device=x.device)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[picture, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def _cut_out(x: torch.Tensor) -> torch.Tensor:
    """A square of 0, which may reach over the edge."""
    count, _, side, _ = x.shape
    half = side * _CUT / 2
    steps = torch.arange(side, device=x.device)
    across, down = (
        (steps - torch.randint(0, side + 1, (count, 1), device=x.device)).abs() < half
        for _ in range(2)
    )
    hole = across[:, None, None, :] & down[:, None, :, None]
    return torch.where(hole, torch.zeros_like(x), x)
