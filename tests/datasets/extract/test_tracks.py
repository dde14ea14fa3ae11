"""Tracks of a video: who goes on with whom, and which pictures of each are kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from sosie.datasets.extract.tracks import Linker, Thinner, bits_apart

RNG = np.random.default_rng(0)
ANNA, BO, CY = (v / np.linalg.norm(v) for v in RNG.normal(size=(3, 512)).astype(np.float32))


def face(x, identity, size=100.0):
    """A face of that size with its middle at (x, 0), as far as linking looks at it."""
    noisy = identity + RNG.normal(size=512).astype(np.float32) * 0.02
    seen = SimpleNamespace(center=(float(x), 0.0), size_px=size)
    return SimpleNamespace(face=seen, identity=np.float32(noisy / np.linalg.norm(noisy)))


def test_faces_are_followed_by_place_and_identity():
    linker = Linker()
    assert linker.link(0, 0.0, [face(0, ANNA), face(300, BO)]) == [0, 1]
    assert linker.link(0, 0.2, [face(20, ANNA), face(280, BO)]) == [0, 1]
    # They pass one another: the order in the frame turns round, the people do not.
    assert linker.link(0, 0.4, [face(130, BO), face(160, ANNA)]) == [1, 0]
    assert linker.link(0, 0.6, [face(20, BO), face(280, ANNA)]) == [1, 0]


def test_another_person_in_the_same_place_is_another_track():
    linker = Linker()
    assert linker.link(0, 0.0, [face(0, ANNA)]) == [0]
    assert linker.link(0, 0.2, [face(0, BO)]) == [1]
    assert linker.link(0, 0.4, [face(0, ANNA), face(400, CY)]) == [0, 2]


def test_no_track_spans_a_cut_or_a_long_absence():
    linker = Linker()
    assert linker.link(0, 0.0, [face(0, ANNA)]) == [0]
    assert linker.link(1, 0.2, [face(0, ANNA)]) == [1]
    assert linker.link(1, 0.9, []) == []
    assert linker.link(1, 1.1, [face(0, ANNA)]) == [1]
    assert linker.link(1, 2.5, [face(0, ANNA)]) == [2]
    assert linker.alive == {2}


def test_a_face_neither_leaps_nor_grows_at_once():
    linker = Linker()
    assert linker.link(0, 0.0, [face(0, ANNA)]) == [0]
    assert linker.link(0, 0.2, [face(900, ANNA)]) == [1]
    assert linker.link(0, 0.4, [face(900, ANNA, size=250)]) == [2]


def test_a_linker_goes_on_from_what_was_written_down():
    frames = [[face(30 * k, ANNA), face(500 - 20 * k, BO)] for k in range(20)]
    whole = Linker()
    expected = [whole.link(0, k / 5, faces) for k, faces in enumerate(frames)]
    first = Linker()
    begun = [first.link(0, k / 5, faces) for k, faces in enumerate(frames[:9])]
    second = Linker.restore(json.loads(json.dumps(first.state())))
    rest = [second.link(0, k / 5, faces) for k, faces in enumerate(frames[9:], 9)]
    assert begun + rest == expected
    assert second.state() == whole.state()


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
