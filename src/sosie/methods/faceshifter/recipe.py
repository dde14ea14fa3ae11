"""The recipe of FaceShifter's first stage, AEI-Net (Li et al. 2020): the published form and a small
one. Pictures are RGB, where the public code has BGR; the identity is Sosie's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from sosie.recipes.swapper.aei_recipe import AEI_PLAN, AeiRecipe, small_aei
from sosie.recipes.swapper.plan import SwapPlan

_PUBLISHED = replace(AEI_PLAN, samples=8_000_000, identity=5.0)


class FaceShifterRecipe(AeiRecipe):
    """AEI-Net; a pair of one person is one photo twice, for a share of 0.2 (the paper's: public
    code has 0.8)."""

    name: ClassVar[str] = "faceshifter"
    method: ClassVar[str] = "faceshifter"
    summary: ClassVar[str] = "FaceShifter, first stage: weaves an identity into a target."
    paper: ClassVar[str] = (
        "Li et al. 2020, FaceShifter: Towards High Fidelity And Occlusion Aware Face Swapping"
    )
    same_photo: ClassVar[bool] = True
    plan: ClassVar[SwapPlan] = _PUBLISHED
    presets: ClassVar[Mapping[str, SwapPlan]] = {
        "256": _PUBLISHED,
        "small": small_aei(_PUBLISHED, identity=15.0, reconstruction=100.0),
    }
