"""What a training of one of FSGAN's networks decides."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sosie.errors import UsageError
from sosie.training.recipe import Plan, require

_HALVINGS_BEFORE, _HALVINGS_AFTER = 2.4, 5.0
"""So many times ten epochs are trained at half of the size, and at the whole: after each ten the
rate is halved."""


@dataclass(frozen=True)
class FsganPlan(Plan):
    """A plan with what FSGAN's networks decide; as it stands, the published one of the reenactment.

    size_px: side of the crops. width: channels at full size. most: channels at most. flat: residual
    blocks behind each join. critic: channels of the discriminators' first layer. half_until: until
    this share of the samples crops are half as large, the fine part does not learn, and the rate is
    2.5 times as high. The rest are weights of losses. finetune: 1 for a network that is fine-tuned
    on one person by the published rule, 2 by Sosie's own.
    """

    samples: int = 47_040_000
    batch: int = 24
    lr: float = 4e-5
    weight_decay: float = 0.0
    clip: float = 1e9
    validate_every: int = 480_000
    size_px: int = 256
    width: int = 128
    most: int = 1024
    flat: int = 2
    critic: int = 64
    pixel: float = 0.1
    identity: float = 0.5
    attribute: float = 0.5
    adversarial: float = 0.001
    half_until: float = 0.49
    finetune: int = 0

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("pixel", "identity", "attribute", "adversarial"), least=0)
        require(self, ("half_until",), least=0, most=1)
        require(self, ("width", "most", "flat", "critic"), least=1)
        require(self, ("finetune",), least=0, most=2)
        require(self, ("size_px",), least=32, most=1024)
        if self.size_px % 16:
            raise UsageError(f"size_px must be a multiple of 16, not {self.size_px}.")

    def pace(self, progress: float) -> float:
        """Share of the rate: halved after every ten epochs at each of both sizes."""
        if self.finetune:
            return 1.0
        if progress < self.half_until:
            return float(2.5 * 0.5 ** math.floor(_HALVINGS_BEFORE * progress / self.half_until))
        rest = (progress - self.half_until) / max(1 - self.half_until, 1e-9)
        return float(0.5 ** math.floor(_HALVINGS_AFTER * min(rest, 0.999)))
