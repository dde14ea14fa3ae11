"""The recipe of the variational autoencoder of one's own faces.

There is no published training of one for faces: the bound is Kingma and Welling's, with the weight
beta of its divergence (Higgins et al. 2017, "beta-VAE", equation 4) and free bits; the perceptual
term follows Hou et al. 2017, "Deep Feature Consistent Variational Autoencoder", section 3, with
LPIPS for the distance of features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray

from sosie.errors import UsageError
from sosie.methods.vae.latent import LatentCard
from sosie.methods.vae.losses import bound, laplace_term, with_free_bits
from sosie.methods.vae.network import LatentGraph, Vae
from sosie.methods.vae.samples import directions, measured
from sosie.nn.blocks import fast_precision, lay_channels_last
from sosie.recipes.likeness import PerceptualDistance
from sosie.recipes.own_faces import TEMPLATE, OwnFaces, jittered, open_own
from sosie.recipes.swapper.model_file import LICENSE, export_checked
from sosie.training.log import grid
from sosie.training.losses import divergence
from sosie.training.recipe import Materials, PlainRecipe, Plan, require

_PAPER = "Kingma and Welling 2014, Auto-Encoding Variational Bayes"
LEAST_FACES = 20
_PREVIEWED, _AT_ONCE = 8, 32
_BORDER_PX = 8


@dataclass(frozen=True)
class VaePlan(Plan):
    """size_px: side of the pictures, a power of two. width: channels of the first layer. latent:
    numbers that a face becomes. beta: weight of the divergence; 1 is the bound itself. free_bits:
    nats that each latent number may carry for nothing. spread: of the Laplace distribution that a
    picture's numbers (0..1) are taken to have. perceptual: weight of LPIPS beside the mean absolute
    distance; 0 leaves it out, and its files need not be there.
    """

    samples: int = 4_000_000
    batch: int = 32
    lr: float = 1e-3
    weight_decay: float = 0.0
    clip: float = 10.0
    validate_every: int = 40_000
    size_px: int = 128
    width: int = 64
    latent: int = 128
    beta: float = 1.0
    free_bits: float = 0.05
    spread: float = 0.1
    perceptual: float = 0.2

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("width", "latent"), least=1)
        require(self, ("beta", "free_bits", "perceptual"), least=0)
        require(self, ("spread",), least=1e-3)
        require(self, ("size_px",), least=16, most=512)
        if self.size_px & (self.size_px - 1):
            raise UsageError(f"size_px must be a power of two, not {self.size_px}.")


_PUBLISHED = VaePlan()
_SMALL = replace(
    _PUBLISHED,
    samples=60_000,
    batch=16,
    lr=2e-3,
    ema=0.998,
    validate_every=4_000,
    size_px=64,
    width=32,
    latent=64,
    perceptual=0.0,
)


class VaeRecipe(PlainRecipe):
    """The bound on one's own faces; what it knows of their people goes into the file's card."""

    name: ClassVar[str] = "vae"
    summary: ClassVar[str] = "VAE: one's own faces as points of a space to walk in."
    origins: ClassVar[Mapping[str, str]] = {
        "given": "faces that are made again",
        "sosie_landmarks": "telling smiles and poses",
    }
    plan: ClassVar[Plan] = _PUBLISHED
    presets: ClassVar[Mapping[str, Plan]] = {
        "128": _PUBLISHED,
        "64": replace(_PUBLISHED, size_px=64, samples=2_000_000),
        "small": _SMALL,
    }
    weight_file: ClassVar[str | None] = "snapshot"
    keeps_snapshot: ClassVar[bool] = True
    license: ClassVar[str] = LICENSE
    takes_two: ClassVar[bool] = True

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        self._settings = cast(VaePlan, self.chosen)

    def uses(self) -> Mapping[str, str]:
        used = dict(self.origins)
        if self._settings.perceptual:
            used["squeezenet"] = "perceptual distance from the face"
            used["lpips"] = "weights of that distance"
        return used

    def prepare(self) -> None:
        if self._settings.perceptual:
            self._distance  # noqa: B018 - refuses teachers that are not there
        self._measured  # noqa: B018 - cuts the faces out first, and refuses too few

    def network(self) -> Vae:
        plan = self._settings
        network = Vae(plan.size_px, plan.width, plan.latent)
        lay_channels_last(network)
        return network

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        """face: uint8, S x S x 3."""
        row = int(rng.choice(self._own.train))
        return {"face": jittered(self._own.face(row), self._settings.size_px, rng)}

    def losses(
        self,
        network: torch.nn.Module,
        batch: dict[str, torch.Tensor],
        progress: float,  # noqa: ARG002 - the contract
    ) -> dict[str, torch.Tensor]:
        plan = self._settings
        wanted = unit(batch["face"])
        with fast_precision(wanted.device):
            made, mean, log_variance = network(wanted)
        made = made.float()
        nats = with_free_bits(divergence(mean, log_variance), plan.free_bits)
        # All terms are those of the bound times spread / numbers, so that the first has no factor.
        terms = {
            "reconstruction": laplace_term(made, wanted),
            "divergence": plan.beta * plan.spread / wanted[0].numel() * nats,
        }
        if plan.perceptual:
            place = torch.randint(0, _BORDER_PX + 1, (2,)).tolist()
            distance = self._distance.to(wanted.device)
            apart = distance(shifted(made, *place), shifted(wanted, *place)).float().mean()
            terms["perceptual"] = plan.perceptual * apart
        return terms

    def validate(self, network: torch.nn.Module) -> dict[str, float]:
        """On photos that were held out: error: mean absolute distance of 0..1. nats: what a latent
        carries. score: the bound a number of the picture."""
        plan, vae = self._settings, cast(Vae, network)
        errors, nats = [], []
        for pictures in self._pictures(self._own.held, network):
            mean, log_variance = vae.encoder(pictures)
            errors.append((vae.decoder(mean) - pictures).abs().mean((1, 2, 3)))
            nats.append(divergence(mean, log_variance).sum() * len(pictures))
        error = float(torch.cat(errors).mean())
        carried = float(torch.stack(nats).sum()) / len(self._own.held)
        score = bound(error, carried, 3 * plan.size_px**2, plan.spread)
        return {"score": score, "error": error, "nats": carried}

    def preview(self, network: torch.nn.Module) -> NDArray[np.uint8]:
        """Photos that were held out, below them what is made of their latents, and a walk from the
        first to the last."""
        vae = cast(Vae, network)
        shown = next(iter(self._pictures(self._own.held[:_PREVIEWED], network)))
        mean, _ = vae.encoder(shown)
        steps = torch.linspace(0, 1, len(shown), device=mean.device)[:, None]
        walk = mean[:1] * (1 - steps) + mean[-1:] * steps
        rows = [shown, vae.decoder(mean), vae.decoder(walk)]
        return grid([list(to_pixels(row)) for row in rows])

    def export(self, network: torch.nn.Module, file: Path) -> None:
        """The graph that `sosie latent` and `sosie swap --method vae` run, with the mean latent of
        each person and the directions of the attributes in its card."""
        plan = self._settings
        means = self._latents(cast(Vae, network))
        rng = np.random.default_rng(0)
        inputs = {
            "target": rng.uniform(0, 1, (2, 3, plan.size_px, plan.size_px)).astype(np.float32),
            "keep": np.ones((2, 1), np.float32),
            "shift": rng.normal(0, 1, (2, plan.latent)).astype(np.float32),
        }
        graph = LatentGraph(cast(Vae, network))
        export_checked(graph, inputs, ("swapped", "latent"), asdict(means), file)

    @torch.no_grad()
    def _latents(self, network: Vae) -> LatentCard:
        own, plan = self._own, self._settings
        every = own.every
        found = torch.cat([network.encoder(part)[0] for part in self._pictures(every, network)])
        latents = found.cpu().numpy()
        people = own.people[every]
        rows, values = self._measured
        return LatentCard(
            method=self.name,
            template=TEMPLATE,
            size_px=plan.size_px,
            latent=plan.latent,
            people={
                str(name): _listed(latents[people == name].mean(0)) for name in np.unique(people)
            },
            directions={
                name: _listed(slope)
                for name, slope in directions(latents[np.searchsorted(every, rows)], values).items()
            },
            paper=_PAPER,
            license=LICENSE,
        )

    def _pictures(self, rows: NDArray[np.intp], network: torch.nn.Module) -> list[torch.Tensor]:
        device = next(network.parameters()).device
        parts = [rows[k : k + _AT_ONCE] for k in range(0, len(rows), _AT_ONCE)]
        size_px = self._settings.size_px
        return [
            unit(torch.from_numpy(self._own.pictures(part, size_px)).to(device)) for part in parts
        ]

    @cached_property
    def _own(self) -> OwnFaces:
        return open_own(self.materials, self._settings.size_px, LEAST_FACES)

    @cached_property
    def _measured(self) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        return measured(self._own, self.materials)

    @cached_property
    def _distance(self) -> PerceptualDistance:
        return PerceptualDistance(self.materials.teachers).eval()


def shifted(pictures: torch.Tensor, left: int, top: int) -> torch.Tensor:
    """Pictures, N x 3 x S x S, with a border that repeats their edge, `left` and `top` wide there
    and the rest of 8 px on the other sides. Where that changes, the strides of a network of
    features leave no grid on what is learned by it."""
    wide = (left, _BORDER_PX - left, top, _BORDER_PX - top)
    return torch.nn.functional.pad(pictures, wide, mode="replicate")


def unit(pixels: torch.Tensor) -> torch.Tensor:
    """uint8 N x S x S x 3 -> float32 N x 3 x S x S, 0..1."""
    return pixels.permute(0, 3, 1, 2).float() / 255


def to_pixels(pictures: torch.Tensor) -> NDArray[np.uint8]:
    """N x 3 x S x S, 0..1 -> uint8 N x S x S x 3."""
    whole = (pictures.float().clamp(0, 1) * 255).round().byte()
    return np.asarray(whole.permute(0, 2, 3, 1).cpu().numpy())


def _listed(values: NDArray[np.float32]) -> list[float]:
    return [round(float(value), 5) for value in values]
