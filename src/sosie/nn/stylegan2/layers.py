"""The layers of StyleGAN2, in operators that export to ONNX and have second derivatives.

Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", section 2.2
(modulation and demodulation), appendix B (skips, residuals, resampling); Karras et al. 2018,
"Progressive Growing of GANs", section 4.1 (equalized learning rate) and 4.2 (norm of each pixel).
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import nn
from torch.nn import functional

_SLOPE, _GAIN = 0.2, math.sqrt(2)
_TINY = 1e-8
_TAPS = (1.0, 3.0, 3.0, 1.0)
_AT_ONCE = 2**20
"""So many numbers of a map are on their way to one sum at once."""


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


class _Equal(nn.Module):
    """A layer whose stored weights all have the same deviation, and are scaled where they are used,
    so that all learn at one pace."""

    weight: nn.Parameter
    _scale: float

    def scaled(self) -> torch.Tensor:
        """The weights as they are used."""
        return self.weight if self._scale == 1 else self.weight * self._scale

    def settle(self) -> None:
        """Store the weights as they are used."""
        with torch.no_grad():
            self.weight.mul_(self._scale)
        self._scale = 1.0


def settle(network: nn.Module) -> nn.Module:
    """A network that learns no more, changed so that it computes the same without scaling its
    weights each time."""
    for module in network.modules():
        if isinstance(module, _Equal):
            module.settle()
    return network


class EqualLinear(_Equal):
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
        made = functional.linear(x, self.scaled(), self.bias * self._rate)
        return leaky(made) if self._active else made


class EqualConv(_Equal):
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
        weight = self.scaled()
        if self._down:
            # The filter's four taps and the kernel's reach on both sides.
            pad = (self._side + 1) // 2
            x = functional.conv2d(blurred(x, self.kernel, pad), weight, stride=2)
        else:
            x = functional.conv2d(x, weight, padding=self._side // 2)
        return x if self.bias is None else leaky(x + self.bias[:, None, None])


class ModulatedConv(_Equal):
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
        weight = self.scaled()[0]
        x = x * style[:, :, None, None]
        if self._up:
            x = functional.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
            x = blurred(x, self.kernel, 1)
        else:
            x = functional.conv2d(x, weight, padding=self._side // 2)
        return x * self._back(style)[:, :, None, None] if self._demodulated else x

    def by_regions(
        self, x: torch.Tensor, latents: torch.Tensor, masks: torch.Tensor
    ) -> torch.Tensor:
        """The same with another latent in each region: N x R x L. masks: N x R x H x W of the
        result, 1 in the one region that a place is in and 0 elsewhere.

        A convolution for each region would compute all places of all of them. Here what each place
        of the result sees is scaled by its own region's latent, and there is one convolution.
        """
        count = int(latents.shape[1])
        styles = self.style(latents.flatten(0, 1))
        shares = masks.flatten(2)

        def spread(values: torch.Tensor) -> torch.Tensor:
            """Of each region, N * R x C -> of each place, N x C x H x W."""
            channels = int(values.shape[1])
            there = values.reshape(-1, count, channels).transpose(1, 2) @ shares
            return there.reshape(-1, channels, int(masks.shape[2]), int(masks.shape[3]))

        style, height, reach = spread(styles), int(x.shape[2]), self._side // 2
        padded = functional.pad(x, (reach, reach, reach, reach))
        weights, times = self._weights(), 2 if self._up else 1
        # In bands: what is on its way to one sum takes less memory.
        bands = max(1, int(x.shape[1]) * height * int(x.shape[3]) // _AT_ONCE)
        rows, made = -(-height // bands), []
        for start in range(0, height, rows):
            seen = _shifted(padded[:, :, start : start + rows + 2 * reach], self._side)
            own = style[:, :, times * start : times * (start + rows)]
            parts = [
                _modulated(seen, own[:, :, k // times :: times, k % times :: times], weight)
                for k, weight in enumerate(weights)
            ]
            whole = torch.stack(parts, 2).flatten(1, 2) if self._up else parts[0]
            made.append(functional.pixel_shuffle(whole, 2) if self._up else whole)
        x = made[0] if len(made) == 1 else torch.cat(made, 2)
        return x * spread(self._back(styles)) if self._demodulated else x

    def in_parts(self, x: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """The same as `forward`, of which the result of twice the size is made without a larger map
        and a filter over it: that takes less memory, and more sums."""
        if not self._up:
            return cast(torch.Tensor, self(x, latent))
        style = self.style(latent)
        scaled = x * style[:, :, None, None]
        parts = [
            functional.conv2d(scaled, weight.reshape(*weight.shape[:2], 3, 3), padding=1)
            for weight in self._weights()
        ]
        made = functional.pixel_shuffle(torch.stack(parts, 2).flatten(1, 2), 2)
        return made * self._back(style)[:, :, None, None] if self._demodulated else made

    @property
    def is_enlarging(self) -> bool:
        """Whether the result has twice the size."""
        return self._up

    def _back(self, style: torch.Tensor) -> torch.Tensor:
        """What scales the channels that come out back: N x out, of those that come in, N x in."""
        weight = self.scaled()[0]
        power = functional.linear(style.square(), weight.square().sum((2, 3)))
        return torch.rsqrt(power + _TINY)

    def _weights(self) -> list[torch.Tensor]:
        """What a place of the result sees its surroundings by, out x in x K. Where it has twice the
        size, by each of four: what was one place becomes four, of which each sees 3 x 3 places by
        every other weight of the kernel and the filter together, which are 6 x 6."""
        own = self.scaled()[0].flatten(2)
        if not self._up:
            return [own]
        ones = torch.eye(9, device=own.device, dtype=own.dtype).reshape(9, 1, 3, 3)
        kernel = self.kernel.flip(0, 1)[None, None].to(own.dtype)
        both = functional.conv2d(functional.pad(ones, (3, 3, 3, 3)), kernel)
        found = []
        for down in range(2):
            for across in range(2):
                rows, columns = ([4 + k, 2 + k, k] for k in (down, across))
                found.append(own @ both[:, 0, rows][..., columns].flatten(1))
        return found


def _shifted(padded: torch.Tensor, side: int) -> list[torch.Tensor]:
    """What each place sees through each weight of a square kernel, row by row: N x C x H x W each
    of a map that is larger by all that the kernel reaches."""
    height, width = (int(padded.shape[axis]) - side + 1 for axis in (2, 3))
    rows = [padded[:, :, k : k + height] for k in range(side)]
    return [row[..., k : k + width] for row in rows for k in range(side)]


def _modulated(seen: list[torch.Tensor], style: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A convolution in which each place scales what it sees by its own style, N x in x H x W.

    seen: of `_shifted`. weight: out x in x K.
    """
    made: torch.Tensor | None = None
    # All that is seen, side by side, would take as many times the memory.
    for one, kernel in zip(seen, weight.unbind(2), strict=True):
        part = functional.conv2d(one * style, kernel[:, :, None, None])
        made = part if made is None else made + part
    assert made is not None
    return made


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
        return self.beside(self.conv(x, latent), below)

    def beside(self, made: torch.Tensor, below: torch.Tensor | None) -> torch.Tensor:
        """What the convolution made, with the bias, on the picture of half the size."""
        made = made + self.bias
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
