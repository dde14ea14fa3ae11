"""What the recipes of swappers with discriminators share: two phases, and the second of them."""

from __future__ import annotations

import abc
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from sosie.recipes.swapper.recipe import Batch, SwapRecipe
from sosie.training.losses.adversarial import discriminator_loss, gradient_penalty
from sosie.training.precision import fast_precision
from sosie.training.recipe import Phase


class GanRecipe(SwapRecipe):
    """A recipe whose network has the children `generator` and `judges`, which take turns.

    betas: of Adam, for both. real: what the discriminators are shown as real.
    """

    betas: ClassVar[tuple[float, float]]
    real: ClassVar[Literal["source", "target"]]
    # The rate is steady.
    ignores: ClassVar[frozenset[str]] = frozenset({"warmup"})

    @abc.abstractmethod
    def generate(
        self, network: nn.Module, batch: Batch, progress: float
    ) -> dict[str, torch.Tensor]:
        """The generator's terms; what it makes goes into `batch["made"]`, without gradients."""

    @abc.abstractmethod
    def logits(self, network: nn.Module, pictures: torch.Tensor) -> list[torch.Tensor]:
        """What each discriminator says of pictures in the generator's range."""

    def phases(self) -> tuple[Phase, ...]:
        rule: dict[str, Any] = {"betas": self.betas, "steady": True, "decoupled": False}
        return (
            Phase("generator", self.generate, ("generator",), **rule),
            Phase("judges", self._judge, ("judges",), **rule),
        )

    def _judge(self, network: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        """The discriminators see what the generator, whose turn was before, has just made."""
        penalty = self.settings.penalty
        real = self.pictures(batch, self.real, progress).requires_grad_(penalty > 0)
        with fast_precision(real.device):
            of_real, of_made = (self.logits(network, x) for x in (real, batch["made"]))
        terms = {"told_apart": discriminator_loss("hinge", of_real, of_made)}
        if penalty:
            terms["penalty"] = penalty / 2 * gradient_penalty(real, of_real)
        return terms
