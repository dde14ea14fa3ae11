"""A track's identity from a few sights: how often it is looked at, what bad looks do, and what
happens when a track has gone over to somebody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sosie.analysis.tracking.embeddings import Sight, TrackIdentities, clarity, mean_identity
from sosie.analysis.tracking.smoothing import neighborhood
from sosie.analysis.tracking.tracker import Follower, Pace, Trail
from sosie.types import Face

FPS, LOOKAHEAD = 25, 20
Vector = NDArray[np.float32]


def person(number: int, noise: float = 0.0, seed: int = 0) -> Vector:
    """An identity: one of several that are at right angles, with some noise."""
    vector = np.zeros(512, np.float32)
    vector[number] = 1
    vector += noise * np.random.default_rng(seed).normal(0, 1 / np.sqrt(512), 512)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class Told:
    """Tracks and identities that are told, frame by frame."""

    def __init__(self, least_px: float = 24) -> None:
        self.follower = Follower(self, Pace.of(FPS))  # type: ignore[arg-type]
        self.identities = TrackIdentities(self, FPS, least_px)  # type: ignore[arg-type]
        self.looks: list[int] = []
        self._answers: dict[tuple[float, float], Vector] = {}
        self._trails: dict[int, Trail] = {}
        self._index = -1

    def identify(self, pixels: NDArray[np.uint8], face: Face) -> Vector:
        self.looks.append(self._index)
        return self._answers[face.center]

    def show(self, *faces: tuple[int, Face, Vector]) -> None:
        """The next frame: for each trail in sight its first number, its face, and whose it is."""
        self._index += 1
        self._answers = {face.center: identity for _, face, identity in faces}
        for number, face, _ in faces:
            if number not in self._trails:
                look, around = np.ones(3, np.float32), neighborhood(face.landmarks)
                self._trails[number] = Trail(number, 0, self._index, self._index, look, around)
                self.follower.trails.append(self._trails[number])
                self.follower._next_number = max(self.follower._next_number, number + 1)
            self._trails[number].see(self._index, face, 1.0)
        frame = np.full((240, 320, 3), 90, np.uint8)
        self.identities.look(self._index, frame, self.follower, self._index - LOOKAHEAD)
        # A trail that was parted goes on as the new one.
        for number, face, _ in faces:
            (going,) = (t for t in self.follower.trails if t.seen.get(self._index) is face)
            self._trails[number] = going


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def face(model_face: Callable[..., Face]) -> Callable[..., Face]:
    def make(x: float = 100, size_px: float = 120, **pose: float) -> Face:
        return model_face(unit_px=size_px / 3.2, center=(x, 120), **pose)

    return make


def test_a_steady_face_is_looked_at_a_few_times_and_never_again(told: Told, face: Any) -> None:
    for index in range(300):
        told.show((0, face(100 + 0.1 * index), person(0)))
    assert 3 <= len(told.looks) <= 6
    assert told.looks[0] == 0
    # All within what a video knows ahead, so that the first frame is decided by all of them.
    assert told.looks[-1] <= LOOKAHEAD
    assert told.identities.of(0) @ person(0) == pytest.approx(1)


def test_a_face_that_becomes_clearer_is_looked_at_again_and_the_clear_looks_count(
    told: Told, face: Any
) -> None:
    vague = (0.25 * person(0) + 0.97 * person(7)).astype(np.float32)
    for _ in range(60):
        told.show((0, face(yaw=60), vague))
    turned_looks = len(told.looks)
    assert told.identities.of(0) @ person(0) < 0.3
    for _ in range(60):
        told.show((0, face(yaw=5), person(0)))
    assert turned_looks + 3 <= len(told.looks) <= turned_looks + 8
    assert told.identities.of(0) @ person(0) > 0.95


def test_a_first_bad_look_does_not_decide(told: Told, face: Any) -> None:
    told.show((0, face(), person(9)))
    for index in range(LOOKAHEAD):
        told.show((0, face(), person(0, noise=0.6, seed=index)))
    assert told.identities.of(0) @ person(0) > 0.9


def test_small_faces_are_not_looked_at_until_they_grow(told: Told, face: Any) -> None:
    for index in range(60):
        told.show((0, face(size_px=15 + 0.25 * index), person(0)))
        if index < 30:
            assert told.identities.of(0) is None
    assert told.looks
    assert min(told.looks) >= 32
    assert told.identities.of(0) @ person(0) > 0.99


def test_what_is_not_kept_is_forgotten(told: Told, face: Any) -> None:
    told.show((0, face(80), person(0)), (1, face(240), person(1)))
    told.identities.keep([1])
    assert told.identities.of(0) is None
    assert told.identities.of(1) @ person(1) > 0.99


# Tracks that go over to somebody else.


def test_a_track_that_jumps_to_another_person_is_parted_where_it_jumped(
    told: Told, face: Any
) -> None:
    for _ in range(40):
        told.show((0, face(100), person(0)))
    for _ in range(10):
        told.show((0, face(260, size_px=80), person(1)))
    old, new = told.follower.trails
    assert (old.number, old.last) == (0, 39)
    assert (new.number, new.first) == (1, 40)
    assert set(new.seen) == set(range(40, 50))
    # Known by then, and soon enough for the frames that are not yet handed out.
    assert max(told.looks) - 40 < LOOKAHEAD / 2
    assert told.identities.of(0) @ person(0) > 0.99
    assert told.identities.of(1) @ person(1) > 0.99


def test_a_person_who_leaps_or_is_gone_for_a_moment_stays_one_track(told: Told, face: Any) -> None:
    for _ in range(40):
        told.show((0, face(100), person(0)))
    for _ in range(20):
        told.show((0, face(240), person(0, noise=0.6)))
    for _ in range(5):
        told.show()
    before = len(told.looks)
    for _ in range(20):
        told.show((0, face(240), person(0, noise=0.6, seed=1)))
    assert len(told.looks) == before + 1
    assert [trail.number for trail in told.follower.trails] == [0]
    assert told.identities.of(0) @ person(0) > 0.9


def test_one_strange_look_after_a_leap_changes_nothing(told: Told, face: Any) -> None:
    for _ in range(40):
        told.show((0, face(100), person(0)))
    told.show((0, face(240), person(5)))
    for _ in range(20):
        told.show((0, face(240), person(0)))
    assert [trail.number for trail in told.follower.trails] == [0]
    assert told.identities.of(0) @ person(0) > 0.99


def test_two_who_cross_and_change_tracks_are_parted_when_they_are_clear_again(
    told: Told, face: Any
) -> None:
    # They cross, and each track turns round with the other's face.
    for step in range(60):
        way = 3 * min(step, 60 - step)
        ahead = step < 30
        told.show(
            (0, face(60 + way), person(0 if ahead else 1)),
            (1, face(261 - way), person(1 if ahead else 0)),
        )
    assert [trail.number for trail in told.follower.trails] == [0, 1, 2, 3]
    for trail in told.follower.trails:
        (who,) = np.flatnonzero(told.identities.of(trail.number) > 0.9)
        left = np.mean([face.center[0] for face in trail.seen.values()]) < 160
        assert who == (0 if left == (trail.number < 2) else 1)
        # Not before they met, and not long after they were apart.
        assert trail.number < 2 or 30 <= trail.first <= 50


def test_a_trail_of_which_nothing_older_is_left_is_replaced_by_the_parted_one(
    told: Told, face: Any
) -> None:
    for _ in range(40):
        told.show((0, face(100), person(0)))
    told.follower.trails[0].forget(40)
    for _ in range(10):
        told.show((0, face(260, size_px=80), person(1)))
    assert [trail.number for trail in told.follower.trails] == [1]


# Clarity and the mean.


def test_clarity_falls_with_distance_and_turning(face: Any) -> None:
    clear = clarity(face(size_px=140))
    assert 0.8 < clear <= 1
    assert clarity(face(size_px=400)) == pytest.approx(clear, abs=0.02)
    assert clarity(face(size_px=56)) == pytest.approx(clear / 2, rel=0.1)
    for pose in ({"yaw": 50}, {"yaw": -50}, {"pitch": 45}):
        assert clarity(face(size_px=140, **pose)) < 0.6 * clear
    # A head that is only tilted is seen as well as an upright one.
    assert clarity(face(size_px=140, roll=40)) > 0.9 * clear


def test_the_mean_leans_to_clear_and_agreeing_looks() -> None:
    looks = [Sight(0.9, person(0, 0.5, seed)) for seed in range(3)]
    mean = mean_identity([*looks, Sight(0.9, person(3))])
    assert np.linalg.norm(mean) == pytest.approx(1, abs=1e-5)
    assert mean.dtype == np.float32
    assert mean @ person(0) > 0.9
    assert abs(mean @ person(3)) < 0.1
    two = mean_identity([Sight(0.9, person(0)), Sight(0.1, person(1))])
    assert two @ person(0) > 0.95
