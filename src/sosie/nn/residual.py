"""Residual networks that change the size on their way: how they resample, and a discriminator.

He et al. 2016, "Identity Mappings in Deep Residual Networks" (activation first); as in StarGAN v2
(Choi et al. 2020), FaceDancer and HifiFace.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

Resample = Callable[[torch.Tensor], torch.Tensor]

_WIDEST = 8


def activate(x: torch.Tensor) -> torch.Tensor:
    """A leaky ReLU of slope 0.2."""
    return functional.leaky_relu(x, 0.2)


def double(x: torch.Tensor) -> torch.Tensor:
    """Twice the size, bilinear: N x C x H x W -> N x C x 2H x 2W."""
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def halve(x: torch.Tensor) -> torch.Tensor:
    """Half the size, by means of four: N x C x H x W -> N x C x H/2 x W/2."""
    return functional.avg_pool2d(x, 2)


def keep(x: torch.Tensor) -> torch.Tensor:
    """The same size."""
    return x


class ResidualDiscriminator(nn.Module):
    """Pictures N x 3 x S x S -> a logit each, N x 1: residual blocks that halve down to 4 x 4,
    without norms. size_px: S, a power of two. width: channels at full size; they double up to eight
    times that."""

    def __init__(self, size_px: int, width: int) -> None:
        super().__init__()
        halvings = (size_px // 4).bit_length() - 1
        widths = [width * min(2**step, _WIDEST) for step in range(halvings + 1)]
        self.entry = nn.Conv2d(3, width, 3, padding=1)
        self.main = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.side = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(widths))
        self.last = nn.Linear(16 * widths[-1], 1)
        for layer in (self.entry, *self.main, *self.side):
            assert isinstance(layer, nn.Conv2d)
            # As torch begins, what twelve layers without norms say of a picture would be next to
            # nothing (He et al. 2015, "Delving Deep into Rectifiers", equation 15).
            nn.init.kaiming_normal_(layer.weight, 0.2)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        x = self.entry(pictures)
        for main, side in zip(self.main, self.side, strict=True):
            # The variance of a sum of two is brought back to that of one.
            x = (halve(main(activate(x))) + halve(side(x))) * 0.5**0.5
        logits: torch.Tensor = self.last(activate(x).flatten(1))
        return logits
