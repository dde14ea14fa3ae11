"""Squares cut out of pictures with gradients, for networks that judge what another one makes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from sosie.geometry import alignment


def cut(pictures: torch.Tensor, matrix: NDArray[np.float64], side_px: int) -> torch.Tensor:
    """The square of a matrix out of each picture: N x C x H x H -> N x C x side_px x side_px.

    matrix: picture -> square, 2 x 3, a similarity. Beyond a picture its border goes on. Gradients
    flow to the pictures.
    """
    shrink = int(1 / alignment.scale_of(matrix))
    if shrink > 1:
        # A sparse grid would see the fine detail as noise.
        pictures = functional.avg_pool2d(pictures, shrink)
        matrix = np.array(matrix)
        matrix[:, :2] *= shrink
        matrix[:, 2] += matrix[:, :2].sum(1) * (0.5 - 0.5 / shrink)
    # In a traced graph a size is no plain number.
    grid = _sampling_grid(matrix, int(pictures.shape[-1]), side_px)
    places = grid.to(pictures.device, pictures.dtype).expand(len(pictures), -1, -1, -1)
    return functional.grid_sample(pictures, places, padding_mode="border", align_corners=False)


def _sampling_grid(matrix: NDArray[np.float64], size_px: int, side_px: int) -> torch.Tensor:
    """Where in a picture of `size_px` each pixel of the square lies, 1 x S x S x 2, -1..1."""
    y, x = np.mgrid[:side_px, :side_px].astype(np.float64)
    places = np.stack([x.ravel(), y.ravel()], 1)
    places = alignment.transform_points(places, alignment.invert(matrix))
    places = places.reshape(side_px, side_px, 2)
    return torch.from_numpy((places + 0.5) / size_px * 2 - 1)[None]
