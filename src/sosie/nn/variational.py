"""Encoder and decoder of variational autoencoders of faces.

Source: Kingma and Welling 2014, "Auto-Encoding Variational Bayes", appendix C.2 (a Gaussian
posterior with a diagonal covariance). They halve and double the picture by convolutions, as Radford
et al. 2016 (DCGAN) lay down, but double by repeating pixels before a convolution, which leaves no
checkered patterns (Odena et al. 2016, "Deconvolution and Checkerboard Artifacts").
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from sosie.nn.blocks import relu_unit

SMALLEST_PX = 4
"""Side of what the encoder's convolutions end with."""

_WIDEST = 8
_LEAST_LOG, _MOST_LOG = -8.0, 4.0


def widths_of(size_px: int, width: int) -> list[int]:
    """Channels at each size from half the picture's to SMALLEST_PX: they double, up to 8 times the
    first. size_px: a power of two, 16 or more."""
    steps = (size_px // SMALLEST_PX).bit_length() - 1
    return [width * min(2**step, _WIDEST) for step in range(steps)]


class Encoder(nn.Module):
    """Pictures N x 3 x S x S, RGB 0..1 -> mean and log variance of their latents, N x L each."""

    def __init__(self, size_px: int, width: int, latent: int) -> None:
        super().__init__()
        widths = widths_of(size_px, width)
        self.down = nn.Sequential(*(relu_unit(a, b, 3, 2) for a, b in pairwise([3, *widths])))
        self.last = nn.Linear(widths[-1] * SMALLEST_PX**2, 2 * latent)

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.down(pictures * 2 - 1).flatten(1)
        with torch.autocast(x.device.type, enabled=False):
            mean, log_variance = self.last(x.float()).chunk(2, 1)
        return mean, log_variance.clamp(_LEAST_LOG, _MOST_LOG)


class Decoder(nn.Module):
    """Latents N x L -> pictures N x channels x S x S, RGB and whatever else, 0..1."""

    def __init__(self, size_px: int, width: int, latent: int, channels: int = 3) -> None:
        super().__init__()
        widths = widths_of(size_px, width)[::-1]
        self._wide = widths[0]
        self.first = nn.Linear(latent, widths[0] * SMALLEST_PX**2)
        self.up = nn.ModuleList(relu_unit(a, b) for a, b in pairwise([*widths, widths[-1]]))
        self.last = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        x = self.first(latents).reshape(-1, self._wide, SMALLEST_PX, SMALLEST_PX)
        for up in self.up:
            x = up(nn.functional.interpolate(x, scale_factor=2, mode="nearest"))
        return torch.sigmoid(self.last(x))
