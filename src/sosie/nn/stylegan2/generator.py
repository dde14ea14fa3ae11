"""StyleGAN2's generator: a mapping from noise to latents, and a synthesis of a picture from those.

Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN". Latents of
W are N x L; those of W+, which have one for each layer, N x C x L.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from sosie.nn.stylegan2.layers import EqualLinear, PictureLayer, StyledLayer, unit_mean_square

SMALLEST_PX = 4
"""Side of what the synthesis begins with."""

_MAPPING_RATE = 0.01

Noise = Literal["stored", "drawn", "none"] | Sequence[torch.Tensor]
"""Noise of the layers: the same for every picture, another for each, none, or given ones."""


@dataclass(frozen=True)
class Form:
    """What a generator's shape hangs on; as it stands, the published `config-f` of 1024 px.

    size_px: side of its pictures, a power of two. latent: numbers of a latent. depth: layers of the
    mapping. total, most: a layer has total / (its side) channels, and `most` at most.
    """

    size_px: int = 1024
    latent: int = 512
    depth: int = 8
    total: int = 32768
    most: int = 512

    @property
    def sides(self) -> list[int]:
        """Sides of the features, the smallest first."""
        return [SMALLEST_PX * 2**k for k in range((self.size_px // SMALLEST_PX).bit_length())]

    @property
    def layers(self) -> int:
        """How many layers take noise: one of the smallest side, two of every other."""
        return 2 * len(self.sides) - 1

    @property
    def count(self) -> int:
        """How many latents a point of W+ has: one more, for the last picture."""
        return self.layers + 1

    def channels(self, side: int) -> int:
        return max(1, min(self.most, self.total // side))


@dataclass(frozen=True)
class Synthesis:
    """picture: N x 3 x S x S, about -1..1. features: of each layer, N x C x H x W, the smallest
    first; each side but the first has two, of which the second is what its picture is made of."""

    picture: torch.Tensor
    features: list[torch.Tensor]


class Generator(nn.Module):
    """A structure and latents of W+ -> a picture, by the stored noise; see `synthesize`.

    structure: N x C x 4 x 4, in place of the constant that was learned (MegaFS: of another face).
    """

    def __init__(self, form: Form) -> None:
        super().__init__()
        self.form = form
        self.mapping = nn.Sequential(
            *(
                EqualLinear(form.latent, form.latent, rate=_MAPPING_RATE, active=True)
                for _ in range(form.depth)
            )
        )
        smallest, *others = form.sides
        width = form.channels(smallest)
        self.constant = nn.Parameter(torch.randn(1, width, smallest, smallest))
        self.layers = nn.ModuleList([StyledLayer(width, width, form.latent)])
        self.pictures = nn.ModuleList([PictureLayer(width, form.latent, first=True)])
        sides = [smallest]
        for side in others:
            before, width = width, form.channels(side)
            self.layers.append(StyledLayer(before, width, form.latent, up=True))
            self.layers.append(StyledLayer(width, width, form.latent))
            self.pictures.append(PictureLayer(width, form.latent))
            sides += [side, side]
        self.noises = nn.Module()
        for number, side in enumerate(sides):
            self.noises.register_buffer(f"noise_{number}", torch.randn(1, 1, side, side))

    def forward(self, structure: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        return self.synthesize(latents, structure).picture

    def map(self, drawn: torch.Tensor) -> torch.Tensor:
        """Normal noise, N x L -> latents of W, N x L."""
        latents: torch.Tensor = self.mapping(unit_mean_square(drawn))
        return latents

    def spread(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents of W, N x L -> the same for every layer, N x C x L."""
        return latents[:, None].expand(-1, self.form.count, -1)

    def synthesize(
        self,
        latents: torch.Tensor,
        structure: torch.Tensor | None = None,
        noise: Noise = "stored",
    ) -> Synthesis:
        """latents: of W+. structure: None takes the learned constant. noise: given ones are one for
        each layer, 1 or N x 1 x H x W."""
        if structure is None:
            structure = self.constant.expand(latents.shape[0], -1, -1, -1)
        x, picture, features = structure, None, []
        for number, layer in enumerate(self.layers):
            x = layer(x, latents[:, number], self._noise(number, latents, noise))
            features.append(x)
            if number % 2 == 0:
                picture = self.pictures[number // 2](x, latents[:, number + 1], picture)
        assert picture is not None
        return Synthesis(picture, features)

    def _noise(self, number: int, latents: torch.Tensor, noise: Noise) -> torch.Tensor | None:
        stored = self.noises.get_buffer(f"noise_{number}")
        if noise == "stored":
            return stored
        if noise == "drawn":
            side = stored.shape[-1]
            return torch.randn(
                latents.shape[0], 1, side, side, device=latents.device, dtype=latents.dtype
            )
        return None if noise == "none" else noise[number]

    @torch.no_grad()
    def mean_latent(self, count: int = 4096, seed: int = 0) -> torch.Tensor:
        """The mean of `count` latents of W, L: the face that all others are variations of."""
        drawn = torch.randn(
            count, self.form.latent, generator=torch.Generator().manual_seed(seed)
        ).to(self.constant.device)
        return self.map(drawn).mean(0)


def truncated(latents: torch.Tensor, mean: torch.Tensor, share: float) -> torch.Tensor:
    """Latents moved towards the mean, L, so that `share` of their distance is left (Karras et al.
    2019, "A Style-Based Generator Architecture", appendix B): fewer odd pictures, less variety."""
    return mean + share * (latents - mean)


def mixed(first: torch.Tensor, second: torch.Tensor, start: int) -> torch.Tensor:
    """Latents of W+ that are the first's up to the layer `start`, and the second's from there."""
    return torch.cat([first[:, :start], second[:, start:]], 1)
