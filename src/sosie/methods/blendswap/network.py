"""BlendSwap's network: FaceShifter's first stage with batch norms and a mask of its own.

Sources: Shiohara et al. 2023, "BlendFace: Re-designing Identity Encoders for Face-Swapping",
section 4; Li et al. 2020, "FaceShifter", section 3.1, for the plan.
"""

from __future__ import annotations

import torch
from torch import nn

from sosie.nn.aei import AadGenerator, AttributeEncoder
from sosie.nn.modulation import AadForm

IDENTITY = 512
FORM = AadForm(norm="batch", kernel=3, mask_kernel=1, mask_per_channel=False, conv_bias=True)
_WIDEST = 32


class BlendSwap(nn.Module):
    """Target N x 3 x S x S and identity N x 512, of length 1 -> swapped N x 3 x S x S.

    Pixels are RGB in 0..1, in and out. The generator does not begin with the identity: its first
    block refines the coarsest attribute map itself. The finest attribute map also says where the
    generator's pixels count; everywhere else the target's own stay.

    size_px: S, a power of two. width: of the encoder's first layer. units: AAD units a block. The
    defaults are the published form.
    """

    def __init__(self, size_px: int = 256, width: int = 32, units: int = 2) -> None:
        super().__init__()
        halvings = size_px.bit_length() - 2
        down = [width * min(2**step, _WIDEST) for step in range(halvings)]
        inner = [width * min(2 ** (step + 1), _WIDEST) for step in reversed(range(halvings))]
        self.encoder = AttributeEncoder("concat", bias=True, down=down, up=down[-2::-1])
        channels = self.encoder.channels
        # The first block takes the coarsest map itself.
        widths = [down[-1], *inner]
        self.generator = AadGenerator(channels, IDENTITY, FORM, units, from_map=True, widths=widths)
        self.mask_head = nn.Conv2d(channels[-1], 1, 1)

    def forward(self, target: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        return self.with_maps(target, identity)[0]

    def with_maps(
        self, target: torch.Tensor, identity: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The picture, and the attribute maps, coarsest first."""
        maps = self.encoder(target)
        swapped = torch.sigmoid(self.generator(maps, identity))
        mask = torch.sigmoid(self.mask_head(maps[-1]))
        return mask * swapped + (1 - mask) * target, maps
