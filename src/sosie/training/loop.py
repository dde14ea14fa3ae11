"""The training loop that all recipes share: exact resume, averaged weights, the best snapshot."""

from __future__ import annotations

import copy
import dataclasses
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from sosie import foreign
from sosie.errors import InputError, InterruptedTrainingError, OutputError, SosieError, UsageError
from sosie.stops import STOP_SIGNALS
from sosie.training.checkpoint import (
    fitting,
    load_tensors,
    optimizer_tensors,
    restore_optimizer,
    save_tensors,
)
from sosie.training.data_loader import Feed
from sosie.training.distributed import Processes
from sosie.training.log import LOG, RunLog
from sosie.training.optimizer_steps import LostTrainingError, Steps
from sosie.training.recipe import Plan, Recipe

STATE, BEST = "state.safetensors", "best.safetensors"

__all__ = ["BEST", "LOG", "STATE", "TrainingProgress", "train"]

_SAVE_EVERY_S = 180.0
_REPORT_EVERY_S = 10.0


@dataclass(frozen=True)
class TrainingProgress:
    """samples, total: seen and to see. rate: samples a second. waiting: share of the time that went
    into waiting for samples, 0..1. losses: means since the last report. figures: of the last
    validation, if any."""

    samples: int
    total: int
    rate: float
    waiting: float
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
    as without the stop, however that came about. start: weights to begin with, by parameter name;
    those whose name and shape fit are taken. Several processes: see `several.Processes`.

    Raises UsageError where `run` already holds a run and `resume` is not given, InputError where
    there is nothing to resume or `start` fits nothing, InterruptedTrainingError after Ctrl-C, when
    the step is done and the state saved (and, before the first validation, a snapshot that has no
    figures), OutputError where the run cannot be written (full disk),
    and SosieError where the numbers became infinite; in both cases the last good state stays.
    """
    processes = Processes(device)
    there = (run / STATE).exists()
    if there and not resume:
        raise UsageError(f"{run} holds a run already: give --resume, or another folder.")
    if resume and not there:
        raise InputError(f"There is no {STATE} in {run}: leave --resume out, or name its folder.")
    # The first process prepares the data, and the others find it there.
    if processes.first:
        run.mkdir(parents=True, exist_ok=True)
        recipe.prepare()
    processes.wait()
    if not processes.first:
        recipe.prepare()
    job = _Job(recipe, plan, run, processes, on_progress)
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
        processes: Processes,
        on_progress: Callable[[TrainingProgress], None] | None,
    ) -> None:
        torch.manual_seed(plan.seed)
        self._recipe, self._plan, self._run, self._processes = recipe, plan, run, processes
        self._on_progress = on_progress
        self._network = recipe.network().to(processes.device)
        self._average = copy.deepcopy(self._network).requires_grad_(False)
        self._learner = Steps(self._network, recipe.phases(), plan, processes.average_gradients)
        self._names: dict[torch.Tensor, str] = {
            p: name for name, p in self._network.named_parameters()
        }
        self._steps = math.ceil(plan.samples / plan.batch)
        self._step = 0
        self._best = -math.inf
        self._figures: dict[str, float] = {}
        self._sums: dict[str, float] = {}
        self._resumed_at: int | None = None
        self._done = False

    @property
    def _samples(self) -> int:
        return self._step * self._plan.batch

    def begin_with(self, weights: dict[str, torch.Tensor]) -> None:
        own = self._network.state_dict()
        fitting = {k: v for k, v in weights.items() if k in own and own[k].shape == v.shape}
        if not fitting:
            raise InputError("None of the weights to start from fits this network; name others.")
        for network in (self._network, self._average):
            network.load_state_dict(own | fitting)

    def restore(self) -> None:
        file = self._run / STATE
        tensors, facts = load_tensors(file)
        with fitting(file):
            foreign.check(facts, _FACTS)
            # What an older version did not know of was as it is by default.
            defaults = {field.name: field.default for field in dataclasses.fields(self._plan)}
            begun = defaults | facts["plan"]
            changed = sorted(k for k, v in dataclasses.asdict(self._plan).items() if begun[k] != v)
            if changed:
                raise UsageError(
                    f"The run was begun with another plan ({', '.join(changed)} differ): resume "
                    f"with the same settings, or start a new run with --from."
                )
            parts: dict[str, dict[str, torch.Tensor]] = {}
            for key, value in tensors.items():
                part, name = key.split("/", 1)
                parts.setdefault(part, {})[name] = value
            self._network.load_state_dict(parts["network"])
            self._average.load_state_dict(parts["average"])
            for optimizer in self._learner.optimizers:
                restore_optimizer(optimizer, self._names, parts.get("optimizer", {}))
            self._step, self._best = facts["step"], float(facts["best"])
        self._resumed_at = self._samples

    def run_all(self) -> Path:
        plan, processes = self._plan, self._processes
        share = processes.share(plan.batch, plan.accumulate)
        feed = Feed(self._recipe, plan, processes.device, share, processes.rank, processes.count)
        try:
            with _asked_to_stop() as asked:
                self._run_steps(feed, asked)
        except LostTrainingError as error:
            raise SosieError(
                f"The training came to nothing after {self._samples} samples ({error}): the last "
                f"good state and the best snapshot are in {self._run}; start again from the "
                f"snapshot with a lower rate, for example --set lr={plan.lr / 4:g}."
            ) from error
        return self._run / BEST

    def _run_steps(self, feed: Feed, asked: Callable[[], bool]) -> None:
        run_log = None
        if self._processes.first:
            with _whole_disk(self._run):
                run_log = RunLog(self._run, self._resumed_at)
        saved = reported = started = time.monotonic()
        first = self._step
        validated = self._samples // self._plan.validate_every
        for parts in feed.batches(self._step, self._steps):
            self._learn(parts)
            now, last = time.monotonic(), self._step == self._steps
            if run_log is not None:
                due = self._samples // self._plan.validate_every
                if due > validated or last:
                    validated = due
                    self._validate(run_log)
                if now - reported >= _REPORT_EVERY_S or last:
                    reported = now
                    took = now - started
                    rate = (self._step - first) * self._plan.batch / took
                    self._report(run_log, rate, feed.waited_s / took)
            done = self._processes.any_of(self._done)
            stop = not done and self._processes.any_of(asked())
            if run_log is not None and (now - saved >= _SAVE_EVERY_S or stop):
                saved = now
                self._save()
                if stop and self._best == -math.inf:
                    # What was learned until here can be used; the first validation replaces it.
                    self._save_best({})
            if stop:
                raise InterruptedTrainingError(
                    f"Stopped after {self._samples} samples: go on with --resume."
                )
            if done:
                break
        if run_log is not None:
            self._save()
            if self._best == -math.inf:
                # Left by a stop before the first validation; a run without a score has none.
                (self._run / BEST).unlink(missing_ok=True)
        self._processes.wait()

    def _learn(self, parts: list[dict[str, torch.Tensor]]) -> None:
        plan, processes = self._plan, self._processes
        # Whatever is drawn in this step is drawn again alike when the run resumes here.
        seed = plan.seed * 1_000_003 + self._step
        torch.manual_seed(seed * processes.count + processes.rank)
        terms = self._learner.take(parts, self._step / self._steps)
        if self._learner.sound:
            self._average_in()
        for name, term in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + term
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

    def _validate(self, run_log: RunLog) -> None:
        self._average.eval()
        with torch.no_grad():
            self._figures = self._recipe.validate(self._average)
            picture = self._recipe.preview(self._average)
        self._done = self._recipe.is_done(self._figures)
        if self._figures["score"] > self._best:
            self._best = self._figures["score"]
            self._save_best(self._figures)
        with _whole_disk(self._run):
            run_log.note(self._samples, {"figures": self._figures})
            run_log.show(self._samples, picture)

    def _save_best(self, figures: dict[str, float]) -> None:
        facts = {
            "name": self._recipe.name,
            "plan": dataclasses.asdict(self._plan),
            "samples": self._samples,
            "figures": figures,
        }
        with _whole_disk(self._run):
            save_tensors(self._run / BEST, self._average.state_dict(), facts)

    def _report(self, run_log: RunLog, rate: float, waiting: float) -> None:
        steps = self._sums.pop("steps", 1.0)
        losses = {name: value / steps for name, value in self._sums.items()}
        self._sums = {}
        with _whole_disk(self._run):
            run_log.note(self._samples, {"rate": rate, "waiting": waiting, "losses": losses})
        if self._on_progress is not None:
            total = self._steps * self._plan.batch
            self._on_progress(
                TrainingProgress(self._samples, total, rate, waiting, losses, self._figures)
            )

    def _save(self) -> None:
        tensors = {f"network/{k}": v for k, v in self._network.state_dict().items()}
        tensors |= {f"average/{k}": v for k, v in self._average.state_dict().items()}
        for optimizer in self._learner.optimizers:
            state = optimizer_tensors(optimizer, self._names)
            tensors |= {f"optimizer/{k}": v for k, v in state.items()}
        facts = {"step": self._step, "best": self._best, "plan": dataclasses.asdict(self._plan)}
        with _whole_disk(self._run):
            save_tensors(self._run / STATE, tensors, facts)


def _score(value: object) -> None:
    """A form: a score, which is -inf before the first validation."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise ValueError("should be a number")


_FACTS = {"step": int, "best": _score, "plan": dict}
"""What stands in the state of a run beside its tensors."""


@contextmanager
def _whole_disk(run: Path) -> Iterator[None]:
    """What cannot be written is told in clear words; files of before stay as they are."""
    try:
        yield
    except (OSError, SafetensorError, OutputError) as error:
        cause = error.__cause__ if isinstance(error, OutputError) else error
        reason = (cause.strerror if isinstance(cause, OSError) else None) or str(error)
        raise OutputError(
            f"The run cannot be written to {run} ({reason}): the last state that could is whole; "
            f"make room and go on with --resume."
        ) from error


@contextmanager
def _asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether the process was asked to stop, by Ctrl-C or as `STOP_SIGNALS` says. In the middle of
    a step it would leave a state that is neither this step's nor the next one's, so the first
    request is only noted; a second one stops at once."""
    asked = False
    usual: dict[int, Any] = {}

    def note(*_: object) -> None:
        nonlocal asked
        asked = True
        restore()

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    # A process in the background may ignore the signals, and only the first thread may handle them.
    if threading.current_thread() is threading.main_thread():
        usual = {n: handler for n in STOP_SIGNALS if callable(handler := signal.getsignal(n))}
    for number in usual:
        signal.signal(number, note)
    try:
        yield lambda: asked
    finally:
        restore()
