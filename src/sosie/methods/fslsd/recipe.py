"""The recipe of FSLSD's swap: landmark encoder, target encoder and decoder, learned together around
a trained generator and inverter.

The authors published the weights of their losses by name, but no training code. What is Sosie's
reading is said in `losses`; the share of pairs of one person, the regularization's pace and the
units of the landmarks' distance are Sosie's too. The hair removal is not learned here.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.methods.fslsd import losses
from sosie.methods.fslsd.codes import SWAP_OUTPUTS, TEMPLATE
from sosie.methods.fslsd.heat_maps import POINTS
from sosie.methods.fslsd.inverter_recipe import (
    PAPER,
    FslsdRecipe,
    Inverter,
    frozen_inverter,
    inverted,
    require_structure,
    stages,
)
from sosie.methods.fslsd.network import COARSE, MOST_SEEN_PX, STRUCTURE, EncoderForm
from sosie.methods.fslsd.swap_network import Drawing, Learner, SwapGraph, drawn, seen_of
from sosie.methods.fslsd.trajectory import flow_back
from sosie.nn.encoders import IR_SE_STAGES
from sosie.recipes.stylegan2.inversion import Batch, PairPlan, PairRecipe
from sosie.recipes.stylegan2.recipe import as_pictures
from sosie.recipes.swapper.model_file import SwapperCard, export_checked
from sosie.training.losses import (
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    identity_loss,
    reconstruction_loss,
)
from sosie.training.recipe import Materials, Phase, Plan, require

_PENALTY_EVERY = 16
"""Steps between two regularizations of the discriminator."""

_POINTS_PX = 256
"""The landmarks' distance is counted in pixels of a heat-map."""

_MOVED, _TURNED_DEG, _GROWN = 0.04, 3.0, 0.02
"""How far a made-up next frame is from the target: shift as a share of the side, turn, growth."""

_WEIGHTS = (
    *("adversarial", "pixel", "histogram", "features", "variation", "outside"),
    *("code_trajectory", "flow_trajectory", "penalty"),
)


@dataclass(frozen=True)
class FslsdPlan(PairPlan):
    """Of the swap. structure: how many latents are the structure's. width, units: of the landmark
    encoder; see `stages`.

    Weights of losses: adversarial, pixel (l2), perceptual (lpips), identity, landmarks (lmk),
    histogram (hm), features (fd), variation (tv), outside (mask); penalty: of R1. code_trajectory,
    flow_trajectory: of what keeps a video steady; with both at 0 no second frame is made.
    """

    lr: float = 5e-5
    structure: int = STRUCTURE
    width: int = IR_SE_STAGES[0][0]
    units: int = 14
    perceptual: float = 5.0
    identity: float = 10.0
    landmarks: float = 0.1
    adversarial: float = 5.0
    penalty: float = 10.0
    pixel: float = 10.0
    histogram: float = 0.5
    features: float = 10.0
    variation: float = 10.0
    outside: float = 5.0
    code_trajectory: float = 0.0
    flow_trajectory: float = 0.0

    def require_sense(self) -> None:
        super().require_sense()
        require(self, _WEIGHTS, least=0)
        require(self, ("structure", "width", "units"), least=1)

    @property
    def is_of_video(self) -> bool:
        """Whether a second frame of each target is needed."""
        return self.code_trajectory > 0 or self.flow_trajectory > 0


_PUBLISHED = FslsdPlan()


class FslsdSwapRecipe(PairRecipe, FslsdRecipe):
    """Pairs of a source and a target. The generator and the inverter do not learn."""

    name: ClassVar[str] = "fslsd"
    summary: ClassVar[str] = "FSLSD: moves a source's latents as the target's face is, and blends."
    origins: ClassVar[Mapping[str, str]] = {
        "given": "faces that are swapped with one another",
        "sosie": "telling whether the right person is seen",
        "sosie_landmarks": "the landmarks that move the source, and telling whether they are met",
    }
    plan: ClassVar[Plan] = _PUBLISHED
    presets: ClassVar[Mapping[str, FslsdPlan]] = {
        "published": _PUBLISHED,
        "video": replace(_PUBLISHED, code_trajectory=1.0, flow_trajectory=1.0),
        "small": replace(
            _PUBLISHED,
            samples=100_000,
            batch=16,
            lr=4e-4,
            ema=0.998,
            validate_every=8_000,
            structure=5,
            width=16,
            units=1,
            adversarial=0.5,
            penalty=1.0,
        ),
    }

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        self._settings = cast(FslsdPlan, self.chosen)
        self._steps = math.ceil(self._settings.samples / self._settings.batch)

    def prepare(self) -> None:
        require_structure(self._settings.structure, self.generator.form)
        self._inverter  # noqa: B018 - refuses what is not there
        super().prepare()

    def network(self) -> Learner:
        plan, form = self._settings, self.generator.form
        encoder = EncoderForm(
            2 * POINTS,
            (COARSE, plan.structure - COARSE),
            stages(plan.width, plan.units),
            form.latent,
            min(form.size_px, MOST_SEEN_PX),
        )
        return Learner(encoder, form, judged=plan.adversarial > 0)

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        """source, target: uint8, S x S x 3. same: float32, 1 where they show one person. Where a
        video is to be steady, later: the target a frame later, and flow: float32, S x S x 2, from
        there back to the target."""
        made = super().sample(index, rng)
        if self._settings.is_of_video:
            made["later"] = moved_picture(made["target"], rng)
            made["flow"] = flow_back(made["target"], made["later"])
        return made

    def phases(self) -> tuple[Phase, ...]:
        learners = ("landmarks", "target", "decoder")
        swap = Phase("swap", self._swap, learners, betas=(0.0, 0.99), decoupled=False)
        if not self._settings.adversarial:
            return (swap,)
        judge = Phase("judge", self._judge, ("judge",), betas=(0.0, 0.99), decoupled=False)
        return (judge, swap)

    def _judge(self, network: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        learner, plan = cast(Learner, network), self._settings
        due = plan.penalty > 0 and round(progress * self._steps) % _PENALTY_EVERY == 0
        with torch.no_grad():
            made = self._drawn(learner, batch["source"], batch["target"]).picture
        real = as_pictures(batch["target"]).requires_grad_(due)
        of_real = learner.judge(real)
        terms = {
            "told_apart": discriminator_loss(
                "nonsaturating", [of_real], [learner.judge(made.float())]
            )
        }
        if due:
            weight = plan.penalty / 2 * _PENALTY_EVERY
            terms["penalty"] = weight * gradient_penalty(real, [of_real])
        return terms

    def _swap(self, network: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:  # noqa: ARG002
        learner, plan = cast(Learner, network), self._settings
        source, target = as_pictures(batch["source"]), as_pictures(batch["target"])
        one = self._drawn(learner, batch["source"], batch["target"])
        distances, made = self.distances(target.device), one.picture.float()
        with torch.no_grad():
            who = distances.embed(source)
        same = batch["same"]
        weighted: dict[str, Callable[[], torch.Tensor]] = {
            "identity": lambda: identity_loss(distances.embed(made), who),
            "landmarks": lambda: distances.landmarks(made, target) * _POINTS_PX**2,
            "pixel": lambda: reconstruction_loss(made, target, same, power=2),
            "perceptual": lambda: distances.perceptual(made, target, same),
            "adversarial": lambda: generator_loss("nonsaturating", [learner.judge(made)]),
            "histogram": lambda: losses.histogram_loss(made, target, one.mask),
            "features": lambda: losses.feature_loss(one.theirs, one.ours, same),
            "variation": lambda: losses.variation_loss(made),
            "outside": lambda: losses.outside_loss(made, target, one.mask),
        }
        if plan.is_of_video:
            after = self._drawn(learner, batch["source"], batch["later"])
            weighted["code_trajectory"] = lambda: losses.code_trajectory_loss(
                one.latents, after.latents, one.target, after.target
            )
            weighted["flow_trajectory"] = lambda: losses.flow_trajectory_loss(
                made, after.picture, batch["flow"], after.mask
            )
        return {
            name: getattr(plan, name) * loss()
            for name, loss in weighted.items()
            if getattr(plan, name)
        }

    def _drawn(self, learner: Learner, source: torch.Tensor, target: torch.Tensor) -> Drawing:
        """source, target: uint8, N x S x S x 3."""
        pictures = [as_pictures(x) for x in (source, target)]
        return self._of_pictures(learner, *pictures)

    def _of_pictures(self, learner: Learner, source: torch.Tensor, target: torch.Tensor) -> Drawing:
        inverter = self._inverter.to(target.device)
        distances, side = self.distances(target.device), learner.landmarks.form.size_px
        with torch.no_grad():
            codes = [inverted(inverter, x) for x in (source, target)]
            places = [distances.places(x) for x in (source, target)]
            maps, mask = seen_of(places[0], places[1], int(target.shape[-1]), side)
        generator = self.generator.to(target.device)
        return drawn(learner, generator, codes[0], codes[1], maps, target, mask)

    @torch.no_grad()
    def swapped(
        self, network: nn.Module, source: torch.Tensor, target: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        learner = cast(Learner, network)
        made = (self._of_pictures(learner, x, target).picture.float() for x in (source, target))
        first, again = made
        return first, again

    def export(self, network: nn.Module, file: Path) -> None:
        """All but the inverter: codes, heat-maps, target and mask -> picture."""
        learner, form = copy.deepcopy(cast(Learner, network)), self.generator.form
        rng, side = np.random.default_rng(0), learner.landmarks.form.size_px
        structure, size = self._settings.structure, form.size_px
        shapes = {
            "source": (form.count, form.latent),
            "target": (form.count, form.latent),
            "landmarks": (2 * POINTS, side, side),
            "picture": (3, size, size),
            "mask": (1, size, size),
            "before": (structure, form.latent),
            "share": (1, 1),
        }
        given = {
            name: rng.uniform(0, 1, (2, *shape)).astype(np.float32)
            for name, shape in shapes.items()
        }
        graph = SwapGraph(learner, copy.deepcopy(self.generator))
        card = asdict(SwapperCard("fslsd", TEMPLATE, size, -1.0, PAPER))
        export_checked(graph, given, SWAP_OUTPUTS, card, file)

    def weights_of_published(
        self, name: str, weights: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        parts = {
            "fslsd_landmark_encoder": "landmarks",
            "fslsd_target_encoder": "target",
            "fslsd_decoder_1024": "decoder",
        }
        if name not in parts:
            return super().weights_of_published(name, weights)
        return {f"{parts[name]}.{key}": value for key, value in weights.items()}

    @cached_property
    def _inverter(self) -> Inverter:
        return frozen_inverter(self.materials.teachers, self.generator.form)


def moved_picture(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A picture, S x S x 3, as a camera may see it a frame later: shifted, turned and grown a
    little. Beyond its border it is mirrored."""
    side = picture.shape[0]
    turn, scale = rng.uniform(-_TURNED_DEG, _TURNED_DEG), 1 + rng.uniform(-_GROWN, _GROWN)
    matrix = np.asarray(cv2.getRotationMatrix2D((side / 2, side / 2), turn, scale), np.float64)
    matrix[:, 2] += rng.uniform(-_MOVED, _MOVED, 2) * side
    found = cv2.warpAffine(
        picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(found, np.uint8)
