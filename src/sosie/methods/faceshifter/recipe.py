"""The recipe of FaceShifter's first stage, AEI-Net (Li et al. 2020): the published form and a small
one. Pictures are RGB, where the public code has BGR; the identity is Sosie's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from sosie.training.aei_recipe import AeiRecipe
from sosie.training.swapping import SwapPlan

_PUBLISHED = SwapPlan(
    samples=8_000_000,
    batch=16,
    lr=4e-4,
    weight_decay=0.0,
    clip=1e9,
    validate_every=160_000,
    size_px=256,
    width=32,
    depth=2,
    same=0.2,
    identity=5.0,
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
    identity=15.0,
    attribute=2.0,
    reconstruction=40.0,
    adversarial=0.5,
)


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
    presets: ClassVar[Mapping[str, SwapPlan]] = {"256": _PUBLISHED, "small": _SMALL}
