"""InfoSwap's identity encoder, what its published checkpoint calls its parameters, and its facts.

Source: Gao et al. 2021, "Information Bottleneck Disentanglement for Identity Swapping".
"""

from __future__ import annotations

import torch
from torch import nn

from sosie.nn.encoders import IrSe50
from sosie.recipes.published.networks import Published


class IdentityEncoder(nn.Module):
    """Face N x 3 x 128 x 128, BGR in -1..1 -> embedding N x 512 of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.body = IrSe50(128)

    def forward(self, face: torch.Tensor) -> torch.Tensor:
        embedding: torch.Tensor = self.body(face)[0]
        return embedding


def published_name(name: str) -> str:
    """The published name of one of the encoder's parameters."""
    name = name.removeprefix("body.")
    return name.replace("output_layer.", "output_layer128.")


PUBLISHED = {
    "infoswap_backbone128_irse50": Published(
        method="infoswap",
        build=IdentityEncoder,
        inputs=(("face", (1, 3, 128, 128)),),
        outputs=("embedding",),
        summary="InfoSwap's identity encoder, an IR-SE-50 for faces of 128 px",
        paper="Gao et al. 2021, Information Bottleneck Disentanglement for Identity Swapping",
        license="CC BY-NC-SA 4.0; weights by request to the authors, for research",
        value_range="BGR, -1..1",
        alignment="mtcnn_512; the face is pixels 37 to 475 of the crop, resized to 128 px",
        embedding="length 1",
        published_name=published_name,
    )
}
