"""The detector's network: a small residual net with four grids of answers, from fine to coarse."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from sosie.analysis.detector import CHANNELS, STRIDES
from sosie.nn.blocks import ConvUnit, PixelInput

_STEM = 24
_WIDTHS = (32, 64, 96, 64)
_DEPTHS = (1, 3, 4, 2)
_HIDDEN = (32, 64, 64, 32)
_HEADS = (32, 48, 48, 48)
# The share of cells in which a fresh network expects a face (Lin et al. 2017, "Focal loss", 3.3).
_PRIOR = 0.01


class DetectorNetwork(nn.Module):
    """uint8 N x H x W x 3 -> for each of STRIDES float32 N x H/stride x W/stride x CHANNELS.

    Any H and W; a grid has ceil(H / stride) rows. `sosie.analysis.detector` tells what the channels
    mean. The activations are ReLU: ONNX Runtime computes it with the convolution, and PReLU apart.
    """

    def __init__(self) -> None:
        super().__init__()
        self.input = PixelInput()
        self.stem = nn.Sequential(
            # As far beyond the last pixel as gives what is left of four a cell of its own.
            nn.ZeroPad2d((1, 4, 1, 4)),
            nn.Conv2d(3, _STEM, 6, 4, bias=False),
            nn.BatchNorm2d(_STEM),
            nn.ReLU(),
        )
        before = (_STEM, *_WIDTHS[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(_unit(a, b, stride=2), *(_Residual(b, hidden) for _ in range(depth)))
            for a, b, hidden, depth in zip(before, _WIDTHS, _HIDDEN, _DEPTHS, strict=True)
        )
        self.lateral = nn.ModuleList(
            _unit(a, b, kernel=1) for a, b in zip(_WIDTHS, _HEADS, strict=True)
        )
        self.down = nn.ModuleList(
            _unit(a, b, kernel=1) for a, b in zip(_HEADS[1:], _HEADS[:-1], strict=True)
        )
        self.heads = nn.ModuleList(_Head(width) for width in _HEADS)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = self.stem(self.input(pixels))
        sides = []
        for stage, lateral in zip(self.stages, self.lateral, strict=True):
            x = stage(x)
            sides.append(lateral(x))
        context = sides[-1]
        answers = [self.heads[-1](context)]
        for level in reversed(range(len(STRIDES) - 1)):
            side, coarse = sides[level], self.down[level](context)
            coarse = functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
            # Where a grid has an odd number of rows, the coarser one reaches half a row further.
            context = side + coarse[:, :, : side.shape[2], : side.shape[3]]
            answers.append(self.heads[level](context))
        return tuple(reversed(answers))


class _Residual(nn.Module):
    """x + f(x) with two 3 x 3 convolutions; the branch starts at zero."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.first = _unit(channels, hidden)
        self.second = nn.Conv2d(hidden, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(x + self.norm(self.second(self.first(x))))


def _unit(in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    return nn.Sequential(ConvUnit(in_channels, out_channels, kernel, stride, act=False), nn.ReLU())


class _Head(nn.Module):
    """Score and geometry of a grid's cells, by a branch each (Ge et al. 2021, "YOLOX", 2.1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Sequential(_unit(width, width), _answer(width, 1))
        self.place = nn.Sequential(_unit(width, width), _answer(width, CHANNELS - 1))
        score_bias = self.score[1].bias
        assert isinstance(score_bias, nn.Parameter)
        nn.init.constant_(score_bias, -math.log((1 - _PRIOR) / _PRIOR))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.score(x), self.place(x)], 1).permute(0, 2, 3, 1)


def _answer(width: int, channels: int) -> nn.Conv2d:
    answer = nn.Conv2d(width, channels, 1)
    nn.init.normal_(answer.weight, std=0.01)
    assert answer.bias is not None
    nn.init.zeros_(answer.bias)
    return answer
