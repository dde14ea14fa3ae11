"""Recipes that build on a trained StyleGAN2, which does not learn: what they share, and the recipe
of an encoder into its latents.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.datasets.people import Pair, Pairs, People, open_people
from sosie.nn.blocks import fast_precision
from sosie.nn.stylegan2.generator import Generator, truncated
from sosie.recipes.augmentation import other_self
from sosie.recipes.stylegan2.face_distances import FaceDistances
from sosie.recipes.stylegan2.frozen import frozen_generator
from sosie.recipes.stylegan2.recipe import TEMPLATE, as_pictures, as_pixels, parted
from sosie.recipes.swapper.model_file import LICENSE
from sosie.training.log import grid
from sosie.training.losses import identity_loss
from sosie.training.recipe import Materials, Phase, Plan, Recipe, require

Batch = dict[str, torch.Tensor]

VALIDATED, PREVIEWED, AT_ONCE = 64, 6, 16

_TRUNCATED = 0.7
"""How far from the mean face the generator's own faces are that an encoder learns from too."""


@dataclass(frozen=True)
class LatentPlan(Plan):
    """A plan with what such trainings decide; as it stands, for 1024 px. The generator decides the
    size of the pictures.

    perceptual, identity, landmarks: weights of losses; 0 leaves one out.
    """

    samples: int = 1_000_000
    batch: int = 8
    lr: float = 1e-4
    weight_decay: float = 0.0
    clip: float = 10.0
    validate_every: int = 20_000
    perceptual: float = 0.8
    identity: float = 1.0
    landmarks: float = 100.0

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("perceptual", "identity", "landmarks"), least=0)
        # Batch norms take more than one.
        require(self, ("batch",), least=2)


@dataclass(frozen=True)
class InverterPlan(LatentPlan):
    """Of an encoder. made: share of the faces that are the generator's own. pixel: weight of a
    loss."""

    samples: int = 2_000_000
    made: float = 0.3
    pixel: float = 1.0

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("pixel",), least=0)
        require(self, ("made",), least=0, most=1)


@dataclass(frozen=True)
class PairPlan(LatentPlan):
    """Of a swap. same: share of pairs that show one person."""

    same: float = 0.2

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("same",), least=0, most=1)


class LatentRecipe(Recipe):
    """A recipe that builds on a trained generator, which it finds among the teachers."""

    keeps_snapshot: ClassVar[bool] = True
    license: ClassVar[str] = LICENSE

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        self.losses = cast(LatentPlan, self.chosen)
        self.distances_of: dict[torch.device, FaceDistances] = {}

    def uses(self) -> Mapping[str, str]:
        """What this very training learns from."""
        if not self.losses.perceptual:
            return self.origins
        return {
            **self.origins,
            "squeezenet": "perceptual distance from the face that was given",
            "lpips": "weights of that distance",
        }

    def prepare(self) -> None:
        self.generator  # noqa: B018 - refuses what is not there
        if self.losses.perceptual:
            self.distances(torch.device("cpu")).require_perceptual()
        self.people  # noqa: B018 - cuts the faces out

    def distances(self, device: torch.device) -> FaceDistances:
        """The frozen networks of the losses, where they are needed."""
        if device not in self.distances_of:
            self.distances_of[device] = FaceDistances(self.materials.teachers).to(device)
        return self.distances_of[device]

    @abc.abstractmethod
    def generator_file(self) -> Path:
        """The file of the generator. Raises InputError where there is none."""

    def draw(self, latents: torch.Tensor, structure: torch.Tensor | None = None) -> torch.Tensor:
        """The frozen generator's picture, N x 3 x S x S, float32, with gradients to both."""
        generator = self.generator.to(latents.device)
        with fast_precision(latents.device):
            picture = generator.synthesize(latents, structure).picture
        return picture.float()

    @cached_property
    def generator(self) -> Generator:
        return frozen_generator(self.generator_file())

    @cached_property
    def people(self) -> People:
        materials = self.materials
        size = self.generator.form.size_px
        return open_people(materials.data, materials.cache, TEMPLATE, size, materials.workers)


class LatentSwapRecipe(LatentRecipe):
    """A recipe of a swap: what is measured and shown of one on people who were held out."""

    def prepare(self) -> None:
        super().prepare()
        self._held  # noqa: B018 - refuses people that are too few

    @abc.abstractmethod
    def swapped(
        self, network: nn.Module, source: torch.Tensor, target: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The sources put into the targets, and the targets put into themselves: N x 3 x S x S in
        -1..1 all, float32, without gradients."""

    def validate(self, network: nn.Module) -> dict[str, float]:
        """On people who were held out. similarity, target: of the result to source and target
        (cosine of identities). apart: of both themselves. landmarks: mean distance of the result's
        from the target's, in shares of the landmark network's square. reconstruction: mean absolute
        difference, of 0..1, where the target itself is put in."""
        found, count = [], 0
        for source, target in self.held_pairs(next(network.parameters()).device):
            made, again = self.swapped(network, source, target)
            distances = self.distances(target.device)
            who, ours, theirs = (distances.embed(x) for x in (made, source, target))
            figures = [
                (a * b).sum(1).mean() for a, b in ((who, ours), (who, theirs), (ours, theirs))
            ]
            figures.append(distances.landmarks(made, target).sqrt())
            figures.append((again - target).abs().mean() / 2)
            found.append(torch.stack(figures) * len(target))
            count += len(target)
        similarity, target_s, apart, landmarks, error = (torch.stack(found).sum(0) / count).tolist()
        return {
            "score": similarity - 4 * error,
            "similarity": similarity,
            "target": target_s,
            "apart": apart,
            "landmarks": landmarks,
            "reconstruction": error,
        }

    def preview(self, network: nn.Module) -> NDArray[np.uint8]:
        """Rows of source, target, result, and the target put into itself."""
        source, target = next(iter(self.held_pairs(next(network.parameters()).device)))
        source, target = source[:PREVIEWED], target[:PREVIEWED]
        shown = [as_pixels(x) for x in (source, target, *self.swapped(network, source, target))]
        return grid([[column[row] for column in shown] for row in range(len(source))])

    def held_pairs(self, device: torch.device) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Batches of sources and targets among people who were held out, N x 3 x S x S, -1..1."""
        faces, parts = self.people.faces, []
        for start in range(0, len(self._held), AT_ONCE):
            part = self._held[start : start + AT_ONCE]
            both = ([pair.source for pair in part], [pair.target for pair in part])
            parts.append(
                tuple(as_pictures(torch.from_numpy(np.array(faces[k]))).to(device) for k in both)
            )
        return cast(list[tuple[torch.Tensor, torch.Tensor]], parts)

    @cached_property
    def _held(self) -> list[Pair]:
        people = self.people
        rows, rng = people.split()[1], np.random.default_rng(0)
        drawn = Pairs(people.people, rows, 0.0)
        return [drawn.draw(rng) for _ in range(min(VALIDATED, 4 * len(rows)))]


class PairRecipe(LatentSwapRecipe):
    """A recipe of a swap that learns from pairs of a source and a target."""

    def prepare(self) -> None:
        super().prepare()
        self._pairs  # noqa: B018 - refuses people that are too few

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """source, target: uint8, S x S x 3. same: float32, 1 where they show one person."""
        pair, faces = self._pairs.draw(rng), self.people.faces
        source, target = faces[pair.source], faces[pair.target]
        if pair.self_made:
            source = other_self(source, rng)
        if rng.random() < 0.5:
            target = np.ascontiguousarray(target[:, ::-1])
        return {
            "source": np.array(source),
            "target": np.array(target),
            "same": np.float32(pair.same),  # type: ignore[dict-item]
        }

    @cached_property
    def _pairs(self) -> Pairs:
        people = self.people
        return Pairs(people.people, people.split()[0], cast(PairPlan, self.chosen).same)


class InverterRecipe(LatentRecipe):
    """Faces, and some that the generator makes: each is to be made again of its codes."""

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        self._settings = cast(InverterPlan, self.chosen)

    @abc.abstractmethod
    def remade(self, network: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures, N x 3 x S x S, as they are drawn again of the codes that are found for them."""

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """face: uint8, S x S x 3. made: float32, 1 where the generator's face of `drawn`, L, takes
        its place."""
        face = self.people.faces[int(rng.choice(self._rows[0]))]
        plan, latent = self._settings, self.generator.form.latent
        return {
            "face": np.array(face[:, ::-1] if rng.random() < 0.5 else face),
            "drawn": rng.normal(size=latent).astype(np.float32),
            "made": np.float32(rng.random() < plan.made),  # type: ignore[dict-item]
        }

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("", self._invert, betas=(0.9, 0.999), decoupled=False),)

    def _invert(self, network: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:  # noqa: ARG002
        wanted = self._wanted(batch)
        return self.terms(self.remade(network, wanted), wanted)

    def terms(self, made: torch.Tensor, wanted: torch.Tensor) -> dict[str, torch.Tensor]:
        """The weighted losses of faces that were made again."""
        plan, distances = self._settings, self.distances(made.device)
        terms = {"pixel": plan.pixel * (made - wanted).square().mean()}
        if plan.perceptual:
            terms["perceptual"] = plan.perceptual * distances.perceptual(made, wanted)
        if plan.identity:
            with torch.no_grad():
                who = distances.embed(wanted)
            terms["identity"] = plan.identity * identity_loss(distances.embed(made), who)
        if plan.landmarks:
            terms["landmarks"] = plan.landmarks * distances.landmarks(made, wanted)
        return terms

    @torch.no_grad()
    def _wanted(self, batch: Batch) -> torch.Tensor:
        pictures = as_pictures(batch["face"])
        chosen = batch["made"] > 0.5
        if not bool(chosen.any()):
            return pictures
        generator = self.generator.to(pictures.device)
        near = truncated(
            generator.map(batch["drawn"][chosen]), self._mean.to(pictures.device), _TRUNCATED
        )
        pictures[chosen] = generator.synthesize(generator.spread(near)).picture.float().clamp(-1, 1)
        return pictures

    def validate(self, network: nn.Module) -> dict[str, float]:
        """On people who were held out. similarity: of the face that is made again to the face
        (cosine of identities). error: mean absolute difference, of 0..1. landmarks: mean distance
        of the landmarks, in shares of the landmark network's square."""
        found = []
        for pictures in parted(self._held(next(network.parameters()).device), AT_ONCE):
            made, distances = self.remade(network, pictures), self.distances(pictures.device)
            alike = (distances.embed(made) * distances.embed(pictures)).sum(1).mean()
            error = (made - pictures).abs().mean() / 2
            figures = torch.stack([alike, error, distances.landmarks(made, pictures).sqrt()])
            found.append(figures * len(pictures))
        similarity, apart, landmarks = (torch.stack(found).sum(0) / self._held_count).tolist()
        return {
            "score": similarity - 4 * apart,
            "similarity": similarity,
            "error": apart,
            "landmarks": landmarks,
        }

    def preview(self, network: nn.Module) -> NDArray[np.uint8]:
        """Faces, and below them what is made of their codes."""
        pictures = self._held(next(network.parameters()).device)[:PREVIEWED]
        return grid([list(as_pixels(x)) for x in (pictures, self.remade(network, pictures))])

    def _held(self, device: torch.device) -> torch.Tensor:
        rows = self._rows[1][: self._held_count]
        return as_pictures(torch.from_numpy(np.array(self.people.faces[rows]))).to(device)

    @property
    def _held_count(self) -> int:
        return min(VALIDATED, len(self._rows[1]))

    @cached_property
    def _rows(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        return self.people.split()

    @cached_property
    def _mean(self) -> torch.Tensor:
        return self.generator.mean_latent()
