"""AEI-Net, the first stage of FaceShifter: identity and attributes, adaptively integrated.

Source: Li et al. 2020, "FaceShifter", section 3.1 and figure 3. GHOST (Groshev et al. 2022) and
BlendFace (Shiohara et al. 2023) build on the same plan.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from sosie.nn.aad import AadBlock, AadForm
from sosie.nn.unet import Skip, UShape

DOWN = (32, 64, 128, 256, 512, 1024, 1024)
UP = (1024, 512, 256, 128, 64, 32)
WIDTHS = (1024, 1024, 1024, 1024, 512, 256, 128, 64)
"""Channels that enter each block of the generator, coarsest first; the last gives RGB."""


def double(x: torch.Tensor) -> torch.Tensor:
    """Twice the size, bilinear with aligned corners: N x C x H x W -> N x C x 2H x 2W."""
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


class AttributeEncoder(UShape):
    """Target N x 3 x 256 x 256 -> eight attribute maps, from 2 x 2 to 256 x 256 (section 3.1).

    The last map is the one before it, doubled. Other sizes work where they are multiples of 128.
    """

    def __init__(self, skip: Skip = "concat", bias: bool = False) -> None:
        super().__init__(3, DOWN, UP, skip, bias)
        widths = self.widths(DOWN, UP, skip)
        self.channels = [*widths, widths[-1]]

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        maps = super().forward(x)
        return [*maps, double(maps[-1])]


class AadGenerator(nn.Module):
    """Eight attribute maps and an identity N x identity -> N x 3 x 256 x 256 (section 3.1).

    The last block's output as it is: the squashing to the range of the pixels is the caller's.
    attributes: channels of the eight maps, coarsest first. units: AAD units a block. from_map: the
    first block refines the coarsest map (BlendSwap), instead of what the identity spreads to.
    """

    def __init__(
        self,
        attributes: Sequence[int],
        identity: int,
        form: AadForm,
        units: int = 2,
        from_map: bool = False,
    ) -> None:
        super().__init__()
        self.start = None if from_map else nn.ConvTranspose2d(identity, WIDTHS[0], 2)
        self.blocks = nn.ModuleList(
            AadBlock(before, after, channels, identity, form, units)
            for before, after, channels in zip(WIDTHS, [*WIDTHS[1:], 3], attributes, strict=True)
        )

    def forward(self, maps: Sequence[torch.Tensor], identity: torch.Tensor) -> torch.Tensor:
        x = maps[0] if self.start is None else self.start(identity[:, :, None, None])
        for position, (block, attributes) in enumerate(zip(self.blocks, maps, strict=True)):
            x = block(double(x) if position else x, attributes, identity)
        return x
