"""The networks of E4S: a face's regions into StyleGAN2's latents, and a picture from a mask of
regions and the latents of each.

Source: Liu et al. 2023, "Fine-Grained Face Swapping via Regional GAN Inversion", section 3.1
(multi-scale regional encoder) and 3.2 (mask-guided generator). Masks are N x R x H x W, one of R
regions at each place; latents N x R x C x L, the coarsest layer's first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from sosie.methods.e4s.regions import REGIONS
from sosie.methods.e4s.swapper import INPUTS
from sosie.nn.encoders import IrSeUnit
from sosie.nn.stylegan2.generator import Form, Generator
from sosie.nn.stylegan2.layers import EqualLinear, ModulatedConv, PictureLayer, StyledLayer, leaky
from sosie.recipes.stylegan2.face_distances import reduced

_SLOPE = 0.01
_REDUCTION = 16


@dataclass(frozen=True)
class E4sForm:
    """What the networks' shape hangs on; as it stands, the published one of 256 px.

    generator: of StyleGAN2. size_px: side of what is encoded. stem: channels behind the first
    convolution. stages: channels and units of the encoder's stages; each halves the picture, and
    all but the first give features. hidden: width between features and latents. regional: how many
    latents each region has of its own; the others are the mean latent.
    """

    generator: Form = field(default_factory=lambda: Form(256))
    size_px: int = 256
    stem: int = 64
    stages: tuple[tuple[int, int], ...] = ((128, 3), (256, 4), (512, 14), (512, 3))
    hidden: int = 512
    regional: int = 13

    @property
    def described(self) -> int:
        """Numbers that describe a region."""
        return sum(channels for channels, _ in self.stages[1:])


def _norm(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels)


class RegionEncoder(nn.Module):
    """Pictures, N x 3 x S x S in -1..1, and masks -> a description of each region, N x R x D.

    It is the mean of the features over the region, at three sizes; zeros where the region is not
    seen.
    """

    def __init__(self, form: E4sForm) -> None:
        super().__init__()
        width = form.stem
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, width, 3, 1, 1, bias=False), _norm(width), nn.PReLU(width)
        )
        units = []
        self._ends = set()
        for number, (channels, count) in enumerate(form.stages):
            for position in range(count):
                units.append(IrSeUnit(width, channels, 1 if position else 2, _norm))
                width = channels
            if number:
                self._ends.add(len(units) - 1)
        self.body = nn.ModuleList(units)

    def forward(self, pictures: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        x = self.input_layer(pictures)
        means = []
        for number, unit in enumerate(self.body):
            x = unit(x)
            if number in self._ends:
                means.append(region_means(x, masks))
        return torch.cat(means, 2)


def region_means(features: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """The mean of N x D x h x w over each region: N x R x D; zeros where it is not seen."""
    small = functional.interpolate(masks, features.shape[2:], mode="nearest")
    total = torch.einsum("ndhw,nrhw->nrd", features, small)
    return total / small.sum((2, 3)).clamp_min(1)[..., None]


class RegionLatents(nn.Module):
    """A region's description, N x D -> its latents beside the mean latent, N x K x L."""

    def __init__(self, form: E4sForm) -> None:
        super().__init__()
        self._shape = form.regional, form.generator.latent
        self.mlp = nn.Sequential(
            EqualLinear(form.described, form.hidden),
            nn.LeakyReLU(_SLOPE),
            EqualLinear(form.hidden, form.regional * form.generator.latent),
        )

    def forward(self, described: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.mlp(described)
        return made.reshape(-1, *self._shape)


class RegionNetwork(nn.Module):
    """Encoder, latents and generator; see `described`, `latents` and `painted`.

    forward: picture, masks (of the encoder's picture, one-hot) and the mean latent, C x L -> the
    picture again, its regions' descriptions, and the features of the first layer of 16 px.
    """

    def __init__(self, form: E4sForm | None = None) -> None:
        super().__init__()
        self.form = form = form or E4sForm()
        self.encoder = RegionEncoder(form)
        self.regions = nn.ModuleList(RegionLatents(form) for _ in REGIONS)
        self.generator = Generator(form.generator)

    def forward(
        self, pictures: torch.Tensor, masks: torch.Tensor, mean: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        described = self.described(pictures, masks)
        picture, features = self.painted(self.latents(described, mean), masks)
        return picture, described, features[3]

    def described(self, pictures: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Of each region, N x R x D."""
        found: torch.Tensor = self.encoder(pictures, masks)
        return found

    def latents(self, described: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """Of each region, N x R x C x L. mean: the generator's mean latent, C x L."""
        own = torch.stack(
            [part(described[:, number]) for number, part in enumerate(self.regions)], 1
        )
        count = self.form.regional
        others = mean[count:].expand(*own.shape[:2], -1, -1)
        return torch.cat([own + mean[:count], others], 2)

    def painted(
        self, latents: torch.Tensor, masks: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The picture, N x 3 x P x P, about -1..1, and the features of each layer."""
        generator = self.generator
        x = generator.constant.expand(latents.shape[0], -1, -1, -1)
        picture: torch.Tensor | None = None
        features = []
        for number, layer in enumerate(generator.layers):
            styled = cast(StyledLayer, layer)
            x = self._convolved(styled.conv, x, latents[:, :, number], masks, number)
            x = x + styled.noise * generator.noises.get_buffer(f"noise_{number}")
            x = leaky(x + styled.bias[:, None, None])
            features.append(x)
            if number % 2 == 0:
                level = cast(PictureLayer, generator.pictures[number // 2])
                made = self._convolved(level.conv, x, latents[:, :, number + 1], masks, number + 1)
                picture = level.beside(made, picture)
        assert picture is not None
        return picture, features

    def _convolved(
        self,
        conv: ModulatedConv,
        x: torch.Tensor,
        latents: torch.Tensor,
        masks: torch.Tensor,
        number: int,
    ) -> torch.Tensor:
        """A layer's answer to the latents of each region (N x R x L), each in its own region; where
        all regions have the mean latent, that of the first everywhere."""
        if number >= self.form.regional:
            return conv.in_parts(x, latents[:, 0])
        side = int(x.shape[-1]) * (2 if conv.is_enlarging else 1)
        small = functional.interpolate(masks, (side, side), mode="nearest")
        return conv.by_regions(x, latents, small)


class SwapGraph(nn.Module):
    """The whole swap. mean: the generator's mean latent, L."""

    mean: torch.Tensor

    def __init__(self, network: RegionNetwork, mean: torch.Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", network.generator.spread(mean[None])[0].clone())

    def forward(
        self,
        source: torch.Tensor,
        source_regions: torch.Tensor,
        target: torch.Tensor,
        target_regions: torch.Tensor,
        regions: torch.Tensor,
        taken: torch.Tensor,
    ) -> torch.Tensor:
        """source, target: N x 3 x P x P, -1..1, as the generator draws. source_regions,
        target_regions: their masks; regions: those of the swap. taken: how much of each region's
        description is the source's, N x R. Returns the swap, N x 3 x P x P, about -1..1.
        """
        network, side = self.network, self.network.form.size_px
        pictures = torch.cat([reduced(source, side), reduced(target, side)])
        both = network.described(pictures, torch.cat([source_regions, target_regions]))
        ours, theirs = both.chunk(2)
        mixed = theirs + taken[..., None] * (ours - theirs)
        # Regions that lay over one another would add up, layer by layer.
        shares = regions / regions.sum(1, keepdim=True).clamp_min(1)
        return network.painted(network.latents(mixed, self.mean), shares)[0]


def graph_inputs(form: E4sForm) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Name and shape of each input of `SwapGraph`, for a batch of one."""
    size, side, count = form.generator.size_px, form.size_px, len(REGIONS)
    picture, regions = (1, 3, size, size), (1, count, side, side)
    shapes = (picture, regions, picture, regions, regions, (1, count))
    return tuple(zip(INPUTS, shapes, strict=True))
