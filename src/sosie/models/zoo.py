"""The package's networks, each opened once for a provider and shared by all that run it."""

from __future__ import annotations

import os
import threading

from sosie.models.cards import read_card, read_embedded
from sosie.models.session import Session, create_session, is_recording

_opened: dict[tuple[str, str, int], Session] = {}
_opening = threading.Lock()


def open_network(name: str, provider: str = "cpu", threads: int | None = None) -> Session:
    """The network of that name in the package, ready to run.

    provider, threads: as for `runtime.create_session`. The same network on the same provider with
    as many threads is opened once in a process: a session may be run by several threads at once.
    Raises what `read_embedded` and `create_session` raise; a damaged file is found each time.
    """
    content = read_embedded(name)
    if is_recording():
        return create_session(content, provider, threads)
    key = (read_card(name).sha256, provider, threads or os.cpu_count() or 1)
    with _opening:
        if key not in _opened:
            _opened[key] = create_session(content, provider, threads)
        return _opened[key]
