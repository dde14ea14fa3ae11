"""StyleGAN2's discriminator: residual blocks, and what a batch's pictures have in common.

Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", appendix B;
Karras et al. 2018, "Progressive Growing of GANs", section 3 (deviation over a batch).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import nn

from sosie.nn.stylegan2.generator import SMALLEST_PX, Form
from sosie.nn.stylegan2.layers import EqualConv, EqualLinear

_GROUP = 4


class ResidualDown(nn.Module):
    """N x in x H x W -> N x out x H/2 x W/2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = EqualConv(inputs, inputs, 3)
        self.second = EqualConv(inputs, outputs, 3, down=True)
        self.side = EqualConv(inputs, outputs, 1, down=True, active=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.second(self.first(x)) + self.side(x)
        return made / math.sqrt(2)


class Discriminator(nn.Module):
    """Picture N x 3 x S x S in -1..1 -> a logit, N x 1. form: of the generator that it judges."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        sides = form.sides[::-1]
        widths = [form.channels(side) for side in sides]
        self.entry = EqualConv(3, widths[0], 1)
        self.blocks = nn.Sequential(*(ResidualDown(a, b) for a, b in pairwise(widths)))
        self.last = EqualConv(widths[-1] + 1, widths[-1], 3)
        self.hidden = EqualLinear(widths[-1] * SMALLEST_PX**2, widths[-1], active=True)
        self.logit = EqualLinear(widths[-1], 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        x = self.last(with_deviation(self.blocks(self.entry(pictures))))
        logits: torch.Tensor = self.logit(self.hidden(x.flatten(1)))
        return logits


def with_deviation(x: torch.Tensor) -> torch.Tensor:
    """Features with one more channel: how much the pictures of a group differ. Groups have four
    pictures where the batch can be cut so, else its largest divisor below."""
    count, channels, height, width = x.shape
    group = max(size for size in range(1, _GROUP + 1) if count % size == 0)
    grouped = x.float().reshape(group, -1, channels, height, width)
    deviation = (grouped.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
    shown = deviation.repeat(group)[:, None, None, None].expand(-1, 1, height, width)
    return torch.cat([x, shown.to(x.dtype)], 1)
