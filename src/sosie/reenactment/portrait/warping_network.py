"""LivePortrait's feature volume of a face, and the network that moves it.

Source: Guo et al. 2024, "LivePortrait: Efficient Portrait Animation with Stitching and Retargeting
Control", section 3.1; both are those of Wang et al. 2021, "One-Shot Free-View Neural Talking-Head
Synthesis for Video Conferencing", sections 3.1 to 3.3, with more channels.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

KEYPOINTS = 21
DEPTH = 16
"""Layers of the feature volume."""

_CHANNELS = 32
_COMPRESSED = 4
_HOURGLASS = (64, 128, 256, 512, 1024)
_VARIANCE = 0.01
"""Of the heat maps' Gaussians, where the volume spans -1..1."""


class AppearanceExtractor(nn.Module):
    """Face N x 3 x 4R x 4R, RGB in 0..1 -> feature volume N x 32 x 16 x R x R."""

    def __init__(self) -> None:
        super().__init__()
        self.first = _Block2d(3, 64)
        self.down = nn.ModuleList([_Block2d(64, 128), _Block2d(128, 256)])
        self.second = nn.Conv2d(256, _CHANNELS * DEPTH, 1)
        self.blocks = nn.Sequential(*(_ResidualBlock3d(_CHANNELS) for _ in range(6)))

    def forward(self, face: torch.Tensor) -> torch.Tensor:
        x = self.first(face)
        for down in self.down:
            x = nn.functional.avg_pool2d(down(x), 2)
        volume: torch.Tensor = self.blocks(self.second(x).unflatten(1, (_CHANNELS, DEPTH)))
        return volume


class WarpingModule(nn.Module):
    """Feature volume N x 32 x 16 x R x R, driving and own keypoints N x 21 x 3 each -> features
    N x 256 x R x R, occlusion N x 1 x R x R in 0..1 (the features are times it) and deformation
    N x 16 x R x R x 3, where in the volume each place is read.

    Coordinates span -1..1 from the first sample to the last, x to the right, y down, z inwards. R
    is a multiple of 32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.motion = DenseMotion()
        self.third = _Block2d(_CHANNELS * DEPTH, 256, slope=0.01)
        self.fourth = nn.Conv2d(256, 256, 1)

    def forward(
        self, volume: torch.Tensor, driving: torch.Tensor, own: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        occlusion, deformation = self.motion(volume, driving, own)
        moved = sampled(volume, deformation).flatten(1, 2)
        return self.fourth(self.third(moved)) * occlusion, occlusion, deformation


class DenseMotion(nn.Module):
    """From the keypoints' motion to that of each place of the volume, and what comes into sight."""

    def __init__(self) -> None:
        super().__init__()
        seen = (KEYPOINTS + 1) * (1 + _COMPRESSED)
        self.compress = nn.Conv3d(_CHANNELS, _COMPRESSED, 1)
        self.norm = nn.BatchNorm3d(_COMPRESSED)
        self.hourglass = _Hourglass(seen)
        self.mask = nn.Conv3d(self.hourglass.width, KEYPOINTS + 1, 7, padding=3)
        self.occlusion = nn.Conv2d(self.hourglass.width * DEPTH, 1, 7, padding=3)

    def forward(
        self, volume: torch.Tensor, driving: torch.Tensor, own: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        grid = _grid(volume.shape[-1], volume)
        # Each keypoint carries its surroundings along; the background, the first, rests.
        shift = (own - driving)[:, :, None, None, None]
        rest = torch.zeros_like(shift[:, :1])
        motions = grid + torch.cat([rest, shift], 1)
        small = torch.relu(self.norm(self.compress(volume)))
        several = small.repeat_interleave(KEYPOINTS + 1, 0)
        moved = torch.unflatten(sampled(several, motions.flatten(0, 1)), 0, (-1, KEYPOINTS + 1))
        heat = _heat(grid, driving) - _heat(grid, own)
        heat = torch.cat([torch.zeros_like(heat[:, :1]), heat], 1)[:, :, None]
        seen = self.hourglass(torch.cat([heat, moved], 2).flatten(1, 2))
        mask = torch.softmax(self.mask(seen), 1)[..., None]
        occlusion = torch.sigmoid(self.occlusion(seen.flatten(1, 2)))
        return occlusion, (motions * mask).sum(1)


def sampled(volume: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """A volume N x C x D x H x W read at places N x D x H x W x 3 (x, y, z): zero outside. The
    published networks take -1 and 1 for the outer edges here, though their grids mean centers."""
    return nn.functional.grid_sample(volume, places, align_corners=False)


def _grid(side: int, like: torch.Tensor) -> torch.Tensor:
    """1 x 1 x 16 x side x side x 3: x, y, z of each place, -1..1."""
    across = torch.linspace(-1, 1, int(side), dtype=like.dtype, device=like.device)
    inwards = torch.linspace(-1, 1, DEPTH, dtype=like.dtype, device=like.device)
    z, y, x = torch.meshgrid(inwards, across, across, indexing="ij")
    return torch.stack([x, y, z], -1)[None, None]


def _heat(grid: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """A Gaussian about each point (N x K x 3): N x K x 16 x side x side."""
    apart = grid - points[:, :, None, None, None]
    return torch.exp(-0.5 * (apart * apart).sum(-1) / _VARIANCE)


class _Hourglass(nn.Module):
    """A U-Net that keeps the volume's depth. width: channels that come out."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        widths = (in_channels, *_HOURGLASS)
        self.down = nn.ModuleList(_Block3d(a, b) for a, b in pairwise(widths))
        self.up = nn.ModuleList(
            _Block3d(width if width == widths[-1] else 2 * width, width // 2)
            for width in widths[:0:-1]
        )
        self.width = in_channels + _HOURGLASS[0] // 2
        self.last = _Block3d(self.width, self.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = [x]
        for down in self.down:
            seen.append(nn.functional.avg_pool3d(down(seen[-1]), (1, 2, 2)))
        x = seen.pop()
        for up in self.up:
            x = nn.functional.interpolate(x, scale_factor=(1.0, 2.0, 2.0))
            x = torch.cat([up(x), seen.pop()], 1)
        result: torch.Tensor = self.last(x)
        return result


class _Block2d(nn.Module):
    """Convolution, batch norm, rectifier."""

    def __init__(self, in_channels: int, out_channels: int, slope: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(out_channels)
        self._slope = slope

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.conv(x))
        return nn.functional.leaky_relu(x, self._slope) if self._slope else torch.relu(x)


class _Block3d(nn.Module):
    """Convolution, batch norm, rectifier."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_channels, out_channels, 3, padding=1)
        self.norm = nn.BatchNorm3d(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.conv(x)))


class _ResidualBlock3d(nn.Module):
    """Two convolutions, each after batch norm and rectifier, onto what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm3d(channels), nn.BatchNorm3d(channels)
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(torch.relu(self.norm1(x)))
        change: torch.Tensor = self.conv2(torch.relu(self.norm2(y)))
        return x + change
