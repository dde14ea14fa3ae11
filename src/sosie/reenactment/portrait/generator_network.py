"""LivePortrait's generator: moved features to a picture, normalized by those features throughout.

Source: Guo et al. 2024, "LivePortrait: Efficient Portrait Animation with Stitching and Retargeting
Control", section 3.1; the blocks are those of Park et al. 2019, "Semantic Image Synthesis with
Spatially-Adaptive Normalization", section 3 and appendix A, with features in the place of labels.
"""

from __future__ import annotations

import torch
from torch import nn

FEATURES = 256
_WIDTH, _SHARED = 512, 128
_SLOPE = 0.2


class SpadeGenerator(nn.Module):
    """Features N x 256 x R x R -> RGB N x 3 x 8R x 8R, 0..1."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(FEATURES, _WIDTH, 3, padding=1)
        self.middle = nn.ModuleList(SpadeBlock(_WIDTH, _WIDTH) for _ in range(6))
        self.up = nn.ModuleList([SpadeBlock(_WIDTH, 256), SpadeBlock(256, 64)])
        self.last = nn.Conv2d(64, 3 * 2 * 2, 3, padding=1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        x = self.first(features)
        for block in self.middle:
            x = block(x, features)
        for block in self.up:
            x = block(nn.functional.interpolate(x, scale_factor=2.0), features)
        x = self.last(nn.functional.leaky_relu(x, _SLOPE))
        return torch.sigmoid(nn.functional.pixel_shuffle(x, 2))


class SpadeBlock(nn.Module):
    """A residual block of two convolutions; a third in the shortcut where the width changes."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        inner = min(in_channels, out_channels)
        self.norm_0, self.norm_1 = Spade(in_channels), Spade(inner)
        self.conv_0 = SpectralConv(in_channels, inner)
        self.conv_1 = SpectralConv(inner, out_channels)
        self.changes = in_channels != out_channels
        if self.changes:
            self.norm_s = Spade(in_channels)
            self.conv_s = SpectralConv(in_channels, out_channels, kernel=1, bias=False)

    def forward(self, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        y = self.conv_0(nn.functional.leaky_relu(self.norm_0(x, features), _SLOPE))
        y = self.conv_1(nn.functional.leaky_relu(self.norm_1(y, features), _SLOPE))
        result: torch.Tensor = y + (self.conv_s(self.norm_s(x, features)) if self.changes else x)
        return result


class Spade(nn.Module):
    """Instance norm whose scale and shift are drawn from the features at each place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels)
        self.shared = nn.Conv2d(FEATURES, _SHARED, 3, padding=1)
        self.gamma = nn.Conv2d(_SHARED, channels, 3, padding=1)
        self.beta = nn.Conv2d(_SHARED, channels, 3, padding=1)

    def forward(self, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        # The features' side divides the picture's.
        times = x.shape[-1] // features.shape[-1]
        if times > 1:
            features = nn.functional.interpolate(features, scale_factor=float(times))
        shared = torch.relu(self.shared(features))
        result: torch.Tensor = self.norm(x) * (1 + self.gamma(shared)) + self.beta(shared)
        return result


class SpectralConv(nn.Module):
    """A convolution whose weights are over their largest singular value (Miyato et al. 2018,
    "Spectral Normalization for Generative Adversarial Networks", section 2.1), which the stored
    vectors tell as they stood at the end of training."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 3, bias: bool = True
    ) -> None:
        super().__init__()
        self.weight_orig = nn.Parameter(torch.empty(out_channels, in_channels, kernel, kernel))
        nn.init.xavier_normal_(self.weight_orig, 0.02)
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        flat = in_channels * kernel * kernel
        self.register_buffer("weight_u", nn.functional.normalize(torch.randn(out_channels), dim=0))
        self.register_buffer("weight_v", nn.functional.normalize(torch.randn(flat), dim=0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = self.get_buffer("weight_u"), self.get_buffer("weight_v")
        largest = left @ (self.weight_orig.flatten(1) @ right)
        same = self.weight_orig.shape[-1] // 2
        return nn.functional.conv2d(x, self.weight_orig / largest, self.bias, padding=same)
