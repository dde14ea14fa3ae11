"""FaceDancer's interpreted feature similarity regularization (IFSR).

Source: Rosberg et al. 2023, "FaceDancer", section 3.3. Layers of an identity network hold pose,
expression and light beside the identity. How far a good swap is from its target in each was
measured on swaps of another method; so far the result may go, and a little further.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

SHARES = (0.28, 0.31, 0.56)
"""At each stage of Sosie's identity network, how far a swap is from its target as a share of what
the source is: the mean of 50 pairs of LFW, swapped by the default method."""
SCALE = 1.2
"""A margin is so many times the measured distance, as published."""


def distances(found: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]) -> torch.Tensor:
    """1 - cosine of whole maps, a mean over the batch: layers of N x ... each -> a number a
    layer."""
    return torch.stack(
        [
            (1 - functional.cosine_similarity(f.float().flatten(1), w.float().flatten(1))).mean()
            for f, w in zip(found, wanted, strict=True)
        ]
    )


def similarity_loss(
    found: Sequence[torch.Tensor],
    target: Sequence[torch.Tensor],
    margins: torch.Tensor,
    scale: float = SCALE,
) -> torch.Tensor:
    """Summed over layers, how much further than `scale` times its margin the batch is from the
    target in the mean.

    found, target: the same layers of the result and of the target. margins: a number a layer.
    """
    return torch.relu(distances(found, target) - scale * margins.to(found[0].device)).sum()
