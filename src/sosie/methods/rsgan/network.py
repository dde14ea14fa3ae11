"""RSGAN's networks: a face and its hair as separate codes, and pictures made of any two of them.

Source: Natsume et al. 2018, "RSGAN: Face Swapping and Editing using Face and Hair Representation in
Latent Spaces", section 3. There is no published network; the paper's classifier of attributes is
left out, as are the 19 attributes that its separators and its composer are told. Pictures are RGB,
N x 3 x S x S in 0..1; codes N x L.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from sosie.nn.blocks import PatchDiscriminator
from sosie.nn.residual import ResidualDiscriminator
from sosie.nn.variational import Decoder, Encoder

REGIONS = ("face", "hair")
"""The separated regions, in the order of codes and of masks."""


class Separated(NamedTuple):
    """mean, log_variance: of the region's code, N x L each. part: the region alone, N x 4 x S x S:
    RGB, black elsewhere, and its mask."""

    mean: torch.Tensor
    log_variance: torch.Tensor
    part: torch.Tensor


class Separator(nn.Module):
    """A whole picture -> one region's code, and the region made again of it."""

    def __init__(self, size_px: int, width: int, latent: int) -> None:
        super().__init__()
        self.encoder = Encoder(size_px, width, latent)
        self.decoder = Decoder(size_px, width, latent, 4)

    def forward(self, pictures: torch.Tensor) -> Separated:
        mean, log_variance = self.encoder(pictures)
        return Separated(mean, log_variance, self.decoder(drawn(mean, log_variance)))

    def code(self, pictures: torch.Tensor) -> torch.Tensor:
        """The most probable code."""
        mean: torch.Tensor = self.encoder(pictures)[0]
        return mean


def drawn(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """A code of a posterior."""
    return mean + torch.randn_like(mean) * (log_variance / 2).exp()


class Rsgan(nn.Module):
    """Both separators, and the composer: two codes -> picture and masks of face and hair,
    N x 5 x S x S.

    size_px: S, a power of two. width: channels of the separators' first layer; the composer has
    twice as many. latent: L.
    """

    def __init__(self, size_px: int, width: int, latent: int) -> None:
        super().__init__()
        self.separators = nn.ModuleList(Separator(size_px, width, latent) for _ in REGIONS)
        self.composer = Decoder(size_px, 2 * width, 2 * latent, 5)

    def separated(self, pictures: torch.Tensor) -> list[Separated]:
        """Of each region."""
        return [separator(pictures) for separator in self.separators]

    def codes(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """The most probable code of each region."""
        found = []
        for separator in self.separators:
            assert isinstance(separator, Separator)
            found.append(separator.code(pictures))
        return found

    def composed(self, face: torch.Tensor, hair: torch.Tensor) -> torch.Tensor:
        """Picture and masks of two codes, N x 5 x S x S in 0..1."""
        made: torch.Tensor = self.composer(torch.cat([face, hair], 1))
        return made


class Discriminators(nn.Module):
    """A logit for the whole picture, and logits of its patches."""

    def __init__(self, size_px: int, width: int) -> None:
        super().__init__()
        self.whole = ResidualDiscriminator(size_px, width)
        self.patches = PatchDiscriminator(3, width)

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        return [self.whole(pictures), self.patches(pictures)]


class SwapGraph(nn.Module):
    """What is exported: target and source, N x 3 x S x S, and how much of the source's face and
    hair is taken, N x 1 each -> the picture, and where face and hair are, in it or in the target,
    N x 2 x S x S.
    """

    def __init__(self, network: Rsgan) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        target: torch.Tensor,
        source: torch.Tensor,
        face: torch.Tensor,
        hair: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        of_target, of_source = self.network.codes(target), self.network.codes(source)
        mixed = [
            share * theirs + (1 - share) * own
            for share, theirs, own in zip((face, hair), of_source, of_target, strict=True)
        ]
        made, before = self.network.composed(*mixed), self.network.composed(*of_target)
        # Where hair was and none is, the picture has to cover it.
        return made[:, :3], torch.maximum(made[:, 3:], before[:, 3:])
