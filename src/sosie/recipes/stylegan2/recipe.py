"""The recipe of StyleGAN2 (Karras et al. 2020): the published form, `config-f`, and a small one.

The two regularizations are added to the loss of the steps that they are due in, where NVIDIA takes
steps of their own.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.analysis.embedder import SIDE_PX
from sosie.analysis.embedder import TEMPLATE as IDENTITY_TEMPLATE
from sosie.datasets.people import People, open_people
from sosie.errors import UsageError
from sosie.geometry import alignment
from sosie.models.cards import read_embedded
from sosie.nn.blocks import fast_precision
from sosie.nn.stylegan2.discriminator import Discriminator
from sosie.nn.stylegan2.generator import Form, Generator, mixed, truncated
from sosie.recipes.identity.network import FrozenIdentity
from sosie.recipes.stylegan2.augment import augmented
from sosie.recipes.swapper.extra_losses import cut
from sosie.recipes.swapper.model_file import LICENSE, SwapperCard, export_checked
from sosie.training.log import grid
from sosie.training.losses import (
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    path_length_loss,
)
from sosie.training.recipe import Materials, Phase, Plan, Recipe, require

Batch = dict[str, torch.Tensor]

TEMPLATE = "ffhq"
"""Of all faces that StyleGAN2's generators of faces were trained on."""

PAPER = "Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN"

_R1_EVERY, _PATHS_EVERY = 16, 4
"""Steps between two regularizations of the discriminator and of the generator (appendix B)."""

_PATHS_SHARE = 2
"""Of a batch one in so many is regularized by its paths."""

_MADE, _AT_ONCE, _COLUMNS = 256, 32, 6
_SHOWN_AT = 0.7


@dataclass(frozen=True)
class StyleGanPlan(Plan):
    """A plan with what StyleGAN2 decides; as it stands, the published `config-f`.

    size_px, latent, depth, total, most: see `Form`. penalty: weight of R1. paths: of the path
    lengths. mixing: share of pictures that two latents make together. augment: 1 where the
    discriminator sees changed pictures.
    """

    samples: int = 25_000_000
    batch: int = 32
    lr: float = 2e-3
    weight_decay: float = 0.0
    ema: float = 0.99778
    clip: float = 1e9
    validate_every: int = 200_000
    size_px: int = 1024
    latent: int = 512
    depth: int = 8
    total: int = 32768
    most: int = 512
    penalty: float = 10.0
    paths: float = 2.0
    mixing: float = 0.9
    augment: int = 0

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("penalty", "paths"), least=0)
        require(self, ("mixing", "augment"), least=0, most=1)
        require(self, ("latent", "depth", "total", "most"), least=1)
        require(self, ("size_px",), least=16, most=1024)
        require(self, ("batch",), least=2)
        if self.size_px & (self.size_px - 1):
            raise UsageError(f"size_px must be a power of two, not {self.size_px}.")

    @property
    def form(self) -> Form:
        return Form(self.size_px, self.latent, self.depth, self.total, self.most)


class Adversaries(nn.Module):
    """Generator and discriminator. paths: the mean length of the generator's paths so far."""

    paths: torch.Tensor

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.generator, self.judge = Generator(form), Discriminator(form)
        self.register_buffer("paths", torch.zeros(()))


_PUBLISHED = StyleGanPlan()


class StyleGanRecipe(Recipe):
    """Logistic loss that does not saturate, R1 every 16 steps and path lengths every 4."""

    name: ClassVar[str] = "stylegan2"
    summary: ClassVar[str] = "StyleGAN2: makes faces of nobody, for swappers to be built around."
    origins: ClassVar[Mapping[str, str]] = {
        "given": "faces that others are to be made like",
        "sosie": "features by which made faces are compared with those held out",
    }
    plan: ClassVar[Plan] = _PUBLISHED
    presets: ClassVar[Mapping[str, StyleGanPlan]] = {
        "published": _PUBLISHED,
        "256": replace(_PUBLISHED, size_px=256),
        "small": replace(
            _PUBLISHED,
            samples=200_000,
            batch=16,
            ema=0.998,
            validate_every=16_000,
            size_px=64,
            latent=128,
            depth=4,
            total=1024,
            most=128,
            penalty=1.0,
            augment=1,
        ),
    }
    keeps_snapshot: ClassVar[bool] = True
    license: ClassVar[str] = LICENSE

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        self._settings = cast(StyleGanPlan, self.chosen)
        self._steps = math.ceil(self._settings.samples / self._settings.batch)

    @classmethod
    def plan_with(cls, plan: Plan, settings: Mapping[str, str]) -> Plan:
        if "warmup" in settings:
            raise UsageError(f"{cls.name} has no use for warmup: leave it out.")
        return super().plan_with(plan, settings)

    def prepare(self) -> None:
        self._people  # noqa: B018 - cuts the faces out, and refuses what is missing

    def network(self) -> Adversaries:
        return Adversaries(self._settings.form)

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """face: uint8, S x S x 3, mirrored half of the time. latents, others: float32, 2 x L, drawn
        for each of the two adversaries. mixed: int64, twice the layer from which on the second of
        both latents counts."""
        plan = self._settings
        face = self._people.faces[int(rng.choice(self._rows[0]))]
        return {
            "face": np.array(face[:, ::-1] if rng.random() < 0.5 else face),
            "latents": rng.normal(size=(2, plan.latent)).astype(np.float32),
            "others": rng.normal(size=(2, plan.latent)).astype(np.float32),
            "mixed": np.array([self._crossover(rng) for _ in range(2)], np.int64),
        }

    def _crossover(self, rng: np.random.Generator) -> int:
        count = self._settings.form.count
        return int(rng.integers(1, count)) if rng.random() < self._settings.mixing else count

    def phases(self) -> tuple[Phase, ...]:
        # The optimizers of NVIDIA are slowed by the share of steps that have no regularization.
        rule: dict[str, Any] = {"steady": True, "decoupled": False}
        shares = [every / (every + 1) for every in (_R1_EVERY, _PATHS_EVERY)]
        betas = [(0.0, 0.99**share) for share in shares]
        return (
            Phase("judge", self._judge, ("judge",), rate=shares[0], betas=betas[0], **rule),
            Phase(
                "generator", self._generate, ("generator",), rate=shares[1], betas=betas[1], **rule
            ),
        )

    def _judge(self, network: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        both, plan = cast(Adversaries, network), self._settings
        due = plan.penalty > 0 and self._step(progress) % _R1_EVERY == 0
        real = as_pictures(batch["face"]).requires_grad_(due)
        with torch.no_grad(), fast_precision(real.device):
            latents = self._latents(both.generator, batch["latents"], batch["mixed"][:, 0])
            made = both.generator.synthesize(latents, noise="drawn").picture
        # Second derivatives take all their digits.
        of_real = both.judge(self._seen(real))
        with fast_precision(real.device):
            of_made = both.judge(self._seen(made.float()))
        terms = {"told_apart": discriminator_loss("nonsaturating", [of_real], [of_made])}
        if due:
            weight = plan.penalty / 2 * _R1_EVERY
            terms["penalty"] = weight * gradient_penalty(real, [of_real])
        return terms

    def _generate(
        self, network: nn.Module, batch: Batch, progress: float
    ) -> dict[str, torch.Tensor]:
        both, plan = cast(Adversaries, network), self._settings
        drawn, layers = batch["others"], batch["mixed"][:, 1]
        with fast_precision(drawn.device):
            latents = self._latents(both.generator, drawn, layers)
            made = both.generator.synthesize(latents, noise="drawn").picture
            of_made = both.judge(self._seen(made))
        terms = {"adversarial": generator_loss("nonsaturating", [of_made])}
        if plan.paths and self._step(progress) % _PATHS_EVERY == 0:
            few = max(1, len(drawn) // _PATHS_SHARE)
            latents = self._latents(both.generator, drawn[:few], layers[:few])
            made = both.generator.synthesize(latents, noise="drawn").picture
            loss, mean = path_length_loss(made, latents, both.paths)
            both.paths.copy_(mean)
            terms["paths"] = plan.paths * _PATHS_EVERY * loss
        return terms

    def _step(self, progress: float) -> int:
        return round(progress * self._steps)

    def _seen(self, pictures: torch.Tensor) -> torch.Tensor:
        return augmented(pictures) if self._settings.augment else pictures

    def _latents(
        self, generator: Generator, drawn: torch.Tensor, layers: torch.Tensor
    ) -> torch.Tensor:
        """Latents of W+ of two draws a picture, N x 2 x L, the second from a layer on: N."""
        first, second = (generator.spread(generator.map(drawn[:, k])) for k in range(2))
        later = torch.arange(generator.form.count, device=drawn.device) >= layers[:, None]
        return torch.where(later[..., None], second, first)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """frechet: Frechet distance of features of the identity network, of made faces from those
        of people who were held out; score: less that. variety: mean distance of made pictures from
        one another, over the same of photos; 0 is one picture again and again."""
        generator = cast(Adversaries, network).generator
        made = self.made(generator, _MADE)
        rows = self._rows[1]
        held = as_pictures(torch.from_numpy(np.array(self._people.faces[rows[: 4 * _MADE]])))
        apart = frechet(self._features(made), self._features(held))
        variety = _variety(made) / max(_variety(held[:_MADE]), 1e-6)
        return {"score": -apart, "frechet": apart, "variety": variety}

    def preview(self, network: nn.Module) -> NDArray[np.uint8]:
        """Faces of always the same latents, nearer to the mean than those that are drawn; in the
        last row each has the coarse layers of the face above, and the fine ones of the next."""
        generator = cast(Adversaries, network).generator
        drawn = self._drawn(generator, 4 * _COLUMNS)
        mean = generator.mean_latent()
        latents = generator.spread(truncated(generator.map(drawn), mean, _SHOWN_AT))
        above = latents[-_COLUMNS:]
        crossed = mixed(above, above.roll(-1, 0), generator.form.count // 2)
        pictures = generator.synthesize(torch.cat([latents, crossed])).picture
        shown = as_pixels(pictures)
        return grid([list(shown[k : k + _COLUMNS]) for k in range(0, len(shown), _COLUMNS)])

    def made(self, generator: Generator, count: int) -> torch.Tensor:
        """Pictures of always the same draws, on the processor."""
        parts = parted(self._drawn(generator, count))
        spread = (generator.spread(generator.map(part)) for part in parts)
        return torch.cat([generator.synthesize(part).picture.float().cpu() for part in spread])

    def _drawn(self, generator: Generator, count: int) -> torch.Tensor:
        drawn = np.random.default_rng(0).normal(size=(count, generator.form.latent))
        return torch.from_numpy(drawn.astype(np.float32)).to(generator.constant.device)

    def _features(self, pictures: torch.Tensor) -> torch.Tensor:
        """Means over each map of the identity network's first two stages, N x K."""
        size = self._settings.size_px
        points = alignment.template_points(TEMPLATE, size)
        matrix = alignment.align_matrix(points, IDENTITY_TEMPLATE, SIDE_PX)
        found = []
        for part in parted(pictures):
            stages = self._identity.stages(cut(part.clamp(-1, 1), matrix, SIDE_PX))
            found.append(torch.cat([stage.float().mean((2, 3)) for stage in stages[:2]], 1))
        return torch.cat(found)

    def export(self, network: nn.Module, file: Path) -> None:
        """The synthesis by its stored noise: structure and latents -> picture."""
        generator, plan = cast(Adversaries, network).generator, self._settings
        rng, form = np.random.default_rng(0), plan.form
        smallest = form.sides[0]
        inputs = {
            "structure": rng.normal(size=(2, form.channels(smallest), smallest, smallest)),
            "latents": rng.normal(size=(2, form.count, form.latent)),
        }
        given = {name: values.astype(np.float32) for name, values in inputs.items()}
        card = asdict(SwapperCard("stylegan2", TEMPLATE, plan.size_px, -1.0, PAPER))
        export_checked(copy.deepcopy(generator), given, ("picture",), card, file)

    def weights_of_published(
        self, name: str, weights: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        if "stylegan2" not in name:
            return super().weights_of_published(name, weights)
        return {f"generator.{key}": value for key, value in weights.items()}

    @cached_property
    def _people(self) -> People:
        materials = self.materials
        return open_people(
            materials.data, materials.cache, TEMPLATE, self._settings.size_px, materials.workers
        )

    @cached_property
    def _rows(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        return self._people.split()

    @cached_property
    def _identity(self) -> FrozenIdentity:
        return FrozenIdentity(read_embedded("identity"), stages=True).requires_grad_(False).eval()


def parted(values: torch.Tensor, most: int = _AT_ONCE) -> list[torch.Tensor]:
    """A batch in parts that memory has room for."""
    return [values[start : start + most] for start in range(0, len(values), most)]


def as_pictures(crops: torch.Tensor) -> torch.Tensor:
    """uint8, N x S x S x 3 -> N x 3 x S x S, -1..1."""
    return crops.permute(0, 3, 1, 2).float() / 127.5 - 1


def as_pixels(pictures: torch.Tensor) -> NDArray[np.uint8]:
    """The way back."""
    unit = ((pictures.float() + 1) / 2).clamp(0, 1)
    return (unit * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def frechet(one: torch.Tensor, other: torch.Tensor) -> float:
    """Frechet distance of two sets of features, N x K and M x K, each taken for a Gaussian (Heusel
    et al. 2017, "GANs Trained by a Two Time-Scale Update Rule", equation 6)."""
    one, other = one.double(), other.double()
    apart = (one.mean(0) - other.mean(0)).square().sum()
    first, second = torch.cov(one.T), torch.cov(other.T)
    values, vectors = torch.linalg.eigh(first)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    shared = torch.linalg.eigvalsh(root @ second @ root).clamp_min(0).sqrt().sum()
    return float(apart + first.trace() + second.trace() - 2 * shared)


def _variety(pictures: torch.Tensor) -> float:
    """Mean absolute distance of pictures from one another."""
    flat = pictures.flatten(1)
    count = len(flat) * (len(flat) - 1)
    return float(torch.cdist(flat, flat, p=1).sum()) / max(count, 1) / flat.shape[1]
