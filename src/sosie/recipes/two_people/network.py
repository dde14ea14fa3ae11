"""What a network of two people does, however it is built; and one as it swaps, in DFM's layout.

Pictures are N x 3 x S x S, BGR, 0..1; masks N x 1 x S x S.
"""

from __future__ import annotations

import abc

import torch
from torch import nn

Pictured = tuple[torch.Tensor, torch.Tensor]
"""Faces and their masks."""

FULL_MORPH = 1.0


class TwoPeople(nn.Module, abc.ABC):
    """An autoencoder that tells two people's faces apart, and can give one the other's."""

    @abc.abstractmethod
    def of_source(self, pictures: torch.Tensor) -> Pictured:
        """The source's own faces again, as it learns them."""

    @abc.abstractmethod
    def of_target(self, pictures: torch.Tensor) -> Pictured:
        """The target's own faces again."""

    @abc.abstractmethod
    def swapped(self, pictures: torch.Tensor, morph: float | torch.Tensor = FULL_MORPH) -> Pictured:
        """The source's face as each picture of the target has it. morph: how much of the source,
        0..1, where the network can mix; others take no notice."""

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Swapped face and mask, then the target's own face and mask."""
        return (*self.swapped(pictures), *self.of_target(pictures))


class Merging(nn.Module):
    """A trained network as it swaps, in the layout of DFM files.

    in_face: N x S x S x 3, BGR, 0..1; morph_value: 1 number, 0..1, for a network that can mix.
    Returns the target's mask N x S x S x 1, the swapped face N x S x S x 3, and its mask, all 0..1.
    back: put the target's face onto the source's pictures instead.
    """

    def __init__(self, network: TwoPeople, back: bool = False) -> None:
        super().__init__()
        self.network = network
        self._back = back

    def forward(
        self, in_face: torch.Tensor, morph_value: torch.Tensor | float = FULL_MORPH
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        pictures = in_face.permute(0, 3, 1, 2)
        there = self.network.swapped(pictures, morph_value)
        own = self.network.of_target(pictures)
        (face, mask), (_, own_mask) = (own, there) if self._back else (there, own)
        return _last(own_mask), _last(face), _last(mask)


def _last(pictures: torch.Tensor) -> torch.Tensor:
    """N x C x H x W -> N x H x W x C."""
    return pictures.permute(0, 2, 3, 1)
