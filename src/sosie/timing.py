"""Busy time by stage, collected over threads."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Stopwatch:
    """Seconds by stage name. Stages that run at once may add up to more than the whole."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    def restart(self) -> None:
        """Count from now on."""
        with self._lock:
            self._started = time.perf_counter()
            self._seconds.clear()

    @property
    def elapsed_s(self) -> float:
        """Since the watch was made."""
        return time.perf_counter() - self._started

    def add(self, stage: str, seconds: float) -> None:
        """Count seconds, which may be negative, to a stage."""
        with self._lock:
            self._seconds[stage] += seconds

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count the time of a `with` block to a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - started)

    def timed(self, stage: str, items: Iterable[T], without: str | None = None) -> Iterator[T]:
        """The same items; the time until each is there counts to `stage`.

        without: a stage that is timed inside this one and was only waited for: its time is taken
        off at the end, and it is not reported.
        """
        iterator = iter(items)
        try:
            while True:
                with self(stage):
                    try:
                        item = next(iterator)
                    except StopIteration:
                        break
                yield item
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
            if without is not None:
                with self._lock:
                    self._seconds[stage] -= self._seconds.pop(without, 0.0)

    def report(self) -> dict[str, float]:
        """Seconds by stage, and `total`, the time since the watch was made."""
        with self._lock:
            stages = {name: round(max(value, 0.0), 6) for name, value in self._seconds.items()}
        return stages | {"total": round(self.elapsed_s, 6)}
