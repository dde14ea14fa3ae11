"""Which faces are taken, in photos and over the tracks of a video."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sosie.analysis.selection import (
    MIN_FACE_PX,
    SAME_PERSON,
    PeopleSelector,
    TrackSelector,
    match_people,
    select_faces,
)
from sosie.analysis.tracking.tracks import TrackedFace
from sosie.errors import NoFaceError, UsageError
from sosie.types import Face, Pose

PHOTO = np.zeros((300, 600, 3), np.uint8)


def face_at(x: float, size_px: float, y: float = 100) -> Face:
    box = np.array([x - size_px / 2, y - size_px / 2, x + size_px / 2, y + size_px / 2], np.float32)
    empty = np.zeros((478, 3), np.float32)
    return Face(box, np.zeros((5, 2), np.float32), empty, Pose(0, 0, 0), 1.0)


def tracked(
    track: int, x: float, size_px: float, scene: int = 0, prominence: float | None = None
) -> TrackedFace:
    area = size_px**2
    return TrackedFace(
        track, scene, face_at(x, size_px), False, area, area if prominence is None else prominence
    )


def chosen(selector: TrackSelector, *faces: TrackedFace) -> list[int]:
    return [face.track for face in selector.choose(faces)]


def test_photo() -> None:
    faces = [face_at(50, 80), face_at(200, 120), face_at(400, 100)]
    assert select_faces(faces, "largest", PHOTO) == [faces[1]]
    assert select_faces(faces, "all", PHOTO) == faces
    assert select_faces(faces, "2,0", PHOTO) == [faces[2], faces[0]]
    assert select_faces(faces, "1,1", PHOTO) == [faces[1]]


def test_of_a_face_that_the_edge_cuts_counts_what_is_seen() -> None:
    cut, whole = face_at(0, 120), face_at(300, 100)
    assert cut.shown_area(PHOTO) == pytest.approx(60.5 * 120)
    assert whole.shown_area(PHOTO) == pytest.approx(100 * 100)
    assert select_faces([cut, whole], "largest", PHOTO) == [whole]
    assert face_at(700, 120).shown_area(PHOTO) == 0


def test_photo_without_the_face_asked_for() -> None:
    two = [face_at(50, 80), face_at(200, 120)]
    with pytest.raises(NoFaceError, match="Position 2 was asked for, but only 2 faces were found"):
        select_faces(two, "0,2", PHOTO)
    with pytest.raises(NoFaceError, match="Position 1 was asked for, but only 1 face was found"):
        select_faces(two[:1], "1", PHOTO)
    with pytest.raises(NoFaceError, match="No face was found"):
        select_faces([], "all", PHOTO)
    with pytest.raises(UsageError, match="positions from the left"):
        select_faces(two, "biggest", PHOTO)


def test_photo_with_faces_too_small() -> None:
    small, large = face_at(50, MIN_FACE_PX - 1), face_at(200, 90)
    assert select_faces([small, large], "all", PHOTO) == [large]
    for spec in ("largest", "all", "0"):
        with pytest.raises(NoFaceError, match="too small: 23 px, and at least 24 px"):
            select_faces([small], spec, PHOTO)
    with pytest.raises(NoFaceError, match="too small"):
        select_faces([small, large], "0", PHOTO)


def test_video_takes_all() -> None:
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


def test_small_faces_of_a_video_are_left_alone() -> None:
    selector = TrackSelector("largest")
    tiny = replace(tracked(0, 50, MIN_FACE_PX - 4), bridged=True)
    assert chosen(selector, tiny) == []


# By identity.


def identity(*shares: float) -> np.ndarray:
    """Unit length, with the given cosines to the first few of `PEOPLE`."""
    vector = np.zeros(512, np.float32)
    vector[: len(shares)] = shares
    vector[100] = np.sqrt(1 - np.square(shares).sum())
    return vector


PEOPLE = [identity(1.0), identity(0.0, 1.0)]
LOW, HIGH = SAME_PERSON - 0.1, SAME_PERSON + 0.2


def known(track: int, *shares: float, size_px: float = 80, scene: int = 0) -> TrackedFace:
    return replace(tracked(track, 100, size_px, scene), identity=identity(*shares))


def claims(selector: PeopleSelector, *faces: TrackedFace) -> dict[int, int]:
    return {claim.face.track: claim.person for claim in selector.choose(faces)}


def test_photo_gives_each_person_the_most_alike_face() -> None:
    faces = [identity(LOW, 0.1), identity(0.5, 0.6), identity(0.7, 0.65), identity(0.1, 0.5)]
    matches, best = match_people(faces, PEOPLE)
    assert [(match.face, match.person) for match in matches] == [(1, 1), (2, 0)]
    assert [match.similarity for match in matches] == pytest.approx([0.6, 0.7])
    assert best == pytest.approx([0.7, 0.65])
    assert match_people(faces[:1], PEOPLE) == ([], pytest.approx([LOW, 0.1]))
    assert match_people([], PEOPLE) == ([], [None, None])


def test_the_threshold_divides_the_person_from_strangers() -> None:
    assert match_people([identity(SAME_PERSON + 1e-3)], PEOPLE)[0]
    assert not match_people([identity(SAME_PERSON - 1e-3)], PEOPLE)[0]


def test_video_takes_nobody_whose_identity_is_not_known_or_unlike() -> None:
    selector = PeopleSelector(PEOPLE)
    assert claims(selector) == {}
    assert claims(selector, tracked(0, 50, 80)) == {}
    assert selector.best == [None, None]
    assert claims(selector, tracked(0, 50, 80), known(1, LOW, 0.1)) == {}
    assert selector.best == pytest.approx([LOW, 0.1])
    assert claims(selector, known(1, LOW, 0.1), known(2, 0.1, 0.7)) == {2: 1}
    (claim,) = selector.choose([known(2, 0.1, 0.7)])
    assert claim.similarity == pytest.approx(0.7)


def test_video_decision_does_not_flip() -> None:
    """A similarity that wavers about the threshold makes one change at most."""
    selector = PeopleSelector(PEOPLE)
    wavering = SAME_PERSON + 0.04 * np.cos(np.arange(40))
    decided = [claims(selector, known(0, float(value))) == {0: 0} for value in wavering]
    assert decided[0]
    assert all(decided)
    # Clearly somebody else after all: given up, and for good.
    assert claims(selector, known(0, LOW)) == {}
    assert claims(selector, known(0, HIGH)) == {}
    # In another track the person is found again.
    assert claims(selector, known(1, HIGH)) == {1: 0}


def test_video_person_is_one_face_of_a_frame_and_the_more_alike_one_wins() -> None:
    selector = PeopleSelector(PEOPLE)
    assert claims(selector, known(0, 0.5), known(1, 0.7)) == {1: 0}
    assert claims(selector, known(0, 0.72), known(1, 0.7)) == {1: 0}
    # By more than a hair: then the first one was wrong.
    assert claims(selector, known(0, 0.9), known(1, 0.7)) == {0: 0}
    assert claims(selector, known(0, 0.75), known(1, 0.9)) == {0: 0}
    # Whoever lost does not come back when the winner leaves.
    assert claims(selector, known(1, 0.9)) == {}


def test_video_people_who_return_after_a_gap_or_a_cut_are_found_again() -> None:
    selector = PeopleSelector(PEOPLE)
    assert claims(selector, known(0, 0.6), known(1, 0.1, 0.6)) == {0: 0, 1: 1}
    assert claims(selector, known(1, 0.1, 0.6)) == {1: 1}
    assert claims(selector, known(1, 0.1, 0.6), known(2, 0.7)) == {1: 1, 2: 0}
    assert claims(selector, known(3, 0.1, 0.5, scene=1), known(4, 0.5, scene=1)) == {3: 1, 4: 0}


def test_video_face_is_one_person_only() -> None:
    selector = PeopleSelector([identity(1.0), identity(0.25, 0.968)])
    ((track, person),) = claims(selector, known(0, 0.7, 0.5)).items()
    assert (track, person) == (0, 0)


def test_video_small_faces_keep_their_person_but_are_left_alone() -> None:
    selector = PeopleSelector(PEOPLE)
    assert claims(selector, known(0, 0.6, size_px=MIN_FACE_PX - 4), known(1, 0.5)) == {}
    assert claims(selector, known(0, 0.6, size_px=MIN_FACE_PX + 4), known(1, 0.5)) == {0: 0}
