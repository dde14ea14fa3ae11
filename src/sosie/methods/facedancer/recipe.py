"""The recipe of FaceDancer (Rosberg et al. 2023): the published form and a small one.

Three networks differ from the published: the identity is Sosie's own and not ArcFace's, so the
margins of the feature similarity loss are measured on that; the perceptual distance is LPIPS on
SqueezeNet instead of VGG-16; and the discriminator, of which the paper tells the widths, ends at
4 x 4 with a linear layer.
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

from sosie.errors import UsageError
from sosie.methods.facedancer.losses import SHARES, distances, similarity_loss
from sosie.methods.facedancer.network import BOTTOM_PX, Generator
from sosie.nn.blocks import fast_precision
from sosie.nn.residual import ResidualDiscriminator
from sosie.recipes.augmentation import Pixels
from sosie.recipes.swapper.gan_recipe import GanRecipe
from sosie.recipes.swapper.plan import SwapPlan, small
from sosie.recipes.swapper.recipe import Batch
from sosie.training.losses import generator_loss
from sosie.training.recipe import Phase

_DECAY, _STEPS = 0.97, 100_000
"""The rate falls to this share in so many steps."""
_BRIGHTNESS, _CONTRAST = 0.3, 0.1
_MEASURED = 32
"""Pairs of strangers that the margins are measured on."""

_PUBLISHED = SwapPlan(
    samples=10_000_000,
    batch=10,
    lr=1e-4,
    size_px=256,
    width=64,
    critic=64,
    same=0.2,
    identity=10.0,
    # 5, of half the distance.
    reconstruction=2.5,
    penalty=10.0,
    cycle=1.0,
    perceptual=0.2,
    consistency=1.0,
)


class Learner(nn.Module):
    """The generator and its discriminator."""

    def __init__(self, size_px: int, width: int, critic: int) -> None:
        super().__init__()
        self.generator = Generator(size_px, width)
        self.judges = ResidualDiscriminator(size_px, critic)


class FaceDancerRecipe(GanRecipe):
    """Adversarial (softplus, R1), identity, reconstruction, perceptual, cycle and feature
    similarity losses. A pair of one person is one photo twice, in two lights."""

    name: ClassVar[str] = "facedancer"
    method: ClassVar[str] = "facedancer"
    summary: ClassVar[str] = "FaceDancer: chooses place by place what stays the target's."
    paper: ClassVar[str] = (
        "Rosberg et al. 2023, FaceDancer: Pose- and Occlusion-Aware High Fidelity Face Swapping"
    )
    template: ClassVar[str] = "arcface"
    low: ClassVar[float] = -1.0
    same_photo: ClassVar[bool] = True
    betas = (0.0, 0.99)
    real = "target"
    told_apart = "nonsaturating"
    # The network is bound to its size.
    ignores = GanRecipe.ignores | {"feature", "attribute", "depth", "half_until"}
    published: ClassVar[Mapping[str, tuple[str, ...]]] = {"facedancer_config_c": ("generator",)}
    plan: ClassVar[SwapPlan] = _PUBLISHED
    presets: ClassVar[Mapping[str, SwapPlan]] = {
        "256": _PUBLISHED,
        "small": small(
            _PUBLISHED,
            batch=16,
            width=16,
            critic=8,
            same=0.3,
            identity=12.0,
            reconstruction=12.0,
            penalty=1.0,
            cycle=0.0,
            perceptual=0.0,
        ),
    }

    @classmethod
    def require_size(cls, size_px: int) -> None:
        if size_px < 8 * BOTTOM_PX or size_px & (size_px - 1):
            raise UsageError(f"size_px must be a power of two from 64 on, not {size_px}.")

    def learner(self) -> Learner:
        plan = self.settings
        return Learner(plan.size_px, plan.width, plan.critic)

    def prepare(self) -> None:
        super().prepare()
        if self.settings.consistency:
            self._margins  # noqa: B018 - measured before the first step

    def phases(self) -> tuple[Phase, ...]:
        steps = self.settings.samples / self.settings.batch

        def pace(progress: float) -> float:
            return float(_DECAY ** (progress * steps / _STEPS))

        return tuple(replace(phase, steady=False, pace=pace) for phase in super().phases())

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        sample = super().sample(index, rng)
        return {**sample, **{name: _relit(sample[name], rng) for name in ("source", "target")}}

    def swapped(self, network: nn.Module, target: torch.Tensor, who: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = cast(Learner, network).generator(target, who)
        return made

    def generate(
        self, network: nn.Module, batch: Batch, progress: float
    ) -> dict[str, torch.Tensor]:
        learner = cast(Learner, network)
        target = self.pictures(batch, "target", progress)
        with torch.no_grad():
            who = self.embed(self.pictures(batch, "source", progress))
        with fast_precision(target.device):
            made = learner.generator(target, who)
            logits = self.logits(network, made)
        batch["made"] = made.detach()
        return {
            "identity": self.identity_term(made, who),
            "reconstruction": self.reconstruction_term(made, target, batch["same"]),
            "adversarial": self.settings.adversarial * generator_loss("nonsaturating", logits),
            **self.further_terms(network, batch, made, target, progress),
        }

    def logits(self, network: nn.Module, pictures: torch.Tensor) -> list[torch.Tensor]:
        return [cast(Learner, network).judges(pictures)]

    def consistency(
        self, made: torch.Tensor, target: torch.Tensor, source: torch.Tensor
    ) -> torch.Tensor:
        del source  # what is allowed is a matter of the layer, and not of the pair
        with torch.no_grad():
            wanted = self.stages(target)
        return similarity_loss(self.stages(made), wanted, self._margins)

    @cached_property
    @torch.no_grad()
    def _margins(self) -> torch.Tensor:
        """How far a good swap is from its target at each stage of the identity network: a share of
        what strangers are apart in the pictures that are learned from."""
        faces = np.array(self._people.faces[self._strangers()])
        seen = self.stages(self.pictures({"faces": torch.from_numpy(faces)}, "faces"))
        apart = distances([s[::2] for s in seen], [s[1::2] for s in seen])
        return apart * torch.tensor(SHARES)

    def _strangers(self) -> NDArray[np.intp]:
        """Rows of two people in turn, the same each time."""
        people, rows = self._people.people, self._people.split()[0]
        rng = np.random.default_rng(0)
        one, other = (rng.choice(rows, _MEASURED) for _ in range(2))
        apart = people[one] != people[other]
        # Of one person alone, who is fine-tuned on, photos stand for strangers.
        apart = apart if apart.any() else np.ones_like(apart)
        return np.asarray(np.stack([one[apart], other[apart]], 1).ravel(), np.intp)


def _relit(face: Pixels, rng: np.random.Generator) -> Pixels:
    """Another brightness, contrast and saturation, as published."""
    brighter = rng.uniform(-_BRIGHTNESS, _BRIGHTNESS)
    contrast, saturation = rng.uniform(1 - _CONTRAST, 1 + _CONTRAST, 2)
    values = face.astype(np.float32) / 255 + np.float32(brighter)
    mean = values.mean((0, 1))
    values = (values - mean) * np.float32(contrast) + mean
    gray = values.mean(2, keepdims=True)
    values = (values - gray) * np.float32(saturation) + gray
    return np.asarray(np.clip(np.rint(values * 255), 0, 255), np.uint8)
