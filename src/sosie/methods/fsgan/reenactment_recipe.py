"""The recipe of FSGAN's reenactment, and its fine-tuning on one person.

The published fine-tuning takes 800 batches of three, and nothing watches it. Sosie's own keeps the
network that it began with beside the one that learns, chooses the best on poses of the person that
are not learned from, and ends when other people are met less well than before.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.datasets.people import Pair
from sosie.errors import InputError, UsageError
from sosie.methods.fsgan.network import INPUTS, PyramidGenerator
from sosie.methods.fsgan.recipe import (
    Batch,
    FsganPlan,
    GeneratorRecipe,
    Learner,
    Task,
    as_pictures,
    driven,
    small,
)
from sosie.methods.fsgan.samples import Faces, open_faces
from sosie.recipes.two_people.faces import LEAST, SAME_FACE, require_enough, unit_length

PUBLISHED_RULE, OWN_RULE = 1, 2
"""Values of `FsganPlan.finetune`."""

_MAY_LOSE = 0.02
"""Other people may be met less well than before by so much, in cosine of identity."""

# The poses are cut by yaw into so many parts of equally many faces, of which some are held out.
_PARTS, _HELD = 12, (3, 8)
_VALIDATED = 48

_PUBLISHED = FsganPlan()


class ReenactmentRecipe(GeneratorRecipe):
    """A face, and another picture's landmarks of the same person: that other picture."""

    name: ClassVar[str] = "fsgan_reenactment"
    summary: ClassVar[str] = "FSGAN: moves a face as 98 landmarks say."
    stage: ClassVar[str] = "reenactment"
    same: ClassVar[float] = 1.0
    takes_person: ClassVar[bool] = True
    plan: ClassVar[FsganPlan] = _PUBLISHED
    presets: ClassVar[Mapping[str, FsganPlan]] = {
        "published": _PUBLISHED,
        "small": small(_PUBLISHED),
    }

    @classmethod
    def finetuning(
        cls, plan: Mapping[str, Any], preset: str | None, person: bool
    ) -> dict[str, Any]:
        """On a person, with the preset `published` by the published rule, else by Sosie's own."""
        if not person:
            return super().finetuning(plan, preset, person)
        rule = {"samples": 2400, "batch": 3, "half_until": 0.0, "pixel": 0.1, "identity": 1.0}
        alone = {"attribute": 0.0, "adversarial": 0.0, "accumulate": 1}
        if preset == "published":
            also = {"lr": 1e-4, "ema": 0.0, "validate_every": 2400, "finetune": PUBLISHED_RULE}
        else:
            lr = plan["lr"] / 4
            also = {"lr": lr, "ema": 0.99, "validate_every": 240, "finetune": OWN_RULE}
        return {**plan, **rule, **alone, **also}

    def task(self, batch: Batch) -> Task:
        source, target = as_pictures(batch["source"]), as_pictures(batch["target"])
        full, half = driven(source, batch["points"])
        return Task(full, half, target, target, batch["aligned"])

    def prepare(self) -> None:
        if bool(self.settings.finetune) != (self.materials.person is not None):
            raise UsageError(
                "A run that fine-tunes on a person goes on with that person, and no other run with "
                "any: name the same --person, or leave it out."
            )
        if self.materials.person is None:
            super().prepare()
            return
        self.features  # noqa: B018 - refuses what is missing
        self._person  # noqa: B018 - refuses too few faces
        if self._watches_others:
            self.held_out  # noqa: B018

    def network(self) -> nn.Module:
        learner = super().network()
        if self.settings.finetune == OWN_RULE:
            plan = self.settings
            before = PyramidGenerator(INPUTS[self.stage], plan.width, plan.most, plan.flat)
            learner.add_module("before", before.requires_grad_(False))
        return learner

    def starting_weights(
        self,
        weights: dict[str, torch.Tensor],
        facts: Mapping[str, Any],  # noqa: ARG002 - the contract
    ) -> dict[str, torch.Tensor]:
        """A generator that is fine-tuned is kept as it was, too."""
        own = {key: value for key, value in weights.items() if not key.startswith("before.")}
        return own | {
            f"before.{key.removeprefix('generator.')}": value
            for key, value in own.items()
            if key.startswith("generator.")
        }

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        if self.materials.person is None:
            return super().sample(index, rng)
        return self.of_pair(_drawn(self._learned, self._learned, rng), rng, self._person)

    def terms(
        self, learner: Learner, made: torch.Tensor, wanted: torch.Tensor, aligned: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        if self.settings.finetune == OWN_RULE:
            # In training the batch norms of what is kept would follow the person.
            learner.get_submodule("before").eval()
        return super().terms(learner, made, wanted, aligned)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """similarity, error: as of every generator; of a person, on poses that were held out.
        before, error_before: the same before the fine-tuning. others, others_before: similarity
        on pairs of other people, where there are any."""
        if self.materials.person is None:
            return super().validate(network)
        learner = cast(Learner, network)
        found = self.figures(learner.generator, self._held_pairs, self._person)
        if self.settings.finetune != OWN_RULE:
            return found
        before = learner.get_submodule("before")
        was = self.figures(before, self._held_pairs, self._person)
        found |= {"before": was["similarity"], "error_before": was["error"]}
        if self._watches_others:
            found["others"] = self.figures(learner.generator, self.held_out)["similarity"]
            found["others_before"] = self.figures(before, self.held_out)["similarity"]
            if self.is_done(found):
                # Nothing that forgets other people is the best.
                found["score"] -= 10.0
        return found

    def is_done(self, figures: Mapping[str, float]) -> bool:
        """When other people are met less well than before."""
        return figures.get("others", 0.0) < figures.get("others_before", 0.0) - _MAY_LOSE

    def preview(self, network: nn.Module) -> NDArray[np.uint8]:
        if self.materials.person is None:
            return super().preview(network)
        return self.shown(network, self._held_pairs, self._person)

    @property
    def _watches_others(self) -> bool:
        materials = self.materials
        return self.settings.finetune == OWN_RULE and materials.data != materials.person

    @cached_property
    def _person(self) -> Faces:
        """The faces of the person that most of the place shows."""
        materials = self.materials
        place = materials.person
        assert place is not None
        found = open_faces(place, materials.cache, self.settings.size_px, materials.workers)
        middle = unit_length(np.median(found.identities, axis=0))
        rows = np.flatnonzero(found.identities @ middle >= SAME_FACE)
        require_enough(len(rows), LEAST, place, len(found.identities) - len(rows))
        return found.only(rows)

    @cached_property
    def _is_held(self) -> NDArray[np.bool_]:
        """Which faces of the person are of the poses that nothing is learned from."""
        yaws = self._person.poses[:, 0]
        parts = np.argsort(np.argsort(yaws, kind="stable")) * _PARTS // len(yaws)
        return np.isin(parts, _HELD)

    @cached_property
    def _learned(self) -> NDArray[np.intp]:
        return np.flatnonzero(~self._is_held)

    @cached_property
    def _held_pairs(self) -> list[Pair]:
        rng, held = np.random.default_rng(0), np.flatnonzero(self._is_held)
        if not len(held):
            raise InputError(f"{self.materials.person} shows too few poses: add photos or frames.")
        return [_drawn(self._learned, held, rng) for _ in range(min(_VALIDATED, 4 * len(held)))]


def _drawn(sources: NDArray[np.intp], targets: NDArray[np.intp], rng: np.random.Generator) -> Pair:
    """Two faces of one person."""
    target = int(rng.choice(targets))
    source = int(rng.choice(sources[sources != target]))
    return Pair(source, target, True, False)
