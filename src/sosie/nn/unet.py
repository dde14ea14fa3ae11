"""U-shaped networks: one that keeps every map of its way up, and a small, fast one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from sosie.nn.blocks import ReluResidual, relu_unit

Skip = Literal["concat", "concat_first", "add"]

SLOPE = 0.1
"""Of the leaky ReLU behind every convolution."""


class UShape(nn.Module):
    """N x in_channels x H x W -> the map at the bottom and one after every step up.

    down: width of every step down; each halves the size, so H and W are multiples of
        2 ** len(down).
    up: width of every step up, at most len(down) - 1; it is joined with the map of the same size
        from the way down.
    skip: joined by "concat" (the map from the way down stands last), "concat_first" (it stands
        first) or "add" (the widths are then equal).
    bias: whether the convolutions have one; a batch norm follows each.
    """

    def __init__(
        self,
        in_channels: int,
        down: Sequence[int],
        up: Sequence[int],
        skip: Skip = "concat",
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.skip = skip
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 4, 2, 1, bias=bias), nn.BatchNorm2d(after))
            for before, after in zip([in_channels, *down], down, strict=False)
        )
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias), nn.BatchNorm2d(after)
            )
            for before, after in zip(self.widths(down, up, skip), up, strict=False)
        )

    @staticmethod
    def widths(down: Sequence[int], up: Sequence[int], skip: Skip) -> list[int]:
        """Channels of each map that `forward` returns."""
        joined = zip(up, reversed(down[:-1]), strict=False)
        return [down[-1], *(a if skip == "add" else a + b for a, b in joined)]

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        way = []
        for step in self.down:
            x = functional.leaky_relu(step(x), SLOPE)
            way.append(x)
        maps = [way.pop()]
        for step in self.up:
            x = functional.leaky_relu(step(maps[-1]), SLOPE)
            maps.append(self.join(x, way.pop()))
        return maps

    def join(self, x: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
        if self.skip == "add":
            return x + beside
        return torch.cat([beside, x] if self.skip == "concat_first" else [x, beside], 1)


class ReluUNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015) that is wide where it is coarse, and adds the maps of its
    way down. H and W are multiples of 2 ** len(channels).

    inputs: channels of the picture; channels: at a half, a quarter, an eighth, ... of its side.
    fine: whether its map at half of the side is wanted too.
    """

    def __init__(self, inputs: int, channels: tuple[int, ...], fine: bool = True) -> None:
        super().__init__()
        half, quarter = channels[:2]
        self.stem = relu_unit(inputs, half, kernel=5, stride=2)
        self.down = nn.ModuleList(
            nn.Sequential(relu_unit(fine, coarse, stride=2), ReluResidual(coarse))
            for fine, coarse in pairwise(channels)
        )
        steps = list(pairwise(channels[1:]))[::-1]
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in steps)
        self.join = nn.ModuleList(relu_unit(fine, fine) for fine, _ in steps)
        if fine:
            self.sharpen = nn.Conv2d(quarter, 4 * half, 1)

    def to_quarter(
        self, x: torch.Tensor, bottom: Callable[[torch.Tensor], torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The map at a quarter of the side, which knows of all coarser ones, and the stem's.
        bottom: what is done with the coarsest map on the way."""
        stem = self.stem(x)
        features = [stem]
        for step in self.down:
            features.append(step(features[-1]))
        x = features[-1] if bottom is None else bottom(features[-1])
        for narrow, join, finer in zip(self.narrow, self.join, features[-2:0:-1], strict=True):
            x = join(functional.interpolate(narrow(x), scale_factor=2.0, mode="nearest") + finer)
        return x, stem

    def to_half(self, quarter: torch.Tensor, stem: torch.Tensor) -> torch.Tensor:
        """The map at half of the side."""
        return functional.relu(functional.pixel_shuffle(self.sharpen(quarter), 2) + stem)
