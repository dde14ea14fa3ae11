"""Which frame of a result stands for which of the target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.evaluation.video_frames import FramePair, Pairing

STEP = 0.04


@dataclass(frozen=True)
class At:
    """A frame that shows nothing but its number."""

    index: int
    time_s: float

    def to_rgb(self):
        return np.full((2, 2, 3), self.index, np.uint8)


def frames(numbers, shift_s=0.0):
    return [At(place, number * STEP + shift_s) for place, number in enumerate(numbers)]


def paired(target, result, in_order=False):
    pairing = Pairing(in_order, STEP)
    return pairing, list(pairing.pairs(target, result))


def shown(pairs: list[FramePair]) -> list[int | None]:
    return [None if pair.result is None else pair.result.index for pair in pairs]


@pytest.mark.parametrize("in_order", [True, False])
def test_whole_videos_are_paired_one_by_one(in_order):
    pairing, pairs = paired(frames(range(6)), frames(range(6)), in_order)
    assert shown(pairs) == list(range(6))
    assert (pairing.missing, pairing.added) == (0, 0)
    assert pairing.apart_ms == [0] * 6
    assert (pairs[3].to_rgb() == 3).all()


def test_a_dropped_frame_is_noticed_where_it_was():
    pairing, pairs = paired(frames(range(6)), frames([0, 1, 2, 4, 5]))
    assert shown(pairs) == [0, 1, 2, None, 3, 4]
    assert (pairing.missing, pairing.added) == (1, 0)


def test_a_frame_too_many_is_noticed():
    pairing, pairs = paired(frames(range(6)), frames([0, 1, 2, 2.4, 3, 4, 5]))
    assert shown(pairs) == [0, 1, 2, 4, 5, 6]
    assert (pairing.missing, pairing.added) == (0, 1)


def test_a_video_that_goes_on_has_frames_too_many():
    pairing, _ = paired(frames(range(3)), frames(range(5)))
    assert (pairing.missing, pairing.added) == (0, 2)
    in_order, _ = paired(frames(range(3)), frames(range(5)), in_order=True)
    assert (in_order.missing, in_order.added) == (0, 2)


def test_a_video_that_ends_early_lacks_frames():
    pairing, pairs = paired(frames(range(5)), frames(range(3)))
    assert shown(pairs) == [0, 1, 2, None, None]
    assert (pairing.missing, pairing.added) == (2, 0)


def test_a_shift_is_told_in_milliseconds():
    pairing, pairs = paired(frames(range(4)), frames(range(4), 0.1), in_order=True)
    assert shown(pairs) == [0, 1, 2, 3]
    assert pairing.apart_ms == pytest.approx([100] * 4)


@given(st.sets(st.integers(0, 30), min_size=1), st.sets(st.integers(0, 30), min_size=1))
def test_no_frame_is_lost_from_the_count(target, result):
    pairing, pairs = paired(frames(sorted(target)), frames(sorted(result)))
    found = [number for number in shown(pairs) if number is not None]
    assert len(pairs) == len(target)
    assert len(set(found)) == len(found) == len(target & result)
    assert pairing.missing == len(target - result)
    assert pairing.added == len(result - target)
