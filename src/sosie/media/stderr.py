"""What the C libraries under Sosie say past every setting."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.RLock()


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Within, nothing reaches the process's stderr: libtiff, OpenCV and some encoders write there.

    It is the whole process's, so hold it briefly: other threads that want it wait.
    """
    with _lock:
        if sys.stderr is not None:
            sys.stderr.flush()
        try:
            saved = os.dup(2)
        except OSError:  # there is none
            yield
            return
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(sink)
