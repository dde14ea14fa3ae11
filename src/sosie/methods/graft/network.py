"""The network: a U-Net (Ronneberger et al. 2015) that is wide where it is coarse.

It answers twice: at a quarter of the square's side how the light changes, and at the full side what
detail is to be added. Both answers begin at zero, so that it starts as geometry alone.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from sosie.blending.pixel_math import LUMA
from sosie.methods.graft.view import CHANNELS, FINE, FINE_GAIN, FLOOR, MARGIN, MOST_COLOR
from sosie.nn.blocks import PatchDiscriminator, relu_unit
from sosie.nn.unet import ReluUNet

# Channels at a half, a quarter, an eighth, a sixteenth and a thirty-second of the square's side.
_CHANNELS = (24, 48, 96, 160, 192)
_LIGHT, _DETAIL = 6, 3
_JUDGE_STEPS, _JUDGE_WIDTH = 3, 32


class GraftNetwork(ReluUNet):
    """What is shown (uint8, N x H x W x CHANNELS, sides multiples of 32) -> light, N x 6 x H/4 x
    W/4, and detail, N x 3 x H x W; see `view.corrected`.

    channels: at a half, a quarter, an eighth, ... of the side.
    """

    def __init__(self, channels: tuple[int, ...] = _CHANNELS) -> None:
        super().__init__(len(CHANNELS), channels)
        half, quarter = channels[:2]
        self.light = nn.Conv2d(quarter, _LIGHT, 3, padding=1)
        self.refine = relu_unit(half, half)
        self.detail = nn.Conv2d(half, 4 * _DETAIL, 3, padding=1)
        for answer in (self.light, self.detail):
            nn.init.zeros_(answer.weight)
            nn.init.zeros_(answer.bias)  # type: ignore[arg-type]

    def forward(self, shown: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, stem = self.to_quarter(shown.permute(0, 3, 1, 2).float() / 127.5 - 1)
        light = self.light(x)
        x = self.to_half(x, stem)
        detail = functional.pixel_shuffle(self.detail(self.refine(x)), 2)
        return light, detail


class GraftLearner(nn.Module):
    """What learns together: the network, and a judge that tells its swaps from photos. `judge`
    takes pictures at half the square's side."""

    def __init__(self, channels: tuple[int, ...] = _CHANNELS) -> None:
        super().__init__()
        self.generator = GraftNetwork(channels)
        self.judge = PatchDiscriminator(_JUDGE_STEPS, _JUDGE_WIDTH)


class ExportedGraft(nn.Module):
    """As the run time has it: shown, uint8 N x H x W x CHANNELS -> light, N x H/4 x W/4 x 6, and
    detail, N x H x W x 3, float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, shown: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        light, detail = self.network(shown)
        return light.permute(0, 2, 3, 1), detail.permute(0, 2, 3, 1)


def applied(shown: torch.Tensor, light: torch.Tensor, detail: torch.Tensor) -> torch.Tensor:
    """The answer applied to the base that was shown: N x 3 x H x W, float32, 0..1 but for what
    overshoots; as `view.corrected` and `view.in_base_color` do it."""
    base = shown[..., :3].permute(0, 3, 1, 2).float() / 255
    wide = functional.interpolate(light.float(), base.shape[2:], mode="bilinear")
    gain, offset = 1 + wide[:, :3], wide[:, 3:]
    slow = _blurred(base, FINE * base.shape[3] / MARGIN)
    lit = gain * slow + offset
    kept = (lit.mean(1, keepdim=True) + FLOOR) / (slow.mean(1, keepdim=True) + FLOOR)
    kept = torch.maximum(kept.clamp(0, FINE_GAIN), gain.mean(1, keepdim=True))
    return _in_base_color(base, lit + (base - slow) * kept + detail.float())


def _in_base_color(base: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """The luma of `pictures` with the color that `base` has at that luma: N x 3 x H x W."""
    shares = torch.from_numpy(LUMA).to(base)[:, None, None]
    before = (base * shares).sum(1, keepdim=True)
    after = (pictures * shares).sum(1, keepdim=True).clamp_min(0)
    times = ((after + FLOOR) / (before + FLOOR)).clamp_max(MOST_COLOR)
    return torch.Tensor(after + (base - before) * times)


def _blurred(pictures: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """Square pictures, N x C x S x S, under a Gaussian that is cut off at the edge."""
    steps = torch.arange(pictures.shape[3], device=pictures.device, dtype=pictures.dtype)
    kernel = torch.exp(-0.5 * ((steps[:, None] - steps[None]) / sigma_px) ** 2)
    kernel = kernel / kernel.sum(1, keepdim=True)
    return kernel @ pictures @ kernel.T
