"""The recipe of BlendSwap (Shiohara et al. 2023, "BlendFace", section 4): the published form and a
small one, told who the source is by an encoder of `encoder_recipe`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.errors import InputError
from sosie.methods.blendswap.encoder_recipe import NAME as ENCODER
from sosie.methods.blendswap.network import BlendSwap
from sosie.recipes.identity.network import FrozenIdentity
from sosie.recipes.swapper.gan_recipe import AEI_PLAN, AeiLearner, AeiRecipe, small_aei
from sosie.recipes.swapper.plan import SwapPlan
from sosie.training.losses import identity_loss

ENCODER_FILE = f"{ENCODER}.onnx"

_PUBLISHED = replace(AEI_PLAN, samples=4_800_000, lr=1e-4, cycle=1.0)


class BlendSwapRecipe(AeiRecipe):
    """AEI-Net's losses, with a mask that the generator learns by itself, and a cycle. Pictures are
    RGB in 0..1. A pair of one person is one photo twice."""

    name: ClassVar[str] = "blendswap"
    method: ClassVar[str] = "blendswap"
    summary: ClassVar[str] = "BlendSwap: an identity that is the inner face's alone."
    paper: ClassVar[str] = (
        "Shiohara et al. 2023, BlendFace: Re-designing Identity Encoders for Face-Swapping"
    )
    template: ClassVar[str] = "ffhq"
    low: ClassVar[float] = 0.0
    same_photo: ClassVar[bool] = True
    published: ClassVar[Mapping[str, tuple[str, ...]]] = {"blendswap": ("generator",)}
    origins: ClassVar[Mapping[str, str]] = {
        "given": "faces that are swapped with one another",
        "sosie": "telling in the figures whether the right person is seen",
        "blendface": "telling whose inner face is seen",
    }
    plan: ClassVar[SwapPlan] = _PUBLISHED
    presets: ClassVar[Mapping[str, SwapPlan]] = {
        "256": _PUBLISHED,
        "small": replace(small_aei(_PUBLISHED, identity=15.0, reconstruction=100.0), cycle=0.0),
    }

    def prepare(self) -> None:
        self._encoder  # noqa: B018 - refuses a folder without one
        super().prepare()

    def generator(self) -> BlendSwap:
        plan = self.settings
        return BlendSwap(plan.size_px, plan.width, plan.depth)

    def with_maps(
        self, network: nn.Module, target: torch.Tensor, who: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        generator = cast(BlendSwap, cast(AeiLearner, network).generator)
        return generator.with_maps(target, who)

    def describe(self, pictures: torch.Tensor) -> torch.Tensor:
        """Whose inner face is seen: N x 512, unit length, with gradients."""
        numbers: torch.Tensor = self._encoder.to(pictures.device)(self.to_be_recognized(pictures))
        return numbers.float()

    def identity_term(self, made: torch.Tensor, who: torch.Tensor) -> torch.Tensor:
        return self.settings.identity * identity_loss(self.describe(made), who)

    def exported(self, network: nn.Module) -> nn.Module:
        return _FromPicture(self, network)

    def told(self, count: int) -> dict[str, NDArray[np.float32]]:
        """A source picture, as the encoder is in the file."""
        side = self.settings.size_px
        source = np.random.default_rng(1).uniform(0, 1, (count, 3, side, side))
        return {"source": source.astype(np.float32)}

    @cached_property
    def _encoder(self) -> FrozenIdentity:
        file = self.materials.teachers / ENCODER_FILE
        if not file.is_file():
            raise InputError(
                f"There is no {ENCODER_FILE} in {self.materials.teachers}: train the encoder with "
                f"`sosie train {ENCODER}`, and name its run with --teachers."
            )
        return FrozenIdentity(file).requires_grad_(False).eval()


class _FromPicture(nn.Module):
    """Target and source picture -> picture, with the encoder within."""

    def __init__(self, recipe: BlendSwapRecipe, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._recipe = recipe

    def forward(self, target: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        return self._recipe.swapped(self.network, target, self._recipe.describe(source))
