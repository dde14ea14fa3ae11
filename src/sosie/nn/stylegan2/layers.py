"""The layers of StyleGAN2, in operators that export to ONNX and have second derivatives.

Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", section 2.2
(modulation and demodulation), appendix B (skips, residuals, resampling); Karras et al. 2018,
"Progressive Growing of GANs", section 4.1 (equalized learning rate) and 4.2 (norm of each pixel).
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

_SLOPE, _GAIN = 0.2, math.sqrt(2)
_TINY = 1e-8
_TAPS = (1.0, 3.0, 3.0, 1.0)


def leaky(x: torch.Tensor) -> torch.Tensor:
    """Leaky ReLU, scaled so that the variance of its input is kept."""
    return functional.leaky_relu(x, _SLOPE) * _GAIN


def unit_mean_square(x: torch.Tensor) -> torch.Tensor:
    """Vectors, N x L, scaled to a mean square of 1."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + _TINY)


def low_pass(gain: float) -> torch.Tensor:
    """The filter that pictures are resampled by, 4 x 4, which adds up to `gain`."""
    taps = torch.tensor(_TAPS)
    kernel = torch.outer(taps, taps)
    return kernel / kernel.sum() * gain


class EqualLinear(nn.Module):
    """N x in -> N x out. rate: of its parameters, as a share of what others learn at.

    The stored weights have a deviation of 1 / rate, whatever their number.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: float = 0.0,
        rate: float = 1.0,
        active: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self._scale, self._rate, self._active = rate / math.sqrt(inputs), rate, active

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = functional.linear(x, self.weight * self._scale, self.bias * self._rate)
        return leaky(made) if self._active else made


class EqualConv(nn.Module):
    """N x in x H x W -> N x out x H x W, or of half of the size. down: whether it is halved, behind
    a low-pass filter. active: whether a bias and the activation follow; else neither does. stored:
    whether the filter lies among the weights, as published ones have it."""

    kernel: torch.Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        side: int,
        *,
        down: bool = False,
        active: bool = True,
        stored: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, side, side))
        self.bias = nn.Parameter(torch.zeros(outputs)) if active else None
        self._scale, self._side, self._down = 1 / math.sqrt(inputs * side**2), side, down
        if down:
            self.register_buffer("kernel", low_pass(1), persistent=stored)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight * self._scale
        if self._down:
            # The filter's four taps and the kernel's reach on both sides.
            pad = (self._side + 1) // 2
            x = functional.conv2d(blurred(x, self.kernel, pad), weight, stride=2)
        else:
            x = functional.conv2d(x, weight, padding=self._side // 2)
        return x if self.bias is None else leaky(x + self.bias[:, None, None])


class ModulatedConv(nn.Module):
    """N x in x H x W and a latent, N x L -> N x out x H x W, or of twice the size where `up`.

    The latent scales the channels that come in; where `demodulated`, those that come out are scaled
    back to what they would have been. Scaling the pictures instead of a kernel for each of them is
    the same sum, and leaves one convolution for the whole batch.
    """

    kernel: torch.Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        side: int,
        latent: int,
        *,
        up: bool = False,
        demodulated: bool = True,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, side, side))
        self.style = EqualLinear(latent, inputs, bias=1.0)
        self._scale, self._side = 1 / math.sqrt(inputs * side**2), side
        self._up, self._demodulated = up, demodulated
        if up:
            self.register_buffer("kernel", low_pass(4))

    def forward(self, x: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        style = self.style(latent)
        weight = self.weight[0] * self._scale
        x = x * style[:, :, None, None]
        if self._up:
            x = functional.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
            x = blurred(x, self.kernel, 1)
        else:
            x = functional.conv2d(x, weight, padding=self._side // 2)
        if self._demodulated:
            power = functional.linear(style.square(), weight.square().sum((2, 3)))
            x = x * torch.rsqrt(power + _TINY)[:, :, None, None]
        return x


class StyledLayer(nn.Module):
    """A modulated convolution, noise, bias and activation. noise: the deviation of what is added to
    each place, which is learned."""

    def __init__(self, inputs: int, outputs: int, latent: int, *, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, latent, up=up)
        self.noise = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(
        self, x: torch.Tensor, latent: torch.Tensor, noise: torch.Tensor | None
    ) -> torch.Tensor:
        """noise: 1 or N x 1 x H x W of the layer's result; None adds nothing."""
        x = self.conv(x, latent)
        if noise is not None:
            x = x + self.noise * noise
        return leaky(x + self.bias[:, None, None])


class PictureLayer(nn.Module):
    """Features, N x in x H x W, a latent and the picture of half the size -> the picture."""

    kernel: torch.Tensor

    def __init__(self, inputs: int, latent: int, *, first: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, 3, 1, latent, demodulated=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        if not first:
            self.register_buffer("kernel", low_pass(4))

    def forward(
        self, x: torch.Tensor, latent: torch.Tensor, below: torch.Tensor | None
    ) -> torch.Tensor:
        made: torch.Tensor = self.conv(x, latent) + self.bias
        return made if below is None else made + _enlarged(below, self.kernel)


def blurred(x: torch.Tensor, kernel: torch.Tensor, pad: int) -> torch.Tensor:
    """Each channel filtered; `pad` places of 0 are added on all sides, and three lost in all."""
    # In a traced graph a size is no plain number.
    channels = int(x.shape[1])
    each = kernel.flip(0, 1).expand(channels, 1, *kernel.shape)
    return functional.conv2d(x, each, padding=pad, groups=channels)


def _enlarged(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """A picture at twice its size."""
    channels = int(x.shape[1])
    each = kernel.expand(channels, 1, *kernel.shape)
    return functional.conv_transpose2d(x, each, stride=2, padding=1, groups=channels)
