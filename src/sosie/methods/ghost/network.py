"""The networks of GHOST: AEI-Net with three encoders and one to three AAD units a block.

Source: Groshev et al. 2022, "GHOST: A New Face Swap Approach for Image and Video Domains".
Pictures are RGB, 256 x 256, in -1..1; the identity is the embedding of ArcFace iResNet-100, *not*
normalized to length 1.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from sosie.nn.aad import AadForm
from sosie.nn.aei import AadGenerator, AttributeEncoder
from sosie.nn.patch_discriminator import MultiScaleDiscriminator

Backbone = Literal["unet", "linknet", "resnet"]

IDENTITY = 512


class Bottleneck(nn.Module):
    """Residual bottleneck (He et al. 2016, "Deep residual learning", figure 5 right).

    N x in x H x W -> N x 4 * hidden x H/stride x W/stride. The first convolution strides, as in
    that paper, not the second, as in later ones.
    """

    def __init__(self, in_channels: int, hidden: int, stride: int) -> None:
        super().__init__()
        out_channels = 4 * hidden
        self.reduce = nn.Sequential(
            nn.Conv2d(in_channels, hidden, 1, stride, bias=False), nn.BatchNorm2d(hidden)
        )
        self.middle = nn.Sequential(
            nn.Conv2d(hidden, hidden, 3, 1, 1, bias=False), nn.BatchNorm2d(hidden)
        )
        self.expand = nn.Sequential(
            nn.Conv2d(hidden, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)
        )
        self.side = (
            nn.Sequential()
            if stride == 1 and in_channels == out_channels
            else nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = functional.relu(self.middle(functional.relu(self.reduce(x))))
        return functional.relu(self.expand(inner) + self.side(x))


class ResNetEncoder(nn.Module):
    """Target N x 3 x 256 x 256 -> eight attribute maps, from 2 x 2 to 256 x 256.

    A ResNet read on its way down: the coarsest map is the deepest, and nothing leads up again.
    """

    HIDDEN = (32, 64, 128, 256, 512, 256)

    def __init__(self) -> None:
        super().__init__()
        self.channels = [*(4 * hidden for hidden in reversed(self.HIDDEN)), 64, 64]
        self.entry = nn.Sequential(nn.Conv2d(3, 64, 7, 1, 3, bias=False), nn.BatchNorm2d(64))
        self.halve = nn.Sequential(nn.Conv2d(64, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64))
        before = [64, *(4 * hidden for hidden in self.HIDDEN)]
        self.stages = nn.ModuleList(
            nn.Sequential(Bottleneck(width, hidden, 2), Bottleneck(4 * hidden, hidden, 1))
            for width, hidden in zip(before, self.HIDDEN, strict=False)
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        maps = [functional.relu(self.entry(x))]
        maps.append(functional.relu(self.halve(maps[0])))
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps[::-1]


class AeiNet(nn.Module):
    """Target and identity -> swapped picture, then the attribute maps, coarsest first.

    N x 3 x 256 x 256 in -1..1 and N x 512 -> N x 3 x 256 x 256 in -1..1 and eight maps.
    units: AAD units a block, 1 to 3; the published checkpoints call them "blocks".
    """

    def __init__(self, backbone: Backbone = "unet", units: int = 2) -> None:
        super().__init__()
        self.encoder = (
            ResNetEncoder()
            if backbone == "resnet"
            else AttributeEncoder("concat" if backbone == "unet" else "add")
        )
        self.generator = AadGenerator(self.encoder.channels, IDENTITY, AadForm(), units)

    def forward(
        self, target: torch.Tensor, identity: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        maps = self.encoder(target)
        return torch.tanh(self.generator(maps, identity)), maps


def discriminator() -> MultiScaleDiscriminator:
    """Logits of a picture in -1..1 at three scales, full size first."""
    return MultiScaleDiscriminator(scales=3, steps=5)
