"""A variational autoencoder of faces: pictures to latent numbers, and back.

Source: Kingma and Welling 2014, "Auto-Encoding Variational Bayes", section 3. There is no published
network of it for faces.
"""

from __future__ import annotations

import torch
from torch import nn

from sosie.nn.variational import Decoder, Encoder


class Vae(nn.Module):
    """Pictures N x 3 x S x S, RGB 0..1 -> the same, made again of a latent that is drawn; and that
    latent's mean and log variance, N x L each."""

    def __init__(self, size_px: int, width: int, latent: int) -> None:
        super().__init__()
        self.encoder = Encoder(size_px, width, latent)
        self.decoder = Decoder(size_px, width, latent)

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mean, log_variance = self.encoder(pictures)
        drawn = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        return self.decoder(drawn), mean, log_variance


class LatentGraph(nn.Module):
    """What is exported: target N x 3 x S x S, keep N x 1 and shift N x L -> the picture of the
    latent `keep` x that of the target + `shift`, N x 3 x S x S; and the target's latent, N x L.

    One graph reads latents, makes pictures of them and swaps.
    """

    def __init__(self, network: Vae) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, target: torch.Tensor, keep: torch.Tensor, shift: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        mean, _ = self.network.encoder(target)
        return self.network.decoder(mean * keep + shift), mean
