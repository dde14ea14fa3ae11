"""Stages of a pipeline that run ahead in threads, by a bounded number of items.

    frames = staged(prefetch(video.frames(), 4), analyze, 4)
    for analyzed in frames: ...

Each stage has a thread that fills a queue of `depth` items and waits while it is full, so memory is
bounded whatever the speeds. An exception in a stage reaches the consumer after the items before it.
A consumer that stops early (break, an exception, Ctrl-C) stops every thread above it.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from sosie.stops import stops_held

T = TypeVar("T")
R = TypeVar("R")

# A wait without a limit cannot be interrupted by Ctrl-C on every platform.
_WAKE_S = 0.2


class _Queue:
    """A bounded queue between one producer and one consumer that either end can close."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._items: deque[Any] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._finished = False
        self._error: BaseException | None = None

    def put(self, item: Any) -> bool:
        """Waits for room. False where the consumer has closed the queue."""
        with self._changed:
            while len(self._items) >= self._depth and not self._closed:
                self._changed.wait(_WAKE_S)
            if self._closed:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def wait_for_room(self) -> bool:
        """As `put`, before an item is made: so that none is made which has no room."""
        with self._changed:
            while len(self._items) >= self._depth and not self._closed:
                self._changed.wait(_WAKE_S)
            return not self._closed

    def finish(self, error: BaseException | None) -> None:
        """No more items: the consumer gets those that are queued, then `error` or the end."""
        with self._changed:
            self._finished = True
            self._error = error
            self._changed.notify_all()

    def get(self) -> Any:
        with self._changed:
            while not self._items and not self._finished and not self._closed:
                self._changed.wait(_WAKE_S)
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
            if error is not None:
                raise error
            raise StopIteration

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()


class Stage(Iterator[T], Generic[T]):
    """An iterator whose items are made ahead in a thread. Use it as a context manager, or `close`
    it; one that is dropped without either stops its thread too."""

    def __init__(
        self, source: Iterable[Any], function: Callable[[Any], T] | None, depth: int
    ) -> None:
        if depth < 1:
            raise ValueError(f"depth must be 1 or more, not {depth}.")
        self._source = source
        self._queue = _Queue(depth)
        self._thread = threading.Thread(
            target=_produce, args=(self._queue, source, function), name="sosie-stage", daemon=True
        )
        # The thread knows the queue but not the stage, so that a dropped stage is collected.
        self._finalizer = weakref.finalize(self, self._queue.close)
        _at_work.add((self._queue, self._thread))
        self._thread.start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        item: T = self._queue.get()
        return item

    def close(self) -> None:
        """Stops this stage and those it reads from, and waits for their threads to end. Ctrl-C
        waits for that too: a thread that is left at work when Python ends can abort the process."""
        with stops_held():
            self.cancel()
            self._thread.join()

    def cancel(self) -> None:
        """Tells this stage and those it reads from to stop, without waiting."""
        self._queue.close()
        if isinstance(self._source, Stage):
            self._source.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


_at_work: set[tuple[_Queue, threading.Thread]] = set()
"""Of the stages whose threads have not ended."""


@atexit.register
def _end_all() -> None:
    """Ends the threads of stages that nobody closed, before Python ends."""
    left = list(_at_work)
    for queue, _ in left:
        queue.close()
    for _, thread in left:
        if thread.is_alive():
            thread.join()


def prefetch(source: Iterable[T], depth: int) -> Stage[T]:
    """The items of `source`, made ahead in a thread: at most `depth` wait in the queue.

    depth: 1 or more. Raises ValueError otherwise. `source` is iterated and, where it has a `close`,
    closed in that thread.
    """
    return Stage(source, None, depth)


def staged(source: Iterable[T], function: Callable[[T], R], depth: int) -> Stage[R]:
    """`function` of each item of `source`, in order, made ahead in a thread as by `prefetch`."""
    return Stage(source, function, depth)


def _produce(queue: _Queue, source: Iterable[Any], function: Callable[[Any], Any] | None) -> None:
    error: BaseException | None = None
    try:
        items = iter(source)
        try:
            while queue.wait_for_room():
                try:
                    item = next(items)
                except StopIteration:
                    break
                if not queue.put(item if function is None else function(item)):
                    break
                # Else this thread would keep one item more alive than the queue counts.
                del item
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()
    except StopIteration as caught:  # raised in the consumer, it would pass for the end
        error = RuntimeError("a stage's function raised StopIteration")
        error.__cause__ = caught
    except BaseException as caught:  # carried to the consumer, which is where it can be handled
        error = caught
    queue.finish(error)
    _at_work.discard((queue, threading.current_thread()))
