"""Patch discriminators at several scales.

Sources: Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks",
section 3.2.2 (PatchGAN); Wang et al. 2018, "High-Resolution Image Synthesis and Semantic
Manipulation with Conditional GANs", section 3.2 (several scales).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

WIDTH = 64
"""Channels behind the first convolution of the published forms."""


class PatchDiscriminator(nn.Sequential):
    """Picture N x 3 x H x W -> one logit a patch, N x 1 x h x w.

    steps: convolutions that halve the size; two more keep it. The width doubles from `width` to
    eight times that at most. All kernels are 4 x 4 padded by 2, so sizes go H -> H // 2 + 1 and
    then H -> H + 1. Instance norm without scale and shift, but not behind the first and the last.
    """

    def __init__(self, steps: int, width: int = WIDTH) -> None:
        widths = [width * min(2**step, 8) for step in range(steps + 1)]
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 2, 2), nn.LeakyReLU(0.2)]
        for position, (before, after) in enumerate(pairwise(widths), 1):
            stride = 2 if position < steps else 1
            layers += [
                nn.Conv2d(before, after, 4, stride, 2),
                nn.InstanceNorm2d(after),
                nn.LeakyReLU(0.2),
            ]
        layers.append(nn.Conv2d(widths[-1], 1, 4, 1, 2))
        super().__init__(*layers)


class MultiScaleDiscriminator(nn.Module):
    """Picture N x 3 x H x W -> logits at full size, at half, and so on (`scales` maps).

    scales: how many discriminators, each on the picture halved once more. steps, width:
    see `PatchDiscriminator`.
    """

    def __init__(self, scales: int, steps: int, width: int = WIDTH) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(steps, width) for _ in range(scales))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        logits = []
        for position, scale in enumerate(self.scales):
            if position:
                x = functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
            logits.append(scale(x))
        return logits
