"""The identity encoder IR-SE-50: ArcFace's improved residual units with squeeze and excitation.

Sources: Deng et al. 2019, "ArcFace", section 3.1; Hu et al. 2018, "Squeeze-and-Excitation
Networks", equations 2 to 4. FaceShifter, REFace and E4S take their identity from it, InfoSwap
all its stages.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

STAGES = ((64, 3), (128, 4), (256, 14), (512, 3))
"""Channels and units of each stage."""

EMBEDDING = 512
_REDUCTION = 16


class SqueezeExcite(nn.Module):
    """Channels weighed by what all of the map says of them: N x C x H x W -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // _REDUCTION, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // _REDUCTION, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        squeezed = functional.relu(self.fc1(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.fc2(squeezed))


class IrSeUnit(nn.Module):
    """N x in x H x W -> N x out x H/stride x W/stride; no activation after the sum."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        # Where the width stays, the side path only leaves pixels out.
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if in_channels != out_channels:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(in_channels),
            nn.Conv2d(in_channels, out_channels, 3, 1, 1, bias=False),
            nn.PReLU(out_channels),
            nn.Conv2d(out_channels, out_channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            SqueezeExcite(out_channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.res_layer(x) + self.shortcut_layer(x)
        return result


class IrSe50(nn.Module):
    """An aligned face N x 3 x S x S, in -1..1 -> embedding and features.

    The embedding is N x 512 with length 1; the features are the results of the 24 units, from
    N x 64 x S/2 x S/2 to N x 512 x S/16 x S/16. size_px: S, a multiple of 16 (112; InfoSwap: 128).
    """

    def __init__(self, size_px: int = 112) -> None:
        super().__init__()
        width = STAGES[0][0]
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.PReLU(width)
        )
        units = []
        for channels, count in STAGES:
            for position in range(count):
                units.append(IrSeUnit(width, channels, 1 if position else 2))
                width = channels
        self.body = nn.ModuleList(units)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.Dropout(0.6),
            nn.Flatten(),
            nn.Linear(width * (size_px // 16) ** 2, EMBEDDING),
            nn.BatchNorm1d(EMBEDDING),
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        x = self.input_layer(x)
        features = []
        for unit in self.body:
            x = unit(x)
            features.append(x)
        return functional.normalize(self.output_layer(x)), features
