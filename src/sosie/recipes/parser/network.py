"""The parser: a U-Net (Ronneberger et al. 2015) that is wide where it is coarse.

Most of the work is done at a quarter of the square's side and below; features at half the side,
straight from the pixels, sharpen the edges at the end, and every output cell gives four pixels
(sub-pixel convolution: Shi et al. 2016, "Real-time single image and video super-resolution").
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from sosie.nn.blocks import PixelInput
from sosie.nn.unet import ReluUNet

# Channels at a half, a quarter, an eighth, a sixteenth and a thirty-second of the square's side.
_CHANNELS = (24, 48, 96, 128, 128)

CLASSES = ("skin", "hair", "frame", "lens", "hat", "thing", "beyond")
"""What a pixel may be, in the order of the network's answers and of `FaceParts`."""


class ParserNetwork(ReluUNet):
    """Pixels (uint8, N x H x W x 3, sides multiples of 32) -> logits, N x 8 x H x W: of CLASSES,
    and of a lens that hides what is behind it.

    channels: at a half, a quarter, an eighth, ... of the side.
    """

    def __init__(self, channels: tuple[int, ...] = _CHANNELS) -> None:
        super().__init__(3, channels)
        self.pixels = PixelInput()
        self.answer = nn.Conv2d(channels[0], 4 * (len(CLASSES) + 1), 3, padding=1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        quarter, stem = self.to_quarter(self.pixels(pixels))
        half = self.to_half(quarter, stem)
        return functional.pixel_shuffle(self.answer(half), 2)


class ExportedParser(nn.Module):
    """As the run time has it: pixels, uint8, N x H x W x 3 -> N x 8 x H x W in 0..1: the shares of
    CLASSES, which add up to 1, and the lens's opacity."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(pixels).float()
        classes = logits[:, : len(CLASSES)]
        # Written out: over channels ONNX Runtime's own softmax takes a fifth of the network's time.
        powers = torch.exp(classes - classes.amax(1, keepdim=True))
        shares = powers / powers.sum(1, keepdim=True)
        return torch.cat([shares, torch.sigmoid(logits[:, len(CLASSES) :])], 1)
