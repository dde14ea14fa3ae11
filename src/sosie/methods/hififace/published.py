"""HifiFace's generator, as its two public re-implementations built it; what they call its
parameters, and their facts.

Source: Wang et al. 2021, "HifiFace: 3D Shape and Semantic Prior Guided High Fidelity Face
Swapping" (shape and identity by AdaIN; semantic facial fusion). Pictures are RGB, 256 x 256, in
0..1. The vector is 257 numbers of a 3D face model (80 for the identity of the source, the rest the
target's) and 512 of ArcFace iResNet-100, of length 1.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from sosie.recipes.published.networks import Published

VECTOR = 769
DEEP = 512
"""Channels at the bottom, 8 x 8."""
FUSED = 256
"""Channels where the fusion takes place, at a quarter of the size."""

Resample = Callable[[torch.Tensor], torch.Tensor]


def activate(x: torch.Tensor) -> torch.Tensor:
    return functional.leaky_relu(x, 0.2)


def double(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def halve(x: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool2d(x, 2)


def keep(x: torch.Tensor) -> torch.Tensor:
    return x


class ResidualBlock(nn.Module):
    """Instance norm, leaky ReLU, convolution, twice, beside a 1 x 1 convolution.

    N x in x H x W -> N x out x H' x W', where resample makes H' of H behind the first convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, resample: Resample = keep) -> None:
        super().__init__()
        self.resample = resample
        self.first = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.side = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.resample(self.first(activate(functional.instance_norm(x))))
        inner = self.second(activate(functional.instance_norm(inner)))
        result: torch.Tensor = inner + self.resample(self.side(x))
        return result


class Style(nn.Module):
    """AdaIN with a linear layer each for scale and shift: N x C x H x W, N x 769 -> N x C x H x W.

    Huang and Belongie 2017, "Arbitrary Style Transfer in Real-time", equation 8; the scale
    multiplies as it is.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Linear(VECTOR, channels)
        self.shift = nn.Linear(VECTOR, channels)

    def forward(self, x: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        scale, shift = self.scale(vector)[:, :, None, None], self.shift(vector)[:, :, None, None]
        result: torch.Tensor = scale * functional.instance_norm(x) + shift
        return result


class StyledBlock(nn.Module):
    """`ResidualBlock` whose instance norms take scale and shift from the vector."""

    def __init__(self, in_channels: int, out_channels: int, resample: Resample = keep) -> None:
        super().__init__()
        self.resample = resample
        self.first_style = Style(in_channels)
        self.first = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.second_style = Style(out_channels)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.side = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        inner = self.resample(self.first(activate(self.first_style(x, vector))))
        inner = self.second(activate(self.second_style(inner, vector)))
        result: torch.Tensor = inner + self.resample(self.side(x))
        return result


class Encoder(nn.Module):
    """Target N x 3 x H x W -> N x 512 x H/32 x W/32, and on the way N x 256 x H/4 x W/4."""

    WIDTHS = (64, 128, FUSED, DEEP, DEEP, DEEP)

    def __init__(self) -> None:
        super().__init__()
        self.entry = nn.Conv2d(3, self.WIDTHS[0], 3, padding=1)
        down = [
            ResidualBlock(before, after, halve)
            for before, after in zip(self.WIDTHS, self.WIDTHS[1:], strict=False)
        ]
        self.blocks = nn.ModuleList([*down, ResidualBlock(DEEP, DEEP), ResidualBlock(DEEP, DEEP)])

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = [self.entry(x)]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps[-1], maps[2]


class Decoder(nn.Module):
    """N x 512 x H/32 x W/32 and the vector -> N x 256 x H/4 x W/4."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [
                StyledBlock(DEEP, DEEP),
                StyledBlock(DEEP, DEEP),
                StyledBlock(DEEP, DEEP, double),
                StyledBlock(DEEP, DEEP, double),
                StyledBlock(DEEP, FUSED, double),
            ]
        )

    def forward(self, x: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x, vector)
        return x


Fused = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""Result and low result, N x 3, then mask and low mask, N x 1; low is a quarter of the size."""


def mix(mask: torch.Tensor, inside: torch.Tensor, outside: torch.Tensor) -> torch.Tensor:
    return mask * inside + (1 - mask) * outside


def quarter(target: torch.Tensor) -> torch.Tensor:
    """Every fourth pixel, as the published networks take the target (no smoothing)."""
    return functional.interpolate(target, scale_factor=0.25, mode="nearest")


class MaumFusion(nn.Module):
    """Semantic facial fusion with masks in -1..1: one block gives the low picture and features.

    Decoded and encoded features N x 256 x H/4 x W/4, target N x 3 x H x W, vector -> `Fused`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refine = ResidualBlock(FUSED, FUSED)
        self.low_mask = ResidualBlock(FUSED, 1)
        self.fuse = StyledBlock(FUSED, 3 + FUSED)
        self.up = nn.Sequential(
            ResidualBlock(FUSED, 64, double),
            ResidualBlock(64, 16, double),
            ResidualBlock(16, 8),
            ResidualBlock(8, 4),
        )

    def forward(
        self,
        decoded: torch.Tensor,
        encoded: torch.Tensor,
        target: torch.Tensor,
        vector: torch.Tensor,
    ) -> Fused:
        low_mask = torch.tanh(self.low_mask(decoded))
        fused = self.fuse(mix(low_mask, decoded, self.refine(encoded)), vector)
        low = mix(low_mask, fused[:, :3], quarter(target))
        full = self.up(fused[:, 3:])
        mask = torch.tanh(full[:, :1])
        return mix(mask, full[:, 1:], target), low, mask, low_mask


class XuehyFusion(nn.Module):
    """Semantic facial fusion with masks in 0..1 and a convolution for each picture and mask.

    Decoded and encoded features N x 256 x H/4 x W/4, target N x 3 x H x W, vector -> `Fused`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refine = ResidualBlock(FUSED, FUSED)
        self.low_mask = nn.Conv2d(FUSED, 1, 3, padding=1)
        self.fuse = nn.ModuleList([StyledBlock(FUSED, FUSED), StyledBlock(FUSED, FUSED)])
        self.low_picture = nn.Conv2d(FUSED, 3, 3, padding=1)
        self.up = nn.Sequential(
            ResidualBlock(FUSED, FUSED, double), ResidualBlock(FUSED, FUSED, double)
        )
        self.picture = nn.Conv2d(FUSED, 3, 3, padding=1)
        self.mask = nn.Conv2d(FUSED, 1, 3, padding=1)

    def forward(
        self,
        decoded: torch.Tensor,
        encoded: torch.Tensor,
        target: torch.Tensor,
        vector: torch.Tensor,
    ) -> Fused:
        low_mask = torch.sigmoid(self.low_mask(decoded))
        fused = mix(low_mask, decoded, self.refine(encoded))
        for block in self.fuse:
            fused = block(fused, vector)
        # The published activations work in place: what follows a picture's activation sees it too.
        fused = activate(fused)
        low = mix(low_mask, self.low_picture(fused), quarter(target))
        full = activate(self.up(fused))
        mask = torch.sigmoid(self.mask(full))
        return mix(mask, self.picture(full), target), low, mask, low_mask


class Generator(nn.Module):
    """Target N x 3 x H x W and vector N x 769 -> `Fused`, H and W multiples of 32 (256 trained).

    fusion: MaumFusion or XuehyFusion, the only place where the two differ.
    """

    def __init__(self, fusion: type[MaumFusion] | type[XuehyFusion]) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.fusion = fusion()

    def forward(self, target: torch.Tensor, vector: torch.Tensor) -> Fused:
        deep, encoded = self.encoder(target)
        result: Fused = self.fusion(self.decoder(deep, vector), encoded, target, vector)
        return result


_PAPER = (
    "Wang et al. 2021, HifiFace: 3D Shape and Semantic Prior Guided High Fidelity Face Swapping"
)
_STYLES = {
    ".first_style.scale.": ".adain1.std_style_fc.",
    ".first_style.shift.": ".adain1.mean_style_fc.",
    ".second_style.scale.": ".adain2.std_style_fc.",
    ".second_style.shift.": ".adain2.mean_style_fc.",
}
_MAUM = {
    "fusion.": "sff.",
    ".refine.": ".sigma.",
    ".low_mask.": ".low_mask_predict.",
    ".fuse.": ".z_fuse_block.",
    "sff.up.": "sff.f_up.net.",
}
_XUEHY = {
    "fusion.": "sff_module.",
    ".refine.": ".sigma.",
    ".low_mask.": ".low_mask_predict.0.",
    ".fuse.0.": ".z_fuse_block_1.",
    ".fuse.1.": ".z_fuse_block_2.",
    ".low_picture.": ".i_low_block.1.",
    "sff_module.up.": "sff_module.f_up.net.",
    "sff_module.picture.": "sff_module.f_up.i_r_net.1.",
    "sff_module.mask.": "sff_module.f_up.m_r_net.0.",
}
_RESAMPLED = re.compile(r"^(encoder\.block_list\.[0-4]|sff(_module)?\.f_up\.net\.[01])\.")
"""Blocks that change the size, which is one more layer before their second convolution."""
_STYLED = re.compile(r"^(decoder\.|sff(_module)?\.z_fuse_block)")


def published_name(name: str, fusion: dict[str, str]) -> str:
    """The published name of one of the generator's parameters.

    fusion: how the parts of the fusion module are called.
    """
    name = name.replace("encoder.entry.", "encoder.conv_first.")
    for ours, theirs in {".blocks.": ".block_list.", **fusion, **_STYLES}.items():
        name = name.replace(ours, theirs)
    name = name.replace(".side.", ".side_path.0.")
    if _STYLED.match(name):
        name = name.replace(".first.", ".main_path1.1.")
        return name.replace(".second.", ".main_path2.1.")
    second = 6 if _RESAMPLED.match(name) else 5
    return name.replace(".first.", ".main_path.2.").replace(".second.", f".main_path.{second}.")


def generator_alone(state: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Without the networks that make the vector, which some files also hold."""
    return {key: value for key, value in state.items() if not key.startswith("id_extractor.")}


def _published(
    fusion: type[MaumFusion] | type[XuehyFusion],
    names: dict[str, str],
    summary: str,
    license_name: str,
) -> Published:
    return Published(
        method="hififace",
        build=partial(Generator, fusion),
        inputs=(("target", (1, 3, 256, 256)), ("vector", (1, VECTOR))),
        outputs=("swapped", "swapped_low", "mask", "mask_low"),
        summary=summary,
        paper=_PAPER,
        license=license_name,
        value_range="RGB, 0..1, in; as trained also out, though nothing bounds it",
        alignment="mtcnn_512 in one published converter, at 256 px",
        embedding="80 coefficients of the source's 3D face and 177 of the target's, then 512 of "
        "arcface_iresnet100 with length 1",
        published_name=partial(published_name, fusion=names),
        from_file=generator_alone,
    )


PUBLISHED = {
    "hififace_maum_generator": _published(
        MaumFusion, _MAUM, "HifiFace's generator as maum.ai built it", "BSD-3-Clause"
    ),
    "hififace_xuehy_generator": _published(
        XuehyFusion, _XUEHY, "HifiFace's generator as xuehy built it", "MIT"
    ),
}
