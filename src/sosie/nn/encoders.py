"""The published identity encoders: residual nets that make an embedding of an aligned face.

Sources: Deng et al. 2019, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition",
section 3.1 (improved residual units; a head of BN-Dropout-FC-BN); He et al. 2016, "Deep Residual
Learning", for the depths; Hu et al. 2018, "Squeeze-and-Excitation Networks", equations 2 to 4.

- `IResNet`: as insightface trains it. GHOST, DiffSwap, BlendFace and HifiFace take their identity
  from such a network.
- `IrSe50`: with squeeze and excitation. FaceShifter, REFace and E4S take their identity from it,
  InfoSwap all its stages.
- `SeResNet101`: SimSwap's and DiffFace's. It differs from `IResNet` in its stem without padding, in
  pooling before the first stage, in one PReLU slope for all channels and in an activation after
  each sum.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

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


IR_SE_STAGES = ((64, 3), (128, 4), (256, 14), (512, 3))
"""Channels and units of each stage."""

_REDUCTION = 16


class ConvExcite(nn.Module):
    """Channels weighed by what all of the map says of them: N x C x H x W -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // _REDUCTION)
        self.fc1 = nn.Conv2d(channels, hidden, 1, bias=False)
        self.fc2 = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        squeezed = functional.relu(self.fc1(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.fc2(squeezed))


class IrSeUnit(nn.Module):
    """N x in x H x W -> N x out x H/stride x W/stride; no activation after the sum. norm: of the
    channels."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        # Where the width stays, the side path only leaves pixels out.
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if in_channels != out_channels:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                norm(out_channels),
            )
        self.res_layer = nn.Sequential(
            norm(in_channels),
            nn.Conv2d(in_channels, out_channels, 3, 1, 1, bias=False),
            nn.PReLU(out_channels),
            nn.Conv2d(out_channels, out_channels, 3, stride, 1, bias=False),
            norm(out_channels),
            ConvExcite(out_channels),
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
        width = IR_SE_STAGES[0][0]
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.PReLU(width)
        )
        units = []
        for channels, count in IR_SE_STAGES:
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


SE_STAGES = ((64, 3), (128, 4), (256, 23), (512, 3))
"""Channels and units of each stage."""

# Of a face of 112 px the stem leaves 110, pooling 55, and three stages 28, 14 and 7.
_LAST_PX = 7


class LinearExcite(nn.Module):
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
        self.se = LinearExcite(out_channels)
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
        width = SE_STAGES[0][0]
        self.conv1 = nn.Conv2d(3, width, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.prelu = nn.PReLU()
        self.pool = nn.MaxPool2d(2)
        stages: list[nn.Module] = []
        for channels, units in SE_STAGES:
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
