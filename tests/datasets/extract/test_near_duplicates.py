from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from sosie.datasets.extract.near_duplicates import Thinner, bits_apart


@dataclass(frozen=True)
class Picture:
    phash: int = 0
    clarity: float = 0.5
    rejected: str = ""


def test_the_clearest_of_a_while_is_kept():
    thinner = Thinner(2.0, 0)
    best = Picture(clarity=0.9)
    for picture in (Picture(clarity=0.3), best, Picture(clarity=0.7)):
        thinner.offer(3, picture)
    thinner.offer(1, Picture())
    assert thinner.flush() == [(1, Picture()), (3, best)]
    assert thinner.thinned == 2
    assert thinner.flush() == []


def test_a_good_picture_is_better_than_a_clearer_rejected_one():
    thinner = Thinner(2.0, 0)
    good = Picture(clarity=0.1)
    thinner.offer(0, Picture(clarity=0.9, rejected="blurred"))
    thinner.offer(0, good)
    assert thinner.flush() == [(0, good)]


def test_whiles_are_counted_in_time():
    thinner = Thinner(2.0, 0)
    assert [thinner.window(0, time_s) for time_s in (0, 0.49, 0.5, 1.2)] == [0, 0, 1, 2]
    assert Thinner(None, 0).window(17, 0.1) == 17


def kept(thinner, pictures, track=0):
    taken = []
    for picture in pictures:
        thinner.offer(track, picture)
        taken += [one for _, one in thinner.flush()]
    return taken


def test_near_identical_pictures_are_left_out():
    pictures = [Picture(0b0), Picture(0b1), Picture(0b111), Picture(0b11), Picture(0b111111)]
    thinner = Thinner(None, 3)
    assert kept(thinner, pictures) == [pictures[0], pictures[2], pictures[4]]
    assert thinner.thinned == 2
    # Another track has pictures of its own, and a rejected picture stands in for no good one.
    assert kept(thinner, pictures[:1], track=1) == pictures[:1]
    assert kept(thinner, [Picture(0b1, rejected="blurred"), Picture(2**60 - 1)]) != []
    assert len(kept(Thinner(None, 3), [Picture(0, rejected="blurred"), Picture(0)])) == 2


def test_nothing_is_left_out_without_a_distance():
    assert len(kept(Thinner(None, 0), [Picture()] * 5)) == 5


def test_a_thinner_goes_on_from_what_was_written_down():
    pictures = [Picture(7**k % 2**64) for k in range(40)]
    whole = Thinner(None, 20)
    expected = kept(whole, pictures)
    for stop in (1, 9, 30):
        first = Thinner(None, 20)
        taken = kept(first, pictures[:stop])
        second = Thinner(None, 20)
        second.restore(json.loads(json.dumps(first.state())))
        assert taken + kept(second, pictures[stop:]) == expected
        assert second.thinned == whole.thinned


def test_tracks_that_are_over_are_forgotten():
    thinner = Thinner(None, 1)
    kept(thinner, [Picture(1)], track=0)
    kept(thinner, [Picture(1)], track=1)
    thinner.keep({1})
    assert kept(thinner, [Picture(1)], track=0) == [Picture(1)]
    assert kept(thinner, [Picture(1)], track=1) == []


@pytest.mark.parametrize(("a", "b", "bits"), [(0, 0, 0), (0, 2**64 - 1, 64), (5, 6, 2)])
def test_bits_apart(a, b, bits):
    assert bits_apart(a, b) == bits
