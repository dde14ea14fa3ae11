"""AdaBelief and RMSprop as DeepFaceLab takes them, with the dropout of single steps."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Iterable
from typing import Any

import torch

_EPSILON = 1e-6


class StepDropout(torch.optim.Optimizer, abc.ABC):
    """What both have in common.

    kept: share of the weights that take part in a step, drawn anew each time; 1 keeps all. period:
    steps in which the rate falls to 0 and rises again as a cosine; 0 leaves it as it is.
    """

    def __init__(
        self, params: Iterable[torch.nn.Parameter], lr: float, kept: float = 1.0, period: int = 0
    ) -> None:
        super().__init__(params, {"lr": lr, "kept": kept, "period": period})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step down. closure: none is taken."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                count = int(state.get("step", torch.tensor(0.0)))
                state["step"] = torch.tensor(float(count + 1))
                rate = group["lr"]
                if group["period"]:
                    rate *= (1 + math.cos(2 * math.pi * count / group["period"])) / 2
                change = self.change(parameter, parameter.grad, state)
                if group["kept"] < 1:
                    # In the parameter's layout, which a resumed run has as well: that of the state
                    # may be another, and the draw goes through the memory.
                    change = change * torch.empty_like(parameter).bernoulli_(group["kept"])
                parameter.sub_(change, alpha=rate)

    @abc.abstractmethod
    def change(
        self, parameter: torch.Tensor, gradient: torch.Tensor, state: dict[str, Any]
    ) -> torch.Tensor:
        """What is taken from a parameter, for each unit of the rate."""


class AdaBelief(StepDropout):
    """Zhuang et al. 2020, "AdaBelief Optimizer: Adapting Stepsizes by the Belief in Observed
    Gradients", algorithm 2, without the correction of the start."""

    _KEEP, _KEEP_SQUARE = 0.9, 0.999

    def change(
        self, parameter: torch.Tensor, gradient: torch.Tensor, state: dict[str, Any]
    ) -> torch.Tensor:
        mean, spread = (state.setdefault(k, torch.zeros_like(parameter)) for k in ("m", "v"))
        mean.mul_(self._KEEP).add_(gradient, alpha=1 - self._KEEP)
        surprise = (gradient - mean).square_()
        spread.mul_(self._KEEP_SQUARE).add_(surprise, alpha=1 - self._KEEP_SQUARE)
        found: torch.Tensor = mean / (spread.sqrt() + _EPSILON)
        return found


class RmsProp(StepDropout):
    """Tieleman and Hinton 2012, "Lecture 6.5", with a memory of 0.9."""

    _KEEP = 0.9

    def change(
        self, parameter: torch.Tensor, gradient: torch.Tensor, state: dict[str, Any]
    ) -> torch.Tensor:
        power: torch.Tensor = state.setdefault("v", torch.zeros_like(parameter))
        power.mul_(self._KEEP).addcmul_(gradient, gradient, value=1 - self._KEEP)
        found: torch.Tensor = gradient / (power.sqrt() + _EPSILON)
        return found
