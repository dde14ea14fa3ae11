"""The networks of FaceShifter, as its two public re-implementations built them.

Source: Li et al. 2020, "FaceShifter: Towards High Fidelity And Occlusion Aware Face Swapping",
section 3.1 (AEI-Net) and 3.2 (HEAR-Net). "tao" and "minds" name the re-implementations: their
checkpoints do not fit one another.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from sosie.nn.aei import AadGenerator, AttributeEncoder, double
from sosie.nn.blocks import MultiScaleDiscriminator
from sosie.nn.modulation import AadForm
from sosie.nn.unet import SLOPE, UShape

TAO = AadForm()
MINDS = AadForm(norm="batch", kernel=3, mask_kernel=3, mask_per_channel=True, conv_bias=True)


class TaoAei(nn.Module):
    """Target and identity -> swapped picture, then the eight attribute maps, coarsest first.

    N x 3 x 256 x 256, BGR in -1..1, and N x 512 of length 1 -> N x 3 x 256 x 256 in -1..1 and eight
    maps, from N x 1024 x 2 x 2 to N x 64 x 256 x 256.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = AttributeEncoder()
        self.generator = AadGenerator(self.encoder.channels, 512, TAO)

    def forward(
        self, target: torch.Tensor, identity: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        maps = self.encoder(target)
        return torch.tanh(self.generator(maps, identity)), maps


class MindsAei(nn.Module):
    """Target N x 3 x 256 x 256, RGB in 0..1, and identity N x 256 of length 1 -> the same size and
    range, swapped. Batch norm, 3 x 3 convolutions and a mask a channel, where TaoAei is plainer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = AttributeEncoder(bias=True)
        self.generator = AadGenerator(self.encoder.channels, 256, MINDS)

    def forward(self, target: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.generator(self.encoder(target), identity))


def tao_discriminator() -> MultiScaleDiscriminator:
    """Logits of a picture in -1..1 at three scales, full size first."""
    return MultiScaleDiscriminator(scales=3, steps=6)


class TaoHear(nn.Module):
    """Second stage: N x 6 x H x W -> N x 3 x H x W in -1..1, H and W multiples of 32.

    Its input is the first stage's result beside what that stage lost of the target when it was
    to reconstruct it (section 3.2): both BGR, results in -1..1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = UShape(
            6, (64, 128, 256, 512, 512), (512, 256, 128, 64), skip="concat_first", bias=True
        )
        self.head = nn.Conv2d(128, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.head(double(self.body(x)[-1])))


class MindsHear(nn.Module):
    """Second stage: N x 6 x H x W -> N x 3 x H x W, H and W multiples of 32.

    Input as for TaoHear, RGB. The published network ends in a batch norm and a leaky ReLU, so its
    result has no fixed range; its authors never trained it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = UShape(6, (32, 64, 128, 256, 512), (256, 128, 64, 32), bias=True)
        self.head = nn.Sequential(nn.ConvTranspose2d(64, 3, 4, 2, 1), nn.BatchNorm2d(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.leaky_relu(self.head(self.body(x)[-1]), SLOPE)
