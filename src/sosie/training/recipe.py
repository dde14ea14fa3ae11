"""The contract between a network's recipe and the loop that trains it."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sosie.errors import UsageError
from sosie.options import nearest

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Materials:
    """Where a recipe finds what it learns from.

    data, teachers: folders. cache: folder for what is made once and used again. workers: processes
    that prepare data.
    """

    data: Path
    teachers: Path
    cache: Path
    workers: int


@dataclass(frozen=True)
class Plan:
    """How long and how fast to learn. A recipe states its own defaults; `--set` changes them.

    samples: training samples to see in all. batch: samples a step. lr: highest learning rate, of
    AdamW, reached after a share `warmup` of the samples and falling to 0 as a cosine.
    weight_decay: not on biases and norms. ema: share of the averaged weights that stays at a step;
    those are validated and exported. clip: bound of the gradient's norm. validate_every: samples
    between two validations. seed: of weights and samples.
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

    def changed(self, values: dict[str, str]) -> Plan:
        """The plan with some fields given as text. Raises UsageError on an unknown one or a text
        that is no number."""
        types = {field.name: type(getattr(self, field.name)) for field in dataclasses.fields(self)}
        changes: dict[str, Any] = {}
        for name, text in values.items():
            if name not in types:
                raise UsageError(f"Unknown setting {name!r}: {nearest(name, types)}.")
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not math.isfinite(value) or (types[name] is int and value != int(value)):
                kind = "whole number" if types[name] is int else "number"
                raise UsageError(f"{name} must be a {kind}, not {text!r}.")
            changes[name] = types[name](value)
        plan = dataclasses.replace(self, **changes)
        if plan.samples < 1 or plan.batch < 1 or plan.validate_every < 1:
            raise UsageError("samples, batch and validate_every must be 1 or more.")
        return plan


class Recipe(abc.ABC):
    """All that is special to one network: data, architecture, losses, validation, export.

    name: of the network and its weight file. summary: what the network is for, a sentence.
    origins: what it is made from, key in `card.DATA` or `card.TEACHERS` -> what it is used for.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    origins: ClassVar[Mapping[str, str]]
    plan: ClassVar[Plan]

    def __init__(self, materials: Materials) -> None:
        self.materials = materials

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

    @abc.abstractmethod
    def losses(
        self, network: nn.Module, batch: dict[str, torch.Tensor], progress: float
    ) -> dict[str, torch.Tensor]:
        """Named terms, float32 and weighted, that the loop sums.

        batch: stacked samples on the network's device. progress: 0 at the first step, 1 at the end.
        The network's call goes into `precision.fast_precision`.
        """

    @abc.abstractmethod
    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures on the validation people, `score` among them: the larger, the better."""

    @abc.abstractmethod
    def export(self, network: nn.Module, file: Path) -> None:
        """Write the ONNX file that the run time loads, and nothing else."""

    def weights_from(self, file: Path) -> dict[str, torch.Tensor]:
        """The weights in a file of `export`, by the network's own parameter names.

        The exporter merges batch norms and may rename what it merges: a recipe overrides this where
        the names, or the values, are then not the network's own.
        """
        from sosie.training.export import weights_of

        return weights_of(file)
