"""The recipe of FSLSD's inverter, which finds the latents of faces.

The published system takes latents that another network found (pSp), which its authors do not give.
Here an encoder of that form is trained, for whatever generator there is.
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

from sosie.errors import InputError, UsageError
from sosie.methods.fslsd.codes import TEMPLATE
from sosie.methods.fslsd.files import part_file
from sosie.methods.fslsd.network import (
    COARSE,
    MOST_SEEN_PX,
    STRUCTURE,
    EncoderForm,
    LatentEncoder,
)
from sosie.nn.blocks import fast_precision
from sosie.nn.encoders import IR_SE_STAGES
from sosie.nn.stylegan2.generator import Form
from sosie.recipes.stylegan2.face_distances import reduced
from sosie.recipes.stylegan2.inversion import InverterPlan, InverterRecipe, LatentRecipe
from sosie.recipes.swapper.model_file import SwapperCard, export_checked
from sosie.training.checkpoint import fitting, load_tensors
from sosie.training.recipe import Materials, Plan, require

PAPER = "Xu et al. 2022, High-resolution Face Swapping via Latent Semantics Disentanglement"


class FslsdRecipe(LatentRecipe):
    """A recipe of FSLSD, which finds the generator among the teachers."""

    def generator_file(self) -> Path:
        return part_file(self.materials.teachers, "generator", ".safetensors")


def stages(width: int, units: int) -> tuple[tuple[int, int], ...]:
    """The stages of an encoder of latents. width: channels of the first one; the last has eight
    times as many. units: of a stage at most; 14 are as many as are published."""
    return tuple(
        (width * 2**number, min(count, units)) for number, (_, count) in enumerate(IR_SE_STAGES)
    )


def require_structure(structure: int, form: Form) -> None:
    """Raises UsageError where a generator's latents cannot be split so."""
    if not COARSE < structure < form.count:
        raise UsageError(
            f"structure must be {COARSE + 1} to {form.count - 1} with this generator, which has "
            f"{form.count} latents, not {structure}."
        )


@dataclass(frozen=True)
class FslsdInverterPlan(InverterPlan):
    """Of the inverter. structure: how many latents are read from its smaller two maps. width,
    units: see `stages`."""

    structure: int = STRUCTURE
    width: int = IR_SE_STAGES[0][0]
    units: int = 14

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("structure", "width", "units"), least=1)


class Inverter(nn.Module):
    """Picture, N x 3 x S x S in -1..1 -> latents, N x C x L. mean: of the generator's latents, L,
    about which those of all faces lie."""

    mean: torch.Tensor

    def __init__(self, form: EncoderForm, mean: torch.Tensor) -> None:
        super().__init__()
        self.encoder = LatentEncoder(form)
        self.register_buffer("mean", mean)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.encoder(pictures) + self.mean)


def inverter_of(plan: FslsdInverterPlan, form: Form, mean: torch.Tensor) -> Inverter:
    """The inverter of a plan, into the latents of a generator of `form`."""
    require_structure(plan.structure, form)
    shares = (COARSE, plan.structure - COARSE, form.count - plan.structure)
    side = min(form.size_px, MOST_SEEN_PX)
    stages_of = stages(plan.width, plan.units)
    return Inverter(EncoderForm(3, shares, stages_of, form.latent, side), mean)


def inverted(inverter: Inverter, pictures: torch.Tensor) -> torch.Tensor:
    """Latents of pictures of the generator's size, float32."""
    # Pictures of a batch lie channels last, in which PyTorch 2.13 writes over its own memory in the
    # gradient of a strided convolution of few channels by 1 x 1 on a processor.
    seen = reduced(pictures, inverter.encoder.form.size_px).contiguous()
    with fast_precision(pictures.device):
        latents: torch.Tensor = inverter(seen)
    return latents.float()


def frozen_inverter(folder: Path, form: Form) -> Inverter:
    """The inverter in a folder. Raises InputError where there is none, or it is another
    generator's."""
    file = part_file(folder, "inverter", ".safetensors")
    tensors, facts = load_tensors(file)
    if facts.get("name") != "fslsd_inverter":
        raise InputError(f"{file} is no trained fslsd_inverter: name the folder of its run.")
    with fitting(file):
        plan = FslsdInverterPlan(**facts["plan"])
        inverter = inverter_of(plan, form, torch.zeros(form.latent))
        inverter.load_state_dict(tensors)
    return inverter.requires_grad_(False).eval()


_PUBLISHED = FslsdInverterPlan()


class FslsdInverterRecipe(InverterRecipe, FslsdRecipe):
    """Latents alone, about the generator's mean."""

    name: ClassVar[str] = "fslsd_inverter"
    summary: ClassVar[str] = "FSLSD: finds the latents by which a generator draws a face."
    origins: ClassVar[Mapping[str, str]] = {
        "given": "faces that are made again",
        "sosie": "telling whether the same person is seen",
        "sosie_landmarks": "telling whether the face is where it was",
    }
    plan: ClassVar[Plan] = _PUBLISHED
    presets: ClassVar[Mapping[str, FslsdInverterPlan]] = {
        "published": _PUBLISHED,
        "small": replace(
            _PUBLISHED,
            samples=100_000,
            batch=16,
            lr=4e-4,
            ema=0.998,
            validate_every=8_000,
            structure=5,
            width=16,
            units=1,
            pixel=4.0,
        ),
    }

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        self._plan = cast(FslsdInverterPlan, self.chosen)

    def prepare(self) -> None:
        require_structure(self._plan.structure, self.generator.form)
        super().prepare()

    def network(self) -> Inverter:
        return inverter_of(self._plan, self.generator.form, self.generator.mean_latent())

    def remade(self, network: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
        return self.draw(inverted(cast(Inverter, network), pictures))

    def export(self, network: nn.Module, file: Path) -> None:
        """The inverter: picture -> latents."""
        inverter = copy.deepcopy(cast(Inverter, network))
        side = inverter.encoder.form.size_px
        picture = np.random.default_rng(0).uniform(-1, 1, (2, 3, side, side)).astype(np.float32)
        card = asdict(SwapperCard("fslsd", TEMPLATE, self.generator.form.size_px, -1.0, PAPER))
        export_checked(inverter, {"picture": picture}, ("latents",), card, file)
