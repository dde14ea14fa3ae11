"""The teachers of identity: two published networks whose answers, side by side, tell people apart
better than either's alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.recipes.teachers import teacher_file
from sosie.recipes.teachers_dlib import DlibModule, find_dlib_file
from sosie.recipes.teachers_onnx import OnnxModule

IDENTITY_FILE = "mobileface_v2.onnx"
NUMBERS = 256 + 128
"""Of both teachers' answers together."""

STAGES = ("_plus1", "_plus3", "_plus5", "_plus7")
"""What the first teacher computes on its way, at 28, 14, 7 and 4 px."""

STAGE_CHANNELS = (32, 32, 64, 128)

# Of dlib's answer the small network learns least, and errs there most at the tail: with it as heavy
# as the other's, instead of twice, true accepts of validation people rise by 3 points. All its
# answers lie to one side; taking their whole mean away would make two people's product zero, but
# raise the false accepts; with this share of it two people have 0.16.
_DLIB_WEIGHT, _CENTERED = 1.0, 0.5


class IdentityTeachers(nn.Module):
    """Both teachers, frozen.

    dlib_mean: dlib's mean answer of unit length, 128; None until it is known.
    """

    mean: torch.Tensor

    def __init__(self, teachers: Path, dlib_mean: NDArray[np.float32] | None = None) -> None:
        super().__init__()
        self.first = OnnxModule(teacher_file(teachers, IDENTITY_FILE), ("fc5_bn", *STAGES))
        self.second = DlibModule(find_dlib_file())
        mean = np.zeros(128, np.float32) if dlib_mean is None else dlib_mean
        self.register_buffer("mean", torch.from_numpy(mean), persistent=False)
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def answers(
        self, faces: torch.Tensor, chips: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
        """Both answers of unit length (N x 256, N x 128), and the first teacher's stages.

        faces, chips: uint8, N x H x W x 3, of the same pictures (`samples.views`).
        """
        first, *stages = self.first(faces.permute(0, 3, 1, 2).float())
        second = self.second(chips.permute(0, 3, 1, 2).float())
        return unit(first.float()), unit(second), stages

    def joined(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Both answers as one, N x NUMBERS, of unit length."""
        return unit(torch.cat([first, _DLIB_WEIGHT * (second - _CENTERED * self.mean)], 1))


def unit(vectors: torch.Tensor) -> torch.Tensor:
    """The vectors, N x D, with length one."""
    norm: torch.Tensor = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    return vectors / norm.clamp_min(1e-6)
