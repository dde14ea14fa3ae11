"""How far apart two faces are to frozen networks, as trainings around a generator ask for.

Sources: Zhu et al. 2021, "One Shot Face Swapping on Megapixels", sections 3.1 and 3.2; Xu et al.
2022, "High-resolution Face Swapping via Latent Semantics Disentanglement". The papers take ArcFace
and a landmark network for the faces of their sets; here both are Sosie's own.
Pictures are N x 3 x S x S, RGB, -1..1, aligned by `TEMPLATE`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from sosie.analysis import embedder, landmarker
from sosie.geometry import alignment
from sosie.models.cards import read_embedded
from sosie.nn.blocks import fast_precision
from sosie.recipes.identity.network import FrozenIdentity
from sosie.recipes.stylegan2.recipe import TEMPLATE
from sosie.recipes.swapper.extra_losses import FurtherLosses, cut

_SEEN_PX = 256
"""Larger pictures are reduced to this before a frozen network looks at them."""


class FaceDistances(nn.Module):
    """teachers: folder of the perceptual distance's files, which are read when it is asked for.
    stages: whether `identity_stages` is asked for."""

    def __init__(self, teachers: Path, stages: bool = False) -> None:
        super().__init__()
        self._identity = FrozenIdentity(read_embedded("identity"), stages=stages)
        self._further = FurtherLosses(TEMPLATE, teachers)
        self.requires_grad_(False).eval()

    def require_perceptual(self) -> None:
        """Raises InputError where the teachers are not there."""
        self._further.distance  # noqa: B018 - reads them

    def embed(self, pictures: torch.Tensor) -> torch.Tensor:
        """Who is in the pictures: N x 512, unit length."""
        with fast_precision(pictures.device):
            numbers = self._identity(_upright(pictures))
        return functional.normalize(numbers.float())

    def identity_stages(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """What the identity network sees on its way to that: N x C x H x W each."""
        with fast_precision(pictures.device):
            return [one.float() for one in self._identity.stages(_upright(pictures))]

    def perceptual(
        self,
        made: torch.Tensor,
        wanted: torch.Tensor,
        same: torch.Tensor | None = None,
        most_px: int = _SEEN_PX,
    ) -> torch.Tensor:
        """LPIPS, a mean over the batch. same: N, 0 where a pair does not count. most_px: larger
        pictures are reduced to this."""
        ours, theirs = ((reduced(x, most_px).clamp(-1, 1) + 1) / 2 for x in (made, wanted))
        every = torch.ones(len(ours), device=ours.device)
        return self._further.perceptual(ours, theirs, every if same is None else same)

    def landmarks(self, made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Mean squared distance of the 478 landmarks, in sides of the landmark network's square; no
        gradients flow to what is wanted."""
        with torch.no_grad():
            theirs = self._points(wanted)
        return (self._points(made) - theirs).square().sum(-1).mean()

    @torch.no_grad()
    def places(self, pictures: torch.Tensor) -> torch.Tensor:
        """The 478 landmarks, N x 478 x 2, in pixels of the pictures."""
        back = alignment.invert(self.square(int(pictures.shape[-1])))
        matrix = torch.from_numpy(back).to(pictures.device, torch.float32)
        found = self._points(pictures) * landmarker.SIDE_PX
        return found @ matrix[:, :2].T + matrix[:, 2]

    def square(self, size_px: int) -> alignment.Matrix:
        """Pictures of `size_px` -> the square that the landmark network sees."""
        return self._further.square(size_px)

    def _points(self, pictures: torch.Tensor) -> torch.Tensor:
        unit = (reduced(pictures).clamp(-1, 1) + 1) / 2
        return self._further.points(unit).float() / landmarker.SIDE_PX


def _upright(pictures: torch.Tensor) -> torch.Tensor:
    """The faces as the identity network sees them."""
    small = reduced(pictures)
    points = alignment.template_points(TEMPLATE, int(small.shape[-1]))
    matrix = alignment.align_matrix(points, embedder.TEMPLATE, embedder.SIDE_PX)
    return cut(small.clamp(-1, 1), matrix, embedder.SIDE_PX)


def reduced(pictures: torch.Tensor, side_px: int = _SEEN_PX) -> torch.Tensor:
    """Pictures of `side_px` at most; a larger side is a multiple of it."""
    step = int(pictures.shape[-1]) // side_px
    return functional.avg_pool2d(pictures.float(), step) if step > 1 else pictures.float()
