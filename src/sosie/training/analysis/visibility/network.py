"""The visibility network: a U-Net (Ronneberger et al. 2015) that is wide where it is coarse.

Most of the work is done at a quarter of the square's side and below; features at half the side,
straight from the pixels, sharpen the edges at the end, and every output cell gives four pixels
(sub-pixel convolution: Shi et al. 2016, "Real-time single image and video super-resolution").
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from sosie.nn.blocks import PixelInput, ReluResidual, relu_unit

# Channels at a half, a quarter, an eighth, a sixteenth and a thirty-second of the square's side.
_CHANNELS = (16, 48, 96, 128, 128)


class VisibilityNetwork(nn.Module):
    """Pixels (uint8, N x H x W x 3, sides multiples of 32) -> logits, N x 1 x H x W: seen or not.

    channels: at a half, a quarter, an eighth, ... of the side.
    """

    def __init__(self, channels: tuple[int, ...] = _CHANNELS) -> None:
        super().__init__()
        half, quarter = channels[:2]
        self.pixels = PixelInput()
        self.stem = relu_unit(3, half, kernel=5, stride=2)
        self.down = nn.ModuleList(
            nn.Sequential(relu_unit(fine, coarse, stride=2), ReluResidual(coarse))
            for fine, coarse in pairwise(channels)
        )
        steps = list(pairwise(channels[1:]))[::-1]
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in steps)
        self.join = nn.ModuleList(relu_unit(fine, fine) for fine, _ in steps)
        self.sharpen = nn.Conv2d(quarter, 4 * half, 1)
        self.answer = nn.Conv2d(half, 4, 3, padding=1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        stem = self.stem(self.pixels(pixels))
        features = [stem]
        for step in self.down:
            features.append(step(features[-1]))
        x = features[-1]
        for narrow, join, finer in zip(self.narrow, self.join, features[-2:0:-1], strict=True):
            x = join(functional.interpolate(narrow(x), scale_factor=2.0, mode="nearest") + finer)
        x = functional.relu(functional.pixel_shuffle(self.sharpen(x), 2) + stem)
        return functional.pixel_shuffle(self.answer(x), 2)


class ExportedVisibility(nn.Module):
    """As the run time has it: pixels, uint8, N x H x W x 3 -> N x H x W in 0..1."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(pixels)
        return torch.sigmoid(logits.float())[:, 0]
