"""XSeg, the network by which DeepFaceLab tells a face from what lies before it.

A U-shape (Ronneberger et al. 2015) with filter response normalization (Singh and Krishnan 2020,
"Filter Response Normalization Layer", section 3) and blurred pooling (Zhang 2019, "Making
Convolutional Networks Shift-Invariant Again", section 3). Attributes are named so that a
parameter's own name, with slashes for dots, is the published one.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from sosie.nn.depth_blocks import Grow, start_weights

SIZE_PX = 256
_WIDTHS = (32, 64, 128, 256, 256, 256)
_CONVOLUTIONS = (2, 2, 2, 3, 3, 3)
_POOLS = (4, 3, 2, 2, 2, 2)
# Channels that come up from below, beside those that the way down has left.
_RISEN = (32, 64, 128, 128, 128, 128)
_DENSE = 512
_EPSILON = 1e-6


class ResponseNorm(nn.Module):
    """Each channel divided by its root mean square over the picture, scaled and shifted."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = nn.Parameter(torch.full((1,), _EPSILON))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        power = x.square().mean((2, 3), keepdim=True)
        x = x * torch.rsqrt(power + self.eps.abs())
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class Threshold(nn.Module):
    """A floor a channel, which is learned."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.tau = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.maximum(x, self.tau[:, None, None])


class Unit(nn.Module):
    """Convolution, norm, threshold: N x in x H x W -> N x out x H x W, or twice as wide."""

    def __init__(self, in_channels: int, out_channels: int, grow: bool = False) -> None:
        super().__init__()
        self.conv = (
            Grow(in_channels, out_channels)
            if grow
            else nn.Conv2d(in_channels, out_channels, 3, padding=1)
        )
        self.frn = ResponseNorm(out_channels)
        self.tlu = Threshold(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.tlu(self.frn(self.conv(x)))
        return result


class BlurPool(nn.Module):
    """Halves a map behind a binomial filter: N x C x H x W -> N x C x H/2 x W/2."""

    def __init__(self, taps: int) -> None:
        super().__init__()
        self._row = [math.comb(taps - 1, k) / 2 ** (taps - 1) for k in range(taps)]
        before = (taps - 1) // 2
        self._pad = (before, taps - 1 - before) * 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        channels = x.shape[1]
        row = torch.tensor(self._row, dtype=x.dtype, device=x.device)
        kernel = torch.outer(row, row).expand(channels, 1, -1, -1)
        return functional.conv2d(functional.pad(x, self._pad), kernel, stride=2, groups=channels)


class XSeg(nn.Module):
    """BGR N x 3 x 256 x 256 in 0..1 -> logits and mask (1 on the face), N x 1 x 256 x 256."""

    def __init__(self) -> None:
        super().__init__()
        before = 3
        for level, (width, count) in enumerate(zip(_WIDTHS, _CONVOLUTIONS, strict=True)):
            for place in range(1, count + 1):
                self.add_module(f"conv{level}{place}", Unit(before, width))
                before = width
        low = SIZE_PX // 2 ** len(_WIDTHS)
        self._low = (_WIDTHS[-1], low, low)
        self.dense1 = nn.Linear(math.prod(self._low), _DENSE)
        self.dense2 = nn.Linear(_DENSE, math.prod(self._low))
        for level in reversed(range(len(_WIDTHS))):
            width = _WIDTHS[level]
            self.add_module(f"up{level}", Unit(before, _RISEN[level], grow=True))
            before = width + _RISEN[level]
            for place in reversed(range(1, _CONVOLUTIONS[level] + 1)):
                self.add_module(f"uconv{level}{place}", Unit(before, width))
                before = width
        self.out_conv = nn.Conv2d(before, 1, 3, padding=1)
        self._pools = [BlurPool(taps) for taps in _POOLS]
        start_weights(self)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        left = []
        for level, count in enumerate(_CONVOLUTIONS):
            for place in range(1, count + 1):
                x = self.get_submodule(f"conv{level}{place}")(x)
            left.append(x)
            x = self._pools[level](x)
        x = self.dense2(self.dense1(x.flatten(1))).reshape(-1, *self._low)
        for level in reversed(range(len(_WIDTHS))):
            x = torch.cat([self.get_submodule(f"up{level}")(x), left[level]], 1)
            for place in reversed(range(1, _CONVOLUTIONS[level] + 1)):
                x = self.get_submodule(f"uconv{level}{place}")(x)
        logits = self.out_conv(x)
        return logits, torch.sigmoid(logits)
