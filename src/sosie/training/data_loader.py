"""A recipe's samples on their way to the loop: made in worker processes, in a fixed order."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from sosie.stops import leave_stops
from sosie.training.recipe import Plan, Recipe


class Feed:
    """The batches of a run from a step on.

    share: samples of a part; place, count: which of how many processes this is. waited_s: how long
    the loop has waited for samples.
    """

    def __init__(
        self,
        recipe: Recipe,
        plan: Plan,
        device: torch.device,
        share: int,
        place: int,
        count: int,
    ) -> None:
        self._recipe, self._plan, self._device = recipe, plan, device
        self._share, self._place, self._count = share, place, count
        self.waited_s = 0.0

    def batches(self, first: int, steps: int) -> Iterator[list[dict[str, torch.Tensor]]]:
        """For each step from `first` to `steps` its parts on the device."""
        workers = self._recipe.materials.workers
        loader = DataLoader(
            _Samples(self._recipe, self._plan.seed),
            batch_size=self._share,
            sampler=_From(first, steps, self._plan.batch, self._place, self._count),
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            worker_init_fn=_quieten if workers else None,
            pin_memory=self._device.type == "cuda",
        )
        parts: list[dict[str, torch.Tensor]] = []
        before = time.monotonic()
        for part in loader:
            parts.append({k: v.to(self._device, non_blocking=True) for k, v in part.items()})
            if len(parts) == self._plan.accumulate:
                self.waited_s += time.monotonic() - before
                yield parts
                parts, before = [], time.monotonic()


class _Samples(Dataset[dict[str, NDArray[Any]]]):
    """A recipe's samples by index, each from its own random numbers."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self._recipe, self._seed = recipe, seed

    def __getitem__(self, index: int) -> dict[str, NDArray[Any]]:
        return self._recipe.sample(index, np.random.default_rng((self._seed, index)))


class _From(Sampler[int]):
    """The indices of one process, from one step to another: of each batch its own stretch."""

    def __init__(self, first: int, steps: int, batch: int, place: int, count: int) -> None:
        own = batch // count
        starts = (step * batch + place * own for step in range(first, steps))
        self._indices = (index for start in starts for index in range(start, start + own))
        self._length = max(0, steps - first) * own

    def __iter__(self) -> Iterator[int]:
        return self._indices

    def __len__(self) -> int:
        return self._length


def _quieten(_: int) -> None:
    """A worker is one of several: it takes one thread and leaves it to the loop to stop."""
    leave_stops()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    os.nice(1)
