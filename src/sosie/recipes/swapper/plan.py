"""What a training of a one-shot swapper decides, and what a short one on a processor does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sosie.training.recipe import Plan, require

_WEIGHTS = (
    *("identity", "reconstruction", "adversarial", "feature", "attribute", "penalty"),
    *("cycle", "eyes", "perceptual", "consistency"),
)


@dataclass(frozen=True)
class SwapPlan(Plan):
    """A plan with what all swappers decide; as it stands, what most are published with.

    size_px: side of the aligned crops. width: channels of the first layer; the others follow.
    depth: identity blocks (SimSwap) or AAD units a block. critic: channels of the discriminators'
    first layer. same: share of pairs that show one person. half_until: until this share of the
    samples crops are half as large (progressive resolution).

    The rest are weights of losses, those of the papers' terms; 0 leaves a term out. penalty: of R1.
    cycle, eyes, perceptual, consistency: see `SwapRecipe.further_terms`.
    """

    samples: int = 16_000_000
    batch: int = 16
    lr: float = 4e-4
    weight_decay: float = 0.0
    clip: float = 1e9
    validate_every: int = 160_000
    size_px: int = 256
    width: int = 32
    depth: int = 2
    critic: int = 64
    same: float = 0.2
    identity: float = 20.0
    reconstruction: float = 10.0
    adversarial: float = 1.0
    feature: float = 0.0
    attribute: float = 0.0
    penalty: float = 0.0
    cycle: float = 0.0
    eyes: float = 0.0
    perceptual: float = 0.0
    consistency: float = 0.0
    half_until: float = 0.0

    def require_sense(self) -> None:
        super().require_sense()
        require(self, _WEIGHTS, least=0)
        require(self, ("same", "half_until"), least=0, most=1)
        require(self, ("width", "depth", "critic"), least=1)
        require(self, ("size_px",), least=32)


def small(plan: SwapPlan, **changes: Any) -> SwapPlan:
    """A plan for a processor: pictures of 64 px, a short training, faster learning."""
    return replace(
        plan,
        samples=400_000,
        lr=6e-4,
        clip=10.0,
        ema=0.998,
        validate_every=8_000,
        size_px=64,
        adversarial=0.5,
        **changes,
    )
