"""AEI-Net, the first stage of FaceShifter: identity and attributes, adaptively integrated.

Source: Li et al. 2020, "FaceShifter", section 3.1 and figure 3. GHOST (Groshev et al. 2022) and
BlendFace (Shiohara et al. 2023) build on the same plan.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from sosie.nn.modulation import AadBlock, AadForm
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
    down, up: widths of other, smaller forms, with one step up less than down.
    """

    def __init__(
        self,
        skip: Skip = "concat",
        bias: bool = False,
        down: Sequence[int] = DOWN,
        up: Sequence[int] = UP,
    ) -> None:
        super().__init__(3, down, up, skip, bias)
        widths = self.widths(down, up, skip)
        self.channels = [*widths, widths[-1]]

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        maps = super().forward(x)
        return [*maps, double(maps[-1])]


class AadGenerator(nn.Module):
    """Eight attribute maps and an identity N x identity -> N x 3 x 256 x 256 (section 3.1).

    The last block's output as it is: the squashing to the range of the pixels is the caller's.
    attributes: channels of the eight maps, coarsest first. units: AAD units a block. from_map: the
    first block refines the coarsest map (BlendSwap), instead of what the identity spreads to.
    widths: channels that enter each block, one a map.
    """

    def __init__(
        self,
        attributes: Sequence[int],
        identity: int,
        form: AadForm,
        units: int = 2,
        from_map: bool = False,
        widths: Sequence[int] = WIDTHS,
    ) -> None:
        super().__init__()
        self.start = None if from_map else nn.ConvTranspose2d(identity, widths[0], 2)
        self.blocks = nn.ModuleList(
            AadBlock(before, after, channels, identity, form, units)
            for before, after, channels in zip(widths, [*widths[1:], 3], attributes, strict=True)
        )

    def forward(self, maps: Sequence[torch.Tensor], identity: torch.Tensor) -> torch.Tensor:
        x = maps[0] if self.start is None else self.start(identity[:, :, None, None])
        for position, (block, attributes) in enumerate(zip(self.blocks, maps, strict=True)):
            x = block(double(x) if position else x, attributes, identity)
        return x


class SizedAei(nn.Module):
    """AEI-Net for a size and a width: target and identity -> swapped picture and attribute maps.

    N x 3 x S x S in -1..1 and N x identity -> the same size and range, and log2(S) maps. At 256 px
    and width 32 it is, name for name, GHOST's "unet" form and FaceShifter's.
    """

    def __init__(self, size_px: int, width: int, identity: int, units: int) -> None:
        super().__init__()
        halvings = size_px.bit_length() - 2
        down = [width * min(2**step, 32) for step in range(halvings)]
        widths = [width * min(2 ** (step + 1), 32) for step in reversed(range(halvings + 1))]
        self.encoder = AttributeEncoder(down=down, up=down[-2::-1])
        self.generator = AadGenerator(
            self.encoder.channels, identity, AadForm(), units, widths=widths
        )

    def forward(
        self, target: torch.Tensor, identity: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        maps = self.encoder(target)
        return torch.tanh(self.generator(maps, identity)), maps
