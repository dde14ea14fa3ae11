"""Stages run ahead by a bounded number of items, carry errors, and always end."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sosie.media.prefetch import Stage, prefetch, staged


def stage_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sosie-stage"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    gc.collect()
    deadline = time.monotonic() + 5
    while stage_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert stage_threads() == []


class FailureError(Exception):
    pass


class Source:
    """Counts what was made and not yet let go of, and whether it was closed."""

    def __init__(self, length: int, fails_at: int | None = None) -> None:
        self.length = length
        self.fails_at = fails_at
        self.alive = 0
        self.peak = 0
        self.made = 0
        self.closed = False
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Item]:
        try:
            for index in range(self.length):
                if index == self.fails_at:
                    raise FailureError(index)
                self.made += 1
                yield Item(self, index)
        finally:
            self.closed = True

    def count(self, step: int) -> None:
        with self._lock:
            self.alive += step
            self.peak = max(self.peak, self.alive)


class Item:
    def __init__(self, source: Source, index: int) -> None:
        self.source = source
        self.index = index
        source.count(1)

    def __del__(self) -> None:
        self.source.count(-1)


def test_all_items_in_order() -> None:
    with staged(prefetch(range(100), 3), lambda x: x * x, 2) as squares:
        assert list(squares) == [x * x for x in range(100)]


def test_work_goes_on_in_a_thread_of_its_own() -> None:
    with staged(range(3), lambda _: threading.get_ident(), 1) as idents:
        assert threading.get_ident() not in set(idents)


@given(st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=10, deadline=None)
def test_the_number_of_live_items_is_bounded(first: int, second: int) -> None:
    source = Source(60)
    with staged(prefetch(source, first), lambda item: item, second) as items:
        for _item in items:
            time.sleep(0.0005)
    # The queues, one in hand between them, and what the consumer holds while it takes the next.
    assert source.peak <= first + second + 3
    assert source.made == 60


def test_a_slow_consumer_holds_the_producer_back() -> None:
    source = Source(1000)
    with prefetch(source, 2) as items:
        next(items)
        time.sleep(0.1)
        assert source.made <= 4


@given(
    st.integers(0, 12),
    st.one_of(st.none(), st.integers(0, 12)),
    st.one_of(st.none(), st.integers(0, 12)),
    st.one_of(st.none(), st.integers(0, 12)),
    st.integers(1, 3),
)
@settings(max_examples=150, deadline=None)
def test_whoever_fails_wherever(
    length: int, source_fails: int | None, work_fails: int | None, stops: int | None, depth: int
) -> None:
    source = Source(length, source_fails)

    def work(item: Item) -> int:
        if item.index == work_fails:
            raise FailureError(item.index)
        return item.index

    seen = []
    failed_at = None
    with staged(prefetch(source, depth), work, depth) as items:
        try:
            for index in items:
                if index == stops:
                    break
                seen.append(index)
        except FailureError as error:
            failed_at = error.args[0]
    ends = [p for p in (source_fails, work_fails, stops) if p is not None and p < length]
    assert seen == list(range(min([length, *ends])))
    failures = [p for p in (source_fails, work_fails) if p is not None and p < length]
    expected = min(failures, default=None)
    if expected is not None and stops is not None and stops < expected:
        expected = None
    assert failed_at == expected
    assert source.closed or source.made == 0
    assert stage_threads() == []


def test_an_error_of_the_consumer_stops_all_threads() -> None:
    source = Source(10_000)
    with (
        pytest.raises(FailureError),
        staged(prefetch(source, 2), lambda item: item, 2) as items,
    ):
        for item in items:
            if item.index == 5:
                raise FailureError
    assert source.closed
    assert stage_threads() == []


def test_a_stage_that_is_only_dropped_ends_too() -> None:
    source = Source(10_000)
    items: Stage[Item] | None = prefetch(source, 2)
    assert items is not None
    next(items)
    del items
    gc.collect()
    deadline = time.monotonic() + 5
    while not source.closed and time.monotonic() < deadline:
        time.sleep(0.01)
    assert source.closed


def test_the_end_stays_the_end() -> None:
    with prefetch([1], 1) as items:
        assert list(items) == [1]
        assert list(items) == []


def test_the_error_comes_once_then_the_end() -> None:
    with prefetch(Source(3, 1), 1) as items:
        next(items)
        with pytest.raises(FailureError):
            next(items)
        with pytest.raises(StopIteration):
            next(items)


def test_a_stop_iteration_in_the_work_is_not_the_end() -> None:
    def work(_: int) -> int:
        raise StopIteration

    with staged(range(3), work, 1) as items, pytest.raises(RuntimeError, match="StopIteration"):
        next(items)


def test_depth_must_be_one_or_more() -> None:
    with pytest.raises(ValueError, match="depth must be 1 or more"):
        prefetch([], 0)


def test_ctrl_c_while_waiting_does_not_hang() -> None:
    release = threading.Event()

    def slow() -> Iterator[int]:
        yield 0
        release.wait(20)

    with pytest.raises(KeyboardInterrupt), prefetch(slow(), 1) as items:
        next(items)
        main = threading.main_thread().ident
        assert main is not None
        threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT)).start()
        threading.Timer(0.3, release.set).start()
        next(items)
