"""The recipes of FSGAN's completion and blending, which begin with what the stages before make.

Reenactment and segmentation are trained first and do not learn here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.errors import InputError
from sosie.methods.fsgan.files import stage_file
from sosie.methods.fsgan.network import halved
from sosie.methods.fsgan.recipe import (
    Batch,
    FsganPlan,
    GeneratorRecipe,
    Learner,
    Task,
    as_pictures,
    driven,
    small,
)
from sosie.methods.fsgan.reenactment_recipe import ReenactmentRecipe
from sosie.methods.fsgan.samples import FACE
from sosie.methods.fsgan.segmentation_recipe import SegmentationRecipe
from sosie.recipes.published.files import is_snapshot, load_snapshot
from sosie.training.checkpoint import fitting, load_tensors

_LEAST_PX = 11
"""A mask that is narrower is not blended by Poisson's equation."""

# The published batches are 32 at half of the size and 16 at the whole.
_PUBLISHED = FsganPlan(samples=31_360_000, batch=16, validate_every=320_000)


class LaterRecipe(GeneratorRecipe):
    """A recipe whose generator is given what the first two networks make."""

    def prepare(self) -> None:
        self._frozen  # noqa: B018 - refuses what is not there
        super().prepare()

    def reenacted(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The source's face as the target holds it, its mask, and that of the target's face: N x 3
        and twice N x 1 x S x S, bool."""
        device = batch["source"].device
        generator, segmentation = (network.to(device) for network in self._frozen)
        full, half = driven(as_pictures(batch["source"]), batch["points"])
        made = cast(torch.Tensor, generator(full, half))
        masks = [
            segmentation(pictures).argmax(1, keepdim=True) == FACE
            for pictures in (made, as_pictures(batch["target"]))
        ]
        return made, masks[0], masks[1]

    @cached_property
    def _frozen(self) -> tuple[nn.Module, nn.Module]:
        folder, size = self.materials.teachers, self.settings.size_px
        found: list[nn.Module] = []
        for recipe in (ReenactmentRecipe, SegmentationRecipe):
            stage = recipe.name.removeprefix("fsgan_")
            file = stage_file(folder, stage, ".safetensors")
            if is_snapshot(file):
                network, told = load_snapshot(file)
                side = told.inputs[next(iter(told.inputs))][-1]
            else:
                network, side = _trained(file, recipe, self.materials)
            if side != size:
                raise InputError(
                    f"{file} is of {side} px, and this training would be of {size}: add --set "
                    f"size_px={side}, or name other networks with --teachers."
                )
            found.append(network.requires_grad_(False).eval())
        return found[0], found[1]


def _trained(file: Path, recipe: type[Any], materials: Any) -> tuple[nn.Module, int]:
    tensors, facts = load_tensors(file)
    if facts.get("name") != recipe.name:
        raise InputError(f"{file} is no trained {recipe.name}: name the folder of its run.")
    with fitting(file):
        plan = FsganPlan(**facts["plan"])
        network = recipe(materials, plan).network()
        network.load_state_dict(tensors)
    return network.generator if isinstance(network, Learner) else network, plan.size_px


class InpaintingRecipe(LaterRecipe):
    """A reenacted face of which a part is cut away, and the mask that it should fill."""

    name: ClassVar[str] = "fsgan_inpainting"
    summary: ClassVar[str] = "FSGAN: completes a face to a mask."
    stage: ClassVar[str] = "inpainting"
    same: ClassVar[float] = 1.0
    plan: ClassVar[FsganPlan] = _PUBLISHED
    presets: ClassVar[Mapping[str, FsganPlan]] = {
        "published": _PUBLISHED,
        "small": small(_PUBLISHED, samples=16_000),
    }

    def task(self, batch: Batch) -> Task:
        made, own, target = self.reenacted(batch)
        wanted = torch.where(target, as_pictures(batch["target"]), -1.0)
        holes = np.stack(
            [
                ellipse(mask, np.random.default_rng(seed))
                for mask, seed in zip(own[:, 0].cpu().numpy(), batch["seed"].tolist(), strict=True)
            ]
        )
        kept = own & ~torch.from_numpy(holes)[:, None].to(own.device)
        full = torch.cat([torch.where(kept, made, -1.0), target.float()], 1)
        return Task(full, halved(full), wanted, wanted, batch["aligned"])


class BlendingRecipe(LaterRecipe):
    """A face laid onto another's picture, to look as Poisson's equation blends it."""

    name: ClassVar[str] = "fsgan_blending"
    summary: ClassVar[str] = "FSGAN: blends a face into a target."
    stage: ClassVar[str] = "blending"
    same: ClassVar[float] = 0.0
    plan: ClassVar[FsganPlan] = replace(_PUBLISHED, adversarial=0.1)
    presets: ClassVar[Mapping[str, FsganPlan]] = {
        "published": plan,
        "small": small(plan, samples=16_000, adversarial=0.01),
    }

    def task(self, batch: Batch) -> Task:
        made, own, of_target = self.reenacted(batch)
        target, mask = as_pictures(batch["target"]), own & of_target
        laid = torch.where(mask, made, target)
        full = torch.cat([laid, target, mask.float()], 1)
        wanted = [
            blended(*one)
            for one in zip(_bytes(made), _bytes(target), mask[:, 0].cpu().numpy(), strict=True)
        ]
        label = as_pictures(torch.from_numpy(np.stack(wanted)).to(target.device))
        return Task(full, halved(full), label, target, batch["aligned"])


def _bytes(pictures: torch.Tensor) -> NDArray[np.uint8]:
    unit = ((pictures.float() + 1) / 2).clamp(0, 1) * 255
    return unit.round().byte().permute(0, 2, 3, 1).cpu().numpy()


def ellipse(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """What is cut away of a face's mask (S x S): an ellipse about the left or right end of one of
    its rows, with half-axes of a quarter to half of its width, turned at random. Of an empty mask
    nothing is."""
    rows = np.flatnonzero(mask.any(1))
    hole = np.zeros(mask.shape, np.uint8)
    if not len(rows):
        return hole > 0
    row = int(rng.choice(rows))
    columns = np.flatnonzero(mask[row])
    width = np.ptp(np.flatnonzero(mask.any(0))) + 1
    across, down = (round(float(half)) for half in rng.uniform(width / 4, width / 2, 2))
    center = int(columns[0] if rng.random() < 0.5 else columns[-1]), row
    turn = float(rng.uniform(0, 180))
    cv2.ellipse(hole, center, (across, down), turn, 0, 360, (1,), cv2.FILLED)
    return hole > 0


def blended(
    face: NDArray[np.uint8], target: NDArray[np.uint8], mask: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """The face laid onto the target (S x S x 3, RGB) where the mask says, and its gradients fitted
    to the target's colors by Poisson's equation (Perez et al. 2003, "Poisson Image Editing");
    without that where the mask is under 11 px wide or high."""
    inner = np.zeros(mask.shape, np.uint8)
    inner[1:-1, 1:-1] = mask[1:-1, 1:-1] * 255
    x, y, width, height = cv2.boundingRect(inner)
    if min(width, height) < _LEAST_PX:
        return np.where(mask[..., None], face, target)
    center = (x + width // 2, y + height // 2)
    return np.asarray(cv2.seamlessClone(face, target, inner, center, cv2.NORMAL_CLONE), np.uint8)
