"""InfoSwap's identity encoder.

Source: Gao et al. 2021, "Information Bottleneck Disentanglement for Identity Swapping".
"""

from __future__ import annotations

import torch
from torch import nn

from sosie.nn.encoders import IrSe50


class IdentityEncoder(nn.Module):
    """Face N x 3 x 128 x 128, BGR in -1..1 -> embedding N x 512 of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.body = IrSe50(128)

    def forward(self, face: torch.Tensor) -> torch.Tensor:
        embedding: torch.Tensor = self.body(face)[0]
        return embedding
