"""What the command line does when it is asked to stop, by Ctrl-C, SIGTERM or SIGHUP, at any moment.

Before a command begins there is nothing to keep, and the process ends at once. In a command a
KeyboardInterrupt is raised in the first thread, and the library keeps what was done. That ends the
command in good order and takes its time: whatever comes after the first request is passed over.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from sosie.errors import InterruptedSwapError
from sosie.stops import STOP_SIGNALS

INTERRUPTED = "Interrupted."
"""The sentence where there is nothing else to say."""

_AGAIN_S = 0.02
# The functions of `threading` at whose end a lock has been taken, and is not yet noted as taken.
_TAKING = ("__enter__", "_acquire_restore")


class _Requests:
    """Where the process is: `loading`, in a `command`, `stopping` or `over`."""

    def __init__(self) -> None:
        self.stage = "loading"

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self.stage == "loading":
            _leave_at_once()
        if self.stage != "command":
            return
        if _is_delicate(frame):
            _ask_again(number)
            return
        self.stage = "stopping"
        raise KeyboardInterrupt

    def lost(self, raised: Any) -> None:
        """For `sys.unraisablehook`: an exception that was raised where none can be, such as in the
        finalizer of an object. A request that ended there is made again."""
        if isinstance(raised.exc_value, KeyboardInterrupt) and self.stage == "stopping":
            self.stage = "command"
            _ask_again(signal.SIGINT)
        else:
            sys.__unraisablehook__(raised)


_requests = _Requests()


def listen() -> None:
    """Answer requests to stop from now on. One that the process was started to ignore, as by
    `nohup`, stays ignored."""
    for number in STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _requests.handle)
    sys.unraisablehook = _requests.lost


@contextmanager
def interruptible() -> Iterator[None]:
    """Around a command: in here, and only here, a request raises KeyboardInterrupt."""
    _requests.stage = "command"
    try:
        yield
    finally:
        _requests.stage = "over"


def ignore() -> None:
    """Pass over all requests, at the end, when Python takes its own handlers away."""
    if hasattr(signal, "setitimer"):
        # A request that was to be made again: its signal would end the process then.
        signal.setitimer(signal.ITIMER_REAL, 0)
    for number in STOP_SIGNALS:
        if signal.getsignal(number) == _requests.handle:
            signal.signal(number, signal.SIG_IGN)


def _leave_at_once() -> None:
    # By the system's own calls: the modules that print and exit may be half loaded.
    _write(2, f"sosie: {INTERRUPTED}\n")
    code = InterruptedSwapError.exit_code
    if "--json" in sys.argv:
        _write(1, f'{{\n  "error": "{INTERRUPTED}",\n  "exit_code": {code}\n}}\n')
    os._exit(code)


def _write(descriptor: int, text: str) -> None:
    with suppress(OSError):  # nobody may be there to read it
        os.write(descriptor, text.encode())


def _is_delicate(frame: FrameType | None) -> bool:
    """Whether an exception here could do harm: a module that is half loaded may take it for a
    fault of its own, a lock that was just taken would never be given back, and after one out of a
    string that is evaluated `python -m` ends by a signal at its end, whoever caught it."""
    code = None if frame is None else frame.f_code
    if code is not None and code.co_filename == threading.__file__ and code.co_name in _TAKING:
        return True
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith("<frozen importlib"):
            return True
        # Without one before it, it is the program of `python -c`.
        is_string = (code.co_filename, code.co_name) == ("<string>", "<module>")
        if is_string and frame.f_back is not None:
            return True
        frame = frame.f_back
    return False


def _ask_again(number: int) -> None:
    """Makes a request once more, a little later."""
    if not hasattr(signal, "setitimer"):
        timer = threading.Timer(_AGAIN_S, signal.raise_signal, [number])
        timer.daemon = True
        timer.start()
        return
    signal.signal(signal.SIGALRM, lambda _number, frame: _requests.handle(number, frame))
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)
