"""Steadiness against the mean over all pairs, and which tracks of a video count."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from sosie.evaluation.metric import Missing
from sosie.evaluation.metrics.identity import VIDEO_IDENTITY, steadiness
from sosie.evaluation.metrics.temporal import FALLBACK
from sosie.evaluation.video_series import Sights, TrackSeries, VideoSeries
from sosie.media.packet_list import Inventory, StreamPackets

NO_VIDEO = Inventory(StreamPackets("video", "h264", None, (), None, None), (), ())


def unit(rng: np.random.Generator) -> np.ndarray:
    vector = rng.normal(size=16)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def sights(vectors) -> Sights:
    found = Sights()
    for vector in vectors:
        found.add(vector)
    return found


def test_likeness_is_the_mean_over_all_pairs():
    rng = np.random.default_rng(0)
    vectors = [unit(rng) for _ in range(7)]
    by_hand = np.mean([one @ other for one, other in combinations(vectors, 2)])
    assert sights(vectors).likeness == pytest.approx(by_hand, abs=1e-6)
    assert sights(vectors[:1] * 5).likeness == pytest.approx(1, abs=1e-6)
    assert math.isnan(sights(vectors[:1]).likeness)


def test_steadiness_weighs_tracks_by_their_pairs():
    rng = np.random.default_rng(1)
    steady, changing = [unit(rng)] * 4, [unit(rng) for _ in range(3)]
    found = steadiness([sights(steady), sights(changing), sights(steady[:1])])
    assert found == pytest.approx((6 * 1 + 3 * sights(changing).likeness) / 9, abs=1e-6)
    assert steadiness([sights(steady[:1])]) == Missing(
        "The face was described on fewer than two frames."
    )


def track(number: int, untouched: list[float], area: float = 100.0, **values) -> TrackSeries:
    made = TrackSeries(number, 0)
    for place, own in enumerate(untouched):
        told = {name: one[place] for name, one in values.items()}
        made.add(place, place / 25, {"untouched": own, "found": 1.0, **told}, area)
    return made


def video(*tracks: TrackSeries) -> VideoSeries:
    return VideoSeries(NO_VIDEO, NO_VIDEO, {one.track: one for one in tracks}, networks=("sosie",))


def test_frames_that_fell_back_are_counted():
    swapped = track(0, [0, 0, 1, 0, 0, 0, 0, 1, 0, 0])
    bystander = track(1, [1] * 10)
    found = FALLBACK.measure(video(swapped, bystander))
    assert found == {"film_fallback": pytest.approx(20), "film_lost": 0}


def test_where_nobody_was_swapped_the_most_prominent_face_counts():
    found = FALLBACK.measure(video(track(0, [1] * 4, area=10), track(1, [1] * 4, area=90)))
    assert found["film_fallback"] == 100
    assert isinstance(FALLBACK.measure(video())["film_fallback"], Missing)


def test_identity_is_the_mean_and_the_lowest_of_the_swapped_face():
    likeness = [0.1, *[0.5] * 38, 0.9]
    made = track(0, [0] * 40, identity_source=likeness, identity_target=[0.2] * 40)
    found = VIDEO_IDENTITY.measure(video(made))
    assert found["film_identity_source"] == pytest.approx(0.5)
    assert found["film_identity_low"] == pytest.approx(np.quantile(likeness, 0.05))
    assert found["film_identity_target"] == pytest.approx(0.2)


def test_without_a_source_the_reason_says_so():
    made = VideoSeries(NO_VIDEO, NO_VIDEO, {0: track(0, [0, 0], identity_target=[0.1, 0.2])})
    found = VIDEO_IDENTITY.measure(made)
    assert found["film_identity_source"] == Missing("No source photo was named: give --source.")
    assert found["film_identity_target"] == pytest.approx(0.15)
