"""FSLSD's networks joined: what is trained, and what is exported."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from sosie.methods.fslsd.heat_maps import POINTS, TABLE
from sosie.methods.fslsd.masks import face_mask
from sosie.methods.fslsd.network import (
    Decoder,
    EncoderForm,
    FlatDecoder,
    LatentEncoder,
    TargetEncoder,
    map_widths,
    maps_of,
    swapped_latents,
)
from sosie.nn.blocks import fast_precision
from sosie.nn.stylegan2.discriminator import Discriminator
from sosie.nn.stylegan2.generator import Form, Generator


class Learner(nn.Module):
    """All that learns, with the discriminator where there is to be one."""

    def __init__(self, encoder: EncoderForm, form: Form, judged: bool) -> None:
        super().__init__()
        widths = map_widths(form)
        self.landmarks = LatentEncoder(encoder)
        self.target = TargetEncoder(widths[::-1])
        self.decoder: Decoder = FlatDecoder(widths)
        if judged:
            self.judge = Discriminator(form)


@dataclass(frozen=True)
class Drawing:
    """A swap. latents: by which it was drawn; target: the target's own, N x C x L. ours, theirs:
    the maps that were blended. mask: where the first count, N x 1 x S x S."""

    picture: torch.Tensor
    latents: torch.Tensor
    target: torch.Tensor
    ours: list[torch.Tensor]
    theirs: list[torch.Tensor]
    mask: torch.Tensor


def drawn(
    learner: Learner,
    generator: Generator,
    source: torch.Tensor,
    target: torch.Tensor,
    maps: torch.Tensor,
    picture: torch.Tensor,
    mask: torch.Tensor,
) -> Drawing:
    """source, target: latents. maps: heat-maps of both. picture: the target, as the generator
    draws."""
    with fast_precision(picture.device):
        latents = swapped_latents(source, target, learner.landmarks(maps))
        ours, theirs = maps_of(generator, latents), learner.target(picture)
        made = learner.decoder(*ours, *theirs, mask)
    return Drawing(made.float(), latents.float(), target, ours, theirs, mask)


class SwapGraph(nn.Module):
    """What is exported; see `codes.SWAP_INPUTS`. Of how far the structure's latents are moved from
    the target's, `share` (N x 1 x 1) is as it was before (N x K x L)."""

    def __init__(self, learner: Learner, generator: Generator) -> None:
        super().__init__()
        self.landmarks, self.target = learner.landmarks, learner.target
        self.decoder, self.generator = learner.decoder, generator

    def forward(
        self,
        source: torch.Tensor,
        target: torch.Tensor,
        landmarks: torch.Tensor,
        picture: torch.Tensor,
        mask: torch.Tensor,
        before: torch.Tensor,
        share: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        latents = swapped_latents(source, target, self.landmarks(landmarks))
        structure = before.shape[1]
        moved = latents[:, :structure] - target[:, :structure]
        moved = (1 - share) * moved + share * before
        latents = torch.cat([target[:, :structure] + moved, target[:, structure:]], 1)
        maps = (*maps_of(self.generator, latents), *self.target(picture))
        return self.decoder(*maps, mask), moved


def seen_of(
    source: torch.Tensor, target: torch.Tensor, size_px: int, side_px: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The heat-maps of source and target, N x 212 x `side_px` x `side_px`, and the target's mask,
    N x 1 x `size_px` x `size_px`.

    source, target: landmarks of pictures of `size_px`, N x 478 x 2.
    """
    table = torch.from_numpy(TABLE).to(target.device)
    points = torch.cat([table @ source, table @ target], 1)
    places = ((points + 0.5) * (side_px / size_px)).floor().long()
    inside = ((places >= 0) & (places < side_px)).all(2)
    flat = (places[..., 1] * side_px + places[..., 0]).clamp(0, side_px**2 - 1)
    maps = torch.zeros(len(points), 2 * POINTS, side_px**2, device=target.device)
    maps.scatter_(2, flat[..., None], inside[..., None].float())
    masks = [face_mask(one, size_px, size_px) for one in target.cpu().numpy()]
    mask = torch.from_numpy(np.stack(masks))[:, None].to(target.device)
    return maps.reshape(len(points), 2 * POINTS, side_px, side_px), mask
