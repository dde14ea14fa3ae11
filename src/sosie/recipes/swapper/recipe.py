"""What the recipes of all one-shot swappers share: pairs of aligned faces, an identity network that
sees what they make, figures on people who were not learned from, and the file that is swapped with.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from sosie.analysis.embedder import NUMBERS, SIDE_PX, TEMPLATE
from sosie.datasets.people import Pair, Pairs, People, open_people
from sosie.errors import UsageError
from sosie.geometry import alignment
from sosie.models.cards import read_embedded
from sosie.nn.blocks import fast_precision, lay_channels_last
from sosie.recipes.augmentation import other_self, relit
from sosie.recipes.identity.network import FrozenIdentity
from sosie.recipes.swapper.extra_losses import FurtherLosses, cut
from sosie.recipes.swapper.model_file import LICENSE, SwapperCard, export_swapper
from sosie.recipes.swapper.plan import SwapPlan
from sosie.training.log import grid
from sosie.training.losses import (
    cycle_loss,
    identity_consistency_loss,
    identity_loss,
    reconstruction_loss,
)
from sosie.training.recipe import Materials, Plan, Recipe

Batch = dict[str, torch.Tensor]

_VALIDATED = 128
"""Pairs of the validation people that the figures are of."""

_PREVIEWED = 6

_LOOKED_AT, _ALIKE = 64, 0.45
"""So many faces are compared, and are one person's where the cosine of two is this in the mean."""


class SwapRecipe(Recipe):
    """A recipe whose network has a child `generator`: target and identity -> swapped picture.

    method: that swaps with the result. template: of the crops. low: the smallest value of a pixel
    as the generator sees it, 0 or -1 (the largest is 1). same_photo: see `Pairs`. paper: of the
    method. ignores: fields of the plan that change nothing here, and are refused.
    size_step: the side of its pictures is a multiple of this. published: a published network that
    pictures are given to alike -> where in the recipe's network its weights go. needs_stages:
    whether `stages` is asked for without `consistency` too. outputs: of the exported graph.
    """

    method: ClassVar[str]
    template: ClassVar[str] = "arcface_112_v1"
    low: ClassVar[float] = 0.0
    same_photo: ClassVar[bool] = False
    paper: ClassVar[str]
    ignores: ClassVar[frozenset[str]] = frozenset()
    size_step: ClassVar[int] = 16
    published: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    needs_stages: ClassVar[bool] = False
    plan: ClassVar[SwapPlan]
    origins: ClassVar[Mapping[str, str]] = {
        "given": "faces that are swapped with one another",
        "sosie": "telling whether the right person is seen",
    }
    weight_file: ClassVar[str | None] = "snapshot"
    keeps_snapshot: ClassVar[bool] = True
    license: ClassVar[str] = LICENSE
    outputs: ClassVar[tuple[str, ...]] = ("swapped",)

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        assert isinstance(self.chosen, SwapPlan)
        self.settings: SwapPlan = self.chosen
        # An exported graph computes in float32 throughout.
        self._exact = False

    @classmethod
    def plan_with(cls, plan: Plan, settings: Mapping[str, str]) -> Plan:
        for name in sorted(cls.ignores & set(settings)):
            raise UsageError(f"{cls.name} has no use for {name}: leave it out.")
        chosen = super().plan_with(plan, settings)
        assert isinstance(chosen, SwapPlan)
        cls.require_size(chosen.size_px)
        return chosen

    @classmethod
    def require_size(cls, size_px: int) -> None:
        """Raises UsageError for a size of pictures that the network cannot halve as it has to."""
        if size_px % cls.size_step:
            raise UsageError(f"size_px must be a multiple of {cls.size_step}, not {size_px}.")

    def uses(self) -> Mapping[str, str]:
        plan, used = self.settings, dict(self.origins)
        if plan.eyes:
            used["sosie_landmarks"] = "telling where the eyes look"
        if plan.perceptual:
            used["squeezenet"] = "perceptual distance from the target"
            used["lpips"] = "weights of that distance"
        return used

    def prepare(self) -> None:
        if self.settings.perceptual:
            self._further.distance  # noqa: B018 - refuses teachers that are not there
        # Cut the faces out, and refuse people that are too few, before the first step.
        self._pairs  # noqa: B018
        self._validation_pairs  # noqa: B018

    def network(self) -> nn.Module:
        learner = self.learner()
        lay_channels_last(learner)
        return learner

    @abc.abstractmethod
    def learner(self) -> nn.Module:
        """All networks that learn; the generator is its child `generator`."""

    @abc.abstractmethod
    def swapped(self, network: nn.Module, target: torch.Tensor, who: torch.Tensor) -> torch.Tensor:
        """The generator's picture, N x 3 x S x S in the generator's range, in training or not.
        who: of `describe`."""

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """source, target: uint8, S x S x 3. same: float32, 1 for one person. And `beside`."""
        pair, faces = self._pairs.draw(rng), self._people.faces
        source, target = self._source(pair, rng), faces[pair.target]
        beside = self.beside(pair.target, target)
        if rng.random() < 0.5:
            target = target[:, ::-1]
            beside = {name: value[:, ::-1] for name, value in beside.items()}
            # One photo twice is to stay one photo; another may be mirrored by itself.
            source = source[:, ::-1] if pair.source == pair.target else source
        return {
            "source": np.array(source),
            "target": np.array(target),
            "same": np.float32(pair.same),  # type: ignore[dict-item]
            **{name: np.array(value) for name, value in beside.items()},
        }

    def beside(self, row: int, face: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """More planes of a target, S x S x ..., which are mirrored with it. row: of the people."""
        return {}

    def _source(self, pair: Pair, rng: np.random.Generator) -> NDArray[np.uint8]:
        face = self._people.faces[pair.source]
        if pair.self_made:
            return other_self(face, rng)
        return face if pair.source == pair.target else relit(face, rng, 0.1)

    def pictures(self, batch: Batch, name: str, progress: float = 1.0) -> torch.Tensor:
        """Pictures of a batch as the generator sees them, N x 3 x S x S; half the size in the first
        part of a progressive training."""
        x = batch[name].permute(0, 3, 1, 2).float() / 255 * (1 - self.low) + self.low
        return functional.avg_pool2d(x, 2) if progress < self.settings.half_until else x

    def describe(self, pictures: torch.Tensor) -> torch.Tensor:
        """What the generator is told of source pictures (of its range), as `swapped` takes it: who
        they show, where a method wants nothing more."""
        return self.embed(pictures)

    def embed(self, pictures: torch.Tensor) -> torch.Tensor:
        """Who is in pictures of the generator's range: N x 512, unit length, with gradients."""
        with nullcontext() if self._exact else fast_precision(pictures.device):
            numbers: torch.Tensor = self._embedder(self.to_be_recognized(pictures))
        return numbers.float()

    def to_be_recognized(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures of the generator's range as the identity network is shown them, -1..1."""
        # In a traced graph a size is no plain number.
        size = int(pictures.shape[-1])
        matrix = alignment.align_matrix(
            alignment.template_points(self.template, size), TEMPLATE, SIDE_PX
        )
        self._embedder.to(pictures.device)
        return cut(self._unit(pictures) * 2 - 1, matrix, SIDE_PX)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """similarity: of the result to the source (cosine). target: of the result to the target.
        apart: of source and target themselves. reconstruction: mean absolute difference, of 0..1,
        where the target's own identity is put in."""
        found: list[torch.Tensor] = []
        for source, target in self._validation_batches(next(network.parameters()).device):
            own, wanted = self.embed(target), self.embed(source)
            made = self.swapped(network, target, self.describe(source))
            who = self.embed(made)
            same = self.swapped(network, target, self.describe(target))
            error = (same.float() - target).abs().mean((1, 2, 3)) / (1 - self.low)
            alike = [(a * b).sum(1) for a, b in ((who, wanted), (who, own), (own, wanted))]
            found.append(torch.stack([*alike, error]))
        similarity, target_s, apart, error_s = torch.cat(found, 1).mean(1).tolist()
        return {
            "score": similarity - 4 * error_s,
            "similarity": similarity,
            "target": target_s,
            "apart": apart,
            "reconstruction": error_s,
        }

    def preview(self, network: nn.Module) -> NDArray[np.uint8]:
        """Rows of source, target, result, and the target with its own identity put in."""
        source, target = next(iter(self._validation_batches(next(network.parameters()).device)))
        source, target = source[:_PREVIEWED], target[:_PREVIEWED]
        columns = [
            source,
            target,
            self.swapped(network, target, self.describe(source)),
            self.swapped(network, target, self.describe(target)),
        ]
        shown = [self._to_pixels(column) for column in columns]
        return grid([[column[row] for column in shown] for row in range(len(source))])

    def export(self, network: nn.Module, file: Path) -> None:
        """The generator as `sosie swap --method NAME --weights` runs it; see `swapper_file`."""
        plan = self.settings
        card = SwapperCard(self.method, self.template, plan.size_px, self.low, self.paper)
        self._exact = True
        try:
            export_swapper(self.exported(network), card, file, self.told(2), self.outputs)
        finally:
            self._exact = False

    def exported(self, network: nn.Module) -> nn.Module:
        """What is exported: target and the inputs of `told`, in order -> picture."""
        return _Swap(self, network)

    def told(self, count: int) -> dict[str, NDArray[np.float32]]:
        """Made-up inputs of the exported graph beside the target, by name, for so many targets."""
        identity = np.random.default_rng(1).normal(0, 1, (count, NUMBERS)).astype(np.float32)
        return {"identity": identity / np.linalg.norm(identity, axis=1, keepdims=True)}

    def identity_term(self, made: torch.Tensor, who: torch.Tensor) -> torch.Tensor:
        """The weighted identity loss of pictures that the generator made."""
        return self.settings.identity * identity_loss(self.embed(made), who)

    def reconstruction_term(
        self, made: torch.Tensor, target: torch.Tensor, same: torch.Tensor, power: int = 1
    ) -> torch.Tensor:
        """The weighted reconstruction loss where source and target show one person."""
        return self.settings.reconstruction * reconstruction_loss(made, target, same, power)

    def weights_of_published(
        self, name: str, weights: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        if name not in self.published:
            known = ", ".join(self.published) or "none"
            raise UsageError(
                f"A training of {self.name} cannot begin with {name}, which is no part of it or is "
                f"given other pictures: of the published networks it takes {known}."
            )
        with torch.device("meta"):
            own = self.learner().state_dict()
        found = {
            f"{to}.{key}": value for to in self.published[name] for key, value in weights.items()
        }
        if any(key not in own or own[key].shape != value.shape for key, value in found.items()):
            raise UsageError(
                f"{name} is of another form than this plan's network: choose the --preset that is "
                f"named after it, and leave size and width as they are."
            )
        return found

    def further_terms(
        self,
        network: nn.Module,
        batch: Batch,
        made: torch.Tensor,
        target: torch.Tensor,
        progress: float,
    ) -> dict[str, torch.Tensor]:
        """Weighted terms that only some methods are published with above 0, of what the generator
        made of the batch: those that the plan switches on.

        cycle: FaceDancer and HifiFace (1 in both). eyes: GHOST (0; its authors switched it on for
        an ablation). perceptual: FaceDancer (0.2) and HifiFace (5). consistency: FaceDancer (1).
        """
        plan, further = self.settings, self._further
        terms = {}
        if plan.cycle:
            with torch.no_grad():
                own = self.describe(target)
            with fast_precision(target.device):
                back = self.swapped(network, made, own)
            terms["cycle"] = plan.cycle * cycle_loss(back, target)
        seen, wanted = self._unit(made), self._unit(target)
        if plan.eyes:
            terms["eyes"] = plan.eyes * further.eyes(seen, wanted)
        if plan.perceptual:
            apart = further.perceptual(seen, wanted, batch["same"])
            terms["perceptual"] = plan.perceptual * apart
        if plan.consistency:
            apart = self.consistency(made, target, self.pictures(batch, "source", progress))
            terms["consistency"] = plan.consistency * apart
        return terms

    def consistency(
        self, made: torch.Tensor, target: torch.Tensor, source: torch.Tensor
    ) -> torch.Tensor:
        """How much further than allowed the identity network sees the result from the target, layer
        by layer; FaceDancer itself allows otherwise."""
        found, left, wished = (self.stages(x) for x in (made, target, source))
        return identity_consistency_loss(found, left, wished)

    def stages(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What each stage of the identity network sees; of a recipe or plan that needs them."""
        with nullcontext() if self._exact else fast_precision(pictures.device):
            return self._embedder.stages(self.to_be_recognized(pictures))

    def _unit(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures of the generator's range in 0..1."""
        return (pictures.float() - self.low) / (1 - self.low)

    def _to_pixels(self, pictures: torch.Tensor) -> NDArray[np.uint8]:
        unit = self._unit(pictures).clamp(0, 1)
        return (unit * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()

    def _validation_batches(self, device: torch.device) -> list[tuple[torch.Tensor, torch.Tensor]]:
        people, drawn = self._people, self._validation_pairs
        batches = []
        for start in range(0, len(drawn), 32):
            part = drawn[start : start + 32]
            stacked = {
                "source": torch.from_numpy(np.stack([people.faces[p.source] for p in part])),
                "target": torch.from_numpy(np.stack([people.faces[p.target] for p in part])),
            }
            batches.append(
                (
                    self.pictures(stacked, "source").to(device),
                    self.pictures(stacked, "target").to(device),
                )
            )
        return batches

    @cached_property
    def _people(self) -> People:
        materials, plan = self.materials, self.settings
        people = open_people(
            materials.data, materials.cache, self.template, plan.size_px, materials.workers
        )
        if people.count == len(people.people) > 1 and self._look_alike(people):
            # Photos without folders that tell who is who: these are of one person.
            people = replace(people, people=np.full(len(people.people), "one person"))
        return people

    @torch.no_grad()
    def _look_alike(self, people: People) -> bool:
        """Whether the faces, as far as some of them tell, all show one person."""
        step = max(1, len(people.faces) // _LOOKED_AT)
        faces = torch.from_numpy(np.array(people.faces[::step][:_LOOKED_AT]))
        who = self.embed(self.pictures({"faces": faces}, "faces"))
        count = len(who)
        return float((who @ who.T).sum() - count) / (count * (count - 1)) > _ALIKE

    @cached_property
    def _pairs(self) -> Pairs:
        people, rows = self._people.people, self._people.split()[0]
        is_one = len(np.unique(people[rows])) < 2
        same = 1.0 if self.finetuned and is_one else self.settings.same
        return Pairs(people, rows, same, self.same_photo)

    @cached_property
    def _validation_pairs(self) -> list[Pair]:
        people, rows = self._people.people, self._people.split()[1]
        pairs = Pairs(people, rows, 1.0 if len(np.unique(people[rows])) < 2 else 0.0)
        rng = np.random.default_rng(0)
        return [pairs.draw(rng) for _ in range(min(_VALIDATED, 4 * len(rows)))]

    @cached_property
    def _embedder(self) -> FrozenIdentity:
        stages = self.needs_stages or self.settings.consistency > 0
        embedder = FrozenIdentity(read_embedded("identity"), stages)
        return embedder.requires_grad_(False).eval()

    @cached_property
    def _further(self) -> FurtherLosses:
        return FurtherLosses(self.template, self.materials.teachers)


class _Swap(nn.Module):
    """The generator alone, as it is exported."""

    def __init__(self, recipe: SwapRecipe, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._recipe = recipe

    def forward(self, target: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        return self._recipe.swapped(self.network, target, identity)
