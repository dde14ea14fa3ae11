"""SimSwap's generator and its discriminator.

Source: Chen et al. 2020, "SimSwap: An Efficient Framework For High Fidelity Face Swapping",
sections 3.1 (identity injection) and 3.3. An encoder without skips, a bottleneck of residual blocks
that take the identity by AdaIN, a decoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from sosie.nn.adain import AdaInBlock

IDENTITY = 512
BLOCKS = 9


@dataclass(frozen=True)
class Form:
    """What distinguishes the published generators.

    widths: channels at full size and after each halving. bounded: a tanh, moved to 0..1, at the
    end; without it the output is as unbounded as ImageNet-normalized pixels are. blocks: how many
    take the identity.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    bounded: bool = True
    blocks: int = BLOCKS


OFFICIAL_224 = Form()
OFFICIAL_512 = Form(widths=(32, 64, 128, 256, 512))
TRAINED = Form(bounded=False)
TRAINED_DEEP = Form(widths=(64, 128, 256, 512, 512), bounded=False)


class Generator(nn.Module):
    """Target N x 3 x H x W and identity N x 512, of length 1 -> swapped N x 3 x H x W.

    H and W are multiples of 2 to the number of halvings. Pixels are RGB: 0..1 where the form is
    bounded, else with ImageNet's mean and deviation taken out, in and out.
    """

    def __init__(self, form: Form = OFFICIAL_224) -> None:
        super().__init__()
        widths = form.widths
        steps = list(pairwise(widths))
        self.first = nn.Sequential(_same_size(3, widths[0], 7), nn.BatchNorm2d(widths[0]))
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b)) for a, b in steps
        )
        self.blocks = nn.ModuleList(
            AdaInBlock(widths[-1], IDENTITY, around_one=True) for _ in range(form.blocks)
        )
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(b, a, 3, 1, 1), nn.BatchNorm2d(a)) for a, b in steps[::-1]
        )
        self.last = _same_size(widths[0], 3, 7)
        self._bounded = form.bounded

    def forward(self, target: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(target))
        for down in self.down:
            x = torch.relu(down(x))
        for block in self.blocks:
            x = block(x, identity)
        for up in self.up:
            x = nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = torch.relu(up(x))
        x = self.last(x)
        return (torch.tanh(x) + 1) / 2 if self._bounded else x


class Discriminator(nn.Module):
    """Pictures N x 3 x H x W -> the features of five layers, then the logits of the patches.

    A patch discriminator (Isola et al. 2017, "Image-to-Image Translation with Conditional
    Adversarial Networks", section 3.2.2) of four halvings: of 224 x 224 pixels 12 x 12 logits.
    width: channels after the first halving; they double with each.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        widths = (3, width, 2 * width, 4 * width, 8 * width)
        layers = [_patch_layer(a, b, 2, norm=a > 3) for a, b in pairwise(widths)]
        self.layers = nn.ModuleList([*layers, _patch_layer(widths[-1], widths[-1], 1)])
        self.logits = nn.Conv2d(widths[-1], 1, 4, 1, 1)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return [*outputs, self.logits(x)]


def _same_size(in_channels: int, out_channels: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, kernel, 1, kernel // 2, padding_mode="reflect")


def _patch_layer(
    in_channels: int, out_channels: int, stride: int, norm: bool = True
) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(in_channels, out_channels, 4, stride, 1)]
    if norm:
        layers.append(nn.BatchNorm2d(out_channels))
    return nn.Sequential(*layers, nn.LeakyReLU(0.2))
