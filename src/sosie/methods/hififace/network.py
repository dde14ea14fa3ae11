"""HifiFace's generator, in the forms of its two public re-implementations and for other sizes.

Source: Wang et al. 2021, "HifiFace: 3D Shape and Semantic Prior Guided High Fidelity Face
Swapping" (shape and identity by AdaIN; semantic facial fusion). Pictures are RGB in 0..1. The
vector tells the generator of the source's shape and identity and of all else of the target's face.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from sosie.nn.residual import Resample, activate, double, halve, keep

VECTOR = 769
"""Numbers of the published vector: 257 of a 3D face model (80 for the identity of the source, the
rest the target's) and 512 of ArcFace iResNet-100, of length 1."""
_WIDEST = 8
_FUSED_AT = 2
"""The fusion takes place where the size was halved so often: at a quarter of it."""


@dataclass(frozen=True)
class Form:
    """What distinguishes the generators; the defaults are the published ones.

    width: channels at full size; they double up to eight times that. halvings: down to the bottom,
    3 or more. vector: numbers that the generator is told.
    """

    width: int = 64
    halvings: int = 5
    vector: int = VECTOR

    @property
    def widths(self) -> list[int]:
        """Channels at full size and after each halving."""
        return [self.width * min(2**step, _WIDEST) for step in range(self.halvings + 1)]

    @property
    def fused(self) -> int:
        """Channels where the fusion takes place."""
        return self.widths[_FUSED_AT]


PUBLISHED_FORM = Form()


class ResidualBlock(nn.Module):
    """Instance norm, leaky ReLU, convolution, twice, beside a 1 x 1 convolution.

    N x in x H x W -> N x out x H' x W', where resample makes H' of H behind the first convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, resample: Resample = keep) -> None:
        super().__init__()
        self.resample = resample
        self.first = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.side = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.resample(self.first(activate(functional.instance_norm(x))))
        inner = self.second(activate(functional.instance_norm(inner)))
        result: torch.Tensor = inner + self.resample(self.side(x))
        return result


class Style(nn.Module):
    """AdaIN with a linear layer each for scale and shift: N x C x H x W, N x vector -> the same.

    Huang and Belongie 2017, "Arbitrary Style Transfer in Real-time", equation 8; the scale
    multiplies as it is.
    """

    def __init__(self, channels: int, vector: int) -> None:
        super().__init__()
        self.scale = nn.Linear(vector, channels)
        self.shift = nn.Linear(vector, channels)

    def forward(self, x: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        scale, shift = self.scale(vector)[:, :, None, None], self.shift(vector)[:, :, None, None]
        result: torch.Tensor = scale * functional.instance_norm(x) + shift
        return result


class StyledBlock(nn.Module):
    """`ResidualBlock` whose instance norms take scale and shift from the vector."""

    def __init__(
        self, in_channels: int, out_channels: int, vector: int, resample: Resample = keep
    ) -> None:
        super().__init__()
        self.resample = resample
        self.first_style = Style(in_channels, vector)
        self.first = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.second_style = Style(out_channels, vector)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.side = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        inner = self.resample(self.first(activate(self.first_style(x, vector))))
        inner = self.second(activate(self.second_style(inner, vector)))
        result: torch.Tensor = inner + self.resample(self.side(x))
        return result


class Encoder(nn.Module):
    """Target N x 3 x H x W -> the map at the bottom, and on the way that at a quarter of the
    size."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        widths = form.widths
        self.entry = nn.Conv2d(3, widths[0], 3, padding=1)
        down = [ResidualBlock(before, after, halve) for before, after in pairwise(widths)]
        bottom = [ResidualBlock(widths[-1], widths[-1]) for _ in range(2)]
        self.blocks = nn.ModuleList([*down, *bottom])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = [self.entry(x)]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps[-1], maps[_FUSED_AT]


class Decoder(nn.Module):
    """The map at the bottom and the vector -> the map at a quarter of the size."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        widths, vector = form.widths, form.vector
        bottom = [StyledBlock(widths[-1], widths[-1], vector) for _ in range(2)]
        up = [
            StyledBlock(before, after, vector, double)
            for before, after in pairwise(widths[: _FUSED_AT - 1 : -1])
        ]
        self.blocks = nn.ModuleList([*bottom, *up])

    def forward(self, x: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x, vector)
        return x


Fused = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""Result and low result, N x 3, then mask and low mask, N x 1; low is a quarter of the size."""


def mix(mask: torch.Tensor, inside: torch.Tensor, outside: torch.Tensor) -> torch.Tensor:
    return mask * inside + (1 - mask) * outside


def quarter(target: torch.Tensor) -> torch.Tensor:
    """Every fourth pixel, as the published networks take the target (no smoothing)."""
    return functional.interpolate(target, scale_factor=0.25, mode="nearest")


class MaumFusion(nn.Module):
    """Semantic facial fusion with masks in -1..1: one block gives the low picture and features.

    Decoded and encoded features N x C x H/4 x W/4, target N x 3 x H x W, vector -> `Fused`.
    """

    def __init__(self, form: Form) -> None:
        super().__init__()
        fused = form.fused
        self.refine = ResidualBlock(fused, fused)
        self.low_mask = ResidualBlock(fused, 1)
        self.fuse = StyledBlock(fused, 3 + fused, form.vector)
        self.up = nn.Sequential(
            ResidualBlock(fused, 64, double),
            ResidualBlock(64, 16, double),
            ResidualBlock(16, 8),
            ResidualBlock(8, 4),
        )

    def forward(
        self,
        decoded: torch.Tensor,
        encoded: torch.Tensor,
        target: torch.Tensor,
        vector: torch.Tensor,
    ) -> Fused:
        low_mask = torch.tanh(self.low_mask(decoded))
        fused = self.fuse(mix(low_mask, decoded, self.refine(encoded)), vector)
        low = mix(low_mask, fused[:, :3], quarter(target))
        full = self.up(fused[:, 3:])
        mask = torch.tanh(full[:, :1])
        return mix(mask, full[:, 1:], target), low, mask, low_mask


class XuehyFusion(nn.Module):
    """Semantic facial fusion with masks in 0..1 and a convolution for each picture and mask.

    Decoded and encoded features N x C x H/4 x W/4, target N x 3 x H x W, vector -> `Fused`.
    """

    def __init__(self, form: Form) -> None:
        super().__init__()
        fused = form.fused
        self.refine = ResidualBlock(fused, fused)
        self.low_mask = nn.Conv2d(fused, 1, 3, padding=1)
        self.fuse = nn.ModuleList(
            [StyledBlock(fused, fused, form.vector), StyledBlock(fused, fused, form.vector)]
        )
        self.low_picture = nn.Conv2d(fused, 3, 3, padding=1)
        self.up = nn.Sequential(
            ResidualBlock(fused, fused, double), ResidualBlock(fused, fused, double)
        )
        self.picture = nn.Conv2d(fused, 3, 3, padding=1)
        self.mask = nn.Conv2d(fused, 1, 3, padding=1)

    def forward(
        self,
        decoded: torch.Tensor,
        encoded: torch.Tensor,
        target: torch.Tensor,
        vector: torch.Tensor,
    ) -> Fused:
        low_mask = torch.sigmoid(self.low_mask(decoded))
        fused = mix(low_mask, decoded, self.refine(encoded))
        for block in self.fuse:
            fused = block(fused, vector)
        # The published activations work in place: what follows a picture's activation sees it too.
        fused = activate(fused)
        low = mix(low_mask, self.low_picture(fused), quarter(target))
        full = activate(self.up(fused))
        mask = torch.sigmoid(self.mask(full))
        return mix(mask, self.picture(full), target), low, mask, low_mask


class Generator(nn.Module):
    """Target N x 3 x H x W and vector -> `Fused`, H and W multiples of 2 to the number of halvings.

    fusion: MaumFusion or XuehyFusion, the only place where the two published ones differ.
    """

    def __init__(
        self, fusion: type[MaumFusion] | type[XuehyFusion], form: Form = PUBLISHED_FORM
    ) -> None:
        super().__init__()
        self.encoder = Encoder(form)
        self.decoder = Decoder(form)
        self.fusion = fusion(form)

    def forward(self, target: torch.Tensor, vector: torch.Tensor) -> Fused:
        deep, encoded = self.encoder(target)
        result: Fused = self.fusion(self.decoder(deep, vector), encoded, target, vector)
        return result
