"""Busy time by stage. The clock is the test's own, so that figures are exact."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from sosie import timing
from sosie.timing import Stopwatch


@pytest.fixture
def pass_s(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets that many seconds pass."""
    now = [100.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def test_stages_add_up_and_total_is_the_clock(pass_s: Callable[[float], None]) -> None:
    watch = Stopwatch()
    with watch("swap"):
        pass_s(1.5)
    pass_s(4)
    with watch("swap"):
        pass_s(0.25)
    watch.add("compose", 3)
    assert watch.elapsed_s == 5.75
    assert watch.report() == {"swap": 1.75, "compose": 3.0, "total": 5.75}


def test_a_stage_that_raises_is_counted_too(pass_s: Callable[[float], None]) -> None:
    watch = Stopwatch()
    with pytest.raises(KeyError), watch("analysis"):
        pass_s(2)
        raise KeyError
    assert watch.report()["analysis"] == 2


def test_only_the_making_of_items_is_timed(pass_s: Callable[[float], None]) -> None:
    def made() -> Iterator[int]:
        for number in range(3):
            pass_s(2)
            yield number
        pass_s(1)

    watch = Stopwatch()
    seen = []
    for number in watch.timed("decode", made()):
        seen.append(number)
        pass_s(100)
    assert seen == [0, 1, 2]
    assert watch.report()["decode"] == 7


def test_time_spent_waiting_for_another_stage_is_taken_off(
    pass_s: Callable[[float], None],
) -> None:
    def decoded() -> Iterator[int]:
        for number in range(4):
            pass_s(3)
            yield number

    watch = Stopwatch()

    def analyzed() -> Iterator[int]:
        for number in watch.timed("waited", decoded()):
            pass_s(2)
            yield number

    assert list(watch.timed("analysis", analyzed(), without="waited")) == [0, 1, 2, 3]
    assert watch.report() == {"analysis": 8.0, "total": 20.0}


def test_an_early_end_closes_what_is_timed(pass_s: Callable[[float], None]) -> None:
    closed = []

    def made() -> Iterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    watch = Stopwatch()
    items = watch.timed("decode", made())
    assert next(items) == 1
    items.close()
    assert closed == [True]


def test_errors_of_what_is_timed_come_through() -> None:
    def made() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(Stopwatch().timed("decode", made()))


def test_a_negative_rest_is_reported_as_nothing() -> None:
    watch = Stopwatch()
    watch.add("swap", -1)
    assert watch.report()["swap"] == 0


def test_threads_add_without_loss() -> None:
    watch = Stopwatch()

    def work() -> None:
        for _ in range(2000):
            watch.add("swap", 1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert watch.report()["swap"] == 16000
