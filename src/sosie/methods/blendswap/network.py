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


class BlendSwap(nn.Module):
    """Target N x 3 x 256 x 256 and identity N x 512, of length 1 -> swapped N x 3 x 256 x 256.

    Pixels are RGB in 0..1, in and out. The generator does not begin with the identity: its first
    block refines the coarsest attribute map itself. The finest attribute map also says where the
    generator's pixels count; everywhere else the target's own stay.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = AttributeEncoder("concat", bias=True)
        self.generator = AadGenerator(self.encoder.channels, IDENTITY, FORM, from_map=True)
        self.mask_head = nn.Conv2d(self.encoder.channels[-1], 1, 1)

    def forward(self, target: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        maps = self.encoder(target)
        swapped = torch.sigmoid(self.generator(maps, identity))
        mask = torch.sigmoid(self.mask_head(maps[-1]))
        return mask * swapped + (1 - mask) * target
