"""Worker processes on this machine or on many, by Dask distributed, which the extra `cluster`
brings.

Only names and numbers are sent: what is worked on lies on a disk that all machines see.
"""

from __future__ import annotations

import atexit
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from sosie.errors import UnavailableError, needs_extra
from sosie.options import SwapOptions

_CONNECT_S, _FIRST_WORKER_S = 15, 60
_SILENCE_S, _TIMEOUTS = "300s", ("connect", "tcp")
# How often a wait looks whether it is to be given up.
_LOOK_S = 0.2
# So many pieces of work wait for each worker.
_AHEAD = 2
GPU = "GPU"
"""The resource by which a worker says that it has a graphics card."""


class Cluster:
    """Connected workers. Made by `open_cluster`."""

    def __init__(self, client: Any, local: Any, name: str) -> None:
        """client: Dask's. local: the workers that were started here, None for others. name: what
        messages call it."""
        self.client = client
        self._local, self._name = local, name

    @property
    def ahead(self) -> int:
        """How many pieces of work are handed out at once, at most."""
        return max(1, _AHEAD * sum(map(int, self.client.nthreads().values())))

    def submit(self, function: Callable[..., Any], *arguments: Any, on_gpu: bool = False) -> Any:
        """Has a function called by a worker, again by another one where that dies. What was
        submitted may be an argument, and is done first. Returns what `result` takes.

        on_gpu: whether a worker with a graphics card is to do it, where one says that it has that.
        """
        options: dict[str, Any] = {"pure": False}
        workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        if on_gpu and any(GPU in one["resources"] for one in workers):
            options["resources"] = {GPU: 1}
        return self.client.submit(function, *arguments, **options)

    def result(self, future: Any, look: Callable[[], None]) -> Any:
        """What a function returned. look: called again and again while it is waited for; what that
        raises ends the wait. Raises what the function did, and UnavailableError where the workers
        that were to call it died, or the scheduler did."""
        from concurrent.futures import CancelledError

        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        while not future.done():
            look()
            time.sleep(_LOOK_S)
        try:
            return future.result()
        except KilledWorker as error:
            raise UnavailableError(
                "Several workers died one after the other at the same piece of work; look at what "
                "they said, and give them more memory or fewer threads."
            ) from error
        except (CancelledError, FutureCancelledError) as error:
            raise UnavailableError(
                f"The scheduler {self._name} went away; start it and its workers again."
            ) from error

    def cancel(self, futures: Sequence[Any]) -> None:
        """Has what was not begun not done."""
        self.client.cancel(list(futures))

    def close(self) -> None:
        """Ends what was started here."""
        self.client.close()
        if self._local is not None:
            self._local.close()


_opened: dict[tuple[int | None, str | None], Cluster] = {}


def has_cluster(options: SwapOptions) -> bool:
    """Whether the options ask for workers."""
    return options.workers is not None or options.scheduler is not None


def open_cluster(options: SwapOptions) -> Cluster:
    """The workers that the options ask for: they are started, or connected to, once in a process.

    Raises UnavailableError where Dask is not installed, no scheduler answers, or it has no worker.
    """
    key = options.workers, options.scheduler
    if key not in _opened:
        with needs_extra("cluster", ("dask", "distributed")):
            import dask.config
            import distributed  # noqa: F401
        # A machine that is busy with swaps may be late to answer, and has not gone away.
        dask.config.set({f"distributed.comm.timeouts.{kind}": _SILENCE_S for kind in _TIMEOUTS})
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        _opened[key] = _connected(*key)
    return _opened[key]


@atexit.register
def close_clusters() -> None:
    """Ends all workers that were started here, and all connections."""
    while _opened:
        _opened.popitem()[1].close()


def _connected(workers: int | None, scheduler: str | None) -> Cluster:
    from distributed import Client, LocalCluster

    if scheduler is None:
        # At a port that is free, whatever else runs here. What swaps take of memory is bounded.
        local = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )
        return Cluster(Client(local), local, "on this machine")
    try:
        client = Client(scheduler, timeout=_CONNECT_S)
    except (OSError, ValueError) as error:
        raise UnavailableError(
            f"No Dask scheduler answers at {scheduler}; give its address as it prints it at its "
            f"start, such as tcp://host:8786."
        ) from error
    try:
        client.wait_for_workers(1, timeout=_FIRST_WORKER_S)
    except TimeoutError as error:
        client.close()
        raise UnavailableError(
            f"The scheduler {scheduler} has no worker: start one on each machine with "
            f"`dask worker {scheduler} --nthreads 1`."
        ) from error
    return Cluster(client, None, scheduler)
