"""The identity encoder of SimSwap and DiffFace: ResNet-101 with improved units and excitation.

Sources: Deng et al. 2019, "ArcFace", section 3.1; He et al. 2016, "Deep Residual Learning", for
the depths; Hu et al. 2018, "Squeeze-and-Excitation Networks". It differs from `sosie.nn.arcface`
in its stem without padding, in pooling before the first stage, in one PReLU slope for all channels
and in an activation after each sum.
"""

from __future__ import annotations

import torch
from torch import nn

STAGES = ((64, 3), (128, 4), (256, 23), (512, 3))
"""Channels and units of each stage."""

EMBEDDING = 512
_REDUCTION = 16
# Of a face of 112 px the stem leaves 110, pooling 55, and three stages 28, 14 and 7.
_LAST_PX = 7


class SqueezeExcite(nn.Module):
    """Channels weighed by what all of the map says of them: N x C x H x W -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // _REDUCTION
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden), nn.PReLU(), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight: torch.Tensor = self.fc(x.mean((2, 3)))
        return x * weight[:, :, None, None]


class SeUnit(nn.Module):
    """N x in x H x W -> N x out x H/stride x W/stride."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, in_channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(in_channels)
        # The same slope twice: after the first convolution and after the sum.
        self.prelu = nn.PReLU()
        self.conv2 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.se = SqueezeExcite(out_channels)
        self.downsample = None
        if stride > 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        side = x if self.downsample is None else self.downsample(x)
        x = self.prelu(self.bn1(self.conv1(self.bn0(x))))
        result: torch.Tensor = self.prelu(self.se(self.bn2(self.conv2(x))) + side)
        return result


class SeResNet101(nn.Module):
    """An aligned face N x 3 x 112 x 112 -> embedding N x 512, not normalized.

    The face is RGB with ImageNet's mean (0.485, 0.456, 0.406) and deviation (0.229, 0.224, 0.225)
    taken out of 0..1.
    """

    def __init__(self) -> None:
        super().__init__()
        width = STAGES[0][0]
        self.conv1 = nn.Conv2d(3, width, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU()
        self.pool = nn.MaxPool2d(2)
        stages: list[nn.Module] = []
        for channels, units in STAGES:
            # Pooling has halved the picture before the first stage.
            first = SeUnit(width, channels, 2 if stages else 1)
            stages.append(
                nn.Sequential(first, *(SeUnit(channels, channels, 1) for _ in range(units - 1)))
            )
            width = channels
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.bn2 = nn.BatchNorm2d(width)
        self.dropout = nn.Dropout()
        self.fc = nn.Linear(width * _LAST_PX**2, EMBEDDING)
        self.bn3 = nn.BatchNorm1d(EMBEDDING)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.prelu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        result: torch.Tensor = self.bn3(self.fc(self.dropout(self.bn2(x)).flatten(1)))
        return result
