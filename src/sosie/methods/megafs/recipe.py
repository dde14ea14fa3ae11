"""The recipe of MegaFS's encoder, and what it shares with that of the transfer.

The authors published no training code, and the weights of their losses could not be checked here:
those of the plan are Sosie's own.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.datasets.people import People, open_people
from sosie.errors import UsageError
from sosie.methods.megafs.codes import TEMPLATE
from sosie.methods.megafs.frozen_network import encoder_form, frozen_generator
from sosie.methods.megafs.losses import FaceDistances, reduced
from sosie.methods.megafs.network import Encoder
from sosie.nn.blocks import fast_precision
from sosie.nn.stylegan2.generator import Generator, truncated
from sosie.recipes.stylegan2.recipe import as_pictures, as_pixels, parted
from sosie.recipes.swapper.model_file import LICENSE, SwapperCard, export_checked
from sosie.training.log import grid
from sosie.training.losses import identity_loss
from sosie.training.recipe import Materials, Phase, Plan, Recipe, require

Batch = dict[str, torch.Tensor]

PAPER = "Zhu et al. 2021, One Shot Face Swapping on Megapixels"

VALIDATED, PREVIEWED, AT_ONCE = 64, 6, 16

_TRUNCATED = 0.7
"""How far from the mean face the generator's own faces are that the encoder learns from too."""


@dataclass(frozen=True)
class MegafsPlan(Plan):
    """A plan with what both trainings decide; as it stands, for 1024 px. The generator decides the
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
class EncoderPlan(MegafsPlan):
    """Of the encoder. width, blocks: see `encoder_form`. made: share of the faces that are the
    generator's own. pixel: weight of a loss."""

    samples: int = 2_000_000
    width: int = 64
    blocks: int = 6
    made: float = 0.3
    pixel: float = 1.0

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("pixel",), least=0)
        require(self, ("made",), least=0, most=1)
        require(self, ("width", "blocks"), least=1)


class MegafsRecipe(Recipe):
    """A recipe that builds on a trained generator, which it finds among the teachers."""

    keeps_snapshot: ClassVar[bool] = True
    license: ClassVar[str] = LICENSE

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        self.losses = cast(MegafsPlan, self.chosen)
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

    def draw(self, structure: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """The frozen generator's picture, N x 3 x S x S, float32, with gradients to both."""
        generator = self.generator.to(latents.device)
        with fast_precision(latents.device):
            picture: torch.Tensor = generator(structure, latents)
        return picture.float()

    @cached_property
    def generator(self) -> Generator:
        return frozen_generator(self.materials.teachers)

    @cached_property
    def people(self) -> People:
        materials = self.materials
        size = self.generator.form.size_px
        return open_people(materials.data, materials.cache, TEMPLATE, size, materials.workers)


def encoded(encoder: nn.Module, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents and structure of pictures of the generator's size, float32."""
    side = cast(Encoder, encoder).form.size_px
    with fast_precision(pictures.device):
        latents, structure = encoder(reduced(pictures, side))
    return latents.float(), structure.float()


class EncoderLearner(nn.Module):
    """The encoder; the generator does not learn, and is not kept with it."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder


_PUBLISHED = EncoderPlan()


class EncoderRecipe(MegafsRecipe):
    """Faces, and some that the generator makes: each is to be made again of its codes."""

    name: ClassVar[str] = "megafs_encoder"
    summary: ClassVar[str] = "MegaFS: reads a face into a generator's latents."
    origins: ClassVar[Mapping[str, str]] = {
        "given": "faces that are made again",
        "sosie": "telling whether the same person is seen",
        "sosie_landmarks": "telling whether the face is where it was",
    }
    plan: ClassVar[Plan] = _PUBLISHED
    presets: ClassVar[Mapping[str, EncoderPlan]] = {
        "published": _PUBLISHED,
        "small": replace(
            _PUBLISHED,
            samples=100_000,
            batch=16,
            lr=4e-4,
            ema=0.998,
            validate_every=8_000,
            width=16,
            blocks=1,
            pixel=4.0,
        ),
    }

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        self._settings = cast(EncoderPlan, self.chosen)

    def network(self) -> EncoderLearner:
        plan = self._settings
        return EncoderLearner(Encoder(encoder_form(self.generator.form, plan.width, plan.blocks)))

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
        latents, structure = encoded(cast(EncoderLearner, network).encoder, wanted)
        return self.terms(self.draw(structure, latents), wanted)

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
        encoder = cast(EncoderLearner, network).encoder
        found = []
        for pictures in parted(self._held(next(encoder.parameters()).device), AT_ONCE):
            latents, structure = encoded(encoder, pictures)
            made, distances = self.draw(structure, latents), self.distances(pictures.device)
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
        encoder = cast(EncoderLearner, network).encoder
        pictures = self._held(next(encoder.parameters()).device)[:PREVIEWED]
        latents, structure = encoded(encoder, pictures)
        return grid([list(as_pixels(x)) for x in (pictures, self.draw(structure, latents))])

    def export(self, network: nn.Module, file: Path) -> None:
        """The encoder: picture -> latents, structure."""
        encoder = copy.deepcopy(cast(EncoderLearner, network).encoder)
        side = encoder.form.size_px
        picture = np.random.default_rng(0).uniform(-1, 1, (2, 3, side, side)).astype(np.float32)
        card = asdict(SwapperCard("megafs", TEMPLATE, side, -1.0, PAPER))
        export_checked(encoder, {"picture": picture}, ("latents", "structure"), card, file)

    def weights_of_published(
        self, name: str, weights: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        if name != "megafs_hierfe":
            raise UsageError(f"{name} is no part of {self.name}: it takes megafs_hierfe.")
        return {f"encoder.{key}": value for key, value in weights.items()}

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
