"""What the recipes of swappers with discriminators share: two phases; and AEI-Net's losses."""

from __future__ import annotations

import abc
from typing import Any, ClassVar, Literal, cast

import torch
from torch import nn

from sosie.analysis.embedder import NUMBERS
from sosie.errors import UsageError
from sosie.nn.aei import SizedAei
from sosie.nn.blocks import MultiScaleDiscriminator, fast_precision
from sosie.recipes.swapper.plan import SwapPlan, small
from sosie.recipes.swapper.recipe import Batch, SwapRecipe
from sosie.training.losses import (
    Form,
    attribute_loss,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)
from sosie.training.recipe import Phase


class GanRecipe(SwapRecipe):
    """A recipe whose network has the children `generator` and `judges`, which take turns.

    betas: of Adam, for both. real: what the discriminators are shown as real. told_apart: the form
    of their loss.
    """

    betas: ClassVar[tuple[float, float]]
    real: ClassVar[Literal["source", "target"]]
    told_apart: ClassVar[Form] = "hinge"
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
        terms = {"told_apart": discriminator_loss(self.told_apart, of_real, of_made)}
        if penalty:
            terms["penalty"] = penalty / 2 * gradient_penalty(real, of_real)
        return terms


AEI_PLAN = SwapPlan(attribute=10.0)
"""What FaceShifter's first stage and GHOST are both published with."""


def small_aei(plan: SwapPlan, **changes: Any) -> SwapPlan:
    """A plan of either for a processor."""
    return small(plan, width=12, depth=1, critic=12, same=0.3, attribute=2.0, **changes)


class AeiLearner(nn.Module):
    """The generator and its discriminators at several scales."""

    def __init__(self, generator: nn.Module, judges: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self.judges = judges


class AeiRecipe(GanRecipe):
    """Adversarial, identity, attribute and reconstruction losses (Li et al. 2020, "FaceShifter",
    section 3.1). The discriminator's real pictures are the sources, as in the public code.

    Pictures are RGB in -1..1. critic_steps: halvings of the discriminators.
    """

    low = -1.0
    betas = (0.0, 0.999)
    real = "source"
    # The network is bound to its size.
    ignores = GanRecipe.ignores | {"feature", "half_until"}
    critic_steps = 6

    @classmethod
    def require_size(cls, size_px: int) -> None:
        if size_px & (size_px - 1):
            raise UsageError(f"size_px must be a power of two, not {size_px}.")

    def learner(self) -> AeiLearner:
        plan = self.settings
        generator = self.generator()
        # A smaller picture bears fewer halvings and scales.
        less = max(0, 256 // plan.size_px).bit_length() - 1
        judges = MultiScaleDiscriminator(
            max(1, 3 - less), max(2, self.critic_steps - max(less, 0)), plan.critic
        )
        return AeiLearner(generator, judges)

    def generator(self) -> nn.Module:
        """A fresh generator, with a child `encoder`."""
        plan = self.settings
        return SizedAei(plan.size_px, plan.width, NUMBERS, plan.depth)

    def swapped(self, network: nn.Module, target: torch.Tensor, who: torch.Tensor) -> torch.Tensor:
        return self.with_maps(network, target, who)[0]

    def with_maps(
        self, network: nn.Module, target: torch.Tensor, who: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The generator's picture and the target's attribute maps."""
        made: tuple[torch.Tensor, list[torch.Tensor]] = cast(AeiLearner, network).generator(
            target, who
        )
        return made

    def generate(
        self, network: nn.Module, batch: Batch, progress: float
    ) -> dict[str, torch.Tensor]:
        learner, plan = cast(AeiLearner, network), self.settings
        target = self.pictures(batch, "target", progress)
        with torch.no_grad():
            who = self.describe(self.pictures(batch, "source", progress))
        with fast_precision(target.device):
            made, maps = self.with_maps(network, target, who)
            again = learner.generator.get_submodule("encoder")(made)
            logits = learner.judges(made)
        batch["made"] = made.detach()
        return {
            "identity": self.identity_term(made, who),
            "reconstruction": self.reconstruction_term(made, target, batch["same"], power=2),
            "adversarial": plan.adversarial * generator_loss("hinge_both", logits),
            "attribute": plan.attribute * attribute_loss(again, maps),
            **self.further_terms(network, batch, made, target, progress),
        }

    def logits(self, network: nn.Module, pictures: torch.Tensor) -> list[torch.Tensor]:
        found: list[torch.Tensor] = cast(AeiLearner, network).judges(pictures)
        return found
