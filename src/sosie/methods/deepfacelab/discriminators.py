"""DeepFaceLab's two discriminators: of patches of a picture, and of codes.

Attributes are named so that a parameter's own name, with slashes for dots, is the published one.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import torch
from torch import nn
from torch.nn import functional

from sosie.nn.depth_blocks import Grow, leaky, residual_leaky, start_weights

_MOST_LAYERS = 9
_MOST_WIDTH = 512


@cache
def strides_for(patch_px: int) -> tuple[int, ...]:
    """Strides of a chain of 3 x 3 convolutions that sees a patch of about `patch_px` pixels.

    The first one halves the picture. Of the chains whose patch is nearest the shortest is taken,
    and of those the one that halves most often, late rather than early.
    """
    chains = ((2, *rest) for count in range(_MOST_LAYERS) for rest in product((1, 2), repeat=count))
    return min(
        chains,
        key=lambda chain: (
            abs(_seen(chain) - patch_px),
            _seen(chain),
            len(chain),
            -sum(chain),
            chain,
        ),
    )


def _seen(strides: tuple[int, ...]) -> int:
    """Side of the patch that one place behind such a chain sees."""
    side, step = 1, 1
    for stride in strides:
        side += 2 * step
        step *= stride
    return side


class PatchDiscriminator(nn.Module):
    """Picture N x 3 x H x W -> logits of patches from its middle, and of every pixel.

    A U-shape: the narrow end judges patches, the wide end each pixel, N x 1 x H x W. patch_px: size
    of a patch. base: channels at full size; they double with each layer, up to 512.
    """

    def __init__(self, patch_px: int = 16, base: int = 16) -> None:
        super().__init__()
        strides = strides_for(patch_px)
        widths = [min(base * 2**level, _MOST_WIDTH) for level in range(len(strides) + 1)]
        self._count = len(strides)
        self.in_conv = nn.Conv2d(3, base, 1)
        for place, stride in enumerate(strides):
            self.add_module(
                f"convs_{place}",
                nn.Conv2d(widths[place], widths[place + 1], 3, stride, 1),
            )
        self.center_conv = nn.Conv2d(widths[-1], widths[-1], 1)
        self.center_out = nn.Conv2d(widths[-1], 1, 1)
        for place in range(self._count):
            level = self._count - place
            stride = strides[level - 1]
            # All but the first see the narrower map and what the way down has left at that level.
            before = widths[level] * (1 if place == 0 else 2)
            self.add_module(
                f"upconvs_{place}",
                Grow(before, widths[level - 1], stride),
            )
        self.out_conv = nn.Conv2d(2 * widths[0], 1, 1)
        start_weights(self)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = residual_leaky(self.in_conv(x))
        left = []
        for place in range(self._count):
            left.append(x)
            x = residual_leaky(self.get_submodule(f"convs_{place}")(x))
        center = self.center_out(x)
        x = residual_leaky(self.center_conv(x))
        for place, beside in enumerate(reversed(left)):
            x = residual_leaky(self.get_submodule(f"upconvs_{place}")(x))
            x = torch.cat([beside, x[..., : beside.shape[2], : beside.shape[3]]], 1)
        return center, self.out_conv(x)


class CodeDiscriminator(nn.Module):
    """Codes N x channels x side x side -> logits that they are of the target's pictures."""

    def __init__(self, channels: int, side: int, base: int = 256) -> None:
        super().__init__()
        self._count = 1 + side // 8
        before = channels
        for place in range(self._count):
            width = base * min(2**place, 8)
            kernel = 4 if place == 0 else 3
            self.add_module(f"convs_{place}", nn.Conv2d(before, width, kernel, 2, kernel // 2))
            before = width
        self.out_conv = nn.Conv2d(before, 1, 1)
        start_weights(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for place in range(self._count):
            x = leaky(self.get_submodule(f"convs_{place}")(x))
        logits: torch.Tensor = self.out_conv(x)
        return logits


def told_apart(logits: torch.Tensor, real: bool) -> torch.Tensor:
    """How far logits are from saying what is right, a mean over all."""
    wanted = torch.full_like(logits, float(real))
    return functional.binary_cross_entropy_with_logits(logits, wanted)
