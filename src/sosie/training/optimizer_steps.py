"""One step of a training: its phases in turn, each with its networks, losses and optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from sosie.errors import UsageError
from sosie.training.recipe import Phase, Plan

Batch = dict[str, torch.Tensor]

_TOO_MANY = 10
"""After so many steps in a row whose gradients are no numbers, nothing will come of the run."""


class LostTrainingError(Exception):
    """The losses or the network's own numbers are no numbers any more."""


class Steps:
    """The phases of a run at work on one network.

    average_gradients: makes the gradients of some parameters the mean over all processes.
    """

    def __init__(
        self,
        network: nn.Module,
        phases: Sequence[Phase],
        plan: Plan,
        average_gradients: Callable[[Sequence[torch.Tensor]], None] | None = None,
    ) -> None:
        self._network, self._phases, self._plan = network, phases, plan
        self._average_gradients = average_gradients
        self._learning = [_learning(network, phase) for phase in phases]
        self.optimizers = [
            _optimizer(own, phase, plan) for own, phase in zip(self._learning, phases, strict=True)
        ]
        self._lost = 0

    @property
    def sound(self) -> bool:
        """Whether the last step was one: its gradients were numbers."""
        return self._lost == 0

    def take(self, parts: Sequence[Batch], progress: float) -> dict[str, float]:
        """All phases that are due, once. parts: the batch, in as many parts as are to be
        accumulated.

        Returns the mean of each term. A phase whose gradient is no number changes no weight. Raises
        LostTrainingError where that has gone on for long, or has spoiled the network's statistics.
        """
        self._network.train()
        found: dict[str, float] = {}
        sound = True
        for number, phase in enumerate(self._phases):
            if phase.due is not None and not phase.due(progress):
                continue
            terms, well = self._turn(number, phase, parts, progress)
            prefix = f"{phase.name}/" if phase.name else ""
            found |= {prefix + name: value for name, value in terms.items()}
            sound = sound and well
        self._lost = 0 if sound else self._lost + 1
        if not sound:
            self._require_hope()
        return found

    def _turn(
        self, number: int, phase: Phase, parts: Sequence[Batch], progress: float
    ) -> tuple[dict[str, float], bool]:
        own, optimizer = self._learning[number], self.optimizers[number]
        others = [p for k, group in enumerate(self._learning) if k != number for p in group]
        _set_learning(others, False)
        rate = self._plan.lr * phase.rate * _share(phase, progress, self._plan)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        sums: dict[str, torch.Tensor] = {}
        for part in parts:
            terms = phase.losses(self._network, part, progress)
            (torch.stack(list(terms.values())).sum() / len(parts)).backward()  # type: ignore[no-untyped-call]
            for name, term in terms.items():
                share = term.detach() / len(parts)
                sums[name] = sums[name] + share if name in sums else share
        _set_learning(others, True)
        if self._average_gradients is not None:
            self._average_gradients(own)
        norm = nn.utils.clip_grad_norm_(own, self._plan.clip)
        well = bool(torch.isfinite(norm))
        if well:
            optimizer.step()
        return {name: float(value) for name, value in sums.items()}, well

    def _require_hope(self) -> None:
        if self._lost >= _TOO_MANY:
            raise LostTrainingError(f"{self._lost} steps in a row gave no numbers")
        for name, value in self._network.named_buffers():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise LostTrainingError(f"{name} holds no numbers")


def pace(progress: float, warmup: float) -> float:
    """Share of the highest learning rate: a line up, then a cosine down."""
    if progress < warmup:
        return (progress + 1e-4) / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / max(1 - warmup, 1e-9)))


def _share(phase: Phase, progress: float, plan: Plan) -> float:
    if phase.pace is not None:
        return phase.pace(progress)
    return 1.0 if phase.steady else pace(progress, plan.warmup)


def _learning(network: nn.Module, phase: Phase) -> list[nn.Parameter]:
    children = dict(network.named_children())
    unknown = [name for name in phase.trains if name not in children]
    if unknown:
        raise UsageError(f"The phase {phase.name} trains {unknown[0]}, which the network lacks.")
    modules = [children[name] for name in phase.trains] or [network]
    return [p for module in modules for p in module.parameters() if p.requires_grad]


def _set_learning(parameters: Sequence[nn.Parameter], learning: bool) -> None:
    """Gradients that no phase uses need not be computed."""
    for parameter in parameters:
        parameter.requires_grad_(learning)


def _optimizer(own: Sequence[nn.Parameter], phase: Phase, plan: Plan) -> torch.optim.Optimizer:
    rate = plan.lr * phase.rate
    if phase.optimizer is not None:
        return phase.optimizer(own, rate)
    if not phase.decoupled:
        return torch.optim.Adam(own, rate, phase.betas, weight_decay=plan.weight_decay)
    groups = [
        {"params": [p for p in own if p.ndim > 1], "weight_decay": plan.weight_decay},
        {"params": [p for p in own if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=phase.betas)
