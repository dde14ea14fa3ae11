"""FSLSD's own losses, those of video among them.

Source: Xu et al. 2022, "High-resolution Face Swapping via Latent Semantics Disentanglement". Of the
published training only the names of the weights are known (lpips, hm, l2, fd, id, lmk, adv, tv,
mask, r1), and no loss is in public code: what each name stands for here is said where it is
computed. Pictures are N x 3 x S x S, RGB, -1..1; masks N x 1 x S x S, 0..1. All return a single
unweighted number.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

_LEVELS = 64
"""Steps of the curve by which colors are matched."""

_FLAT = 0.05
"""Where a picture changes less from place to place, little is known of its motion."""


def histogram_loss(made: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """hm: mean squared distance inside the mask of a picture from itself with the target's
    histogram, channel by channel. No gradients flow through the match."""
    with torch.no_grad():
        wanted = torch.stack(
            [
                torch.stack([_matched(a, b, inside) for a, b in zip(ours, theirs, strict=True)])
                for ours, theirs, inside in zip(made, target, mask[:, 0] > 0.5, strict=True)
            ]
        )
    return (mask * (made.float() - wanted)).square().mean()


def _matched(made: torch.Tensor, target: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """A plane, H x W, by the curve that takes its values inside to the target's."""
    if not bool(inside.any()):
        return made.float()
    shares = torch.linspace(0, 1, _LEVELS, device=made.device)
    ours, theirs = (torch.quantile(plane.float()[inside], shares) for plane in (made, target))
    place = torch.searchsorted(ours, made.float().contiguous()).clamp(1, _LEVELS - 1)
    low, high = ours[place - 1], ours[place]
    share = ((made.float() - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
    return theirs[place - 1] + share * (theirs[place] - theirs[place - 1])


def feature_loss(
    found: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor], same: torch.Tensor
) -> torch.Tensor:
    """fd: mean squared distance of the maps that are blended, the target's from the source's, where
    both show one person (`same`: N, 1 or 0): so the two sides of the mask's edge fit."""
    each = [
        (f.float() - w.float()).square().mean((1, 2, 3)) for f, w in zip(found, wanted, strict=True)
    ]
    return (torch.stack(each).mean(0) * same.float()).mean()


def variation_loss(made: torch.Tensor) -> torch.Tensor:
    """tv: mean squared step from each place of a picture to the next, both ways."""
    made = made.float()
    across = (made[..., 1:] - made[..., :-1]).square().mean()
    down = (made[..., 1:, :] - made[..., :-1, :]).square().mean()
    return across + down


def outside_loss(made: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """mask: mean squared distance from the target outside the mask."""
    return ((1 - mask) * (made.float() - target.float())).square().mean()


def code_trajectory_loss(
    before: torch.Tensor,
    after: torch.Tensor,
    target_before: torch.Tensor,
    target_after: torch.Tensor,
) -> torch.Tensor:
    """The latents of the swap, N x C x L, are to move from a frame to the next as the target's do:
    the length of the difference of both moves, a mean over the batch."""
    apart = (after - before) - (target_after - target_before)
    return (apart.float().square().sum((1, 2)) + 1e-12).sqrt().mean()


def flow_trajectory_loss(
    before: torch.Tensor, after: torch.Tensor, flow: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """How many pixels the motion from one result to the next is away from the target's, inside the
    mask of the second: L1.

    before, after: the results. flow: of the target, N x H x W x 2, from each place of the frame
    after to where that was in the frame before (DIS finds it, which has no gradients). By the step
    that finds flow from two pictures (Lucas and Kanade 1981, "An Iterative Image Registration
    Technique", section 3), the two motions differ along the picture's gradient by what the moved
    result is off, over the gradient's length.
    """
    moved = warped(before.float(), flow)
    across, down = _gradient(moved)
    length = (across.square() + down.square()).mean(1, keepdim=True).sqrt()
    off = (after.float() - moved).abs().mean(1, keepdim=True)
    return (mask * off / (length + _FLAT)).sum() / mask.sum().clamp_min(1)


def _gradient(pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    padded = functional.pad(pictures, (1, 1, 1, 1), mode="replicate").detach()
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return across, down


def warped(pictures: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """At each place what lies `flow` (N x H x W x 2, pixels) away; beyond a picture its border goes
    on."""
    height, width = pictures.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=flow.device, dtype=flow.dtype),
        torch.arange(width, device=flow.device, dtype=flow.dtype),
        indexing="ij",
    )
    places = torch.stack([x + flow[..., 0], y + flow[..., 1]], -1)
    size = torch.tensor([width, height], device=flow.device, dtype=flow.dtype)
    return functional.grid_sample(
        pictures, (places + 0.5) / size * 2 - 1, padding_mode="border", align_corners=False
    )
