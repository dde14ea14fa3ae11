"""FaceDancer's generator.

Source: Rosberg et al. 2023, "FaceDancer: Pose- and Occlusion-Aware High Fidelity Face Swapping",
section 3: a mapping network for the identity, residual blocks that normalize first, and adaptive
feature fusion attention (AFFA), which chooses place by place and channel by channel between what
the encoder saw of the target and what the decoder has made. Pictures are RGB in -1..1.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from sosie.nn.residual import Resample, activate, double, halve, keep

IDENTITY = 512
_EPS = 1e-3
"""Of the instance norms, as TensorFlow's."""
_MAPPED = 4
"""Layers of the mapping network."""
_FUSED = 3
"""Levels at which the decoder is fused with the encoder: at an eighth, a quarter and a half of the
side."""
BOTTOM_PX = 8
_WIDEST = 8
"""The width doubles up to so many times the first."""


class Style(nn.Module):
    """N x C x H x W and N x 512 -> N x C x H x W: scale and shift by two linear layers, as they
    are."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Linear(IDENTITY, channels)
        self.shift = nn.Linear(IDENTITY, channels)

    def forward(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        scale, shift = (layer(style)[:, :, None, None] for layer in (self.scale, self.shift))
        result: torch.Tensor = scale * x + shift
        return result


class Block(nn.Module):
    """Instance norm, style, leaky ReLU, convolution, resampling, beside a 1 x 1 convolution:
    N x in x H x W -> N x out x H' x W'. styled: whether the identity scales and shifts."""

    def __init__(
        self, in_channels: int, out_channels: int, resample: Resample = keep, styled: bool = False
    ) -> None:
        super().__init__()
        self._resample = resample
        self.norm = nn.InstanceNorm2d(in_channels, _EPS, affine=True)
        self.style = Style(in_channels) if styled else None
        self.main = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.side = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor, style: torch.Tensor | None = None) -> torch.Tensor:
        inner = self.norm(x)
        if self.style is not None:
            inner = self.style(inner, style)
        result: torch.Tensor = self._resample(self.main(activate(inner))) + self._resample(
            self.side(x)
        )
        return result


class Fusion(nn.Module):
    """Adaptive feature fusion attention (section 3.1): the encoder's and the decoder's map, each
    N x C x H x W -> the same, of which a mask in 0..1 takes each value from one or the other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = max(1, channels // 4)
        self.reduce = nn.Conv2d(2 * channels, narrow, 3, padding=1)
        self.norm = nn.InstanceNorm2d(narrow, _EPS, affine=True)
        self.mask = nn.Conv2d(narrow, channels, 1)

    def forward(self, target: torch.Tensor, made: torch.Tensor) -> torch.Tensor:
        seen = self.norm(activate(self.reduce(torch.cat([target, made], 1))))
        mask = torch.sigmoid(self.mask(seen))
        return (1 - mask) * target + mask * made


class Generator(nn.Module):
    """Target N x 3 x S x S in -1..1 and identity N x 512 -> N x 3 x S x S, about -1..1, unbounded.

    size_px: S, a power of two, 64 or more. width: channels at full size; 256 px and 64 are the
    published form.
    """

    def __init__(self, size_px: int = 256, width: int = 64) -> None:
        super().__init__()
        halvings = (size_px // BOTTOM_PX).bit_length() - 1
        widths = [width * min(2**step, _WIDEST) for step in range(halvings + 1)]
        self.mapping = nn.ModuleList(nn.Linear(IDENTITY, IDENTITY) for _ in range(_MAPPED))
        self.entry = nn.Conv2d(3, width, 3, padding=1)
        self.down = nn.ModuleList(Block(a, b, halve) for a, b in pairwise(widths))
        self.bottom = nn.ModuleList(
            [Block(widths[-1], widths[-1]), Block(widths[-1], widths[-1], styled=True)]
        )
        self.up = nn.ModuleList(Block(a, b, double, styled=True) for a, b in pairwise(widths[::-1]))
        self.fusions = nn.ModuleList(Fusion(c) for c in widths[_FUSED:0:-1])
        self.last = Block(2 * width, 3, styled=True)

    def forward(self, target: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        style = identity
        for number, layer in enumerate(self.mapping):
            style = layer(style)
            if number < _MAPPED - 1:
                style = activate(style)
        maps = [self.entry(target)]
        for block in self.down:
            maps.append(block(maps[-1]))
        x = self.bottom[0](maps[-1])
        x = self.bottom[1](x, style)
        plain = len(self.up) - len(self.fusions)
        for number, block in enumerate(self.up):
            if number >= plain:
                x = self.fusions[number - plain](maps[-1 - number], x)
            x = block(x, style)
        made: torch.Tensor = self.last(torch.cat([maps[0], x], 1), style)
        return made
