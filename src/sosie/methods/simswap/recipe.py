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
from sosie.recipes.swapper.gan_recipe import GanRecipe
from sosie.recipes.swapper.plan import SwapPlan, small
from sosie.recipes.swapper.recipe import Batch
from sosie.training.losses.adversarial import generator_loss
from sosie.training.losses.faces import weak_feature_matching_loss
from sosie.training.precision import fast_precision

_HALVINGS = 3
_SMALLEST_JUDGED = 64
_WEAK_FROM = 3
"""The discriminator's layers from this one on hold attributes rather than texture."""

_PUBLISHED = SwapPlan(lr=2e-4, size_px=224, width=64, depth=9, same=0.5, feature=10.0)
_SMALL = small(_PUBLISHED, width=24, depth=4, critic=16, feature=4.0, reconstruction=12.0, same=0.4)


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


class SimSwapRecipe(GanRecipe):
    """Hinge, identity, reconstruction and weak feature matching losses."""

    name: ClassVar[str] = "simswap"
    method: ClassVar[str] = "simswap"
    summary: ClassVar[str] = "SimSwap: puts an identity into a target by AdaIN."
    paper: ClassVar[str] = (
        "Chen et al. 2020, SimSwap: An Efficient Framework For High Fidelity Face Swapping"
    )
    betas = (0.5, 0.999)
    real = "target"
    ignores = GanRecipe.ignores | {"attribute"}
    published: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "simswap224_official": ("generator",),
        "simswap512_official": ("generator",),
        "simswap_disc": ("judges.0", "judges.1"),
    }
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

    def swapped(self, network: nn.Module, target: torch.Tensor, who: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = cast(Learner, network).generator(target, who)
        return made

    def generate(
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
        return terms | self.further_terms(network, batch, made, target, progress)

    def logits(self, network: nn.Module, pictures: torch.Tensor) -> list[torch.Tensor]:
        return [layers[-1] for layers in cast(Learner, network).judged(pictures)]
