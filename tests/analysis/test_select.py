"""Which faces are taken, in photos and over the tracks of a film."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sosie.analysis.select import MIN_FACE_PX, TrackSelector, select_faces
from sosie.analysis.track import TrackedFace
from sosie.errors import NoFaceError, UsageError
from sosie.types import Face, Pose


def face_at(x: float, size_px: float, y: float = 100) -> Face:
    box = np.array([x - size_px / 2, y - size_px / 2, x + size_px / 2, y + size_px / 2], np.float32)
    empty = np.zeros((478, 3), np.float32)
    return Face(box, np.zeros((5, 2), np.float32), empty, Pose(0, 0, 0), 1.0)


def tracked(
    track: int, x: float, size_px: float, scene: int = 0, prominence: float | None = None
) -> TrackedFace:
    area = size_px**2 if prominence is None else prominence
    return TrackedFace(track, scene, face_at(x, size_px), False, area)


def chosen(selector: TrackSelector, *faces: TrackedFace) -> list[int]:
    return [face.track for face in selector.choose(faces)]


def test_photo() -> None:
    faces = [face_at(50, 80), face_at(200, 120), face_at(400, 100)]
    assert select_faces(faces, "largest") == [faces[1]]
    assert select_faces(faces, "all") == faces
    assert select_faces(faces, "2,0") == [faces[2], faces[0]]
    assert select_faces(faces, "1,1") == [faces[1]]


def test_photo_without_the_face_asked_for() -> None:
    two = [face_at(50, 80), face_at(200, 120)]
    with pytest.raises(NoFaceError, match="Position 2 was asked for, but only 2 faces were found"):
        select_faces(two, "0,2")
    with pytest.raises(NoFaceError, match="Position 1 was asked for, but only 1 face was found"):
        select_faces(two[:1], "1")
    with pytest.raises(NoFaceError, match="No face was found"):
        select_faces([], "all")
    with pytest.raises(UsageError, match="positions from the left"):
        select_faces(two, "biggest")


def test_photo_with_faces_too_small() -> None:
    small, large = face_at(50, MIN_FACE_PX - 1), face_at(200, 90)
    assert select_faces([small, large], "all") == [large]
    for spec in ("largest", "all", "0"):
        with pytest.raises(NoFaceError, match="too small: 23 px, and at least 24 px"):
            select_faces([small], spec)
    with pytest.raises(NoFaceError, match="too small"):
        select_faces([small, large], "0")


def test_film_takes_all() -> None:
    selector = TrackSelector("all")
    assert chosen(selector, tracked(0, 50, 80), tracked(1, 90, 20), tracked(2, 300, 40)) == [0, 2]
    assert chosen(selector) == []


def test_largest_stays_with_a_person_through_a_scene() -> None:
    selector = TrackSelector("largest")
    assert chosen(selector, tracked(0, 50, 100), tracked(1, 300, 90)) == [0]
    # The other comes a little nearer: no change in the middle of a shot.
    assert chosen(selector, tracked(0, 50, 100), tracked(1, 300, 130)) == [0]
    # About to leave: the frames ahead without the face do not make the other one take over.
    assert chosen(selector, tracked(0, 50, 100, prominence=900), tracked(1, 300, 110)) == [0]
    assert chosen(selector, tracked(1, 300, 110)) == []
    # Back again, as a new track.
    assert chosen(selector, tracked(1, 300, 110), tracked(2, 60, 100)) == [2]
    assert chosen(selector, tracked(1, 300, 110), tracked(2, 60, 100)) == [2]
    # A new scene is a new choice.
    assert chosen(selector, tracked(3, 50, 60, 1), tracked(4, 300, 90, 1)) == [4]


def test_largest_yields_to_one_of_twice_the_area() -> None:
    selector = TrackSelector("largest")
    assert chosen(selector, tracked(0, 50, 40)) == [0]
    assert chosen(selector, tracked(0, 50, 40), tracked(1, 300, 50)) == [0]
    assert chosen(selector, tracked(0, 50, 40), tracked(1, 300, 90)) == [1]
    assert chosen(selector, tracked(0, 50, 45), tracked(1, 300, 80)) == [1]


def test_largest_counts_what_lies_ahead() -> None:
    selector = TrackSelector("largest")
    passing = tracked(0, 50, 150, prominence=1000)
    assert chosen(selector, passing, tracked(1, 300, 90)) == [1]


def test_positions_stay_with_people_who_cross() -> None:
    selector = TrackSelector("0")
    assert chosen(selector, tracked(7, 100, 80), tracked(5, 300, 80)) == [7]
    assert chosen(selector, tracked(7, 200, 80), tracked(5, 190, 80)) == [7]
    assert chosen(selector, tracked(7, 300, 80), tracked(5, 100, 80)) == [7]
    # Who comes later is not first, wherever they stand.
    assert chosen(selector, tracked(7, 300, 80), tracked(5, 100, 80), tracked(8, 20, 80)) == [7]


def test_free_position_goes_to_the_newcomer_nearest_to_it() -> None:
    selector = TrackSelector("1")
    assert chosen(selector, tracked(0, 100, 80), tracked(1, 300, 80), tracked(2, 500, 80)) == [1]
    assert chosen(selector, tracked(0, 100, 80)) == []
    assert chosen(selector, tracked(0, 100, 80), tracked(3, 490, 80)) == []
    assert chosen(selector, tracked(0, 100, 80), tracked(3, 490, 80), tracked(4, 280, 80)) == [4]


def test_positions_may_name_several_and_absent_ones() -> None:
    selector = TrackSelector("2,0")
    assert chosen(selector, tracked(0, 100, 80), tracked(1, 300, 80)) == [0]
    faces = (tracked(0, 100, 80), tracked(1, 300, 80), tracked(2, 50, 80))
    assert chosen(selector, *faces) == [2, 0]


def test_small_faces_of_a_film_are_left_alone() -> None:
    selector = TrackSelector("largest")
    tiny = replace(tracked(0, 50, MIN_FACE_PX - 4), bridged=True)
    assert chosen(selector, tiny) == []
