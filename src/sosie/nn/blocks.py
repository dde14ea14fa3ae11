"""Convolutional blocks that networks share, patch discriminators, and the call in bf16."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

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


WIDTH = 64
"""Channels behind the first convolution of the published forms."""


class PatchDiscriminator(nn.Sequential):
    """Picture N x 3 x H x W -> one logit a patch, N x 1 x h x w.

    steps: convolutions that halve the size; two more keep it. The width doubles from `width` to
    eight times that at most. All kernels are 4 x 4 padded by 2, so sizes go H -> H // 2 + 1 and
    then H -> H + 1. A norm stands behind all but the first and the last: `norm` of the channels.
    """

    def __init__(
        self,
        steps: int,
        width: int = WIDTH,
        norm: Callable[[int], nn.Module] = nn.InstanceNorm2d,
    ) -> None:
        widths = [width * min(2**step, 8) for step in range(steps + 1)]
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 2, 2), nn.LeakyReLU(0.2)]
        for position, (before, after) in enumerate(pairwise(widths), 1):
            stride = 2 if position < steps else 1
            layers += [
                nn.Conv2d(before, after, 4, stride, 2),
                norm(after),
                nn.LeakyReLU(0.2),
            ]
        layers.append(nn.Conv2d(widths[-1], 1, 4, 1, 2))
        super().__init__(*layers)


class MultiScaleDiscriminator(nn.Module):
    """Picture N x 3 x H x W -> logits at full size, at half, and so on (`scales` maps).

    scales: how many discriminators, each on the picture halved once more. steps, width, norm:
    see `PatchDiscriminator`.
    """

    def __init__(
        self,
        scales: int,
        steps: int,
        width: int = WIDTH,
        norm: Callable[[int], nn.Module] = nn.InstanceNorm2d,
    ) -> None:
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(steps, width, norm) for _ in range(scales))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        logits = []
        for position, scale in enumerate(self.scales):
            if position:
                x = functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
            logits.append(scale(x))
        return logits


def fast_precision(device: torch.device) -> torch.autocast:
    """A context for the call of a network: bf16 on GPUs and on processors with instructions for it,
    where it is up to twice as fast or more. On others it would be slower, and nothing changes.

    What the network answers may then be bf16, whose eight bits are too few for a loss: that is
    computed outside, of `.float()` values.
    """
    if device.type == "cpu":
        able = bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    else:
        able = device.type == "cuda"
    return torch.autocast(device.type, torch.bfloat16, enabled=able)
