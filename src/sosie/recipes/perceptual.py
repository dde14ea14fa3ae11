"""The perceptual distance that losses take: LPIPS on SqueezeNet, frozen.

Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric". The
weights of the features are a conversion of those published: distances are not comparable with
published ones.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from sosie.nn.lpips import Lpips
from sosie.recipes.teachers import teacher_file

FEATURES_FILE = "squeezenet1_1_features.safetensors"
WEIGHTS_FILE = "lpips_squeeze_lin_v0_1.safetensors"


class PerceptualDistance(nn.Module):
    """N x 3 x H x W twice, float32 RGB in 0..1 -> N distances, 0 for equal pictures.

    Gradients flow to the first picture only, and no weight learns. Raises InputError where a file
    is not among the teachers, or is another network's.
    """

    def __init__(self, teachers: Path) -> None:
        super().__init__()
        features = load_file(teacher_file(teachers, FEATURES_FILE))
        weights = load_file(teacher_file(teachers, WEIGHTS_FILE))
        self._network = Lpips("squeeze", caffe=True)
        self._network.load(features, weights)

    def forward(self, pictures: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        return self._network.distances(pictures, answers)
