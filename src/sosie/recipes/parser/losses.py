"""Losses of the parser, and the measure that it is judged by."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from sosie.recipes.parser.network import CLASSES

UNSPLIT = (("frame", "lens"), ("thing", "beyond"))
"""Of some pixels it is known that they are one of these, but not which."""

TRUTH = (*CLASSES, *("/".join(group) for group in UNSPLIT))
"""What the truth of a pixel is split into."""

# A pixel within this many of an edge counts more: that is where answers differ. What is thin or
# rare counts more as well, and what is far from the face less.
_EDGE_PX, _EDGE = 2, 2.0
_RARE = {"frame": 3.0, "lens": 1.0, "frame/lens": 1.5, "hat": 1.0, "thing": 1.0}
_FAR = 0.5
_DICE, _OPACITY = 0.25, 0.5
# Groups of classes whose overlap counts as a whole.
_WHOLES = (("skin",), ("hair",), ("frame", "lens"), ("frame",))


def parser_losses(
    logits: torch.Tensor, truth: torch.Tensor, glass: torch.Tensor, near: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Cross-entropy a pixel, of what is known of it; Dice (Milletari et al. 2016, "V-Net") of parts
    that are told as a whole; cross-entropy of the opacity of lenses.

    logits: N x 8 x H x W. truth: N x 9 x H x W, shares of TRUTH. glass: N x 2 x H x W: opacity, and
    where it is known. near: N x H x W, 1 near the face and 0 elsewhere.
    """
    chances = torch.log_softmax(logits[:, : len(CLASSES)], 1)
    each = -(truth[:, : len(CLASSES)] * chances).sum(1)
    for plane, group in enumerate(UNSPLIT, len(CLASSES)):
        one, other = (chances[:, CLASSES.index(name)] for name in group)
        each = each - truth[:, plane] * torch.logaddexp(one, other)
    weight = _FAR + (1 - _FAR) * near
    important = sum(
        factor * truth[:, TRUTH.index(name)] for name, factor in _RARE.items()
    ) + _EDGE * _edges(truth[:, :2])
    weight = weight * (1 + important)
    pixel = (each * weight).sum() / weight.sum()
    opacity = functional.binary_cross_entropy_with_logits(
        logits[:, len(CLASSES)], glass[:, 0], reduction="none"
    )
    lens = (opacity * glass[:, 1]).sum() / glass[:, 1].sum().clamp_min(1)
    return {
        "pixel": pixel,
        "dice": _DICE * _dice(chances.exp(), truth, near),
        "opacity": _OPACITY * lens,
    }


def _edges(truth: torch.Tensor) -> torch.Tensor:
    """1 at pixels near an edge of one of the planes, N x C x H x W -> N x H x W."""
    side = 2 * _EDGE_PX + 1
    mean = functional.avg_pool2d(truth, side, 1, _EDGE_PX, count_include_pad=False)
    return (mean * (1 - mean) > 0.06).any(1).to(truth.dtype)


def _dice(shares: torch.Tensor, truth: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
    """Mean over the wholes, near the face. Where only a group is known, its parts do not count."""
    terms = []
    both = TRUTH.index("frame/lens")
    for whole in _WHOLES:
        rows = [CLASSES.index(name) for name in whole]
        known = near
        wanted = truth[:, rows].sum(1)
        if whole == ("frame", "lens"):
            wanted = wanted + truth[:, both]
        elif whole == ("frame",):
            known = near * (1 - truth[:, both])
        found = shares[:, rows].sum(1) * known
        wanted = wanted * known
        shared = (found * wanted).sum((1, 2))
        terms.append(1 - (2 * shared + 20) / ((found + wanted).sum((1, 2)) + 20))
    return torch.stack(terms).mean()


def overlap(found: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Intersection over union of masks, N x H x W each: N; 1 where both are empty."""
    shared = (found & wanted).sum((1, 2))
    either = (found | wanted).sum((1, 2))
    return np.where(either > 0, shared / np.maximum(either, 1), 1.0)
