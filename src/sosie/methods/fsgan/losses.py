"""The losses of FSGAN (Nirkin et al. 2022, "FSGANv2", section 5), and its heat-maps in torch.

The published features are those of two VGG-19, one trained to tell faces apart (VGGFace2) and one
on attributes (CelebA). Here the identity's are those of Sosie's own identity network, and the
others those of SqueezeNet 1.1. The layers' weights are the published ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from sosie.analysis.embedder import SIDE_PX
from sosie.methods.fsgan.heat_maps import LEAST
from sosie.models.cards import read_embedded
from sosie.recipes.identity.network import FrozenIdentity
from sosie.recipes.likeness import PictureFeatures, aligned_faces

_LAYERS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Weights of the layers, finest first; of fewer layers the last ones."""

_SEEN = (0, 1, 2, 4, 6)
"""Of SqueezeNet's layers those that stand for VGG's five."""

# Pictures from this size on are halved before the identity network's crop is cut out of them.
_LARGE_PX = 224


class FaceFeatures(nn.Module):
    """How far apart pictures of faces are to frozen networks. Pictures are N x 3 x S x S, -1..1.

    teachers: folder of SqueezeNet's features; None leaves the attributes out. Raises InputError
    where the file is not there.
    """

    def __init__(self, teachers: Path | None) -> None:
        super().__init__()
        self._identity = FrozenIdentity(read_embedded("identity"), stages=True)
        self._pictures = None if teachers is None else PictureFeatures(teachers)
        self.requires_grad_(False).eval()

    def identity(
        self, made: torch.Tensor, wanted: torch.Tensor, aligned: torch.Tensor
    ) -> torch.Tensor:
        """By the features of who it is. aligned: N x 2 x 3, identity network's crop -> picture."""
        with torch.no_grad():
            theirs = self._identity.stages(self._faces(wanted, aligned))
        return _apart(self._identity.stages(self._faces(made, aligned)), theirs)

    def attribute(self, made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """By the features of what is seen."""
        assert self._pictures is not None, "asked for what was left out"
        with torch.no_grad():
            theirs = self._pictures((wanted + 1) / 2)
        ours = self._pictures((made.clamp(-1, 1) + 1) / 2)
        return _apart([ours[k] for k in _SEEN], [theirs[k] for k in _SEEN])

    def embed(self, pictures: torch.Tensor, aligned: torch.Tensor) -> torch.Tensor:
        """Who is in the pictures: N x 512, unit length."""
        return functional.normalize(self._identity(self._faces(pictures, aligned)).float())

    def _faces(self, pictures: torch.Tensor, aligned: torch.Tensor) -> torch.Tensor:
        halve = pictures.shape[-1] >= _LARGE_PX
        return aligned_faces(pictures, aligned, SIDE_PX, halve).clamp(-1, 1)


def _apart(ours: Sequence[torch.Tensor], theirs: Sequence[torch.Tensor]) -> torch.Tensor:
    """The mean absolute distance of each layer, as a share of what it holds, weighted."""
    terms = [
        weight * (a.float() - b.float()).abs().mean() / b.float().abs().mean().clamp_min(1e-6)
        for weight, a, b in zip(_LAYERS[-len(ours) :], ours, theirs, strict=True)
    ]
    return torch.stack(terms).sum()


def fooled_loss(judged: Sequence[torch.Tensor]) -> torch.Tensor:
    """What the generator pays: squared distance from 1 of what the critic says at each scale."""
    return torch.stack([(1 - one.float()).square().mean() for one in judged]).sum()


def critic_loss(real: Sequence[torch.Tensor], made: Sequence[torch.Tensor]) -> torch.Tensor:
    """What the critic pays: real is to be 1, made 0; half of both."""
    wrong = torch.stack([one.float().square().mean() for one in made]).sum()
    return (fooled_loss(real) + wrong) / 2


def heat_maps(points: torch.Tensor, points_px: int, side_px: int) -> torch.Tensor:
    """As `heat_maps.heat_maps`, of a batch: N x P x 2 -> N x P x side_px x side_px."""
    places = (points + 0.5) / points_px
    steps = (torch.arange(side_px, device=points.device, dtype=torch.float32) + 0.5) / side_px
    across = (steps - places[..., :1]).square()
    down = (steps - places[..., 1:]).square()
    # In place, and the power by squares: half of a small step's time would go into this.
    near = (down[..., :, None] + across[..., None, :]).sqrt_().mul_(-(0.5**0.5)).add_(1)
    near = near.clamp_(min=0).square_().square_().square_()
    return near.sub_(LEAST).mul_(1 / (1 - LEAST)).clamp_(0, 1)
