"""The recipe of DeepFaceLab: SAEHD with DF or LIAE, Quick96, AMP, and small plans.

Perov et al. 2020, "DeepFaceLab: Integrated, flexible and extensible face-swapping framework",
section 3.2, and facts of the published program, whose defaults the plans have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import ClassVar, cast

import torch
from torch import nn

from sosie.errors import UsageError
from sosie.methods.deepfacelab.discriminators import (
    CodeDiscriminator,
    PatchDiscriminator,
    told_apart,
)
from sosie.methods.deepfacelab.network import Autoencoder, Df, Form, build
from sosie.nn.blocks import fast_precision
from sosie.recipes.two_people.losses import (
    dissimilarity,
    reconstruction,
    style,
    total_variation,
    window_of,
)
from sosie.recipes.two_people.model_file import PeopleCard
from sosie.recipes.two_people.plan import TwoPeoplePlan
from sosie.recipes.two_people.recipe import SIDES, Batch, Learner, TwoPeopleRecipe
from sosie.training.recipe import Phase, require

_PAPER = (
    "Perov et al. 2020, DeepFaceLab: Integrated, flexible and extensible face-swapping framework"
)
# Weights within the published losses that nobody sets.
_STYLE, _BACKGROUND, _AMP_BACKGROUND, _SMOOTH, _OUTSIDE = 100.0, 0.1, 0.1, 1e-6, 0.02


@dataclass(frozen=True)
class DeepFaceLabPlan(TwoPeoplePlan):
    """kind, options, ae, e, d, dm, inter: see `Form`. Its `features` is DeepFaceLab's eyes and
    mouth priority (300 there)."""

    kind: str = "liae"
    options: str = "ud"
    ae: int = 256
    e: int = 64
    d: int = 64
    dm: int = 22
    inter: int = 1024

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("ae", "e", "d", "dm", "inter"), least=1)
        if self.true_face and self.kind != "df":
            raise UsageError(
                f"true_face belongs to the kind df, whose codes know no person, not to "
                f"{self.kind}: leave it out, or --set kind=df."
            )


_SAEHD = DeepFaceLabPlan()
_QUICK96 = replace(
    _SAEHD,
    kind="df",
    size_px=96,
    ae=128,
    dm=16,
    batch=4,
    samples=400_000,
    validate_every=4_000,
    lr=2e-4,
    optimizer="rmsprop",
    kept=0.3,
    scale=0.05,
)
_SMALL = replace(
    _SAEHD,
    kind="df",
    size_px=64,
    face_type="full",
    ae=96,
    e=24,
    d=16,
    dm=8,
    batch=8,
    samples=40_000,
    validate_every=4_000,
    lr=4e-4,
    optimizer="adam",
    steady=0,
    warmup=0.02,
    ema=0.995,
    clip=1.0,
    scale=0.05,
    features=30.0,
)


class DeepFaceLabRecipe(TwoPeopleRecipe):
    """Structural dissimilarity and squares where the face is, learned masks, and what is switched
    on."""

    name: ClassVar[str] = "deepfacelab"
    summary: ClassVar[str] = "DeepFaceLab: puts one person's face onto another's, both learned."
    paper: ClassVar[str] = _PAPER
    plan: ClassVar[TwoPeoplePlan] = _SAEHD
    presets: ClassVar[Mapping[str, TwoPeoplePlan]] = {
        "liae-128": _SAEHD,
        "df-128": replace(_SAEHD, kind="df"),
        "liae-224": replace(
            _SAEHD, options="udt", size_px=224, ae=256, d=80, e=80, dm=26, features=300.0
        ),
        "quick96": _QUICK96,
        "amp": replace(
            _SAEHD, kind="amp", options="", size_px=224, e=64, d=72, dm=22, features=300.0
        ),
        "small": _SMALL,
        "small-liae": replace(_SMALL, kind="liae", ae=64),
        "small-amp": replace(_SMALL, kind="amp", options="", ae=96, inter=128),
    }

    @property
    def own(self) -> DeepFaceLabPlan:
        """The plan."""
        return cast(DeepFaceLabPlan, self.settings)

    def form(self) -> Form:
        """What is built."""
        names = {field.name for field in fields(Form)}
        return Form(**{name: getattr(self.own, name) for name in names})

    def learner(self) -> Learner:
        plan, form = self.own, self.form()
        network = build(form)
        if isinstance(network, Df):
            side = network.inter.side
        judges: dict[str, nn.Module] = {}
        if plan.true_face:
            judges["code_judge"] = CodeDiscriminator(form.ae, side)
        if plan.gan:
            patch = plan.gan_patch or max(2, form.size_px // 8)
            judges["judge"] = PatchDiscriminator(patch, plan.gan_base)
        for name in self._frozen(network):
            network.get_submodule(name).requires_grad_(False)
        return Learner(network, **judges)

    def inner_parts(self) -> tuple[str, ...]:
        with torch.device("meta"):
            return build(self.form()).inner

    def people_card(self) -> PeopleCard:
        plan = self.own
        return PeopleCard(self.name, plan.face_type, plan.size_px, plan.kind == "amp", self.paper)

    def further_phases(self) -> tuple[Phase, ...]:
        found = []
        if self.own.true_face:
            found.append(self.phase("code_judge", self._judge_codes, ("code_judge",)))
        if self.own.gan:
            found.append(self.phase("judge", self._judge, ("judge",)))
        return tuple(found)

    def terms(self, network: nn.Module, batch: Batch, progress: float) -> Batch:
        del progress
        learner, plan = cast(Learner, network), self.own
        own = cast(Autoencoder, learner.network)
        seen = {side: self.pictures(batch, f"{side}_seen") for side in SIDES}
        with fast_precision(seen["source"].device):
            made = {
                "source": own.of_source(seen["source"]),
                "target": own.of_target(seen["target"]),
            }
        terms: Batch = {}
        for side, (picture, mask) in made.items():
            found = self._rebuilt(batch, side, picture.float(), mask.float())
            terms |= {f"{side}_{name}": value for name, value in found.items()}
        picture = made["source"][0].float()
        if plan.face_style or plan.background_style:
            terms |= self._styles(own, batch, seen["target"], made["target"][1].float())
        if plan.true_face:
            terms["true_face"] = plan.true_face * self._fooled_by_codes(learner, batch, seen)
        if plan.gan:
            terms |= self._fooled(learner, batch, picture)
        return terms

    def _rebuilt(self, batch: Batch, side: str, picture: torch.Tensor, mask: torch.Tensor) -> Batch:
        """The losses of one side's faces as they are rebuilt."""
        plan = self.own
        wanted, there = self.pictures(batch, f"{side}_face"), self.where(batch, side)
        told = self.masks(batch, f"{side}_mask")
        terms = reconstruction(picture, wanted, there, both_windows=plan.kind == "amp")
        terms["mask"] = 10 * (mask - told).square().mean()
        if plan.features:
            about = self.masks(batch, f"{side}_features") * told
            terms["features"] = plan.features * ((picture - wanted).abs() * about).mean()
        if plan.kind == "amp" and side == "target":
            beside = (picture - wanted).square() * (1 - there)
            terms["background"] = _AMP_BACKGROUND * beside.mean()
            terms["smooth"] = _SMOOTH * total_variation(picture)
        return terms

    def _styles(
        self, own: Autoencoder, batch: Batch, seen: torch.Tensor, own_mask: torch.Tensor
    ) -> Batch:
        """How far the swapped face has the target's colors, and what is about it the target's
        surroundings."""
        plan = self.own
        with fast_precision(seen.device):
            picture, mask = own.swapped(seen)
        picture, wanted = picture.float(), self.pictures(batch, "target_face")
        terms: Batch = {}
        if plan.face_style:
            there = (mask.float() * own_mask).detach()
            apart = style(picture * there, wanted * there, plan.size_px // 8)
            terms["face_style"] = _STYLE * plan.face_style * apart
        if plan.background_style:
            beside = 1 - self.where(batch, "target")
            a, b = picture * beside, wanted * beside
            apart = dissimilarity(a, b, window_of(plan.size_px)).mean() + (a - b).square().mean()
            terms["background_style"] = _BACKGROUND * plan.background_style * apart
        return terms

    def _fooled_by_codes(self, learner: Learner, batch: Batch, seen: Batch) -> torch.Tensor:
        """How far codes of the source are from looking like the target's."""
        own = cast(Df, learner.network)
        codes = {side: own.codes(pictures).float() for side, pictures in seen.items()}
        # The judge, whose turn is next, sees what has just been made.
        batch |= {f"{side}_code": code.detach() for side, code in codes.items()}
        return told_apart(learner.get_submodule("code_judge")(codes["source"]), True)

    def _judge_codes(self, network: nn.Module, batch: Batch, progress: float) -> Batch:
        del progress
        judge = network.get_submodule("code_judge")
        apart = [told_apart(judge(batch[f"{side}_code"]), side == "target") for side in SIDES]
        return {"told_apart": torch.stack(apart).mean()}

    def _fooled(self, learner: Learner, batch: Batch, picture: torch.Tensor) -> Batch:
        """How far rebuilt faces of the source are from looking real, and what keeps them calm."""
        wanted, there = self.pictures(batch, "source_face"), self.where(batch, "source")
        batch |= {"made": (picture * there).detach(), "real": wanted * there}
        judge = learner.get_submodule("judge")
        fooled = [told_apart(logits.float(), True) for logits in judge(picture * there)]
        outside = ((picture - wanted) * (1 - there)).square().mean()
        return {
            "adversarial": self.own.gan * torch.stack(fooled).sum(),
            "smooth": _SMOOTH * total_variation(picture),
            "outside": _OUTSIDE * outside,
        }

    def _judge(self, network: nn.Module, batch: Batch, progress: float) -> Batch:
        del progress
        judge = network.get_submodule("judge")
        apart = [
            told_apart(logits.float(), name == "real")
            for name in ("real", "made")
            for logits in judge(batch[name])
        ]
        return {"told_apart": torch.stack(apart).sum() / 2}

    def _frozen(self, network: Autoencoder) -> tuple[str, ...]:
        """Children that do not learn: AMP's inner networks keep their random start, as published,
        and LIAE's common one what it knows once nothing is bent."""
        if self.own.kind == "amp":
            return network.inner
        still = not self.own.random_warp and not self.own.pretrain
        return ("inter_AB",) if self.own.kind == "liae" and still else ()
