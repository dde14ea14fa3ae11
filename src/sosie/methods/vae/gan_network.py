"""The generator and the discriminator of DCGAN.

Source: Radford, Metz and Chintala 2016, "Unsupervised Representation Learning with Deep
Convolutional Generative Adversarial Networks", section 3: strides instead of pooling, batch norm
but in the last layer of one and the first of the other, ReLU here and leaky ReLU there, weights
from a Gaussian of deviation 0.02.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

_FIRST_PX = 4
_SPREAD = 0.02


class Generator(nn.Module):
    """Latents N x L -> pictures N x 3 x S x S, RGB 0..1.

    size_px: a power of two, 16 or more. width: channels before the last layer; they double towards
    the first one, where they are 8 times as many at 64 px.
    """

    def __init__(self, size_px: int, width: int, latent: int) -> None:
        super().__init__()
        widths = [width * 2**step for step in range(_steps(size_px))][::-1]
        self.first = nn.Sequential(
            nn.ConvTranspose2d(latent, widths[0], _FIRST_PX, 1, 0, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        self.up = nn.Sequential(*(_up(a, b) for a, b in pairwise(widths)))
        self.last = nn.ConvTranspose2d(widths[-1], 3, 4, 2, 1)
        _begin(self)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        x = self.up(self.first(latents[:, :, None, None]))
        return (torch.tanh(self.last(x)) + 1) / 2


class Discriminator(nn.Module):
    """Pictures N x 3 x S x S, RGB 0..1 -> a logit each, N."""

    def __init__(self, size_px: int, width: int) -> None:
        super().__init__()
        widths = [width * 2**step for step in range(_steps(size_px))]
        self.first = nn.Sequential(nn.Conv2d(3, widths[0], 4, 2, 1), nn.LeakyReLU(0.2))
        self.down = nn.Sequential(*(_down(a, b) for a, b in pairwise(widths)))
        self.last = nn.Conv2d(widths[-1], 1, _FIRST_PX, 1, 0)
        _begin(self)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(self.down(self.first(pictures * 2 - 1)))
        return logits.flatten()


class Gan(nn.Module):
    """Both, as one network that is trained."""

    def __init__(self, size_px: int, width: int, latent: int) -> None:
        super().__init__()
        self.generator = Generator(size_px, width, latent)
        self.judge = Discriminator(size_px, width)


def _steps(size_px: int) -> int:
    return (size_px // _FIRST_PX).bit_length() - 1


def _up(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(in_channels, out_channels, 4, 2, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


def _down(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 4, 2, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(0.2),
    )


def _begin(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, _SPREAD)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, _SPREAD)
