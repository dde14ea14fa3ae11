"""The blocks of the networks of DeepFaceLab and of the first DeepFakes, by their published names.

Attributes are named so that a parameter's own name, with slashes for dots, is the published one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

Activation = Callable[[torch.Tensor], torch.Tensor]

_SLOPE, _RESIDUAL_SLOPE = 0.1, 0.2
_TINY = 1e-6


def leaky(x: torch.Tensor) -> torch.Tensor:
    """The usual activation."""
    return functional.leaky_relu(x, _SLOPE)


def residual_leaky(x: torch.Tensor) -> torch.Tensor:
    """The usual activation of residual blocks."""
    return functional.leaky_relu(x, _RESIDUAL_SLOPE)


def cosine_unit(x: torch.Tensor) -> torch.Tensor:
    """x cos x, which the option `c` puts in the place of every activation."""
    return x * torch.cos(x)


def pixel_norm(code: torch.Tensor) -> torch.Tensor:
    """N x C of a mean square of 1 along the last axis."""
    return code * torch.rsqrt(code.square().mean(-1, keepdim=True) + _TINY)


def depth_to_space(x: torch.Tensor) -> torch.Tensor:
    """N x 4C x H x W -> N x C x 2H x 2W: the first C channels are the upper left pixels.

    `pixel_shuffle` orders the channels otherwise: there the four of one color are neighbors.
    """
    count, channels, height, width = x.shape
    parts = x.reshape(count, 4, channels // 4, height, width).transpose(1, 2)
    return functional.pixel_shuffle(parts.reshape(count, channels, height, width), 2)


class Downscale(nn.Module):
    """N x in x H x W -> N x out x H/2 x W/2."""

    def __init__(self, in_channels: int, out_channels: int, act: Activation) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 5, 2, 2)
        self._act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._act(self.conv1(x))


class Upscale(nn.Module):
    """N x in x H x W -> N x out x 2H x 2W."""

    def __init__(self, in_channels: int, out_channels: int, act: Activation) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 4 * out_channels, 3, padding=1)
        self._act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return depth_to_space(self._act(self.conv1(x)))


class Residual(nn.Module):
    """act(x + f(x)) with two convolutions: N x C x H x W -> the same."""

    def __init__(self, channels: int, act: Activation) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self._act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._act(x + self.conv2(self._act(self.conv1(x))))


class Downscales(nn.Module):
    """Several downscales one after the other."""

    def __init__(self, widths: tuple[int, ...], act: Activation) -> None:
        super().__init__()
        before = 3
        for place, width in enumerate(widths):
            self.add_module(f"downs_{place}", Downscale(before, width, act))
            before = width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for down in self.children():
            x = down(x)
        return x


class Grow(nn.ConvTranspose2d):
    """Transposed 3 x 3 convolution as TensorFlow has it: N x in x H x W -> N x out x sH x sW.

    TensorFlow's "same" of a stride of 2 pads behind alone; PyTorch's `padding` cuts in front.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 2) -> None:
        super().__init__(in_channels, out_channels, 3, stride)
        self._front = 1 if stride == 1 else 0

    def forward(self, x: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        height, width = (side * self.stride[0] for side in x.shape[2:])
        front = self._front
        whole = super().forward(x, output_size)
        return whole[:, :, front : front + height, front : front + width]


@torch.no_grad()
def start_weights(network: nn.Module) -> None:
    """The start that the published networks have: weights by Glorot and Bengio 2010, biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
