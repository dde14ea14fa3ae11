"""The perceptual distance LPIPS on SqueezeNet features, as a frozen torch module.

Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric", 2018. The
weights of the features are a conversion of those published: distances are not comparable with
published ones.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own documents call it F
from safetensors.torch import load_file
from torch import nn

from sosie.training.teachers import teacher_file

FEATURES_FILE = "squeezenet1_1_features.safetensors"
WEIGHTS_FILE = "lpips_squeeze_lin_v0_1.safetensors"

# What the features were trained on: BGR in 0..255 less the mean of ImageNet.
_MEAN = (103.939, 116.779, 123.68)
_FIRES = ("fire2", "fire3", "fire4", "fire5", "fire6", "fire7", "fire8", "fire9")
# A pooling precedes these; distances are taken after conv1 and these.
_POOLED_BEFORE = ("fire2", "fire4", "fire6")
_COMPARED = ("fire3", "fire5", "fire6", "fire7", "fire8", "fire9")


class PerceptualDistance(nn.Module):
    """N x 3 x H x W twice, float32 RGB in 0..1 -> N distances, 0 for equal pictures.

    Gradients flow to the first picture only.
    """

    mean: torch.Tensor

    def __init__(self, teachers: Path) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN)[None, :, None, None], persistent=False)
        tensors = load_file(teacher_file(teachers, FEATURES_FILE))
        for name, value in tensors.items():
            self.register_buffer(name.replace(".", "_"), value, persistent=False)
        weights = load_file(teacher_file(teachers, WEIGHTS_FILE))
        for number in range(1 + len(_COMPARED)):
            value = weights[f"lin{number}.model.1.weight"].clamp_min(0)
            self.register_buffer(f"lin{number}", value, persistent=False)

    def forward(self, pictures: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        ours = self._features(pictures)
        with torch.no_grad():
            theirs = self._features(answers)
        total = torch.zeros(len(pictures), device=pictures.device)
        for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            apart = (_unit(a.float()) - _unit(b.float())).square()
            total = total + (apart * getattr(self, f"lin{number}")).sum(1).mean((1, 2))
        return total

    def _features(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        x = pictures.flip(1) * 255 - self.mean
        x = F.relu(self._conv(x, "conv1", stride=2))
        found = [x]
        for name in _FIRES:
            if name in _POOLED_BEFORE:
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            narrow = F.relu(self._conv(x, f"{name}_squeeze1x1"))
            wide = [self._conv(narrow, f"{name}_expand{kernel}") for kernel in ("1x1", "3x3")]
            x = F.relu(torch.cat(wide, 1))
            if name in _COMPARED:
                found.append(x)
        return found

    def _conv(self, x: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
        kernel, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias")
        padding = 1 if name.endswith("expand3x3") else 0
        return F.conv2d(x, kernel, bias, stride, padding)


def _unit(features: torch.Tensor) -> torch.Tensor:
    """Each pixel's features with length one."""
    norm: torch.Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return features / (norm + 1e-8)
