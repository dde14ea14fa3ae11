"""inswapper's generator, as it was re-created from the published graph; what the published layout
calls its parameters, and its facts.

Source: the layout of inswapper_128 (insightface) and its re-creation ReSwapper; there is no paper.
The plan is SimSwap's (Chen et al. 2020): an encoder, residual blocks that take the identity by
AdaIN, a decoder; with no batch norm anywhere.
"""

from __future__ import annotations

import re

import torch
from torch import nn

from sosie.nn.modulation import AdaInBlock
from sosie.recipes.published.networks import Published

IDENTITY = 512
BLOCKS = 6
WIDTHS = (128, 256, 512, 1024)
_SLOPE = 0.2


class Generator(nn.Module):
    """Target N x 3 x 128 x 128 and identity N x 512 -> swapped N x 3 x 128 x 128.

    Pixels are RGB in 0..1, in and out. The identity has gone through the embedding map and has
    length 1 (`sosie.methods.inswapper.embedding`). Other sizes work where they are multiples of 4.
    """

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth = WIDTHS
        self.encoder = nn.ModuleList(
            [
                nn.Conv2d(3, first, 7, padding=3, padding_mode="reflect"),
                nn.Conv2d(first, second, 3, padding=1),
                nn.Conv2d(second, third, 3, 2, 1),
                nn.Conv2d(third, fourth, 3, 2, 1),
            ]
        )
        self.blocks = nn.ModuleList(
            AdaInBlock(fourth, IDENTITY, around_one=False) for _ in range(BLOCKS)
        )
        self.up = nn.ModuleList(
            [nn.Conv2d(fourth, third, 3, padding=1), nn.Conv2d(third, second, 3, padding=1)]
        )
        self.fine = nn.Conv2d(second, first, 3, padding=1)
        self.last = nn.Conv2d(first, 3, 7, padding=3, padding_mode="reflect")

    def forward(self, target: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        x = target
        for layer in self.encoder:
            x = _leaky(layer(x))
        for block in self.blocks:
            x = block(x, identity)
        for layer in self.up:
            x = nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = _leaky(layer(x))
        x = self.last(_leaky(self.fine(x)))
        return (torch.tanh(x) + 1) / 2


def _leaky(x: torch.Tensor) -> torch.Tensor:
    return nn.functional.leaky_relu(x, _SLOPE)


def published_name(name: str) -> str:
    """The published name of one of the generator's parameters."""
    # Activations stand between the published encoder's convolutions.
    name = re.sub(r"^encoder\.(\d)", lambda m: f"target_encoder.{2 * int(m[1])}", name)
    name = re.sub(r"^blocks\.(.+)\.linear\.", r"style_blocks.\1.", name)
    name = re.sub(r"^blocks\.", "style_blocks.", name)
    for own, published in (
        ("up.0.", "decoder.0."),
        ("up.1.", "decoderPart1.0."),
        ("fine.", "decoderPart1.2."),
        ("last.", "decoderPart2.0."),
    ):
        if name.startswith(own):
            return published + name.removeprefix(own)
    return name


PUBLISHED = {
    "inswapper_reswapper_128": Published(
        method="inswapper",
        build=Generator,
        inputs=(("target", (1, 3, 128, 128)), ("source", (1, 512))),
        outputs=("swapped",),
        summary="inswapper_128's layout as re-created by ReSwapper",
        paper="none; layout of inswapper_128 (insightface), plan of SimSwap (Chen et al. 2020)",
        license="inswapper's own weights: non-commercial; ReSwapper: AGPL-3.0",
        value_range="RGB, 0..1, in and out",
        alignment="arcface_128, 128 px",
        embedding="of arcface w600k_r50, length 1, times the 512 x 512 embedding map that comes "
        "with the weights, length 1 again",
        published_name=published_name,
    )
}
