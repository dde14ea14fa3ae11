"""What the recipes of all one-shot swappers share: pairs of aligned faces, an identity network that
sees what they make, figures on people who were not learned from, and the file that is swapped with.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from sosie import geometry
from sosie.analysis.recogniser import SIDE_PX, TEMPLATE
from sosie.datasets.pairs import Pair, Pairs, other_self, relit
from sosie.datasets.people import People, open_people
from sosie.nn.blocks import lay_channels_last
from sosie.training.analysis.identity.network import FrozenIdentity
from sosie.training.journal import grid
from sosie.training.losses.faces import identity_loss, reconstruction_loss
from sosie.training.precision import fast_precision
from sosie.training.recipe import Materials, Plan, Recipe
from sosie.training.swapper_file import LICENCE, SwapperCard, export_swapper
from sosie.weights import read_embedded

Batch = dict[str, torch.Tensor]

_VALIDATED = 128
"""Pairs of the validation people that the figures are of."""

_PREVIEWED = 6

_LOOKED_AT, _ALIKE = 64, 0.45
"""So many faces are compared, and are one person's where the cosine of two is this in the mean."""


@dataclass(frozen=True)
class SwapPlan(Plan):
    """A plan with what all swappers decide. Weights of losses are those of the papers' terms.

    size_px: side of the aligned crops. width: channels of the first layer; the others follow.
    depth: identity blocks (SimSwap) or AAD units a block. critic: channels of the discriminators'
    first layer. same: share of pairs that show one person. identity, reconstruction, adversarial,
    feature, attribute, eyes, cycle: weights; 0 leaves a term out. penalty: of R1. half_until: until
    this share of the samples crops are half as large (progressive resolution).
    """

    size_px: int = 224
    width: int = 64
    depth: int = 9
    critic: int = 64
    same: float = 0.5
    identity: float = 20.0
    reconstruction: float = 10.0
    adversarial: float = 1.0
    feature: float = 0.0
    attribute: float = 0.0
    eyes: float = 0.0
    cycle: float = 0.0
    penalty: float = 0.0
    half_until: float = 0.0


class SwapRecipe(Recipe):
    """A recipe whose network has a child `generator`: target and identity -> swapped picture.

    method: that swaps with the result. template: of the crops. low: the smallest value of a pixel
    as the generator sees it, 0 or -1 (the largest is 1). same_photo: see `Pairs`. paper: of the
    method.
    """

    method: ClassVar[str]
    template: ClassVar[str] = "arcface_112_v1"
    low: ClassVar[float] = 0.0
    same_photo: ClassVar[bool] = False
    paper: ClassVar[str]
    plan: ClassVar[SwapPlan]
    origins: ClassVar[Mapping[str, str]] = {
        "given": "faces that are swapped with one another",
        "sosie": "telling whether the right person is seen",
    }
    weight_file: ClassVar[str | None] = "snapshot"
    keeps_snapshot: ClassVar[bool] = True
    licence: ClassVar[str] = LICENCE

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        assert isinstance(self.chosen, SwapPlan)
        self.settings: SwapPlan = self.chosen
        # An exported graph computes in float32 throughout.
        self._exact = False

    def prepare(self) -> None:
        self._pairs  # noqa: B018 - cuts the faces out, and refuses people that are too few

    def network(self) -> nn.Module:
        learner = self.learner()
        lay_channels_last(learner)
        return learner

    @abc.abstractmethod
    def learner(self) -> nn.Module:
        """All networks that learn; the generator is its child `generator`."""

    @abc.abstractmethod
    def swapped(self, network: nn.Module, target: torch.Tensor, who: torch.Tensor) -> torch.Tensor:
        """The generator's picture, N x 3 x S x S in the generator's range, in training or not."""

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """source, target: uint8, S x S x 3. same: float32, 1 where they show one person."""
        pair, faces = self._pairs.draw(rng), self._people.faces
        source, target = self._source(pair, rng), faces[pair.target]
        if rng.random() < 0.5:
            target = target[:, ::-1]
            # One photo twice is to stay one photo; another may be mirrored by itself.
            source = source[:, ::-1] if pair.source == pair.target else source
        return {
            "source": np.array(source),
            "target": np.array(target),
            "same": np.float32(pair.same),  # type: ignore[dict-item]
        }

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

    def embed(self, pictures: torch.Tensor) -> torch.Tensor:
        """Who is in pictures of the generator's range: N x 512, unit length, with gradients."""
        x = (pictures - self.low) / (1 - self.low) * 2 - 1
        # In a traced graph a size is no plain number.
        matrix = geometry.fit_similarity(
            geometry.template_points(self.template, int(x.shape[-1])),
            geometry.template_points(TEMPLATE, SIDE_PX),
        )
        shrink = int(1 / geometry.scale_of(matrix))
        if shrink > 1:
            # A sparse grid would see the fine detail as noise.
            x = functional.avg_pool2d(x, shrink)
            matrix[:, :2] *= shrink
            matrix[:, 2] += matrix[:, :2].sum(1) * (0.5 - 0.5 / shrink)
        places = _sampling_grid(matrix, int(x.shape[-1])).to(x.device, x.dtype)
        faces = functional.grid_sample(
            x, places.expand(len(x), -1, -1, -1), padding_mode="border", align_corners=False
        )
        self._recogniser.to(x.device)
        with nullcontext() if self._exact else fast_precision(x.device):
            numbers: torch.Tensor = self._recogniser(faces)
        return numbers.float()

    def validate(self, network: nn.Module) -> dict[str, float]:
        """similarity: of the result to the source (cosine). target: of the result to the target.
        apart: of source and target themselves. reconstruction: mean absolute difference, of 0..1,
        where the target's own identity is put in."""
        found: list[torch.Tensor] = []
        for source, target in self._validation_batches(next(network.parameters()).device):
            own, wanted = self.embed(target), self.embed(source)
            made = self.swapped(network, target, wanted)
            who = self.embed(made)
            same = self.swapped(network, target, own)
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
            self.swapped(network, target, self.embed(source)),
            self.swapped(network, target, self.embed(target)),
        ]
        shown = [self._to_pixels(column) for column in columns]
        return grid([[column[row] for column in shown] for row in range(len(source))])

    def export(self, network: nn.Module, file: Path) -> None:
        """The generator as `sosie swap --method NAME --weights` runs it; see `swapper_file`."""
        card = SwapperCard(
            method=self.method,
            template=self.template,
            size_px=self.settings.size_px,
            low=self.low,
            paper=self.paper,
        )
        self._exact = True
        try:
            export_swapper(_Swap(self, network), card, file)
        finally:
            self._exact = False

    def identity_term(self, made: torch.Tensor, who: torch.Tensor) -> torch.Tensor:
        """The weighted identity loss of pictures that the generator made."""
        return self.settings.identity * identity_loss(self.embed(made), who)

    def reconstruction_term(
        self, made: torch.Tensor, target: torch.Tensor, same: torch.Tensor, power: int = 1
    ) -> torch.Tensor:
        """The weighted reconstruction loss where source and target show one person."""
        return self.settings.reconstruction * reconstruction_loss(made, target, same, power)

    def _to_pixels(self, pictures: torch.Tensor) -> NDArray[np.uint8]:
        unit = (pictures.float() - self.low) / (1 - self.low)
        return (unit.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()

    def _validation_batches(self, device: torch.device) -> list[tuple[torch.Tensor, torch.Tensor]]:
        people, rows = self._people, self._people.split()[1]
        rng = np.random.default_rng(0)
        same = 1.0 if people.count < 2 else 0.0
        pairs = Pairs(people.people, rows, same)
        drawn = [pairs.draw(rng) for _ in range(min(_VALIDATED, 4 * len(rows)))]
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
        people = self._people
        same = 1.0 if self.finetuned and people.count < 2 else self.settings.same
        return Pairs(people.people, people.split()[0], same, self.same_photo)

    @cached_property
    def _recogniser(self) -> FrozenIdentity:
        recogniser = FrozenIdentity(read_embedded("identity"))
        return recogniser.requires_grad_(False).eval()


class _Swap(nn.Module):
    """The generator alone, as it is exported."""

    def __init__(self, recipe: SwapRecipe, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._recipe = recipe

    def forward(self, target: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        return self._recipe.swapped(self.network, target, identity)


def _sampling_grid(matrix: NDArray[np.float64], size_px: int) -> torch.Tensor:
    """Where in a picture of `size_px` each pixel of the identity crop lies, 1 x S x S x 2, -1..1.

    matrix: picture -> crop.
    """
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX].astype(np.float64)
    places = np.stack([x.ravel(), y.ravel()], 1)
    places = geometry.transform_points(places, geometry.invert(matrix)).reshape(SIDE_PX, SIDE_PX, 2)
    return torch.from_numpy((places + 0.5) / size_px * 2 - 1)[None]
