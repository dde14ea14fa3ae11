"""The multiscale network that paints everybody as one person.

Source: Korshunova, Shi, Dambre and Theis 2017, "Fast Face-swap Using Convolutional Neural
Networks", section 3.1: a texture network (Ulyanov et al. 2016, "Texture Networks", section 4.1)
whose branches see the picture at halved sizes.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

SMALLEST_PX = 8


class PaintingNetwork(nn.Module):
    """Pictures N x 3 x S x S, RGB 0..1 -> the same scenes with the learned person's face.

    size_px: a power of two, 16 or more; branches see it and its halves down to 8 px. width:
    channels that each branch adds; with 32, at 128 px, there are 1.1 million parameters. The last
    layer is linear: what it gives may lie a little outside of 0..1.
    """

    def __init__(self, size_px: int, width: int) -> None:
        super().__init__()
        self._scales = (size_px // SMALLEST_PX).bit_length()
        self.branches = nn.ModuleList(_block(3, width) for _ in range(self._scales))
        self.joined = nn.ModuleList(
            _block(width * number, width * number) for number in range(2, self._scales + 1)
        )
        self.last = nn.Conv2d(width * self._scales, 3, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        pyramid = [pictures]
        for _ in range(self._scales - 1):
            pyramid.append(functional.avg_pool2d(pyramid[-1], 2))
        x = self.branches[0](pyramid[-1] * 2 - 1)
        for branch, join, seen in zip(self.branches[1:], self.joined, pyramid[-2::-1], strict=True):
            wide = functional.interpolate(x, scale_factor=2, mode="nearest")
            x = join(torch.cat([wide, branch(seen * 2 - 1)], 1))
        made: torch.Tensor = self.last(x)
        return (made + 1) / 2


def _block(in_channels: int, out_channels: int) -> nn.Sequential:
    """Three convolutions padded with zeros, two of 3 x 3 and one of 1 x 1, rectified."""
    return nn.Sequential(
        *(nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(out_channels, out_channels, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(out_channels, out_channels, 1), nn.ReLU()),
    )
