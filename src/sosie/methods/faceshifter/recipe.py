"""The recipe of FaceShifter's first stage, AEI-Net (Li et al. 2020): the published form and a small
one. Pictures are RGB, where the public code has BGR; the identity is Sosie's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.errors import InputError
from sosie.nn.aei import double
from sosie.nn.blocks import fast_precision
from sosie.nn.unet import UShape
from sosie.recipes.occluders.simple import occluded
from sosie.recipes.swapper.gan_recipe import AEI_PLAN, AeiRecipe, small_aei
from sosie.recipes.swapper.plan import SwapPlan
from sosie.recipes.swapper.recipe import Batch, SwapRecipe
from sosie.training.checkpoint import fitting, load_tensors
from sosie.training.losses import occlusion_losses
from sosie.training.recipe import Phase

_PUBLISHED = replace(AEI_PLAN, samples=8_000_000, identity=5.0)


class FaceShifterRecipe(AeiRecipe):
    """AEI-Net; a pair of one person is one photo twice, for a share of 0.2 (the paper's: public
    code has 0.8)."""

    name: ClassVar[str] = "faceshifter"
    method: ClassVar[str] = "faceshifter"
    summary: ClassVar[str] = "FaceShifter, first stage: weaves an identity into a target."
    paper: ClassVar[str] = (
        "Li et al. 2020, FaceShifter: Towards High Fidelity And Occlusion Aware Face Swapping"
    )
    same_photo: ClassVar[bool] = True
    plan: ClassVar[SwapPlan] = _PUBLISHED
    presets: ClassVar[Mapping[str, SwapPlan]] = {
        "256": _PUBLISHED,
        "small": small_aei(_PUBLISHED, identity=15.0, reconstruction=100.0),
    }


FIRST_STAGE = "snapshot.safetensors"

_HIDDEN = 0.75
"""Share of the targets with something in front of the face (the paper: a hand, a thing, both or
nothing, a quarter each)."""

_PUBLISHED_HEAR = SwapPlan(
    samples=1_600_000, batch=32, width=64, same=0.5, identity=1.0, reconstruction=1.0
)


class Hear(nn.Module):
    """N x 6 x H x W -> N x 3 x H x W in -1..1; at width 64 the published form, name for name."""

    def __init__(self, width: int) -> None:
        super().__init__()
        down = [width * min(2**step, 8) for step in range(5)]
        self.body = UShape(6, down, down[3::-1], skip="concat_first", bias=True)
        self.head = nn.Conv2d(2 * width, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.head(double(self.body(x)[-1])))


class HearLearner(nn.Module):
    """The second stage alone: the first one is the recipe's, and does not learn."""

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator


class HearRecipe(SwapRecipe):
    """Identity, change and reconstruction losses on targets with something in front."""

    name: ClassVar[str] = "faceshifter_hear"
    method: ClassVar[str] = "faceshifter"
    summary: ClassVar[str] = "FaceShifter, second stage: puts back what hides the face."
    paper: ClassVar[str] = FaceShifterRecipe.paper
    low: ClassVar[float] = FaceShifterRecipe.low
    same_photo: ClassVar[bool] = True
    ignores: ClassVar[frozenset[str]] = frozenset(
        {
            "warmup",
            "depth",
            "critic",
            "adversarial",
            "feature",
            "attribute",
            "penalty",
            "half_until",
        }
    )
    size_step: ClassVar[int] = 32
    plan: ClassVar[SwapPlan] = _PUBLISHED_HEAR
    presets: ClassVar[Mapping[str, SwapPlan]] = {
        "256": _PUBLISHED_HEAR,
        "small": replace(
            _PUBLISHED_HEAR, samples=100_000, batch=16, validate_every=8_000, size_px=64, width=12
        ),
    }

    def prepare(self) -> None:
        super().prepare()
        self._first_stage  # noqa: B018 - refuses what is no first stage

    def learner(self) -> HearLearner:
        return HearLearner(Hear(self.settings.width))

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("", self._refine, betas=(0.0, 0.999), steady=True, decoupled=False),)

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        sample = super().sample(index, rng)
        if rng.random() < _HIDDEN:
            sample["target"] = occluded(sample["target"], sample["source"], rng)[0]
        return sample

    def swapped(self, network: nn.Module, target: torch.Tensor, who: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = cast(HearLearner, network).generator(self._seen(target, who)[0])
        return made

    def _seen(self, target: torch.Tensor, who: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the second stage sees, N x 6 x S x S, and the first stage's result."""
        self._first_stage.to(target.device)
        first = self._first_stage(target, who)[0]
        lost = target - self._first_stage(target, self.embed(target))[0]
        return torch.cat([first, lost], 1), first

    def _refine(self, network: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        learner = cast(HearLearner, network)
        target = self.pictures(batch, "target", progress)
        with torch.no_grad(), fast_precision(target.device):
            who = self.embed(self.pictures(batch, "source", progress))
            seen, first = self._seen(target, who)
        with fast_precision(target.device):
            made = learner.generator(seen)
        terms = occlusion_losses(made, first, target, batch["same"])
        terms["reconstruction"] = self.settings.reconstruction * terms["reconstruction"]
        return {
            "identity": self.identity_term(made, who),
            **terms,
            **self.further_terms(network, batch, made, target, progress),
        }

    @cached_property
    def _first_stage(self) -> nn.Module:
        file = self.materials.teachers / FIRST_STAGE
        if not file.is_file():
            raise InputError(
                f"There is no {FIRST_STAGE} in {self.materials.teachers}: train the first stage "
                f"with `sosie train faceshifter`, and name its run with --teachers."
            )
        tensors, facts = load_tensors(file)
        if facts.get("name") != FaceShifterRecipe.name:
            raise InputError(f"{file} is no first stage of FaceShifter: name its run.")
        with fitting(file):
            plan = SwapPlan(**facts["plan"])
        if plan.size_px != self.settings.size_px:
            raise InputError(
                f"The first stage in {file} is of {plan.size_px} px, the second would be of "
                f"{self.settings.size_px}: add --set size_px={plan.size_px}."
            )
        with fitting(file):
            network = FaceShifterRecipe(self.materials, plan).learner()
            network.load_state_dict(tensors)
        return network.generator.requires_grad_(False).eval()
