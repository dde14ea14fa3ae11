"""The recipe of InfoSwap (Gao et al. 2021): a form at 512 px and a small one.

The authors published no training code. The bottleneck and the generator follow the paper; the
identity network is Sosie's own, of three stages, instead of an IR-SE-50 of which ten layers are
read; and all stages are restricted in one pass, each on what the one before lets through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from sosie.errors import UsageError
from sosie.methods.infoswap.network import Bottleneck, Generator
from sosie.nn.blocks import MultiScaleDiscriminator, fast_precision
from sosie.recipes.swapper.gan_recipe import AEI_PLAN, GanRecipe
from sosie.recipes.swapper.plan import SwapPlan, small
from sosie.recipes.swapper.recipe import Batch
from sosie.training.losses import attribute_loss, generator_loss
from sosie.training.recipe import require

_SMALLEST_PX = 64


@dataclass(frozen=True)
class InfoSwapPlan(SwapPlan):
    """information: weight of what passes the bottleneck. kept: of the identity that is lost there.
    contrast: of the result's likeness to the target where it is not that of the source."""

    information: float = 0.01
    kept: float = 1.0
    contrast: float = 1.0

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("information", "kept", "contrast"), least=0)


_PUBLISHED = InfoSwapPlan(
    **{
        **asdict(AEI_PLAN),
        "samples": 4_800_000,
        "lr": 2e-4,
        "batch": 8,
        "size_px": 512,
        "identity": 5.0,
    }
)
_SMALL = InfoSwapPlan(
    **{
        **asdict(small(_PUBLISHED, batch=16, width=12, depth=1, critic=12, same=0.3)),
        "identity": 20.0,
        "reconstruction": 40.0,
        "attribute": 2.0,
    }
)


class Learner(nn.Module):
    """The generator with its bottleneck, and the discriminators at several scales."""

    def __init__(self, plan: SwapPlan) -> None:
        super().__init__()
        self.generator = Generator(plan.size_px, plan.width, plan.depth)
        less = max(0, 256 // plan.size_px).bit_length() - 1
        self.judges = MultiScaleDiscriminator(
            max(1, 3 - max(less, 0)), max(2, 5 - max(less, 0)), plan.critic
        )


class InfoSwapRecipe(GanRecipe):
    """Information of the bottleneck, identity and contrast, attributes, reconstruction, adversarial
    loss. A pair of one person is one photo twice."""

    name: ClassVar[str] = "infoswap"
    method: ClassVar[str] = "infoswap"
    summary: ClassVar[str] = (
        "InfoSwap: parts identity from attributes by an information bottleneck."
    )
    paper: ClassVar[str] = (
        "Gao et al. 2021, Information Bottleneck Disentanglement for Identity Swapping"
    )
    template: ClassVar[str] = "arcface"
    low: ClassVar[float] = -1.0
    same_photo: ClassVar[bool] = True
    betas = (0.0, 0.999)
    real = "source"
    # The network is bound to its size.
    ignores = GanRecipe.ignores | {"feature", "half_until"}
    plan: ClassVar[SwapPlan] = _PUBLISHED
    presets: ClassVar[Mapping[str, SwapPlan]] = {"512": _PUBLISHED, "small": _SMALL}
    needs_stages: ClassVar[bool] = True

    @classmethod
    def require_size(cls, size_px: int) -> None:
        if size_px < _SMALLEST_PX or size_px & (size_px - 1):
            raise UsageError(f"size_px must be a power of two from 64 on, not {size_px}.")

    def learner(self) -> Learner:
        return Learner(self.settings)

    def describe(self, pictures: torch.Tensor) -> torch.Tensor:
        """The source itself, as the bottleneck is within the generator."""
        return pictures

    def swapped(self, network: nn.Module, target: torch.Tensor, who: torch.Tensor) -> torch.Tensor:
        generator = cast(Learner, network).generator
        identity = self._compressed(generator.bottleneck, who)[0]
        return self._made(generator, target, identity)[0]

    def generate(
        self, network: nn.Module, batch: Batch, progress: float
    ) -> dict[str, torch.Tensor]:
        learner, plan = cast(Learner, network), cast(InfoSwapPlan, self.settings)
        source, target = (self.pictures(batch, name, progress) for name in ("source", "target"))
        with torch.no_grad():
            who, was = self.embed(source), self.embed(target)
        generator = learner.generator
        with fast_precision(target.device):
            identity, information = self._compressed(generator.bottleneck, source)
            made, maps = self._made(generator, target, identity)
            again = self._attributes(generator, made)
            logits = learner.judges(made)
        batch["made"] = made.detach()
        found = self.embed(made)
        wanted, left = (functional.cosine_similarity(a, was) for a in (who, found))
        return {
            "identity": self.identity_term(made, who),
            "contrast": plan.contrast * (left - wanted).square().mean(),
            "information": plan.information * information.float(),
            "kept": plan.kept * (1 - functional.cosine_similarity(identity.float(), who)).mean(),
            "reconstruction": self.reconstruction_term(made, target, batch["same"], power=2),
            "adversarial": plan.adversarial * generator_loss("hinge_both", logits),
            "attribute": plan.attribute * attribute_loss(again, maps),
            **self.further_terms(network, batch, made, target, progress),
        }

    def logits(self, network: nn.Module, pictures: torch.Tensor) -> list[torch.Tensor]:
        found: list[torch.Tensor] = cast(Learner, network).judges(pictures)
        return found

    def told(self, count: int) -> dict[str, NDArray[np.float32]]:
        """A source picture, in place of an identity."""
        side = self.settings.size_px
        source = np.random.default_rng(1).uniform(-1, 1, (count, 3, side, side))
        return {"source": source.astype(np.float32)}

    def _compressed(
        self, bottleneck: Bottleneck, source: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The source's identity through the bottleneck, N x 512 of unit length, and how much
        information passed."""
        seen = self.stages(source)
        passing = bottleneck(seen)

        def restricted(number: int) -> Callable[[torch.Tensor], torch.Tensor]:
            share = passing[number]
            return lambda x: share * x + (1 - share) * bottleneck.noise(number, x)

        numbers = self._embedder.restricted(
            self.to_be_recognized(source), [restricted(k) for k in range(len(seen))]
        )
        return numbers, bottleneck.information(seen, passing)

    def _made(
        self, generator: Generator, target: torch.Tensor, identity: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        left, passing = self._left(generator.bottleneck, target)
        made: tuple[torch.Tensor, list[torch.Tensor]] = generator(target, identity, left, passing)
        return made

    def _attributes(self, generator: Generator, pictures: torch.Tensor) -> list[torch.Tensor]:
        maps: list[torch.Tensor] = generator.encoder(
            pictures, self._left(generator.bottleneck, pictures)[0]
        )
        return maps

    def _left(
        self, bottleneck: Bottleneck, pictures: torch.Tensor
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """What of the stages of pictures does not pass, and how much does."""
        seen = self.stages(pictures)
        passing = bottleneck(seen)
        left = [
            (1 - share) * stage + share * bottleneck.noise(number, stage)
            for number, (share, stage) in enumerate(zip(passing, seen, strict=True))
        ]
        return left, passing
