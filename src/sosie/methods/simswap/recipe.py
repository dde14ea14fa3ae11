"""The recipe of SimSwap (Chen et al. 2020): presets of the published form, and a small one.

The published recipe takes ArcFace for the identity; here it is Sosie's own identity network, which
the package carries. Its steps alternate between pairs of one person and of two; here half of every
batch is of each kind, which is the same ratio.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, cast

import torch
from torch import nn
from torch.nn import functional

from sosie.methods.simswap.network import Discriminator, Form, Generator
from sosie.training.losses.adversarial import (
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)
from sosie.training.losses.faces import cycle_loss, weak_feature_matching_loss
from sosie.training.precision import fast_precision
from sosie.training.recipe import Phase
from sosie.training.swapping import Batch, SwapPlan, SwapRecipe

_HALVINGS = 3
_SMALLEST_JUDGED = 64
_WEAK_FROM = 3
"""The discriminator's layers from this one on hold attributes rather than texture."""

_PUBLISHED = SwapPlan(
    samples=16_000_000,
    batch=16,
    lr=2e-4,
    weight_decay=0.0,
    clip=1e9,
    validate_every=160_000,
    feature=10.0,
)
_SMALL = replace(
    _PUBLISHED,
    samples=400_000,
    lr=6e-4,
    clip=10.0,
    ema=0.998,
    validate_every=8_000,
    size_px=64,
    width=24,
    depth=4,
    critic=16,
    feature=4.0,
    reconstruction=12.0,
    adversarial=0.5,
    same=0.4,
)


class Learner(nn.Module):
    """The generator and its discriminators: at full size, and at half where `scales` is 2."""

    def __init__(self, form: Form, critic: int, scales: int) -> None:
        super().__init__()
        self.generator = Generator(form)
        self.judges = nn.ModuleList(Discriminator(critic) for _ in range(scales))

    def judged(self, pictures: torch.Tensor) -> list[list[torch.Tensor]]:
        """Of each discriminator the features of its layers, then its logits."""
        found = []
        for judge in self.judges:
            found.append(judge(pictures))
            pictures = functional.avg_pool2d(pictures, 3, 2, 1, count_include_pad=False)
        return found


class SimSwapRecipe(SwapRecipe):
    """Hinge, identity, reconstruction and weak feature matching losses."""

    name: ClassVar[str] = "simswap"
    method: ClassVar[str] = "simswap"
    summary: ClassVar[str] = "SimSwap: puts an identity into a target by AdaIN."
    paper: ClassVar[str] = (
        "Chen et al. 2020, SimSwap: An Efficient Framework For High Fidelity Face Swapping"
    )
    plan: ClassVar[SwapPlan] = _PUBLISHED
    presets: ClassVar[Mapping[str, SwapPlan]] = {
        "224": _PUBLISHED,
        "512": replace(_PUBLISHED, size_px=512, width=32),
        "small": _SMALL,
    }

    def learner(self) -> Learner:
        plan = self.settings
        widths = [plan.width * 2**step for step in range(_HALVINGS + 1)]
        if plan.size_px > 256:
            # The 512 px form halves once more, from half the width.
            widths.append(2 * widths[-1])
        # Four halvings leave the discriminator nothing to look at in smaller pictures.
        scales = 2 if plan.size_px >= 2 * _SMALLEST_JUDGED else 1
        return Learner(Form(tuple(widths), blocks=plan.depth), plan.critic, scales)

    def phases(self) -> tuple[Phase, ...]:
        rule = {"betas": (0.5, 0.999), "steady": True, "decoupled": False}
        return (
            Phase("generator", self._generate, ("generator",), **rule),  # type: ignore[arg-type]
            Phase("judges", self._judge, ("judges",), **rule),  # type: ignore[arg-type]
        )

    def swapped(self, network: nn.Module, target: torch.Tensor, who: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = cast(Learner, network).generator(target, who)
        return made

    def _generate(
        self, network: nn.Module, batch: Batch, progress: float
    ) -> dict[str, torch.Tensor]:
        learner, plan = cast(Learner, network), self.settings
        target = self.pictures(batch, "target", progress)
        with torch.no_grad():
            who = self.embed(self.pictures(batch, "source", progress))
        with fast_precision(target.device):
            made = learner.generator(target, who)
            of_made = learner.judged(made)
            with torch.no_grad():
                of_target = learner.judged(target)
        # The discriminators, whose turn is next, see what has just been made.
        batch["made"] = made.detach()
        terms = {
            "identity": self.identity_term(made, who),
            "reconstruction": self.reconstruction_term(made, target, batch["same"]),
            "adversarial": plan.adversarial
            * generator_loss("hinge", [layers[-1] for layers in of_made]),
        }
        if plan.feature:
            matches = [
                weak_feature_matching_loss(f[:-1], t[:-1], _WEAK_FROM)
                for f, t in zip(of_made, of_target, strict=True)
            ]
            terms["feature"] = plan.feature * torch.stack(matches).mean()
        if plan.cycle:
            with torch.no_grad():
                own = self.embed(target)
            with fast_precision(target.device):
                back = learner.generator(made, own)
            terms["cycle"] = plan.cycle * cycle_loss(back, target)
        return terms

    def _judge(self, network: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        learner, plan = cast(Learner, network), self.settings
        real = self.pictures(batch, "target", progress)
        real.requires_grad_(plan.penalty > 0)
        with fast_precision(real.device):
            of_real = [layers[-1] for layers in learner.judged(real)]
            of_made = [layers[-1] for layers in learner.judged(batch["made"])]
        terms = {"told_apart": discriminator_loss("hinge", of_real, of_made)}
        if plan.penalty:
            terms["penalty"] = plan.penalty / 2 * gradient_penalty(real, of_real)
        return terms
