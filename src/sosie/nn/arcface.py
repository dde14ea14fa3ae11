"""The identity encoder of ArcFace as insightface trains it: an improved residual net.

Source: Deng et al. 2019, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition",
section 3.1: residual units of BN-Conv-BN-PReLU-Conv-BN, and a head of BN-Dropout-FC-BN. GHOST,
DiffSwap, BlendFace and HifiFace take their identity from such a network.
"""

from __future__ import annotations

import torch
from torch import nn

WIDTHS = (64, 128, 256, 512)
DEPTHS = {18: (2, 2, 2, 2), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}
"""Name of the network (its layers) -> units in each of the four stages."""

FACE_PX = 112
"""Side of the aligned face that the head is made for."""

EMBEDDING = 512


class ImprovedUnit(nn.Module):
    """N x in x H x W -> N x out x H/stride x W/stride; the second convolution has the stride.

    There is no activation after the sum.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.prelu = nn.PReLU(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = None
        if stride > 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        side = x if self.downsample is None else self.downsample(x)
        x = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        result: torch.Tensor = self.bn3(self.conv2(x)) + side
        return result


class IResNet(nn.Module):
    """An aligned face N x 3 x 112 x 112, RGB in -1..1 -> embedding N x 512, not normalized.

    layers: 18, 50 or 100. Raises KeyError on another number.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.prelu = nn.PReLU(WIDTHS[0])
        before = (WIDTHS[0], *WIDTHS)
        stages = [_stage(i, o, n) for i, o, n in zip(before, WIDTHS, DEPTHS[layers], strict=False)]
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.bn2 = nn.BatchNorm2d(WIDTHS[-1])
        self.fc = nn.Linear(WIDTHS[-1] * (FACE_PX // 16) ** 2, EMBEDDING)
        self.features = nn.BatchNorm1d(EMBEDDING)

    def maps(self, x: torch.Tensor) -> torch.Tensor:
        """What the last stage sees, before the head: N x 512 x H/16 x W/16."""
        x = self.prelu(self.bn1(self.conv1(x)))
        result: torch.Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return result

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.features(self.fc(self.bn2(self.maps(x)).flatten(1)))
        return result


def _stage(in_channels: int, out_channels: int, units: int) -> nn.Sequential:
    """Every stage halves the picture, in its first unit."""
    first = ImprovedUnit(in_channels, out_channels, 2)
    others = (ImprovedUnit(out_channels, out_channels, 1) for _ in range(units - 1))
    return nn.Sequential(first, *others)
