"""Convolutional blocks that the small networks share."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class ConvUnit(nn.Sequential):
    """Convolution, batch norm, activation: N x in x H x W -> N x out x H/stride x W/stride.

    kernel: odd. act: whether the activation (a PReLU with a slope a channel) follows.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        act: bool = True,
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(
                in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False
            ),
            nn.BatchNorm2d(out_channels),
        ]
        if act:
            layers.append(nn.PReLU(out_channels))
        super().__init__(*layers)


class ResidualUnit(nn.Module):
    """x + f(x) with two 3 x 3 convolutions (He et al. 2016, "Deep residual learning", eq. 1).

    N x channels x H x W -> the same. The branch starts at zero, so that a deep net begins shallow.
    """

    def __init__(self, channels: int, hidden: int | None = None) -> None:
        super().__init__()
        hidden = hidden or channels
        self.first = ConvUnit(channels, hidden)
        self.second = ConvUnit(hidden, channels, act=False)
        self.act = nn.PReLU(channels)
        norm = self.second[1]
        assert isinstance(norm, nn.BatchNorm2d)
        nn.init.zeros_(norm.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.act(x + self.second(self.first(x)))
        return result


class PixelInput(nn.Module):
    """`to_input` as a network's first layer."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return to_input(pixels)


def to_input(pixels: torch.Tensor) -> torch.Tensor:
    """The one place where pixels become numbers: uint8 N x H x W x 3 -> float32 N x 3 x H x W in
    -1..1."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def relu_unit(
    in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1
) -> nn.Sequential:
    """`ConvUnit` with a ReLU: ONNX Runtime folds it into the convolution, and a training step on a
    processor takes two thirds of the time."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class ReluResidual(nn.Module):
    """relu(x + f(x)) with two convolutions (He et al. 2016, eq. 1); f begins at zero.

    `ResidualUnit` for networks of `relu_unit`s: N x channels x H x W -> the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = relu_unit(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(x + self.norm(self.second(self.first(x))))


def lay_channels_last(network: nn.Module) -> None:
    """Lay the kernels in memory as the fast convolutions of processors and GPUs take them."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
