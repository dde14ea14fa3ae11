"""Adaptive instance normalization (AdaIN): an identity sets the statistics of a feature map.

Source: Huang and Belongie 2017, "Arbitrary Style Transfer in Real-time with Adaptive Instance
Normalization", equation 8. Scale and shift are a linear function of the identity vector, as in
StyleGAN (Karras et al. 2019, "A Style-Based Generator Architecture", equation 1).
"""

from __future__ import annotations

import torch
from torch import nn


def normalize_instance(x: torch.Tensor, eps: float = 1e-8) -> torch.Tensor:
    """Each channel of each picture with mean 0 and deviation 1: N x C x H x W -> the same.

    The variance is the biased one. eps: added to it.
    """
    x = x - x.mean((2, 3), keepdim=True)
    return x * torch.rsqrt(x.square().mean((2, 3), keepdim=True) + eps)


class AdaIn(nn.Module):
    """Scale and shift by an identity: N x C x H x W, N x identity -> N x C x H x W.

    Normalizes first. around_one: multiply by 1 + scale (SimSwap) instead of by the scale itself
    (inswapper). The linear layer gives all scales and then all shifts.
    """

    def __init__(self, channels: int, identity: int, around_one: bool, eps: float = 1e-8) -> None:
        super().__init__()
        self.linear = nn.Linear(identity, 2 * channels)
        self._around_one = around_one
        self._eps = eps

    def forward(self, x: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        scale, shift = self.linear(identity)[:, :, None, None].chunk(2, dim=1)
        if self._around_one:
            scale = 1 + scale
        result: torch.Tensor = normalize_instance(x, self._eps) * scale + shift
        return result


class AdaInBlock(nn.Module):
    """Residual block with the identity in both halves.

    N x C x H x W and N x identity -> N x C x H x W: x + AdaIN(conv(ReLU(AdaIN(conv(x))))), with
    3 x 3 convolutions on reflected borders and nothing after the sum (Chen et al. 2020, "SimSwap",
    section 3.1). around_one: as of `AdaIn`.
    """

    def __init__(self, channels: int, identity: int, around_one: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")
        self.style1 = AdaIn(channels, identity, around_one)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")
        self.style2 = AdaIn(channels, identity, around_one)

    def forward(self, x: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        inner = torch.relu(self.style1(self.conv1(x), identity))
        result: torch.Tensor = x + self.style2(self.conv2(inner), identity)
        return result
