"""The recipe of MegaFS's transfer, which begins with a trained generator and encoder."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, cast, get_args

import numpy as np
import torch
from torch import nn

from sosie.errors import UsageError, nearest
from sosie.methods.megafs.codes import TEMPLATE
from sosie.methods.megafs.frozen_network import frozen_encoder
from sosie.methods.megafs.network import KEPT, Encoder, Transfer, transfer_of
from sosie.methods.megafs.recipe import PAPER, MegafsRecipe, encoded
from sosie.recipes.stylegan2.inversion import Batch, PairPlan, PairRecipe
from sosie.recipes.stylegan2.recipe import as_pictures
from sosie.recipes.swapper.model_file import SwapperCard, export_checked
from sosie.training.losses import identity_loss, reconstruction_loss
from sosie.training.recipe import Materials, Phase, Plan, require

_LEARNING = tuple(kind for kind in get_args(Transfer) if kind != "lcr")


@dataclass(frozen=True)
class TransferPlan(PairPlan):
    """Of the transfer. transfer: `ftm` (face transfer module) or `injection`. reconstruction, norm:
    weights of losses; norm keeps the swap's fine latents near the source's."""

    identity: float = 2.0
    transfer: str = "ftm"
    reconstruction: float = 2.0
    norm: float = 0.5

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("reconstruction", "norm"), least=0)
        if self.transfer == "lcr":
            raise UsageError("The transfer lcr has nothing to learn: choose ftm or injection.")
        if self.transfer not in _LEARNING:
            raise UsageError(
                f"Unknown transfer {self.transfer!r}: {nearest(self.transfer, _LEARNING)}."
            )


class TransferLearner(nn.Module):
    """The transfer; encoder and generator do not learn."""

    def __init__(self, transfer: nn.Module) -> None:
        super().__init__()
        self.transfer = transfer


_PUBLISHED = TransferPlan()


class TransferRecipe(PairRecipe, MegafsRecipe):
    """Pairs of a source and a target, by their codes alone: no mask is needed."""

    name: ClassVar[str] = "megafs_transfer"
    summary: ClassVar[str] = "MegaFS: moves who it is from one face's latents to another's."
    origins: ClassVar[Mapping[str, str]] = {
        "given": "faces that are swapped with one another",
        "sosie": "telling whether the right person is seen",
        "sosie_landmarks": "telling whether pose and expression stay",
    }
    plan: ClassVar[Plan] = _PUBLISHED
    presets: ClassVar[Mapping[str, TransferPlan]] = {
        "published": _PUBLISHED,
        "injection": replace(_PUBLISHED, transfer="injection"),
        "small": replace(
            _PUBLISHED, samples=60_000, batch=16, lr=4e-4, ema=0.998, validate_every=8_000
        ),
    }

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        self._settings = cast(TransferPlan, self.chosen)

    def prepare(self) -> None:
        self._encoder  # noqa: B018 - refuses what is not there
        super().prepare()

    def network(self) -> TransferLearner:
        form = self.generator.form
        kind = cast(Transfer, self._settings.transfer)
        return TransferLearner(transfer_of(kind, form.count, form.latent))

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("", self._move, betas=(0.9, 0.999), decoupled=False),)

    def _move(self, network: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:  # noqa: ARG002
        plan, transfer = self._settings, cast(TransferLearner, network).transfer
        source, target = as_pictures(batch["source"]), as_pictures(batch["target"])
        distances = self.distances(target.device)
        with torch.no_grad():
            ours, _ = self._codes(source)
            theirs, structure = self._codes(target)
            who = distances.embed(source)
        moved, own = transfer(ours, theirs), transfer(theirs, theirs)
        made, again = self.draw(moved, structure), self.draw(own, structure)
        pixels = reconstruction_loss(made, target, batch["same"], power=2)
        terms = {
            "reconstruction": plan.reconstruction
            * (pixels + 0.5 * (again - target).square().mean())
        }
        if plan.perceptual:
            terms["perceptual"] = plan.perceptual * distances.perceptual(again, target)
        if plan.identity:
            terms["identity"] = plan.identity * identity_loss(distances.embed(made), who)
        if plan.landmarks:
            terms["landmarks"] = plan.landmarks * distances.landmarks(made, target)
        if plan.norm:
            terms["norm"] = plan.norm * (moved - ours)[:, KEPT:].square().mean()
        return terms

    def _codes(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return encoded(self._encoder.to(pictures.device), pictures)

    @torch.no_grad()
    def swapped(
        self, network: nn.Module, source: torch.Tensor, target: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        transfer = cast(TransferLearner, network).transfer
        ours, _ = self._codes(source)
        theirs, structure = self._codes(target)
        made = self.draw(transfer(ours, theirs), structure)
        return made, self.draw(transfer(theirs, theirs), structure)

    def export(self, network: nn.Module, file: Path) -> None:
        """The transfer: latents of source and target -> of the swap."""
        form = self.generator.form
        rng = np.random.default_rng(0)
        inputs = {
            name: rng.uniform(-1, 1, (2, form.count, form.latent)).astype(np.float32)
            for name in ("source", "target")
        }
        transfer = copy.deepcopy(cast(TransferLearner, network).transfer)
        card = asdict(SwapperCard("megafs", TEMPLATE, form.size_px, -1.0, PAPER))
        export_checked(transfer, inputs, ("latents",), card, file)

    def weights_of_published(
        self, name: str, weights: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        wanted = f"megafs_swapper_{self._settings.transfer}"
        if name != wanted:
            raise UsageError(f"{name} is no part of this {self.name}: it takes {wanted}.")
        return {f"transfer.{key}": value for key, value in weights.items()}

    @cached_property
    def _encoder(self) -> Encoder:
        return frozen_encoder(self.materials.teachers, self.generator.form)
