"""The network: a U-Net (Ronneberger et al. 2015) that is wide where it is coarse.

It answers twice: at a quarter of the square's side how the light changes, and at the full side what
detail is to be added. Both answers begin at zero, so that it starts as geometry alone.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from sosie.methods.graft.view import CHANNELS
from sosie.nn.blocks import ReluResidual, relu_unit
from sosie.nn.patch_discriminator import PatchDiscriminator

# Channels at a half, a quarter, an eighth, a sixteenth and a thirty-second of the square's side.
_CHANNELS = (24, 48, 96, 160, 192)
_LIGHT, _DETAIL = 6, 3
_JUDGE_STEPS, _JUDGE_WIDTH = 3, 32


class GraftNetwork(nn.Module):
    """What is shown (uint8, N x H x W x CHANNELS, sides multiples of 32) -> light, N x 6 x H/4 x
    W/4, and detail, N x 3 x H x W; see `view.corrected`.

    channels: at a half, a quarter, an eighth, ... of the side.
    """

    def __init__(self, channels: tuple[int, ...] = _CHANNELS) -> None:
        super().__init__()
        half, quarter = channels[:2]
        self.stem = relu_unit(len(CHANNELS), half, kernel=5, stride=2)
        self.down = nn.ModuleList(
            nn.Sequential(relu_unit(fine, coarse, stride=2), ReluResidual(coarse))
            for fine, coarse in pairwise(channels)
        )
        steps = list(pairwise(channels[1:]))[::-1]
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in steps)
        self.join = nn.ModuleList(relu_unit(fine, fine) for fine, _ in steps)
        self.light = nn.Conv2d(quarter, _LIGHT, 3, padding=1)
        self.sharpen = nn.Conv2d(quarter, 4 * half, 1)
        self.refine = relu_unit(half, half)
        self.detail = nn.Conv2d(half, 4 * _DETAIL, 3, padding=1)
        for answer in (self.light, self.detail):
            nn.init.zeros_(answer.weight)
            nn.init.zeros_(answer.bias)  # type: ignore[arg-type]

    def forward(self, shown: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        stem = self.stem(shown.permute(0, 3, 1, 2).float() / 127.5 - 1)
        features = [stem]
        for step in self.down:
            features.append(step(features[-1]))
        x = features[-1]
        for narrow, join, finer in zip(self.narrow, self.join, features[-2:0:-1], strict=True):
            x = join(functional.interpolate(narrow(x), scale_factor=2.0, mode="nearest") + finer)
        light = self.light(x)
        x = functional.relu(functional.pixel_shuffle(self.sharpen(x), 2) + stem)
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
    overshoots; as `view.corrected` does it."""
    base = shown[..., :3].permute(0, 3, 1, 2).float() / 255
    wide = functional.interpolate(light.float(), base.shape[2:], mode="bilinear")
    result: torch.Tensor = base * (1 + wide[:, :3]) + wide[:, 3:] + detail.float()
    return result
