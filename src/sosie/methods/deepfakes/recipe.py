"""The recipe of the first DeepFakes: one encoder, and a decoder or dense layers a person.

Facts from the public program faceswap: its model "original" with learned masks, and of its
"phaze-a" that dense layers may be split and the decoder shared, with a style, residual blocks and
noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import ClassVar, cast

from torch import nn

from sosie.methods.deepfakes.network import Form, Original
from sosie.nn.blocks import fast_precision
from sosie.recipes.two_people.losses import dissimilarity, window_of
from sosie.recipes.two_people.model_file import PeopleCard
from sosie.recipes.two_people.plan import TwoPeoplePlan
from sosie.recipes.two_people.recipe import SIDES, Batch, Learner, TwoPeopleRecipe
from sosie.training.recipe import require


@dataclass(frozen=True)
class DeepFakesPlan(TwoPeoplePlan):
    """width, ae, split, style, residual, noise: see `Form`. `features` is by how much more eyes,
    brows and mouth count."""

    width: int = 128
    ae: int = 1024
    split: str = "decoders"
    style: int = 0
    residual: int = 0
    noise: float = 0.0

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("width", "ae"), least=1)


_PUBLISHED = DeepFakesPlan(
    size_px=64,
    face_type="full",
    optimizer="adam",
    flip_source=1,
    scale=0.05,
    features=2.0,
)


class DeepFakesRecipe(TwoPeopleRecipe):
    """Structural dissimilarity where the face is, and learned masks."""

    name: ClassVar[str] = "deepfakes"
    summary: ClassVar[str] = "DeepFakes: one encoder, and a decoder for each of two people."
    paper: ClassVar[str] = "none: the program faceswap, model original"
    ignores: ClassVar[frozenset[str]] = frozenset(
        {"true_face", "face_style", "background_style", "gan", "gan_patch", "gan_base"}
    )
    plan: ClassVar[TwoPeoplePlan] = _PUBLISHED
    presets: ClassVar[Mapping[str, TwoPeoplePlan]] = {
        "original": _PUBLISHED,
        "phaze-a": replace(
            _PUBLISHED, size_px=128, split="dense", style=512, residual=1, noise=0.05
        ),
        "small": replace(
            _PUBLISHED,
            width=24,
            ae=128,
            samples=40_000,
            validate_every=4_000,
            lr=4e-4,
            steady=0,
            warmup=0.02,
            ema=0.995,
            clip=1.0,
        ),
    }

    def learner(self) -> Learner:
        names = {field.name for field in fields(Form)}
        form = Form(**{name: getattr(self.settings, name) for name in names})
        return Learner(Original(form))

    def inner_parts(self) -> tuple[str, ...]:
        split = cast(DeepFakesPlan, self.settings).split
        return ("dense",) if split == "decoders" else ("dense_a", "dense_b")

    def people_card(self) -> PeopleCard:
        plan = self.settings
        return PeopleCard(self.name, plan.face_type, plan.size_px, False, self.paper)

    def terms(self, network: nn.Module, batch: Batch, progress: float) -> Batch:
        del progress
        own, plan = cast(Learner, network).network, self.settings
        terms: Batch = {}
        for side, again in zip(SIDES, (own.of_source, own.of_target), strict=True):
            seen = self.pictures(batch, f"{side}_seen")
            with fast_precision(seen.device):
                picture, mask = again(seen)
            picture, wanted = picture.float(), self.pictures(batch, f"{side}_face")
            told, window = self.masks(batch, f"{side}_mask"), window_of(plan.size_px)
            places = {"structure": (1.0, self.where(batch, side))}
            if plan.features:
                about = self.masks(batch, f"{side}_features") * told
                places["features"] = (plan.features, about)
            for name, (weight, there) in places.items():
                apart = dissimilarity(picture * there, wanted * there, window).mean()
                terms[f"{side}_{name}"] = weight * apart
            terms[f"{side}_squares"] = ((picture - wanted) * told).square().mean()
            terms[f"{side}_mask"] = (mask.float() - told).square().mean()
        return terms
