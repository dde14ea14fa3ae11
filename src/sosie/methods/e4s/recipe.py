"""The recipe of E4S: an encoder of regions, and a generator that is led by maps of them.

The weights of the losses are the published ones. The features are those of Sosie's own networks,
and whether the published generator learned with the encoder is not known here: it does.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.analysis import landmarker, parser
from sosie.errors import UsageError
from sosie.geometry import alignment
from sosie.methods import parts
from sosie.methods.e4s.losses import ParserFeatures, at_all_sizes, features_loss
from sosie.methods.e4s.network import E4sForm, RegionNetwork, SwapGraph, graph_inputs
from sosie.methods.e4s.regions import REGIONS, meant, one_hot, recomposed, taken
from sosie.methods.e4s.samples import FaceMaps
from sosie.methods.e4s.swapper import OUTPUTS, TEMPLATE
from sosie.nn.blocks import fast_precision
from sosie.nn.encoders import IR_SE_STAGES
from sosie.nn.stylegan2.discriminator import Discriminator
from sosie.nn.stylegan2.generator import Form
from sosie.nn.stylegan2.layers import settle
from sosie.recipes.stylegan2.face_distances import FaceDistances, reduced
from sosie.recipes.stylegan2.inversion import Batch, LatentPlan, LatentSwapRecipe
from sosie.recipes.stylegan2.recipe import as_pictures, as_pixels
from sosie.recipes.swapper.model_file import SwapperCard, export_checked
from sosie.training.losses import (
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    identity_loss,
)
from sosie.training.recipe import Materials, Phase, Plan, require

PAPER = "Liu et al. 2023, Fine-Grained Face Swapping via Regional GAN Inversion"

_GENERATOR = ("stylegan2", "megafs_stylegan2_*")
"""Names of the generator's file, as `sosie train` and `sosie weights import megafs` write it."""

_JUDGED_EVERY = 15
"""Steps from one at which the discriminator learns to the next."""

_MOST_SEEN_PX = 256
_FACE = meant(["face"])


@dataclass(frozen=True)
class E4sPlan(LatentPlan):
    """regional: how many latents each region has of its own at most; the others are the mean
    latent. width, units: of the encoder's first stage, and of a stage at most. hidden: width
    between a region's description and its latents. tuned: 1 where the generator learns too.

    Weights of losses: pixel (L2), perceptual (LPIPS at up to three sizes), identity and parsing
    (features at several depths), adversarial; penalty: of R1.
    """

    samples: int = 4_800_000
    batch: int = 16
    regional: int = 13
    width: int = IR_SE_STAGES[1][0]
    units: int = 14
    hidden: int = 512
    tuned: int = 1
    perceptual: float = 0.8
    identity: float = 0.1
    landmarks: float = 0.0
    pixel: float = 1.0
    parsing: float = 0.1
    adversarial: float = 0.01
    penalty: float = 10.0

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("pixel", "parsing", "adversarial", "penalty"), least=0)
        require(self, ("regional", "width", "units", "hidden"), least=1)
        require(self, ("tuned",), least=0, most=1)


_PUBLISHED = E4sPlan()


def form_of(plan: E4sPlan, generator: Form) -> E4sForm:
    """The networks' form around a generator. The encoder's stages are those of IR-SE-50, each of
    which has twice the width of the one before but the last."""
    counts = [min(count, plan.units) for _, count in IR_SE_STAGES]
    widths = [plan.width, 2 * plan.width, 4 * plan.width, 4 * plan.width]
    return E4sForm(
        generator,
        min(generator.size_px, _MOST_SEEN_PX),
        max(1, plan.width // 2),
        tuple(zip(widths, counts, strict=True)),
        plan.hidden,
        min(plan.regional, generator.layers),
    )


class Learner(nn.Module):
    """The networks, and the discriminator where there is to be one. mean: the generator's mean
    latent, L."""

    mean: torch.Tensor

    def __init__(self, form: E4sForm, mean: torch.Tensor, judged: bool) -> None:
        super().__init__()
        self.network = RegionNetwork(form)
        self.register_buffer("mean", mean)
        if judged:
            self.judge = Discriminator(form.generator)


class E4sRecipe(LatentSwapRecipe):
    """Faces are painted again, of what is said of each of their regions and of a map of these."""

    name: ClassVar[str] = "e4s"
    summary: ClassVar[str] = "E4S: swaps the look and the shape of a face region by region."
    origins: ClassVar[Mapping[str, str]] = {
        "given": "faces that are made again",
        "sosie": "telling whether the same person is seen",
        "sosie_landmarks": "where the regions of a face are",
        "sosie_parser": "where the regions are, and whether they look alike",
    }
    plan: ClassVar[Plan] = _PUBLISHED
    presets: ClassVar[Mapping[str, E4sPlan]] = {
        "published": _PUBLISHED,
        "small": replace(
            _PUBLISHED,
            samples=100_000,
            lr=4e-4,
            ema=0.998,
            validate_every=8_000,
            width=32,
            units=1,
            hidden=128,
            pixel=4.0,
            identity=0.5,
            penalty=1.0,
        ),
    }

    weight_file: ClassVar[str | None] = "snapshot"

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        self._settings = cast(E4sPlan, self.chosen)
        self._steps = math.ceil(self._settings.samples / self._settings.batch)
        self._features: dict[torch.device, ParserFeatures] = {}

    def generator_file(self) -> Path:
        folder = self.materials.teachers
        return parts.part_file("e4s", folder, "generator", _GENERATOR, ".safetensors", ("train",))

    def network(self) -> Learner:
        plan, generator = self._settings, self.generator
        form = form_of(plan, generator.form)
        learner = Learner(form, generator.mean_latent(), judged=plan.adversarial > 0)
        learner.network.generator.load_state_dict(generator.state_dict())
        if not plan.tuned:
            learner.network.generator.requires_grad_(False)
        return learner

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """face: uint8, S x S x 3. regions: uint8, its map. Half of them are mirrored."""
        face = self.people.faces[int(rng.choice(self._rows))]
        regions = self._maps.read(face)
        if rng.random() < 0.5:
            face, regions = face[:, ::-1], regions[:, ::-1]
        return {"face": np.array(face), "regions": np.array(regions)}

    def phases(self) -> tuple[Phase, ...]:
        paint = Phase("paint", self._paint, ("network",), betas=(0.9, 0.999), decoupled=False)
        if not self._settings.adversarial:
            return (paint,)
        judge = Phase(
            "judge", self._judge, ("judge",), betas=(0.9, 0.999), decoupled=False, due=self._due
        )
        return (judge, paint)

    def _due(self, progress: float) -> bool:
        return round(progress * self._steps) % _JUDGED_EVERY == 0

    def _judge(self, network: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:  # noqa: ARG002
        learner, plan = cast(Learner, network), self._settings
        real = as_pictures(batch["face"])
        with torch.no_grad():
            made = self._painted(learner, real, as_masks(batch["regions"]))
        real.requires_grad_(plan.penalty > 0)
        of_real = learner.judge(real)
        apart = discriminator_loss("nonsaturating", [of_real], [learner.judge(made)])
        if not plan.penalty:
            return {"told_apart": apart}
        penalty = plan.penalty / 2 * gradient_penalty(real, [of_real])
        return {"told_apart": apart, "penalty": penalty}

    def _paint(self, network: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:  # noqa: ARG002
        learner, plan = cast(Learner, network), self._settings
        wanted = as_pictures(batch["face"])
        made = self._painted(learner, wanted, as_masks(batch["regions"]))
        distances, features = self.distances(wanted.device), self._parser(wanted.device)
        size = int(wanted.shape[-1])
        weighted: dict[str, Callable[[], torch.Tensor]] = {
            "pixel": lambda: (made - wanted).square().mean(),
            "perceptual": lambda: at_all_sizes(
                lambda a, b: distances.perceptual(a, b, most_px=size), made, wanted
            ),
            "identity": lambda: (
                identity_loss(distances.embed(made), distances.embed(wanted))
                + features_loss(distances.identity_stages(made), distances.identity_stages(wanted))
            ),
            "landmarks": lambda: distances.landmarks(made, wanted),
            "parsing": lambda: features_loss(features(made), features(wanted)),
            "adversarial": lambda: generator_loss("nonsaturating", [learner.judge(made)]),
        }
        return {
            name: getattr(plan, name) * loss()
            for name, loss in weighted.items()
            if getattr(plan, name)
        }

    def _painted(
        self, learner: Learner, pictures: torch.Tensor, masks: torch.Tensor
    ) -> torch.Tensor:
        """Pictures again, by their own regions; float32."""
        network = learner.network
        with fast_precision(pictures.device):
            described = self._described(network, pictures, masks)
            made, _ = network.painted(network.latents(described, self._mean(learner)), masks)
        return made.float()

    def _described(
        self, network: RegionNetwork, pictures: torch.Tensor, masks: torch.Tensor
    ) -> torch.Tensor:
        # Pictures of a batch lie channels last: see `fslsd.inverter_recipe.inverted`.
        return network.described(reduced(pictures, network.form.size_px).contiguous(), masks)

    def _mean(self, learner: Learner) -> torch.Tensor:
        return learner.network.generator.spread(learner.mean[None])[0]

    @torch.no_grad()
    def swapped(
        self, network: nn.Module, source: torch.Tensor, target: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The face of sources that were not moved into the target's pose, as a swap does."""
        learner = cast(Learner, network)
        ours, theirs = ([self._maps.read(one) for one in as_pixels(x)] for x in (source, target))
        pairs = list(zip(ours, theirs, strict=True))
        device = target.device

        def stacked(arrays: list[NDArray[np.float32]]) -> torch.Tensor:
            return torch.from_numpy(np.stack(arrays)).to(device)

        own = stacked([one_hot(one) for one in theirs])
        given = (
            source,
            stacked([one_hot(one) for one in ours]),
            target,
            own,
            stacked([one_hot(recomposed(_FACE, a, b)) for a, b in pairs]),
            stacked([taken(_FACE, a, b) for a, b in pairs]),
        )
        graph = SwapGraph(learner.network, learner.mean)
        with fast_precision(device):
            made: torch.Tensor = graph(*given)
        return made.float(), self._painted(learner, target, own)

    def export(self, network: nn.Module, file: Path) -> None:
        """The whole swap; see `SwapGraph`."""
        learner = copy.deepcopy(cast(Learner, network))
        form = learner.network.form
        rng = np.random.default_rng(0)
        given = {
            name: rng.uniform(0, 1, (2, *shape[1:])).astype(np.float32)
            for name, shape in graph_inputs(form)
        }
        card = asdict(SwapperCard("e4s", TEMPLATE, form.generator.size_px, -1.0, PAPER))
        graph = settle(SwapGraph(learner.network, learner.mean))
        export_checked(graph, given, OUTPUTS, card, file)

    def weights_of_published(
        self, name: str, weights: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        if not name.startswith("e4s_net3_"):
            raise UsageError(f"{name} is no part of {self.name}: it takes e4s_net3_1024.")
        return {f"network.{key}": value for key, value in weights.items()}

    def distances(self, device: torch.device) -> FaceDistances:
        if device not in self.distances_of:
            made = FaceDistances(self.materials.teachers, stages=True)
            self.distances_of[device] = made.to(device)
        return self.distances_of[device]

    def _parser(self, device: torch.device) -> ParserFeatures:
        if device not in self._features:
            square = self._square
            larger = alignment.resize_matrix(parser.SIDE_PX / landmarker.SIDE_PX)
            made = ParserFeatures(alignment.compose(larger, square))
            self._features[device] = made.to(device)
        return self._features[device]

    @cached_property
    def _square(self) -> alignment.Matrix:
        """Face -> the landmark network's square."""
        return self.distances(torch.device("cpu")).square(self.generator.form.size_px)

    @cached_property
    def _maps(self) -> FaceMaps:
        return FaceMaps(self._square, min(self.generator.form.size_px, _MOST_SEEN_PX))

    @cached_property
    def _rows(self) -> NDArray[np.intp]:
        return self.people.split()[0]


def as_masks(regions: torch.Tensor) -> torch.Tensor:
    """Maps, uint8, N x S x S -> masks, N x R x S x S."""
    numbers = torch.arange(len(REGIONS), dtype=regions.dtype, device=regions.device)
    return (regions[:, None] == numbers[:, None, None]).float()
