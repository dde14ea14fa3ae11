"""The recipe of GHOST (Groshev et al. 2022): the published form and a small one.

The published recipe takes ArcFace's embedding as it is; here it is Sosie's own, of length 1. The
eye loss, whose published weight is 0, is in `sosie.training.losses` and not wired in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from sosie.training.aei_recipe import AeiRecipe
from sosie.training.swapping import SwapPlan

_PUBLISHED = SwapPlan(
    samples=16_000_000,
    batch=16,
    lr=4e-4,
    weight_decay=1e-4,
    clip=1e9,
    validate_every=160_000,
    size_px=256,
    width=32,
    depth=2,
    same=0.2,
    identity=20.0,
    attribute=10.0,
)
_SMALL = replace(
    _PUBLISHED,
    samples=400_000,
    lr=6e-4,
    clip=10.0,
    ema=0.998,
    validate_every=8_000,
    size_px=64,
    width=12,
    depth=1,
    critic=12,
    same=0.3,
    attribute=2.0,
    reconstruction=40.0,
    adversarial=0.5,
)


class GhostRecipe(AeiRecipe):
    """AEI-Net with one to three AAD units a block; pairs of one person are two photos."""

    name: ClassVar[str] = "ghost"
    method: ClassVar[str] = "ghost"
    summary: ClassVar[str] = "GHOST: weaves an identity into a target by attention."
    paper: ClassVar[str] = (
        "Groshev et al. 2022, GHOST: A New Face Swap Approach for Image and Video Domains"
    )
    critic_steps = 5
    plan: ClassVar[SwapPlan] = _PUBLISHED
    presets: ClassVar[Mapping[str, SwapPlan]] = {
        **{f"unet_{units}": replace(_PUBLISHED, depth=units) for units in (1, 2, 3)},
        "small": _SMALL,
    }
