"""The recipe of MegaFS's encoder, and what it shares with that of the transfer.

The authors published no training code, and the weights of their losses could not be checked here:
those of the plan are Sosie's own.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import torch
from torch import nn

from sosie.errors import UsageError
from sosie.methods.megafs.codes import TEMPLATE
from sosie.methods.megafs.files import part_file
from sosie.methods.megafs.frozen_network import encoder_form
from sosie.methods.megafs.network import Encoder
from sosie.nn.blocks import fast_precision
from sosie.recipes.stylegan2.face_distances import reduced
from sosie.recipes.stylegan2.inversion import InverterPlan, InverterRecipe, LatentRecipe
from sosie.recipes.swapper.model_file import SwapperCard, export_checked
from sosie.training.recipe import Materials, Plan, require

PAPER = "Zhu et al. 2021, One Shot Face Swapping on Megapixels"


@dataclass(frozen=True)
class EncoderPlan(InverterPlan):
    """Of the encoder. width, blocks: see `encoder_form`."""

    width: int = 64
    blocks: int = 6

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("width", "blocks"), least=1)


class MegafsRecipe(LatentRecipe):
    """A recipe of MegaFS, which finds the generator among the teachers."""

    def generator_file(self) -> Path:
        return part_file(self.materials.teachers, "generator", ".safetensors")


def encoded(encoder: nn.Module, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents and structure of pictures of the generator's size, float32."""
    side = cast(Encoder, encoder).form.size_px
    with fast_precision(pictures.device):
        latents, structure = encoder(reduced(pictures, side))
    return latents.float(), structure.float()


class EncoderLearner(nn.Module):
    """The encoder; the generator does not learn, and is not kept with it."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder


_PUBLISHED = EncoderPlan()


class EncoderRecipe(InverterRecipe, MegafsRecipe):
    """Latents and structure."""

    name: ClassVar[str] = "megafs_encoder"
    summary: ClassVar[str] = "MegaFS: reads a face into a generator's latents."
    origins: ClassVar[Mapping[str, str]] = {
        "given": "faces that are made again",
        "sosie": "telling whether the same person is seen",
        "sosie_landmarks": "telling whether the face is where it was",
    }
    plan: ClassVar[Plan] = _PUBLISHED
    presets: ClassVar[Mapping[str, EncoderPlan]] = {
        "published": _PUBLISHED,
        "small": replace(
            _PUBLISHED,
            samples=100_000,
            batch=16,
            lr=4e-4,
            ema=0.998,
            validate_every=8_000,
            width=16,
            blocks=1,
            pixel=4.0,
        ),
    }

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        self._plan = cast(EncoderPlan, self.chosen)

    def network(self) -> EncoderLearner:
        plan = self._plan
        return EncoderLearner(Encoder(encoder_form(self.generator.form, plan.width, plan.blocks)))

    def remade(self, network: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
        latents, structure = encoded(cast(EncoderLearner, network).encoder, pictures)
        return self.draw(latents, structure)

    def export(self, network: nn.Module, file: Path) -> None:
        """The encoder: picture -> latents, structure."""
        encoder = copy.deepcopy(cast(EncoderLearner, network).encoder)
        side = encoder.form.size_px
        picture = np.random.default_rng(0).uniform(-1, 1, (2, 3, side, side)).astype(np.float32)
        card = asdict(SwapperCard("megafs", TEMPLATE, side, -1.0, PAPER))
        export_checked(encoder, {"picture": picture}, ("latents", "structure"), card, file)

    def weights_of_published(
        self, name: str, weights: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        if name != "megafs_hierfe":
            raise UsageError(f"{name} is no part of {self.name}: it takes megafs_hierfe.")
        return {f"encoder.{key}": value for key, value in weights.items()}
