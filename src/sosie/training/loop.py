"""The training loop that all recipes share: exact resume, averaged weights, the best snapshot."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler

from sosie.errors import InputError, InterruptedTrainingError, UsageError
from sosie.training.checkpoint import (
    load_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_tensors,
)
from sosie.training.recipe import Plan, Recipe

STATE, BEST, LOG = "state.safetensors", "best.safetensors", "log.jsonl"

_SAVE_EVERY_S = 180.0
_REPORT_EVERY_S = 10.0


@dataclass(frozen=True)
class TrainingProgress:
    """samples, total: seen and to see. rate: samples a second. losses: means since the last report.
    figures: of the last validation, if any."""

    samples: int
    total: int
    rate: float
    losses: dict[str, float]
    figures: dict[str, float]


def train(
    recipe: Recipe,
    plan: Plan,
    run: Path,
    *,
    resume: bool = False,
    start: dict[str, torch.Tensor] | None = None,
    device: str = "cpu",
    on_progress: Callable[[TrainingProgress], None] | None = None,
) -> Path:
    """Train a recipe's network and return the file of its best snapshot.

    run: folder for state, log and snapshots. resume: go on with what is there, to the same result
    as without the stop. start: weights to begin with, by parameter name; those whose name and shape
    fit are taken. Raises UsageError where `run` already holds a run and `resume` is not given,
    InputError where there is nothing to resume or `start` fits nothing, and
    InterruptedTrainingError after Ctrl-C, when the step is done and the state saved.
    """
    run.mkdir(parents=True, exist_ok=True)
    there = (run / STATE).exists()
    if there and not resume:
        raise UsageError(f"{run} holds a run already: give --resume, or another folder.")
    if resume and not there:
        raise InputError(f"There is no {STATE} in {run}: leave --resume out, or name its folder.")
    recipe.prepare()
    job = _Job(recipe, plan, run, torch.device(device), on_progress)
    if resume:
        job.restore()
    elif start is not None:
        job.begin_with(start)
    return job.run_all()


class _Job:
    """One run: what changes while it goes on."""

    def __init__(
        self,
        recipe: Recipe,
        plan: Plan,
        run: Path,
        device: torch.device,
        on_progress: Callable[[TrainingProgress], None] | None,
    ) -> None:
        torch.manual_seed(plan.seed)
        self._recipe, self._plan, self._run, self._device = recipe, plan, run, device
        self._on_progress = on_progress
        self._network = recipe.network().to(device)
        self._average = copy.deepcopy(self._network).requires_grad_(False)
        self._optimizer = _optimizer(self._network, plan)
        self._names: dict[torch.Tensor, str] = {
            p: name for name, p in self._network.named_parameters()
        }
        self._steps = math.ceil(plan.samples / plan.batch)
        self._step = 0
        self._best = -math.inf
        self._figures: dict[str, float] = {}
        self._sums: dict[str, float] = {}

    def begin_with(self, weights: dict[str, torch.Tensor]) -> None:
        own = self._network.state_dict()
        fitting = {k: v for k, v in weights.items() if k in own and own[k].shape == v.shape}
        if not fitting:
            raise InputError("None of the weights to start from fits this network; name others.")
        for network in (self._network, self._average):
            network.load_state_dict(own | fitting)

    def restore(self) -> None:
        tensors, facts = load_tensors(self._run / STATE)
        if facts["plan"] != dataclasses.asdict(self._plan):
            changed = sorted(
                k for k, v in dataclasses.asdict(self._plan).items() if facts["plan"].get(k) != v
            )
            raise UsageError(
                f"The run was begun with another plan ({', '.join(changed)} differ): resume with "
                f"the same settings, or start a new run with --from."
            )
        parts: dict[str, dict[str, torch.Tensor]] = {"network": {}, "average": {}, "optimizer": {}}
        for key, value in tensors.items():
            part, name = key.split("/", 1)
            parts[part][name] = value
        self._network.load_state_dict(parts["network"])
        self._average.load_state_dict(parts["average"])
        restore_optimizer(self._optimizer, self._names, parts["optimizer"])
        self._step, self._best = facts["step"], facts["best"]

    def run_all(self) -> Path:
        saved = reported = started = time.monotonic()
        first = self._step
        validated = self._step * self._plan.batch // self._plan.validate_every
        with _asked_to_stop() as asked:
            for batch in self._batches():
                self._learn(batch)
                now = time.monotonic()
                due = self._step * self._plan.batch // self._plan.validate_every
                if due > validated or self._step == self._steps:
                    validated = due
                    self._validate()
                if now - reported >= _REPORT_EVERY_S or self._step == self._steps:
                    reported = now
                    self._report((self._step - first) * self._plan.batch / (now - started))
                if now - saved >= _SAVE_EVERY_S:
                    saved = now
                    self._save()
                if asked():
                    self._save()
                    raise InterruptedTrainingError(
                        f"Stopped after {self._step * self._plan.batch} samples: "
                        "go on with --resume."
                    )
        self._save()
        return self._run / BEST

    def _batches(self) -> Iterator[dict[str, torch.Tensor]]:
        workers = self._recipe.materials.workers
        loader = DataLoader(
            _Samples(self._recipe, self._plan.seed),
            batch_size=self._plan.batch,
            sampler=_From(self._step * self._plan.batch, self._steps * self._plan.batch),
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            worker_init_fn=_quieten if workers else None,
            pin_memory=self._device.type == "cuda",
        )
        for batch in loader:
            yield {k: v.to(self._device, non_blocking=True) for k, v in batch.items()}

    def _learn(self, batch: dict[str, torch.Tensor]) -> None:
        plan, progress = self._plan, self._step / self._steps
        # Whatever is drawn in this step is drawn again alike when the run resumes here.
        torch.manual_seed(plan.seed * 1_000_003 + self._step)
        for group in self._optimizer.param_groups:
            group["lr"] = plan.lr * _pace(progress, plan.warmup)
        self._network.train()
        terms = self._recipe.losses(self._network, batch, progress)
        total = torch.stack(list(terms.values())).sum()
        self._optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self._network.parameters(), plan.clip)
        if torch.isfinite(norm):
            self._optimizer.step()
            self._average_in()
        for name, term in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(term.detach())
        self._sums["steps"] = self._sums.get("steps", 0.0) + 1
        self._step += 1

    @torch.no_grad()
    def _average_in(self) -> None:
        # Early on the average must not hold on to the random beginning.
        keep = min(self._plan.ema, (1 + self._step) / (10 + self._step))
        own = self._network.state_dict()
        for name, value in self._average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(own[name], 1 - keep)
            else:
                value.copy_(own[name])

    def _validate(self) -> None:
        self._average.eval()
        with torch.no_grad():
            self._figures = self._recipe.validate(self._average)
        samples = self._step * self._plan.batch
        if self._figures["score"] > self._best:
            self._best = self._figures["score"]
            facts = {"name": self._recipe.name, "samples": samples, "figures": self._figures}
            save_tensors(self._run / BEST, self._average.state_dict(), facts)
        self._log({"samples": samples, "figures": self._figures})

    def _report(self, rate: float) -> None:
        steps = self._sums.pop("steps", 1.0)
        losses = {name: value / steps for name, value in self._sums.items()}
        self._sums = {}
        samples = self._step * self._plan.batch
        self._log({"samples": samples, "rate": rate, "losses": losses})
        if self._on_progress is not None:
            total = self._steps * self._plan.batch
            self._on_progress(TrainingProgress(samples, total, rate, losses, self._figures))

    def _log(self, entry: dict[str, Any]) -> None:
        with (self._run / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")

    def _save(self) -> None:
        tensors = {f"network/{k}": v for k, v in self._network.state_dict().items()}
        tensors |= {f"average/{k}": v for k, v in self._average.state_dict().items()}
        state = optimizer_tensors(self._optimizer, self._names)
        tensors |= {f"optimizer/{k}": v for k, v in state.items()}
        facts = {"step": self._step, "best": self._best, "plan": dataclasses.asdict(self._plan)}
        save_tensors(self._run / STATE, tensors, facts)


@contextmanager
def _asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed. In the middle of a step it would leave a state that is neither
    this step's nor the next one's, so the first is only noted; a second one stops at once."""
    usual = signal.getsignal(signal.SIGINT)
    asked = False

    def note(*_: object) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, usual)

    # A process in the background may ignore the signal, and only the first thread may handle it.
    handled = callable(usual) and threading.current_thread() is threading.main_thread()
    if handled:
        signal.signal(signal.SIGINT, note)
    try:
        yield lambda: asked
    finally:
        if handled:
            signal.signal(signal.SIGINT, usual)


class _Samples(Dataset[dict[str, NDArray[Any]]]):
    """A recipe's samples by index, each from its own random numbers."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self._recipe, self._seed = recipe, seed

    def __getitem__(self, index: int) -> dict[str, NDArray[Any]]:
        return self._recipe.sample(index, np.random.default_rng((self._seed, index)))


class _From(Sampler[int]):
    """The indices from one to another, in order."""

    def __init__(self, start: int, end: int) -> None:
        self._range = range(start, end)

    def __iter__(self) -> Iterator[int]:
        return iter(self._range)

    def __len__(self) -> int:
        return len(self._range)


def _quieten(_: int) -> None:
    """A worker is one of several: it takes one thread and leaves Ctrl-C to the loop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    os.nice(1)


def _optimizer(network: nn.Module, plan: Plan) -> torch.optim.AdamW:
    decayed = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": plan.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=plan.lr, betas=(0.9, 0.99))


def _pace(progress: float, warmup: float) -> float:
    """Share of the highest learning rate: a line up, then a cosine down."""
    if progress < warmup:
        return (progress + 1e-4) / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / max(1 - warmup, 1e-9)))
