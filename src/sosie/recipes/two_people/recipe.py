"""The recipe that all networks of two people share: faces, losses, figures, previews, files."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from sosie.analysis.embedder import SIDE_PX
from sosie.errors import UsageError
from sosie.geometry.face_types import template_of
from sosie.models.cards import read_embedded
from sosie.nn.blocks import fast_precision, lay_channels_last
from sosie.recipes.identity.network import FrozenIdentity
from sosie.recipes.swapper.model_file import LICENSE
from sosie.recipes.two_people.faces import PersonFaces, open_mixed, open_person, require_two
from sosie.recipes.two_people.losses import soft_mask
from sosie.recipes.two_people.model_file import PeopleCard, export_both_ways
from sosie.recipes.two_people.network import TwoPeople
from sosie.recipes.two_people.plan import TwoPeoplePlan
from sosie.recipes.two_people.samples import Bending, Yaws, make_sample
from sosie.training.data_loader import Shuffled
from sosie.training.log import grid
from sosie.training.published_optimizers import AdaBelief, RmsProp
from sosie.training.recipe import Materials, Phase, Plan, Recipe

Batch = dict[str, torch.Tensor]
SIDES = ("source", "target")

_VALIDATED, _PREVIEWED = 48, 6
_HELD_OUT = 10
"""One face in so many is kept for the figures, of people with enough of them."""
_ENOUGH = 60
_AT_ONCE = 16


class Learner(nn.Module):
    """The network, and what only training needs: discriminators of pictures and of codes.

    Its children are `network` and, where they are switched on, `judge` and `code_judge`.
    """

    def __init__(self, network: TwoPeople, **judges: nn.Module) -> None:
        super().__init__()
        self.network = network
        for name, judge in judges.items():
            self.add_module(name, judge)


class TwoPeopleRecipe(Recipe):
    """A recipe whose network has a child `network`, a `TwoPeople`.

    paper: of the method. ignores: fields of the plan that change nothing here, and are refused.
    """

    plan: ClassVar[TwoPeoplePlan]
    paper: ClassVar[str]
    ignores: ClassVar[frozenset[str]] = frozenset()
    takes_two: ClassVar[bool] = True
    origins: ClassVar[Mapping[str, str]] = {
        "given": "faces of the two people",
        "sosie": "telling who is seen, and choosing the best snapshot",
        "sosie_parser": "telling what is face",
    }
    weight_file: ClassVar[str | None] = "snapshot"
    keeps_snapshot: ClassVar[bool] = True
    license: ClassVar[str] = LICENSE

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        assert isinstance(self.chosen, TwoPeoplePlan)
        self.settings: TwoPeoplePlan = self.chosen

    @classmethod
    def plan_with(cls, plan: Plan, settings: Mapping[str, str]) -> Plan:
        for name in sorted(cls.ignores & set(settings)):
            raise UsageError(f"{cls.name} has no use for {name}: leave it out.")
        chosen = super().plan_with(plan, settings)
        with torch.device("meta"):
            cls(Materials(Path(), Path(), Path(), 0), chosen).network()
        return chosen

    def uses(self) -> Mapping[str, str]:
        left = {"sosie_parser"} if self.settings.own_masks else set()
        return {key: use for key, use in self.origins.items() if key not in left}

    def prepare(self) -> None:
        plan, pair = self.settings, self.materials.pair
        if plan.pretrain and pair is not None:
            raise UsageError(
                "A pretraining learns from one mixed set of many people: name it with --data, "
                "without --source and --target."
            )
        if not plan.pretrain and pair is None:
            raise UsageError(
                f"{self.name} learns from two people: name their faces with --source and --target, "
                f"or pretrain on a mixed set with --data and --set pretrain=1."
            )
        # Cut the faces out, and refuse what is too little, before the first step.
        self._people  # noqa: B018

    @abc.abstractmethod
    def learner(self) -> Learner:
        """All networks that learn. Raises UsageError where the plan makes no network."""

    @abc.abstractmethod
    def terms(self, network: nn.Module, batch: Batch, progress: float) -> Batch:
        """The weighted losses of the network itself."""

    @abc.abstractmethod
    def people_card(self) -> PeopleCard:
        """How the exported network is called."""

    def network(self) -> nn.Module:
        learner = self.learner()
        lay_channels_last(learner)
        return learner

    def further_phases(self) -> tuple[Phase, ...]:
        """The discriminators' turns, after the network's."""
        return ()

    def phases(self) -> tuple[Phase, ...]:
        return (self.phase("", self.terms, ("network",)), *self.further_phases())

    def phase(self, name: str, losses: Any, trains: tuple[str, ...]) -> Phase:
        """A phase by the plan's optimizer."""
        plan = self.settings
        if plan.optimizer == "adam":
            return Phase(
                name, losses, trains, betas=(0.5, 0.99), steady=bool(plan.steady), decoupled=False
            )
        kind = AdaBelief if plan.optimizer == "adabelief" else RmsProp
        make = partial(_make_optimizer, kind, plan.kept, plan.period)
        return Phase(name, losses, trains, steady=bool(plan.steady), optimizer=make)

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        """`SIDE_seen`, `SIDE_face`, `SIDE_mask` and `SIDE_features` of both sides, as
        `make_sample` gives them."""
        plan = self.settings
        made: dict[str, NDArray[Any]] = {}
        for side, flip in zip(SIDES, (plan.flip_source, plan.flip_target), strict=True):
            people = self._people[side]
            row = self._yaws[side].draw(rng) if self._uniform else self._orders[side][index]
            row = int(self._rows[side][row]) if self._uniform else row
            how = Bending(
                warp=bool(plan.random_warp and not plan.pretrain),
                flip=bool(flip or plan.pretrain),
                scale=plan.scale,
                hue=plan.hue,
            )
            face, mask, features = people.faces[row], people.masks[row], people.features[row]
            found = make_sample(face, mask, features, how, rng)
            made |= {f"{side}_{name}": value for name, value in found.items()}
        return made

    def pictures(self, batch: Batch, name: str) -> torch.Tensor:
        """Pictures of a batch as the network sees them: N x 3 x S x S, BGR, 0..1."""
        return batch[name].permute(0, 3, 1, 2).flip(1).float() / 255

    def masks(self, batch: Batch, name: str) -> torch.Tensor:
        """Masks of a batch: N x 1 x S x S, 0..1."""
        return batch[name][:, None].float() / 255

    def where(self, batch: Batch, side: str) -> torch.Tensor:
        """Where a side's faces are learned: softly within the mask, or everywhere."""
        mask = self.masks(batch, f"{side}_mask")
        return soft_mask(mask) if self.settings.masked else torch.ones_like(mask)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """similarity: of the swapped faces to the source (cosine to the mean of its faces).
        target: the same to the target. apart: of source and target themselves. source_error,
        target_error: mean absolute difference of the rebuilt faces, where the face is, of 0..1."""
        own = cast(Learner, network).network
        device = next(network.parameters()).device
        middles = {s: torch.from_numpy(self._people[s].identity).to(device) for s in SIDES}
        found: dict[str, list[torch.Tensor]] = {}
        for side in SIDES:
            for faces, masks, aligned in self._batches(side, device):
                with fast_precision(device):
                    again, _ = own.of_source(faces) if side == "source" else own.of_target(faces)
                error = ((again.float() - faces).abs() * masks).sum((1, 2, 3))
                area = (3 * masks.sum((1, 2, 3))).clamp_min(1)
                found.setdefault(f"{side}_error", []).append(error / area)
                if side == "target":
                    with fast_precision(device):
                        made, _ = own.swapped(faces)
                    who = self._recognized(made.float() * masks + faces * (1 - masks), aligned)
                    found.setdefault("similarity", []).append(who @ middles["source"])
                    found.setdefault("target", []).append(who @ middles["target"])
        figures = {name: float(torch.cat(values).mean()) for name, values in found.items()}
        apart = float(middles["source"] @ middles["target"])
        score = figures["similarity"] - 2 * (figures["source_error"] + figures["target_error"])
        return {"score": score, "apart": apart, **figures}

    def preview(self, network: nn.Module) -> NDArray[np.uint8]:
        """Rows of a source's face, the same rebuilt, a target's face, the same rebuilt, and the
        target's swapped: the columns that the field knows."""
        own = cast(Learner, network).network
        device = next(network.parameters()).device
        (source, *_), (target, *_) = (next(iter(self._batches(s, device))) for s in SIDES)
        count = min(_PREVIEWED, len(source), len(target))
        source, target = source[:count], target[:count]
        columns = (
            source,
            own.of_source(source)[0],
            target,
            own.of_target(target)[0],
            own.swapped(target)[0],
        )
        shown = [_to_pixels(column) for column in columns]
        return grid([[column[row] for column in shown] for row in range(count)])

    def export(self, network: nn.Module, file: Path) -> None:
        """What `sosie swap --method NAME --weights` runs, both ways; see `export_both_ways`."""
        export_both_ways(cast(Learner, network).network, self.people_card(), file)

    def starting_weights(self, weights: Batch, facts: Mapping[str, Any]) -> Batch:
        """Of a pretrained network all but its inner parts, which begin anew: they knew everybody,
        and are to know two."""
        plan = facts.get("plan")
        pretrained = isinstance(plan, dict) and bool(plan.get("pretrain"))
        if not pretrained or self.settings.pretrain:
            return weights
        inner = tuple(f"network.{name}." for name in self.inner_parts())
        return {name: value for name, value in weights.items() if not name.startswith(inner)}

    def inner_parts(self) -> tuple[str, ...]:
        """Names of the network's children between encoder and decoders."""
        return ()

    def _batches(
        self, side: str, device: torch.device
    ) -> Iterable[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Faces for the figures, their masks, and where the identity network's crop is in them."""
        people, rows = self._people[side], self._held[side]
        for start in range(0, len(rows), _AT_ONCE):
            some = rows[start : start + _AT_ONCE]
            given = {"face": torch.from_numpy(people.faces[some]).to(device)}
            masks = torch.from_numpy(people.masks[some]).to(device)[:, None].float() / 255
            aligned = torch.from_numpy(people.aligned[some]).to(device)
            yield self.pictures(given, "face"), masks, aligned

    def _recognized(self, pictures: torch.Tensor, aligned: torch.Tensor) -> torch.Tensor:
        """Who is in pictures, BGR: N x 512, unit length."""
        steps = torch.arange(SIDE_PX, device=pictures.device, dtype=torch.float32)
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        at = torch.einsum("nij,hwj->nhwi", aligned, torch.stack([x, y, torch.ones_like(x)], -1))
        size = pictures.shape[-1]
        # A sparse grid would see the fine detail of large pictures as noise.
        shrunk = functional.avg_pool2d(pictures, max(1, size // (2 * SIDE_PX)))
        seen = functional.grid_sample(
            shrunk, (2 * at + 1) / size - 1, padding_mode="border", align_corners=False
        )
        embedder = self._embedder.to(pictures.device)
        found: torch.Tensor = embedder(seen.clamp(0, 1).flip(1) * 2 - 1)
        return found.float()

    @property
    def _uniform(self) -> bool:
        return bool(self.settings.uniform_yaw or self.settings.pretrain)

    @cached_property
    def _people(self) -> dict[str, PersonFaces]:
        plan, materials = self.settings, self.materials
        given = (template_of(plan.face_type), plan.size_px, bool(plan.own_masks), materials.workers)
        if materials.pair is None:
            mixed = open_mixed(materials.data, materials.cache, *given)
            return dict.fromkeys(SIDES, mixed)
        both = [open_person(place, materials.cache, *given) for place in materials.pair]
        require_two(*(one.identity for one in both))
        return dict(zip(SIDES, both, strict=True))

    @cached_property
    def _held(self) -> dict[str, NDArray[np.intp]]:
        """Rows for the figures: others than those that are learned from, where there are enough."""
        return {side: _split(len(one.faces))[1] for side, one in self._people.items()}

    @cached_property
    def _rows(self) -> dict[str, NDArray[np.intp]]:
        return {side: _split(len(one.faces))[0] for side, one in self._people.items()}

    @cached_property
    def _orders(self) -> dict[str, Shuffled]:
        return {side: Shuffled(rows) for side, rows in self._rows.items()}

    @cached_property
    def _yaws(self) -> dict[str, Yaws]:
        return {side: Yaws(one.yaws[self._rows[side]]) for side, one in self._people.items()}

    @cached_property
    def _embedder(self) -> FrozenIdentity:
        return FrozenIdentity(read_embedded("identity")).requires_grad_(False).eval()


def _split(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows to learn from, and rows for the figures, spread evenly."""
    every = np.arange(count)
    if count < _ENOUGH:
        return every, every[:_VALIDATED]
    held = every % _HELD_OUT == _HELD_OUT // 2
    few = np.flatnonzero(held)
    step = max(1, len(few) // _VALIDATED)
    return every[~held], few[::step][:_VALIDATED]


def _make_optimizer(
    kind: type[AdaBelief] | type[RmsProp],
    kept: float,
    period: int,
    parameters: Sequence[nn.Parameter],
    lr: float,
) -> torch.optim.Optimizer:
    return kind(parameters, lr, kept, period)


def _to_pixels(pictures: torch.Tensor) -> NDArray[np.uint8]:
    """N x 3 x S x S, BGR, 0..1 -> N x S x S x 3, RGB."""
    unit = pictures.float().clamp(0, 1).flip(1)
    return (unit * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
