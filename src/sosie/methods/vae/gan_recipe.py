"""The recipe of the home GAN: DCGAN on one's own photos, with figures of how it fails on few.

Loss and optimizer are those of Radford et al. 2016, section 4: the form that does not saturate,
Adam with 2e-4 and a first beta of 0.5, batches of 128.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.errors import UsageError
from sosie.methods.vae.gan_network import Gan
from sosie.nn.blocks import fast_precision
from sosie.recipes.own_faces import TEMPLATE, OwnFaces, jittered, open_own
from sosie.recipes.swapper.model_file import LICENSE, export_checked
from sosie.training.log import grid
from sosie.training.losses import discriminator_loss, generator_loss
from sosie.training.recipe import Materials, Phase, Plan, Recipe, require

_LEAST_FACES = 20
_MADE, _PREVIEWED = 64, 8
# So many learned photos are looked through for copies.
_COMPARED = 4000


@dataclass(frozen=True)
class GanPlan(Plan):
    """size_px: side of the pictures, a power of two. width: channels at half of that. latent:
    numbers that a picture is made of."""

    samples: int = 4_000_000
    batch: int = 128
    lr: float = 2e-4
    weight_decay: float = 0.0
    clip: float = 1e9
    validate_every: int = 50_000
    size_px: int = 64
    width: int = 64
    latent: int = 100

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("width", "latent"), least=1)
        require(self, ("size_px",), least=16, most=256)
        require(self, ("batch",), least=2)
        if self.size_px & (self.size_px - 1):
            raise UsageError(f"size_px must be a power of two, not {self.size_px}.")


_PUBLISHED = GanPlan()


class GanRecipe(Recipe):
    """Generator and discriminator in turn."""

    name: ClassVar[str] = "dcgan"
    summary: ClassVar[str] = "DCGAN: new faces that resemble your photos, if you have many."
    origins: ClassVar[Mapping[str, str]] = {"given": "faces that others are to be made like"}
    plan: ClassVar[Plan] = _PUBLISHED
    presets: ClassVar[Mapping[str, Plan]] = {
        "64": _PUBLISHED,
        "small": replace(
            _PUBLISHED,
            samples=40_000,
            batch=32,
            ema=0.995,
            validate_every=4_000,
            size_px=32,
            width=32,
            latent=64,
        ),
    }
    keeps_snapshot: ClassVar[bool] = True
    license: ClassVar[str] = LICENSE

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        self._settings = cast(GanPlan, self.chosen)

    def prepare(self) -> None:
        self._own  # noqa: B018 - cuts the faces out, and refuses too few

    def network(self) -> Gan:
        plan = self._settings
        return Gan(plan.size_px, plan.width, plan.latent)

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """face: uint8, S x S x 3. latent, other: float32, L: drawn for each of the two."""
        row = int(rng.choice(self._own.train))
        latent = self._settings.latent
        return {
            "face": jittered(self._own.face(row), self._settings.size_px, rng),
            "latent": rng.normal(size=latent).astype(np.float32),
            "other": rng.normal(size=latent).astype(np.float32),
        }

    def phases(self) -> tuple[Phase, ...]:
        rule: dict[str, Any] = {"betas": (0.5, 0.999), "steady": True, "decoupled": False}
        return (
            Phase("judge", self._judge, ("judge",), **rule),
            Phase("generator", self._generate, ("generator",), **rule),
        )

    def _judge(
        self,
        network: nn.Module,
        batch: dict[str, torch.Tensor],
        progress: float,  # noqa: ARG002 - the contract
    ) -> dict[str, torch.Tensor]:
        gan = cast(Gan, network)
        real = batch["face"].permute(0, 3, 1, 2).float() / 255
        with fast_precision(real.device):
            with torch.no_grad():
                made = gan.generator(batch["latent"])
            of_real, of_made = gan.judge(real), gan.judge(made)
        return {"told_apart": discriminator_loss("nonsaturating", [of_real], [of_made])}

    def _generate(
        self,
        network: nn.Module,
        batch: dict[str, torch.Tensor],
        progress: float,  # noqa: ARG002 - the contract
    ) -> dict[str, torch.Tensor]:
        gan = cast(Gan, network)
        with fast_precision(batch["other"].device):
            of_made = gan.judge(gan.generator(batch["other"]))
        return {"adversarial": generator_loss("nonsaturating", [of_made])}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean absolute distances of pictures, of 0..1. variety: of made pictures from one another,
        over the same of photos; 1 is as various, 0 one picture again and again. copied: of a made
        picture from the nearest photo that was learned, over the same of photos that were held out;
        far below 1, photos are told by heart. score: minus the distance from the held-out photos
        to the nearest made picture, so that blur, copies and sameness all cost."""
        made = self._made(network, _MADE).flatten(1)
        size_px, own = self._settings.size_px, self._own
        learned, held = (
            torch.from_numpy(own.pictures(rows, size_px)).permute(0, 3, 1, 2) / 255
            for rows in (own.train[:_COMPARED], own.held[:_MADE])
        )
        # Samples are mirrored, and so may copies be.
        both = torch.cat([learned, learned.flip(-1)]).flatten(1)
        learned, held = learned[:_MADE].flatten(1), held.flatten(1)
        copied, usual = (_nearest(x, both) for x in (made, held))
        return {
            "score": -_nearest(held, made),
            "variety": _variety(made) / max(_variety(learned), 1e-6),
            "copied": copied / max(usual, 1e-6),
        }

    def preview(self, network: nn.Module) -> NDArray[np.uint8]:
        """Made pictures, always of the same latents."""
        made = self._made(network, 4 * _PREVIEWED)
        whole = (made.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
        return grid([list(whole[k : k + _PREVIEWED]) for k in range(0, len(whole), _PREVIEWED)])

    def _made(self, network: nn.Module, count: int) -> torch.Tensor:
        device = next(network.parameters()).device
        drawn = np.random.default_rng(0).normal(size=(count, self._settings.latent))
        latents = torch.from_numpy(drawn.astype(np.float32)).to(device)
        made: torch.Tensor = cast(Gan, network).generator(latents)
        return made.float().cpu()

    def export(self, network: nn.Module, file: Path) -> None:
        """The generator: latent -> picture."""
        plan = self._settings
        card = {
            "method": self.name,
            "template": TEMPLATE,
            "size_px": plan.size_px,
            "latent": plan.latent,
            "license": LICENSE,
        }
        latent = np.random.default_rng(0).normal(size=(2, plan.latent)).astype(np.float32)
        export_checked(cast(Gan, network).generator, {"latent": latent}, ("made",), card, file)

    @cached_property
    def _own(self) -> OwnFaces:
        return open_own(self.materials, self._settings.size_px, _LEAST_FACES)


def _nearest(pictures: torch.Tensor, among: torch.Tensor) -> float:
    """Mean over pictures, N x numbers, of the distance from the nearest of others."""
    return float(torch.cdist(pictures, among, p=1).min(1).values.mean()) / pictures.shape[1]


def _variety(pictures: torch.Tensor) -> float:
    """Mean distance of pictures, N x numbers, from one another."""
    count = len(pictures) * (len(pictures) - 1)
    return float(torch.cdist(pictures, pictures, p=1).sum()) / count / pictures.shape[1]
