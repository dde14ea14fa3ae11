"""What is told from frame to frame, of pictures, points and tracks that are known."""

from __future__ import annotations

import math
from itertools import combinations

import cv2
import numpy as np
import pytest

from sosie.evaluation.metric import Missing
from sosie.evaluation.metrics.identity import VIDEO_IDENTITY, steadiness
from sosie.evaluation.metrics.temporal import (
    FALLBACK,
    FLICKER,
    JITTER,
    drift,
    flicker,
    is_untouched,
    jitter,
    ratio,
)
from sosie.evaluation.video_frames import Sights, TrackSeries, VideoSeries
from sosie.media.packet_list import Inventory, StreamPackets

SIDE = 96
NO_VIDEO = Inventory(StreamPackets("video", "h264", None, (), None, None), (), ())


@pytest.fixture(scope="module")
def texture() -> np.ndarray:
    """RGB noise of a few pixels' size, larger than what is looked at."""
    noise = np.random.default_rng(4).uniform(0, 255, (SIDE + 40, SIDE + 40, 3)).astype(np.float32)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 20, 200, cv2.NORM_MINMAX)


def view(texture: np.ndarray, x: int, y: int) -> np.ndarray:
    return texture[20 + y : 20 + y + SIDE, 20 + x : 20 + x + SIDE].round().astype(np.uint8)


def still(x: float = 0, y: float = 0) -> np.ndarray:
    return np.broadcast_to(np.float32([x, y]), (SIDE, SIDE, 2)).copy()


FACE = np.zeros((SIDE, SIDE), bool)
FACE[20:80, 20:80] = True


def test_motion_is_no_flicker(texture):
    # The camera goes 3 px to the right: what is at x was at x + 3.
    before, after = view(texture, 0, 0), view(texture, 3, -2)
    assert flicker(before, after, still(3, -2), FACE) == pytest.approx(0, abs=1e-6)
    assert flicker(before, after, still(), FACE) > 3


@pytest.mark.parametrize("step", [0, 1, 5, 12])
def test_a_change_of_light_is_flicker_of_its_size(texture, step):
    before = view(texture, 0, 0)
    after = np.where(FACE[..., None], before + np.uint8(step), before)
    assert flicker(before, after, still(), FACE) == pytest.approx(step)


def test_places_that_were_outside_the_picture_do_not_count(texture):
    before, after = view(texture, 0, 0), view(texture, 0, 0)
    after[:, :10] = 255
    whole = np.ones((SIDE, SIDE), bool)
    assert flicker(before, after, still(-10, 0), whole) == pytest.approx(
        flicker(before[:, :86], after[:, 10:], still()[:, :86], whole[:, :86])
    )
    assert np.isnan(flicker(before, after, still(500, 0), whole))


@pytest.fixture
def points(model_face) -> np.ndarray:
    return model_face(unit_px=20, center=(48, 48)).landmarks[:, :2]


def test_points_that_follow_the_motion_do_not_jitter(points):
    assert jitter(np.add(points, (4, 1)), points, still(4, 1), 160) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("step", [0.5, 2.0])
def test_jitter_is_the_step_that_is_not_the_motion(points, step):
    found = jitter(np.add(points, (4 + step, 1)), points, still(4, 1), 160)
    assert found == pytest.approx(100 * step / 160, rel=1e-4)


def test_drift_is_the_difference_of_two_motions():
    assert drift(still(3, 4), still(), FACE, 100) == pytest.approx(5)
    assert drift(still(3, 4), still(3, 4), FACE, 100) == 0
    assert np.isnan(drift(still(), still(), np.zeros_like(FACE), 100))
    mixed = np.where(FACE[..., None], still(1, 0), still(50, 0))
    assert drift(mixed, still(), FACE, 100) == pytest.approx(1)


@pytest.mark.parametrize(
    ("inside", "around", "is_own"),
    [(0, 0, True), (1.9, 0, True), (3, 0, False), (5, 2, True), (30, 20, False), (1, np.nan, True)],
)
def test_only_what_coding_explains_passes_for_untouched(inside, around, is_own):
    assert is_untouched(inside, around) is is_own


def series(**values: list[float]) -> VideoSeries:
    track = TrackSeries(0, 0)
    for place in range(len(next(iter(values.values())))):
        told = {name: one[place] for name, one in values.items()}
        track.add(place, place / 25, {"untouched": 0.0, "found": 1.0, **told}, 100.0)
    return VideoSeries(NO_VIDEO, NO_VIDEO, {0: track})


def test_figures_are_means_and_their_ratios():
    found = FLICKER.measure(series(flicker=[1, 2, 3], flicker_target=[1, 1, 1]))
    assert found == {
        "video_flicker": 2,
        "video_flicker_target": 1,
        "video_flicker_ratio": 2,
    }
    values = {"jitter": [0.2, 0.4], "jitter_target": [0.1, 0.1], "drift": [1, 3]}
    found = JITTER.measure(series(**values))
    assert found["video_jitter_ratio"] == pytest.approx(3)
    assert found["video_drift"] == 2


def test_a_ratio_to_nothing_is_not_told():
    assert isinstance(ratio(1.0, 0.0), Missing)
    assert isinstance(ratio(Missing("x"), 1.0), Missing)
    found = JITTER.measure(series(jitter=[0.2], jitter_target=[0.0]))
    assert isinstance(found["video_jitter_ratio"], Missing)
    assert isinstance(found["video_drift"], Missing)


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
    return VideoSeries(
        NO_VIDEO,
        NO_VIDEO,
        {one.track: one for one in tracks},
        networks=("sosie",),
    )


def test_frames_that_fell_back_are_counted():
    swapped = track(0, [0, 0, 1, 0, 0, 0, 0, 1, 0, 0])
    bystander = track(1, [1] * 10)
    found = FALLBACK.measure(video(swapped, bystander))
    assert found == {"video_fallback": pytest.approx(20), "video_lost": 0}


def test_where_nobody_was_swapped_the_most_prominent_face_counts():
    found = FALLBACK.measure(video(track(0, [1] * 4, area=10), track(1, [1] * 4, area=90)))
    assert found["video_fallback"] == 100
    assert isinstance(FALLBACK.measure(video())["video_fallback"], Missing)


def test_identity_is_the_mean_and_the_lowest_of_the_swapped_face():
    likeness = [0.1, *[0.5] * 38, 0.9]
    made = track(0, [0] * 40, identity_source=likeness, identity_target=[0.2] * 40)
    found = VIDEO_IDENTITY.measure(video(made))
    assert found["video_identity_source"] == pytest.approx(0.5)
    assert found["video_identity_low"] == pytest.approx(np.quantile(likeness, 0.05))
    assert found["video_identity_target"] == pytest.approx(0.2)


def test_without_a_source_the_reason_says_so():
    made = VideoSeries(
        NO_VIDEO,
        NO_VIDEO,
        {0: track(0, [0, 0], identity_target=[0.1, 0.2])},
    )
    found = VIDEO_IDENTITY.measure(made)
    assert found["video_identity_source"] == Missing("No source photo was named: give --source.")
    assert found["video_identity_target"] == pytest.approx(0.15)
