"""The recipe of GHOST (Groshev et al. 2022): the published form and a small one.

The published recipe takes ArcFace's embedding as it is; here it is Sosie's own, of length 1. The
eye loss has the published weight, 0, and looks at the pupils of Sosie's landmark network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from sosie.recipes.swapper.aei_recipe import AEI_PLAN, AeiRecipe, small_aei
from sosie.recipes.swapper.plan import SwapPlan

_PUBLISHED = replace(AEI_PLAN, weight_decay=1e-4)


class GhostRecipe(AeiRecipe):
    """AEI-Net with one to three AAD units a block; pairs of one person are two photos."""

    name: ClassVar[str] = "ghost"
    method: ClassVar[str] = "ghost"
    summary: ClassVar[str] = "GHOST: weaves an identity into a target by attention."
    paper: ClassVar[str] = (
        "Groshev et al. 2022, GHOST: A New Face Swap Approach for Image and Video Domains"
    )
    critic_steps = 5
    published: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **{f"ghost_unet_{units}": ("generator",) for units in (1, 2, 3)},
        "ghost_disc": ("judges",),
    }
    plan: ClassVar[SwapPlan] = _PUBLISHED
    presets: ClassVar[Mapping[str, SwapPlan]] = {
        **{f"unet_{units}": replace(_PUBLISHED, depth=units) for units in (1, 2, 3)},
        "small": small_aei(_PUBLISHED, reconstruction=40.0),
    }
