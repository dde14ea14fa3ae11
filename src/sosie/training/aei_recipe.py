"""What the recipes of FaceShifter's first stage and of GHOST share: AEI-Net and its losses."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from sosie.analysis.recogniser import NUMBERS
from sosie.errors import UsageError
from sosie.nn.aei import SizedAei
from sosie.nn.patch_discriminator import MultiScaleDiscriminator
from sosie.training.losses.adversarial import (
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)
from sosie.training.losses.faces import attribute_loss
from sosie.training.precision import fast_precision
from sosie.training.recipe import Phase
from sosie.training.swapping import Batch, SwapRecipe


class AeiLearner(nn.Module):
    """The generator and its discriminators at several scales."""

    def __init__(self, generator: nn.Module, judges: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self.judges = judges


class AeiRecipe(SwapRecipe):
    """Adversarial, identity, attribute and reconstruction losses (Li et al. 2020, "FaceShifter",
    section 3.1). The discriminator's real pictures are the sources, as in the public code.

    Pictures are RGB in -1..1. critic_steps: halvings of the discriminators.
    """

    low = -1.0
    critic_steps = 6

    def learner(self) -> AeiLearner:
        plan = self.settings
        if plan.size_px < 32 or plan.size_px & (plan.size_px - 1):
            raise UsageError(f"size_px must be a power of two from 32 on, not {plan.size_px}.")
        generator = SizedAei(plan.size_px, plan.width, NUMBERS, plan.depth)
        # A smaller picture bears fewer halvings and scales.
        less = max(0, 256 // plan.size_px).bit_length() - 1
        judges = MultiScaleDiscriminator(
            max(1, 3 - less), max(2, self.critic_steps - max(less, 0)), plan.critic
        )
        return AeiLearner(generator, judges)

    def phases(self) -> tuple[Phase, ...]:
        rule = {"betas": (0.0, 0.999), "steady": True, "decoupled": False}
        return (
            Phase("generator", self._generate, ("generator",), **rule),  # type: ignore[arg-type]
            Phase("judges", self._judge, ("judges",), **rule),  # type: ignore[arg-type]
        )

    def swapped(self, network: nn.Module, target: torch.Tensor, who: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = cast(AeiLearner, network).generator(target, who)[0]
        return made

    def _generate(
        self, network: nn.Module, batch: Batch, progress: float
    ) -> dict[str, torch.Tensor]:
        learner, plan = cast(AeiLearner, network), self.settings
        target = self.pictures(batch, "target", progress)
        with torch.no_grad():
            who = self.embed(self.pictures(batch, "source", progress))
        generator = cast(SizedAei, learner.generator)
        with fast_precision(target.device):
            made, maps = generator(target, who)
            again = generator.encoder(made)
            logits = learner.judges(made)
        batch["made"] = made.detach()
        return {
            "identity": self.identity_term(made, who),
            "reconstruction": self.reconstruction_term(made, target, batch["same"], power=2),
            "adversarial": plan.adversarial * generator_loss("hinge_both", logits),
            "attribute": plan.attribute * attribute_loss(again, maps),
        }

    def _judge(self, network: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        learner, plan = cast(AeiLearner, network), self.settings
        real = self.pictures(batch, "source", progress)
        real.requires_grad_(plan.penalty > 0)
        with fast_precision(real.device):
            of_real, of_made = learner.judges(real), learner.judges(batch["made"])
        terms = {"told_apart": discriminator_loss("hinge", of_real, of_made)}
        if plan.penalty:
            terms["penalty"] = plan.penalty / 2 * gradient_penalty(real, of_real)
        return terms
