"""LivePortrait's motion extractor, and the small networks that stitch and retarget.

Source: Guo et al. 2024, "LivePortrait: Efficient Portrait Animation with Stitching and Retargeting
Control", sections 3.1 and 3.3. The extractor is a ConvNeXt V2 of the size "tiny" (Woo et al. 2023,
"ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders", section 3) with a head
for each part of the motion.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from sosie.reenactment.portrait.motion import BINS, bin_degrees

HEADS = {"pitch": BINS, "yaw": BINS, "roll": BINS, "t": 3, "exp": 63, "scale": 1, "kp": 63}
"""What the extractor tells, in the published order, and in how many numbers."""

RETARGETING = {
    "stitching": (126, 128, 128, 64, 65),
    "lip": (65, 128, 128, 64, 63),
    "eye": (66, 256, 256, 128, 128, 64, 63),
}
"""Widths of the small networks' layers."""

_WIDTHS, _DEPTHS = (96, 192, 384, 768), (3, 3, 9, 3)
_EPS = 1e-6


class MotionExtractor(nn.Module):
    """Face N x 3 x 256 x 256, RGB in 0..1 -> a tensor N x width for each of HEADS, in order; the
    angles as the logits of their bins."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, _WIDTHS[0], 4, 4), _ChannelNorm(_WIDTHS[0]))
        self.down = nn.ModuleList(
            nn.Sequential(_ChannelNorm(a), nn.Conv2d(a, b, 2, 2)) for a, b in pairwise(_WIDTHS)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(ConvNextBlock(width) for _ in range(depth)))
            for width, depth in zip(_WIDTHS, _DEPTHS, strict=True)
        )
        self.norm = nn.LayerNorm(_WIDTHS[-1], _EPS)
        self.heads = nn.ModuleDict({k: nn.Linear(_WIDTHS[-1], n) for k, n in HEADS.items()})

    def forward(self, face: torch.Tensor) -> list[torch.Tensor]:
        x = self.stages[0](self.stem(face))
        for down, stage in zip(self.down, self.stages[1:], strict=True):
            x = stage(down(x))
        read = self.norm(x.mean((2, 3)))
        return [head(read) for head in self.heads.values()]


class MotionInDegrees(nn.Module):
    """A motion extractor as its ONNX files circulate: angles in degrees, N x 1, and points as
    N x 21 x 3."""

    def __init__(self, extractor: nn.Module) -> None:
        super().__init__()
        self.extractor = extractor
        self.register_buffer("degrees", torch.from_numpy(bin_degrees()))

    def forward(self, face: torch.Tensor) -> list[torch.Tensor]:
        told = dict(zip(HEADS, self.extractor(face), strict=True))
        degrees = self.get_buffer("degrees")
        for angle in ("pitch", "yaw", "roll"):
            told[angle] = (torch.softmax(told[angle], 1) * degrees).sum(1, keepdim=True)
        for points in ("exp", "kp"):
            told[points] = told[points].unflatten(1, (-1, 3))
        return list(told.values())


class ConvNextBlock(nn.Module):
    """A depthwise convolution and two layers at each place, onto what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, _EPS)
        self.wide = nn.Linear(width, 4 * width)
        self.response = ResponseNorm(4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.spatial(x).permute(0, 2, 3, 1))
        y = self.response(nn.functional.gelu(self.wide(y)))
        narrow: torch.Tensor = self.narrow(y)
        return x + narrow.permute(0, 3, 1, 2)


class ResponseNorm(nn.Module):
    """Global response normalization of N x H x W x C: channels compete by their size over the
    picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, width))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = (x * x).sum((1, 2), keepdim=True).sqrt()
        share = size / (size.mean(-1, keepdim=True) + _EPS)
        return self.gamma * (x * share) + self.beta + x


class RetargetingNetwork(nn.Module):
    """N x first -> N x last of the widths of a network in RETARGETING."""

    def __init__(self, name: str) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inside, outside in pairwise(RETARGETING[name]):
            layers += [nn.Linear(inside, outside), nn.ReLU()]
        self.mlp = nn.Sequential(*layers[:-1])

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.mlp(points)
        return result


class _ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of N x C x H x W."""

    def __init__(self, width: int) -> None:
        super().__init__(width, _EPS)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
