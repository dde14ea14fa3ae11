"""E4S's losses that other methods do not have.

Source: Liu et al. 2023, "Fine-Grained Face Swapping via Regional GAN Inversion", and what its
published training weighs. Pictures are N x 3 x S x S, RGB, -1..1. All return a single unweighted
number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional

from sosie.analysis import parser
from sosie.geometry import alignment
from sosie.models.cards import read_embedded
from sosie.nn.blocks import fast_precision
from sosie.recipes.swapper.extra_losses import cut
from sosie.recipes.teachers_onnx import OnnxModule

SMALLEST_PX = 64
"""Pictures are compared at no smaller size than this."""

_SIZES = 3
"""Pictures are compared whole, and reduced to halves so many times less one."""

_STEPS = tuple(f"/network/down.{n}/down.{n}.1/Relu_output_0" for n in range(4))
"""What the exporter calls the parser's features on its way down."""


class ParserFeatures(nn.Module):
    """What Sosie's parser computes of a face at a quarter to a thirty-second of its square's side,
    N x C x H x W each. Gradients flow to the pictures.

    square: aligned face -> the parser's square, 2 x 3.
    """

    def __init__(self, square: alignment.Matrix) -> None:
        super().__init__()
        self._square = square
        self._network = OnnxModule(read_embedded("parser"), _STEPS)
        self.requires_grad_(False).eval()

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        squares = cut(pictures.clamp(-1, 1), self._square, parser.SIDE_PX)
        pixels = (squares.permute(0, 2, 3, 1) + 1) * 127.5
        with fast_precision(pictures.device):
            found: tuple[torch.Tensor, ...] = self._network(pixels)
        return tuple(one.float() for one in found)


def features_loss(found: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]) -> torch.Tensor:
    """1 - the cosine of features at several depths of a frozen network, N x ... each, a mean over
    the depths (identity and parsing: what is published is called multi-scale, and sums them)."""
    each = [
        1 - functional.cosine_similarity(f.flatten(1), w.flatten(1)).mean()
        for f, w in zip(found, wanted, strict=True)
    ]
    return torch.stack(each).mean()


def sizes_of(size_px: int) -> list[int]:
    """The sizes at which pictures of `size_px` are compared."""
    return [size_px // 2**k for k in range(_SIZES) if size_px // 2**k >= SMALLEST_PX]


def at_all_sizes(
    distance: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    made: torch.Tensor,
    wanted: torch.Tensor,
) -> torch.Tensor:
    """The sum of a distance over pictures of `sizes_of`, the smaller ones reduced by means."""
    terms = [
        distance(*(functional.adaptive_avg_pool2d(one, side) for one in (made, wanted)))
        for side in sizes_of(int(made.shape[-1]))
    ]
    return torch.stack(terms).sum()
