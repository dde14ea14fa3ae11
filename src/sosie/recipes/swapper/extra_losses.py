"""Losses that only some methods are published with above 0, and the networks that only they need.

GHOST has its eye loss at 0; the others are FaceDancer's and HifiFace's. Every swapper has them,
switched on by a weight of the plan, and at 0 nothing is loaded.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from sosie.analysis import landmarker
from sosie.geometry import alignment, head_pose
from sosie.geometry.mesh import LEFT_IRIS, RIGHT_IRIS
from sosie.models.cards import read_embedded
from sosie.nn.blocks import fast_precision
from sosie.recipes.landmarks.network import FrozenLandmarks
from sosie.recipes.likeness import PerceptualDistance
from sosie.training.losses import eye_loss

_PUPILS = (RIGHT_IRIS[0], LEFT_IRIS[0])


class FurtherLosses:
    """Of aligned faces, N x 3 x S x S in 0..1; gradients flow to the made ones alone.

    template: that they are aligned by. teachers: folder of the perceptual distance's network.
    """

    def __init__(self, template: str, teachers: Path) -> None:
        self._template, self._teachers = template, teachers

    def perceptual(
        self, made: torch.Tensor, target: torch.Tensor, same: torch.Tensor
    ) -> torch.Tensor:
        """LPIPS of the result and the target where they are to show one person (`same`: N, 1 or 0),
        a mean over the whole batch: of others it would hold on to who is to go.

        Raises InputError where the teachers are not there.
        """
        with fast_precision(made.device):
            apart: torch.Tensor = self.distance.to(made.device)(made, target)
        return (apart.float() * same.float()).mean()

    def eyes(self, made: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """`eye_loss` of the pupils, on Sosie's landmark network."""
        with torch.no_grad():
            wanted = self.pupils(target)
        return eye_loss(self.pupils(made), wanted, landmarker.SIDE_PX)

    def pupils(self, pictures: torch.Tensor) -> torch.Tensor:
        """The centers of the irises, the subject's right one first: N x 2 x 2, as `points`."""
        return self.points(pictures)[:, list(_PUPILS)]

    def points(self, pictures: torch.Tensor) -> torch.Tensor:
        """All landmarks: N x 478 x 2, in pixels of the landmark network's square, with
        gradients."""
        return self.mesh(pictures)[..., :2]

    def mesh(self, pictures: torch.Tensor) -> torch.Tensor:
        """The same with their depth, in the same unit: N x 478 x 3."""
        squares = cut(pictures * 2 - 1, self.square(int(pictures.shape[-1])), landmarker.SIDE_PX)
        network = self._landmarks.to(pictures.device)
        with fast_precision(pictures.device):
            points: torch.Tensor = network(squares)
        return points.float()

    def square(self, size_px: int) -> NDArray[np.float64]:
        """Aligned face of `size_px` -> the square that the landmark network sees: that of its mean
        face, aligned like the others."""
        mean = self._landmarks.mean_face()
        aligned = alignment.align_matrix(head_pose.five_points(mean), self._template, size_px)
        region = head_pose.region_of(alignment.transform_points(mean, aligned))
        return landmarker.square_matrix(region)

    @cached_property
    def distance(self) -> PerceptualDistance:
        """The network of the perceptual distance."""
        return PerceptualDistance(self._teachers).eval()

    @cached_property
    def _landmarks(self) -> FrozenLandmarks:
        return FrozenLandmarks(read_embedded("landmarks")).eval()


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
    # In a traced graph a size is no plain number; the batch must stay none, which `len` would fix.
    grid = _sampling_grid(matrix, int(pictures.shape[-1]), side_px)
    places = grid.to(pictures.device, pictures.dtype).expand(pictures.shape[0], -1, -1, -1)
    return functional.grid_sample(pictures, places, padding_mode="border", align_corners=False)


def _sampling_grid(matrix: NDArray[np.float64], size_px: int, side_px: int) -> torch.Tensor:
    """Where in a picture of `size_px` each pixel of the square lies, 1 x S x S x 2, -1..1."""
    y, x = np.mgrid[:side_px, :side_px].astype(np.float64)
    places = np.stack([x.ravel(), y.ravel()], 1)
    places = alignment.transform_points(places, alignment.invert(matrix))
    places = places.reshape(side_px, side_px, 2)
    return torch.from_numpy((places + 0.5) / size_px * 2 - 1)[None]
