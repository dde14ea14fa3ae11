"""The recipe of RSGAN (Natsume et al. 2018): a form at 128 px after the paper, and a small one.

The paper's weights are of sums over a picture, and its data tell 40 attributes of each face. Here
the bound of the autoencoders is counted as in `methods/vae`, in nats a number of the picture; the
regions are those of Sosie's parser; no attributes are told; and a term that is not the paper's asks
that the composed face be the source's (`identity`), since autoencoders alone blur who it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.errors import UsageError
from sosie.methods.rsgan.network import Discriminators, Rsgan, Separated, SwapGraph, drawn
from sosie.nn.blocks import fast_precision
from sosie.recipes.swapper.face_regions import FaceRegions
from sosie.recipes.swapper.gan_recipe import GanRecipe
from sosie.recipes.swapper.plan import SwapPlan
from sosie.recipes.swapper.recipe import Batch
from sosie.training.losses import divergence, generator_loss
from sosie.training.recipe import Materials, Plan, require

_SPREAD = 0.1
"""Of the Laplace distribution that a picture's numbers are taken to have; see `methods/vae`."""
_BEYOND = 0.5
"""What neither is face nor hair counts so much (the paper's weighted masks)."""


@dataclass(frozen=True)
class RsganPlan(SwapPlan):
    """latent: numbers of each region's code. parts: weight of the regions made by themselves. beta:
    of the codes' divergence; 1 is the autoencoders' bound."""

    latent: int = 1024
    parts: float = 1.0
    beta: float = 1.0

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("latent",), least=1)
        require(self, ("parts", "beta"), least=0)


_PUBLISHED = RsganPlan(
    samples=6_000_000,
    batch=50,
    lr=2e-4,
    size_px=128,
    width=64,
    critic=64,
    same=0.0,
    identity=0.0,
    reconstruction=1.0,
    adversarial=0.01,
)


class Learner(nn.Module):
    """Separators and composer, and the discriminators."""

    def __init__(self, plan: RsganPlan) -> None:
        super().__init__()
        self.generator = Rsgan(plan.size_px, plan.width, plan.latent)
        self.judges = Discriminators(plan.size_px, plan.critic)


class RsganRecipe(GanRecipe):
    """Reconstruction of whole pictures and of regions, divergence, adversarial loss on pictures
    made of one's own codes, of another's face code and of drawn ones."""

    name: ClassVar[str] = "rsgan"
    method: ClassVar[str] = "rsgan"
    summary: ClassVar[str] = "RSGAN: face and hair as separate codes, each of which can be swapped."
    paper: ClassVar[str] = (
        "Natsume et al. 2018, RSGAN: Face Swapping and Editing using Face and Hair Representation "
        "in Latent Spaces"
    )
    template: ClassVar[str] = "ffhq"
    same_photo: ClassVar[bool] = True
    betas = (0.5, 0.999)
    real = "target"
    told_apart = "nonsaturating"
    # Codes are bound to the size, and nothing is copied from the target.
    ignores = GanRecipe.ignores | {"feature", "attribute", "depth", "half_until", "cycle"}
    origins: ClassVar[Mapping[str, str]] = {
        **GanRecipe.origins,
        "sosie_parser": "where face and hair are",
    }
    outputs: ClassVar[tuple[str, ...]] = ("swapped", "regions")
    plan: ClassVar[SwapPlan] = _PUBLISHED
    presets: ClassVar[Mapping[str, SwapPlan]] = {
        "128": _PUBLISHED,
        "small": replace(
            _PUBLISHED,
            samples=400_000,
            batch=16,
            lr=6e-4,
            clip=10.0,
            ema=0.998,
            validate_every=8_000,
            size_px=64,
            width=24,
            critic=8,
            latent=128,
            identity=0.3,
        ),
    }

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        self._own = cast(RsganPlan, self.settings)
        self._regions = FaceRegions(self.template, self.settings.size_px)

    @classmethod
    def require_size(cls, size_px: int) -> None:
        if size_px & (size_px - 1):
            raise UsageError(f"size_px must be a power of two, not {size_px}.")

    def learner(self) -> Learner:
        return Learner(self._own)

    def beside(self, row: int, face: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """regions: uint8, S x S x 2, where face and hair are."""
        return {"regions": self._regions.read(row, face)}

    def describe(self, pictures: torch.Tensor) -> torch.Tensor:
        """The source itself, as the separators are within the generator."""
        return pictures

    def swapped(self, network: nn.Module, target: torch.Tensor, who: torch.Tensor) -> torch.Tensor:
        """The source's face with the target's hair."""
        generator = cast(Learner, network).generator
        return generator.composed(generator.codes(who)[0], generator.codes(target)[1])[:, :3]

    def generate(
        self, network: nn.Module, batch: Batch, progress: float
    ) -> dict[str, torch.Tensor]:
        learner, plan = cast(Learner, network), self._own
        generator = learner.generator
        source, target = (self.pictures(batch, name, progress) for name in ("source", "target"))
        regions = batch["regions"].permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            who = self.embed(source)
        with fast_precision(target.device):
            face, hair = generator.separated(target)
            codes = [drawn(one.mean, one.log_variance) for one in (face, hair)]
            whole = generator.composed(codes[0], codes[1])
            swapped = generator.composed(generator.codes(source)[0], codes[1])[:, :3]
            invented = generator.composed(*(torch.randn_like(code) for code in codes))[:, :3]
            made = torch.cat([whole[:, :3], swapped, invented])
            logits = self.logits(network, made)
        batch["made"] = made.detach()
        weight = _BEYOND + (1 - _BEYOND) * regions.sum(1, keepdim=True).clamp(0, 1)
        again = (weight * (whole[:, :3].float() - target).abs()).mean()
        masks = (whole[:, 3:].float() - regions).abs().mean()
        parts = [
            _part_loss(one, target, regions[:, k : k + 1]) for k, one in enumerate((face, hair))
        ]
        nats = sum(divergence(one.mean, one.log_variance).sum() for one in (face, hair))
        return {
            "reconstruction": plan.reconstruction * (again + masks),
            "parts": plan.parts * torch.stack(parts).sum(),
            "divergence": plan.beta * _SPREAD / target[0].numel() * torch.as_tensor(nats),
            "identity": self.identity_term(swapped, who),
            "adversarial": plan.adversarial * generator_loss("nonsaturating", logits),
            **self.further_terms(network, batch, swapped, target, progress),
        }

    def logits(self, network: nn.Module, pictures: torch.Tensor) -> list[torch.Tensor]:
        found: list[torch.Tensor] = cast(Learner, network).judges(pictures)
        return found

    def exported(self, network: nn.Module) -> nn.Module:
        return SwapGraph(cast(Learner, network).generator)

    def told(self, count: int) -> dict[str, NDArray[np.float32]]:
        """The source, and how much of its face and hair is taken."""
        rng, side = np.random.default_rng(1), self.settings.size_px
        source = rng.uniform(0, 1, (count, 3, side, side)).astype(np.float32)
        shares = {name: np.full((count, 1), 0.5, np.float32) for name in ("face", "hair")}
        return {"source": source, **shares}


def _part_loss(found: Separated, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean absolute distance of a region made by itself (on black) and of its mask."""
    wanted = torch.cat([target * mask, mask], 1)
    return (found.part.float() - wanted).abs().mean()
