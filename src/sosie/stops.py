"""Requests to stop: Ctrl-C, SIGTERM, and SIGHUP of a terminal that is closed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""The signals that ask a process to stop, as far as this system has them."""


def leave_stops() -> None:
    """In a worker process: leave it to the process that started it to stop. A terminal asks all of
    its processes at once. SIGTERM stays, by which workers are ended."""
    for number in STOP_SIGNALS:
        if number != signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def stops_held() -> Iterator[None]:
    """Until the block is over a request to stop is only noted, and then handled as it would have
    been: for what must not be left half done, and does not last long.

    In a thread that is not the first one, which no signal reaches, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    # What is ignored, or ends the process at once, stays so.
    usual = {n: handler for n in STOP_SIGNALS if callable(handler := signal.getsignal(n))}
    try:
        for number in usual:
            signal.signal(number, note)
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
        if asked:
            signal.raise_signal(asked[0])
