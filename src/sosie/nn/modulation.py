"""How an identity is woven into a feature map: adaptive normalizations.

AdaIN: Huang and Belongie 2017, "Arbitrary Style Transfer in Real-time with Adaptive Instance
Normalization", equation 8. Scale and shift are a linear function of the identity vector, as in
StyleGAN (Karras et al. 2019, "A Style-Based Generator Architecture", equation 1).

AAD: Li et al. 2020, "FaceShifter: Towards High Fidelity And Occlusion Aware Face Swapping",
section 3.1 (adaptive attentional denormalization). The published systems differ in the norm, the
kernels and the width of the mask, and in nothing else; `AadForm` says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import nn
from torch.nn import functional


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


Norm = Literal["instance", "batch"]


@dataclass(frozen=True)
class AadForm:
    """What distinguishes the published forms of the layer.

    norm: what normalizes the activations before they are denormalized (both with eps 1e-5); the
        batch norm has its own scale and shift, the instance norm has none.
    kernel: side of the convolutions that turn attributes into scale and shift (odd).
    mask_kernel: side of the convolution behind the mask (odd).
    mask_per_channel: a mask a channel, instead of one for all.
    conv_bias: whether the 3 x 3 convolutions of a block have a bias.
    beside: channels of a map that the mask is told of beside the activations (InfoSwap's).
    """

    norm: Norm = "instance"
    kernel: int = 1
    mask_kernel: int = 1
    mask_per_channel: bool = False
    conv_bias: bool = False
    beside: int = 0


class AadLayer(nn.Module):
    """Activations, attributes, identity -> activations.

    N x channels x H x W, N x attributes x H x W, N x identity -> N x channels x H x W.
    Where the mask is 1 the identity speaks, where it is 0 the attributes of the target do. beside:
    N x form.beside x H x W, of a form that has some.
    """

    def __init__(self, channels: int, attributes: int, identity: int, form: AadForm) -> None:
        super().__init__()
        pad = form.kernel // 2
        width = channels if form.mask_per_channel else 1
        self.norm: nn.Module = (
            nn.BatchNorm2d(channels) if form.norm == "batch" else nn.InstanceNorm2d(channels)
        )
        self.attribute_scale = nn.Conv2d(attributes, channels, form.kernel, padding=pad)
        self.attribute_shift = nn.Conv2d(attributes, channels, form.kernel, padding=pad)
        self.identity_scale = nn.Linear(identity, channels)
        self.identity_shift = nn.Linear(identity, channels)
        self.mask = nn.Conv2d(
            channels + form.beside, width, form.mask_kernel, padding=form.mask_kernel // 2
        )

    def forward(
        self,
        x: torch.Tensor,
        attributes: torch.Tensor,
        identity: torch.Tensor,
        beside: torch.Tensor | None = None,
    ) -> torch.Tensor:
        x = self.norm(x)
        # Both scales multiply as they are, without the "1 +" of other modulations.
        from_target = self.attribute_scale(attributes) * x + self.attribute_shift(attributes)
        scale = self.identity_scale(identity)[:, :, None, None]
        shift = self.identity_shift(identity)[:, :, None, None]
        from_source = scale * x + shift
        seen = x if beside is None else torch.cat([x, beside], 1)
        mask = torch.sigmoid(self.mask(seen))
        result: torch.Tensor = (1 - mask) * from_target + mask * from_source
        return result


class AadUnit(nn.Module):
    """AAD layer, ReLU, 3 x 3 convolution: N x in x H x W -> N x out x H x W."""

    def __init__(
        self, in_channels: int, out_channels: int, attributes: int, identity: int, form: AadForm
    ) -> None:
        super().__init__()
        self.denorm = AadLayer(in_channels, attributes, identity, form)
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=form.conv_bias)

    def forward(
        self,
        x: torch.Tensor,
        attributes: torch.Tensor,
        identity: torch.Tensor,
        beside: torch.Tensor | None = None,
    ) -> torch.Tensor:
        made = self.denorm(x, attributes, identity, beside)
        result: torch.Tensor = self.conv(functional.relu(made))
        return result


class AadBlock(nn.Module):
    """Residual block of AAD units (FaceShifter, figure 3): N x in x H x W -> N x out x H x W.

    units: how many in the main path (the paper has 2); the last one changes the width. The side
    path is the input itself, or one more unit where the widths differ.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        attributes: int,
        identity: int,
        form: AadForm,
        units: int = 2,
    ) -> None:
        super().__init__()
        widths = [in_channels] * units + [out_channels]
        self.units = nn.ModuleList(
            AadUnit(before, after, attributes, identity, form) for before, after in pairwise(widths)
        )
        self.side = (
            None
            if in_channels == out_channels
            else AadUnit(in_channels, out_channels, attributes, identity, form)
        )

    def forward(
        self,
        x: torch.Tensor,
        attributes: torch.Tensor,
        identity: torch.Tensor,
        beside: torch.Tensor | None = None,
    ) -> torch.Tensor:
        side = x if self.side is None else self.side(x, attributes, identity, beside)
        for unit in self.units:
            x = unit(x, attributes, identity, beside)
        return x + side
