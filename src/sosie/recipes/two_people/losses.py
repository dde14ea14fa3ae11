"""The losses of DeepFaceLab's and faceswap's trainings. Pictures are N x C x S x S, 0..1."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

_SSIM_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2


def dissimilarity(made: torch.Tensor, wanted: torch.Tensor, window_px: int) -> torch.Tensor:
    """(1 - SSIM) / 2, a mean over channels and places: N numbers.

    Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity",
    eq. 13, with a Gaussian window of deviation 1.5 and no padding.
    """
    window_px = max(1, min(window_px, int(made.shape[-1])))
    kernel = _gaussian(window_px, _SSIM_SIGMA, made)

    def smooth(x: torch.Tensor) -> torch.Tensor:
        return _separable(x, kernel)

    a, b = smooth(made), smooth(wanted)
    aa, bb, ab = smooth(made * made), smooth(wanted * wanted), smooth(made * wanted)
    light = (2 * a * b + _C1) / (a * a + b * b + _C1)
    structure = (2 * (ab - a * b) + _C2) / (aa - a * a + bb - b * b + _C2)
    return ((1 - light * structure) / 2).mean((1, 2, 3))


def blurred(x: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """By a Gaussian of this deviation, the border repeated: the same size."""
    side = max(3, int(4 * sigma_px) // 2 * 2 + 1)
    half = min(side // 2, int(x.shape[-1]) - 1)
    kernel = _gaussian(2 * half + 1, sigma_px, x)
    return _separable(functional.pad(x, (half,) * 4, mode="replicate"), kernel)


def soft_mask(mask: torch.Tensor) -> torch.Tensor:
    """A mask as the losses take it: blurred inwards, N x 1 x S x S, 0..1."""
    size = int(mask.shape[-1])
    return blurred(mask, max(1, size // 32)).clamp(0, 0.5) * 2


def reconstruction(
    made: torch.Tensor, wanted: torch.Tensor, mask: torch.Tensor, both_windows: bool = False
) -> dict[str, torch.Tensor]:
    """10 times structural dissimilarity, at two scales from 256 px on or where asked for, and 10
    times the squared difference, where the mask is."""
    size = int(made.shape[-1])
    a, b = made * mask, wanted * mask
    windows = [window_of(size)]
    if both_windows or size >= 256:
        windows.append(window_of(size // 2))
    apart = [dissimilarity(a, b, window).mean() for window in windows]
    return {
        "structure": 10 * torch.stack(apart).mean(),
        "squares": 10 * (a - b).square().mean(),
    }


def style(made: torch.Tensor, wanted: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """How far mean and deviation of each channel, over all of a blurred picture, are apart."""
    a, b = blurred(made, sigma_px), blurred(wanted, sigma_px)
    means = (a.mean((2, 3)) - b.mean((2, 3))).square()
    deviations = (_deviation(a) - _deviation(b)).square()
    return ((means + deviations).mean(1)).mean() / 2


def total_variation(x: torch.Tensor) -> torch.Tensor:
    """Sum of the differences of neighbors, a mean over the batch."""
    down = (x[:, :, 1:] - x[:, :, :-1]).abs().sum((1, 2, 3))
    right = (x[..., 1:] - x[..., :-1]).abs().sum((1, 2, 3))
    return (down + right).mean()


def _deviation(x: torch.Tensor) -> torch.Tensor:
    # The root has no slope at 0, where a mask leaves nothing.
    return (x.var((2, 3), correction=0) + 1e-5).sqrt()


def _gaussian(side: int, sigma: float, like: torch.Tensor) -> torch.Tensor:
    places = torch.arange(side, dtype=like.dtype, device=like.device) - (side - 1) / 2
    weights = torch.exp(-places.square() / (2 * sigma**2))
    return weights / weights.sum()


def _separable(x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    channels = x.shape[1]
    row = kernel.expand(channels, 1, 1, -1)
    x = functional.conv2d(x, row, groups=channels)
    return functional.conv2d(x, row.transpose(2, 3), groups=channels)


def window_of(size_px: int) -> int:
    """Of the usual structural dissimilarity."""
    return math.floor(size_px / 11.6)
