"""Losses of the visibility network, and the measure that it is judged by."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

# A pixel within this many of an edge counts more, by this factor: that is where answers differ.
_EDGE_PX, _EDGE_FACTOR = 2, 3.0
_DICE = 0.5


def visibility_losses(
    logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Cross-entropy a pixel, heavier at edges, and the Dice loss (Milletari et al. 2016, "V-Net").

    All N x H x W; target: share that is seen, 0..1; weight: 1 where that is known, 0 where not.
    """
    side = 2 * _EDGE_PX + 1
    widest = functional.max_pool2d(target[:, None], side, 1, _EDGE_PX)
    least = -functional.max_pool2d(-target[:, None], side, 1, _EDGE_PX)
    heavier = weight * (1 + (_EDGE_FACTOR - 1) * (widest - least)[:, 0])
    each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    pixel = (each * heavier).sum() / heavier.sum().clamp_min(1)
    seen = torch.sigmoid(logits) * weight
    wanted = target * weight
    shared = (seen * wanted).sum((1, 2))
    dice = 1 - (2 * shared + 1) / ((seen + wanted).sum((1, 2)) + 1)
    return {"pixel": pixel, "dice": _DICE * dice.mean()}


def overlap(found: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Intersection over union of masks, N x H x W each: N; 1 where both are empty."""
    shared = (found & wanted).sum((1, 2))
    either = (found | wanted).sum((1, 2))
    return np.where(either > 0, shared / np.maximum(either, 1), 1.0)
