"""The contract between a network's recipe and the loop that trains it."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sosie.errors import UsageError, nearest

if TYPE_CHECKING:
    import torch
    from torch import nn

    Losses = Callable[[nn.Module, dict[str, torch.Tensor], float], dict[str, torch.Tensor]]
    """What `PlainRecipe.losses` is: network, batch, progress -> named terms."""


@dataclass(frozen=True)
class Materials:
    """Where a recipe finds what it learns from.

    data, teachers: folders. cache: folder for what is made once and used again. workers: processes
    that prepare data. pair: of a network of two people, where the source's faces are and where the
    target's; data then is the source's. person: whom a trained network is fine-tuned on: a video,
    or a folder of photos; data then is of other people, or the same place.
    """

    data: Path
    teachers: Path
    cache: Path
    workers: int
    pair: tuple[Path, Path] | None = None
    person: Path | None = None


@dataclass(frozen=True)
class Plan:
    """How long and how fast to learn. A recipe states its own defaults; `--set` changes them.

    samples: training samples to see in all. batch: samples a step. lr: highest learning rate, of
    AdamW, reached after a share `warmup` of the samples and falling to 0 as a cosine.
    weight_decay: not on biases and norms. ema: share of the averaged weights that stays at a step;
    those are validated and exported. clip: bound of the gradient's norm. validate_every: samples
    between two validations. seed: of weights and samples. accumulate: parts of a batch that are
    computed one after the other, where a whole one does not fit the memory.
    """

    samples: int
    batch: int
    lr: float
    weight_decay: float = 0.05
    warmup: float = 0.03
    ema: float = 0.999
    clip: float = 1.0
    validate_every: int = 50_000
    seed: int = 0
    accumulate: int = 1

    def changed(self, values: dict[str, str]) -> Plan:
        """The plan with some fields given as text. Raises UsageError on an unknown one, or a text
        that is no number where one is wanted."""
        types = {field.name: type(getattr(self, field.name)) for field in dataclasses.fields(self)}
        changes: dict[str, Any] = {}
        for name, text in values.items():
            if name not in types:
                raise UsageError(f"Unknown setting {name!r}: {nearest(name, types)}.")
            if types[name] is str:
                changes[name] = text
                continue
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not math.isfinite(value) or (types[name] is int and value != int(value)):
                kind = "whole number" if types[name] is int else "number"
                raise UsageError(f"{name} must be a {kind}, not {text!r}.")
            changes[name] = types[name](value)
        plan = dataclasses.replace(self, **changes)
        plan.require_sense()
        return plan

    def require_sense(self) -> None:
        """Raises UsageError where a field has a value that nothing can be trained by."""
        require(self, ("samples", "batch", "validate_every", "accumulate"), least=1)
        require(self, ("lr", "weight_decay", "seed"), least=0)
        require(self, ("warmup", "ema"), least=0, most=1)
        if self.clip <= 0:
            raise UsageError(f"clip must be above 0, not {self.clip:g}.")
        if self.batch % self.accumulate:
            raise UsageError(
                f"accumulate must divide batch ({self.batch}), which {self.accumulate} does not."
            )


def require(
    plan: Plan, names: Iterable[str], least: float = -math.inf, most: float = math.inf
) -> None:
    """Raises UsageError where a field of a plan is out of bounds."""
    for name in names:
        value = getattr(plan, name)
        if not least <= value <= most:
            bounds = f"{least:g} or more" if most == math.inf else f"{least:g} to {most:g}"
            raise UsageError(f"{name} must be {bounds}, not {value:g}.")


@dataclass(frozen=True)
class Phase:
    """A part of every step: some networks learn from some losses.

    name: its losses are logged under it. losses: see `PlainRecipe.losses`. trains: names of the
    children of the recipe's network that learn; empty takes all.
    rate: share of the plan's learning rate. betas: of Adam. steady: the rate stays what it is
    (published GANs) instead of rising and falling as the plan says. pace: progress -> share of the
    rate, where it goes otherwise than both. decoupled: weight decay as of AdamW; otherwise it is
    part of the gradient, of every parameter, as of the older Adam.
    optimizer: makes another one of the parameters and the rate; betas and decay then have no use.
    due: progress -> whether it is this step's turn; None takes all steps.
    """

    name: str
    losses: Losses
    trains: tuple[str, ...] = ()
    rate: float = 1.0
    betas: tuple[float, float] = (0.9, 0.99)
    steady: bool = False
    decoupled: bool = True
    pace: Callable[[float], float] | None = None
    optimizer: Callable[[Sequence[nn.Parameter], float], torch.optim.Optimizer] | None = None
    due: Callable[[float], bool] | None = None


class Recipe(abc.ABC):
    """All that is special to one network: data, architecture, losses, validation, export.

    name: of the network and its weight file. summary: what the network is for, a sentence.
    origins: what it is made from, key in `card.DATA` or `card.TEACHERS` -> what it is used for.
    plan: what is trained by where nothing else is chosen. presets: other plans, by name.
    weight_file: name of the result; None takes that of the network. keeps_snapshot: whether all
    networks, those that only training needs among them, are kept beside it, to be fine-tuned.
    license: of the weights. takes_two: whether it learns from the faces of two people
    (`Materials.pair`). takes_person: whether it can be fine-tuned on one (`Materials.person`).
    finetuned: set where the networks are trained already.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    origins: ClassVar[Mapping[str, str]]
    plan: ClassVar[Plan]
    presets: ClassVar[Mapping[str, Plan]] = {}
    weight_file: ClassVar[str | None] = None
    keeps_snapshot: ClassVar[bool] = False
    license: ClassVar[str] = "Apache-2.0"
    takes_two: ClassVar[bool] = False
    takes_person: ClassVar[bool] = False
    finetuned = False

    @classmethod
    def plan_with(cls, plan: Plan, settings: Mapping[str, str]) -> Plan:
        """One of the recipe's plans with what was set. Raises as `Plan.changed`."""
        return plan.changed(dict(settings))

    @classmethod
    def finetuning(
        cls,
        plan: Mapping[str, Any],
        preset: str | None,  # noqa: ARG003 - the contract
        person: bool,  # noqa: ARG003
    ) -> dict[str, Any]:
        """The plan that a network is fine-tuned by which was trained by `plan`: at a quarter of the
        rate, for a tenth of the time. person: whether on one (`Materials.person`)."""
        return {
            **plan,
            "lr": plan["lr"] / 4,
            "samples": max(1, plan["samples"] // 10),
            "validate_every": max(1, plan["validate_every"] // 4),
        }

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        """chosen: the plan to train by; a recipe whose network depends on it looks here."""
        self.materials = materials
        self.chosen = chosen or self.plan

    @abc.abstractmethod
    def prepare(self) -> None:
        """Decode, align and label into the cache what is not there yet."""

    @abc.abstractmethod
    def network(self) -> nn.Module:
        """A fresh network; the loop has seeded torch's generator."""

    @abc.abstractmethod
    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        """A training sample: arrays of the same names and shapes each time.

        rng is seeded by the plan's seed and `index`, so that a run which stops goes on exactly.
        Runs in worker processes: no torch here.
        """

    def uses(self) -> Mapping[str, str]:
        """What this very training learns from, as `origins`: a plan may add to it."""
        return self.origins

    @abc.abstractmethod
    def phases(self) -> tuple[Phase, ...]:
        """What happens in a step, in order. A GAN has two: the discriminator learns, then the
        generator. No parameter learns in two of them."""

    def preview(self, network: nn.Module) -> NDArray[np.uint8] | None:  # noqa: ARG002 - the contract
        """A picture (RGB) to look at after each validation, or None."""
        return None

    @abc.abstractmethod
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures on the validation people, `score` among them: the larger, the better."""

    @abc.abstractmethod
    def export(self, network: nn.Module, file: Path) -> None:
        """Write the ONNX file that the run time loads, and nothing else."""

    def is_done(self, figures: Mapping[str, float]) -> bool:  # noqa: ARG002 - the contract
        """Whether a validation with these figures ends the training before its last sample."""
        return False

    def weights_from(self, file: Path) -> dict[str, torch.Tensor]:
        """The weights in a file of `export`, by the network's own parameter names.

        The exporter merges batch norms and may rename what it merges: a recipe overrides this where
        the names, or the values, are then not the network's own.
        """
        from sosie.training.export import weights_of

        return weights_of(file)

    def starting_weights(
        self,
        weights: dict[str, torch.Tensor],
        facts: Mapping[str, Any],  # noqa: ARG002 - the contract
    ) -> dict[str, torch.Tensor]:
        """Of the weights in a snapshot those that a training begins with. facts: of the snapshot,
        its `plan` among them."""
        return weights

    def weights_of_published(
        self,
        name: str,
        weights: Mapping[str, torch.Tensor],  # noqa: ARG002 - the contract
    ) -> dict[str, torch.Tensor]:
        """The weights of a published network, by the names of this recipe's network.

        name: of the published network, whose own names the weights have here. Raises UsageError
        where it is no part of what is trained.
        """
        raise UsageError(f"{name} is no part of {self.name}: begin with other weights.")


class PlainRecipe(Recipe):
    """A recipe whose whole network learns from one sum of losses."""

    @abc.abstractmethod
    def losses(
        self, network: nn.Module, batch: dict[str, torch.Tensor], progress: float
    ) -> dict[str, torch.Tensor]:
        """Named terms, float32 and weighted, that the loop sums; each is a mean over the batch.

        batch: stacked samples on the network's device. progress: 0 at the first step, 1 at the end.
        The network's call goes into `precision.fast_precision`.
        """

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("", self.losses),)
