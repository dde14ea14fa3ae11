"""Videos with two people, chosen by identity: whoever was not chosen keeps every pixel, and each of
the others gets their own source, through a crossing, a cut and a time out of sight."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sosie.analysis.analyzer import create_analyzer
from sosie.errors import NoFaceError
from sosie.geometry import mesh
from sosie.geometry.alignment import fill_polygon
from sosie.options import SwapOptions
from sosie.pipeline import FaceSwapper
from sosie.types import Face

FACE_PX = 80.0
Place = tuple[str, float, float]


class Stage:
    """Draws the two portraits' heads, cut out as ovals; the last one drawn is in front."""

    def __init__(self, studio: Any, people: dict[str, tuple[np.ndarray, Face]]) -> None:
        self._studio = studio
        self._people = people

    def video(self, path: Path, frames: Iterable[tuple[int, list[Place]]]) -> Path:
        """Each frame: seed of its background, and who is where."""
        return self._studio.write(path, (self.draw(seed, places) for seed, places in frames))

    def draw(self, seed: int, places: list[Place]) -> np.ndarray:
        frame = self._studio.background(seed)
        size = (frame.shape[1], frame.shape[0])
        for name, x, y in places:
            portrait, face = self._people[name]
            matrix = self._matrix(face, x, y)
            blurred = cv2.GaussianBlur(portrait, (0, 0), 0.5 / matrix[0, 0])
            oval = np.zeros(portrait.shape[:2], np.float32)
            axes = (round(0.62 * face.size_px), round(0.8 * face.size_px))
            cv2.ellipse(oval, np.round(face.center).astype(int), axes, 0, 0, 360, 1.0, -1)
            alpha = cv2.warpAffine(oval, matrix, size)[..., None]
            drawn = cv2.warpAffine(blurred, matrix, size, flags=cv2.INTER_LINEAR)
            frame = np.rint(alpha * drawn + (1 - alpha) * frame).astype(np.uint8)
        return frame

    def face(self, name: str, x: float, y: float, grow: float = 1.0) -> np.ndarray:
        """bool: the inside of a face's outline, or of the same outline larger or smaller."""
        face = self._people[name][1]
        outline = face.landmarks[list(mesh.OVAL), :2] - face.center
        outline = outline * FACE_PX / face.size_px * grow + (x, y)
        size = (self._studio.WIDTH, self._studio.HEIGHT)
        return fill_polygon(outline, *size, antialiased=False) > 0

    def _matrix(self, face: Face, x: float, y: float) -> np.ndarray:
        scale = FACE_PX / face.size_px
        cx, cy = face.center
        return np.array([[scale, 0, x - scale * cx], [0, scale, y - scale * cy]])


@pytest.fixture(scope="module")
def stage(studio: Any, astronaut: np.ndarray, hopper: np.ndarray) -> Stage:
    analyzer = create_analyzer(2)
    portraits = {"astronaut": astronaut, "hopper": hopper}
    return Stage(studio, {name: (p, analyzer.analyze(p)[0]) for name, p in portraits.items()})


@pytest.fixture(scope="module")
def red(hopper: np.ndarray) -> np.ndarray:
    return np.rint(hopper * np.array([1.0, 0.5, 0.5])).astype(np.uint8)


@pytest.fixture
def swap(by_look: Any) -> Callable[..., FaceSwapper]:
    def make(source: Any = None, **people: Any) -> FaceSwapper:
        return FaceSwapper(source, SwapOptions(color="none", codec="ffv1"), **people)

    return make


def lean(frame: np.ndarray, where: np.ndarray) -> str:
    """Which color a face leans to: `green`, `red`, or `own` for skin as it was."""
    # Its lower half: glasses stay in front of what is put in, with what is seen through them.
    rows = np.indices(where.shape)[0]
    red, green, _ = frame[where & (rows >= np.median(rows[where]))].astype(float).mean(0)
    # Bare skin is above 30.
    if red - green < 20:
        return "green"
    return "red" if red - green > 110 else "own"


def test_colors_tell_the_sources(stage: Stage, dyed: np.ndarray, red: np.ndarray) -> None:
    """Whatever the other tests find rests on this."""
    frame = stage.draw(0, [("astronaut", 80, 110), ("hopper", 240, 130)])
    for place in (("astronaut", 80, 110), ("hopper", 240, 130)):
        assert lean(frame, stage.face(*place, grow=0.6)) == "own"
    face = np.zeros(dyed.shape[:2], bool)
    face[185:280, 215:310] = True
    assert (lean(dyed, face), lean(red, face)) == ("green", "red")


# Crossing.


def crossing(count: int = 44) -> list[list[Place]]:
    """The astronaut walks to the right, behind the admiral who walks to the left."""
    ways = np.linspace(60, 260, count)
    return [[("astronaut", x, 110), ("hopper", 320 - x, 130)] for x in ways]


@pytest.fixture(scope="module")
def crossed(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crossing") / "video.mkv"
    return stage.video(path, ((0, places) for places in crossing()))


def are_apart(places: list[Place]) -> bool:
    return abs(places[0][1] - places[1][1]) > 1.25 * FACE_PX


def test_of_two_who_cross_only_the_reference_is_swapped(
    studio: Any,
    stage: Stage,
    crossed: Path,
    swap: Callable[..., FaceSwapper],
    dyed: np.ndarray,
    astronaut: np.ndarray,
    by_look: Any,
    tmp_path: Path,
) -> None:
    report = swap(dyed, reference=astronaut).video(crossed, tmp_path / "out.mkv")
    frames = zip(crossing(), studio.read(crossed), studio.read(tmp_path / "out.mkv"), strict=True)
    for number, (places, old, new) in enumerate(frames):
        theirs = stage.face(*places[1])
        # Where the two overlap, their outlines are known to half a pixel.
        assert (old[theirs] != new[theirs]).any(1).mean() < 0.001, number
        if are_apart(places):
            assert np.array_equal(old[theirs], new[theirs]), number
            assert lean(new, stage.face(*places[0], grow=0.6)) == "green", number
    assert report.face_count == report.swapped_frames
    assert {skip.reason for skip in report.skipped} <= {
        "nobody whom a reference shows is in sight",
        "the face to swap is hidden behind another one",
    }
    # Both people before and after: a network's look a few times each, and not each frame.
    assert by_look.identified < 40


def test_of_two_who_cross_each_gets_their_own_source(
    studio: Any,
    stage: Stage,
    crossed: Path,
    swap: Callable[..., FaceSwapper],
    dyed: np.ndarray,
    red: np.ndarray,
    astronaut: np.ndarray,
    hopper: np.ndarray,
    tmp_path: Path,
) -> None:
    people = [(astronaut, dyed), (hopper, [red])]
    report = swap(people=people).video(crossed, tmp_path / "out.mkv")
    for number, (places, new) in enumerate(
        zip(crossing(), studio.read(tmp_path / "out.mkv"), strict=True)
    ):
        # The one in front, always; the one behind, as long as nothing hides them.
        assert lean(new, stage.face(*places[1], grow=0.6)) == "red", number
        if are_apart(places):
            assert lean(new, stage.face(*places[0], grow=0.6)) == "green", number
    first, second = report.people
    assert (first.reference, second.reference) == ("reference 0", "reference 1")
    assert second.face_count == 44
    assert 28 < first.face_count <= 44
    assert report.face_count == first.face_count + second.face_count
    assert {track.reference for track in report.followed} == {"reference 0", "reference 1"}
    assert sum(track.frames for track in report.followed) == report.face_count
    assert report.tracks == len({track.track for track in report.followed})
    assert all(track.similarity > 0.9 for track in report.followed)
    assert report.notes == ()


def test_whoever_is_in_front_stays_in_front(
    studio: Any, stage: Stage, swap: Callable[..., FaceSwapper], dyed: np.ndarray, tmp_path: Path
) -> None:
    """Of two who cross, both swapped, the astronaut is in front here, whose track is the older."""
    places = [[(name, x, 120.0) for name, x, _ in ways[::-1]] for ways in crossing(33)]
    video = stage.video(tmp_path / "video.mkv", ((0, ways) for ways in places))
    swapped = FaceSwapper(dyed, SwapOptions(color="none", codec="ffv1", faces="all"))
    report = swapped.video(video, tmp_path / "out.mkv")
    alone = tmp_path / "alone.mkv"
    stage.video(alone, ((0, ways[1:]) for ways in places))
    report_alone = swapped.video(alone, tmp_path / "alone-out.mkv")
    assert report_alone.face_count == len(places)
    rows = zip(
        places,
        studio.read(tmp_path / "out.mkv"),
        studio.read(tmp_path / "alone-out.mkv"),
        strict=True,
    )
    for number, (ways, new, wanted) in enumerate(rows):
        front = stage.face(*ways[1], grow=0.6)
        assert lean(new, front) == "green", number
        # Nothing of the other one is seen on it.
        assert np.abs(new[front].astype(int) - wanted[front]).mean() < 6, number
    # Where the other one's eyes, nose and mouth are hidden, it is not swapped.
    assert len(places) < report.face_count < 2 * len(places)


# Cuts and absences.


def test_a_person_is_found_again_after_a_cut_and_from_its_first_frame(
    studio: Any,
    stage: Stage,
    swap: Callable[..., FaceSwapper],
    dyed: np.ndarray,
    hopper: np.ndarray,
    tmp_path: Path,
) -> None:
    """Behind the cut both have changed places."""
    shots = [
        (0, [("astronaut", 80.0, 110.0), ("hopper", 240.0, 130.0)]),
        (5, [("hopper", 90.0, 120.0), ("astronaut", 230.0, 120.0)]),
    ]
    video = stage.video(tmp_path / "video.mkv", [shots[n // 12] for n in range(24)])
    report = swap(dyed, reference=hopper).video(video, tmp_path / "out.mkv")
    assert report.swapped_frames == report.face_count == 24
    assert [track.scene for track in report.followed] == [0, 1]
    before, after = studio.read(video), studio.read(tmp_path / "out.mkv")
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        places = {place[0]: place for place in shots[number // 12][1]}
        assert lean(new, stage.face(*places["hopper"], grow=0.6)) == "green", number
        theirs = stage.face(*places["astronaut"], grow=1.3)
        assert np.array_equal(old[theirs], new[theirs]), number


def test_a_person_who_leaves_and_returns_is_found_again_and_nobody_else_meanwhile(
    studio: Any,
    stage: Stage,
    swap: Callable[..., FaceSwapper],
    dyed: np.ndarray,
    astronaut: np.ndarray,
    tmp_path: Path,
) -> None:
    def places(number: int) -> list[Place]:
        here: list[Place] = [("hopper", 240, 120)]
        if number < 12:
            here.append(("astronaut", 80, 110))
        elif number >= 28:
            here.append(("astronaut", 100, 130))
        return here

    video = stage.video(tmp_path / "video.mkv", [(0, places(n)) for n in range(40)])
    report = swap(dyed, reference=astronaut).video(video, tmp_path / "out.mkv")
    before, after = studio.read(video), studio.read(tmp_path / "out.mkv")
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        if 12 <= number < 28:
            assert np.array_equal(old, new), number
        else:
            assert lean(new, stage.face(*places(number)[1], grow=0.6)) == "green", number
            theirs = stage.face(*places(number)[0], grow=1.3)
            assert np.array_equal(old[theirs], new[theirs]), number
    assert [skip.index for skip in report.skipped] == list(range(12, 28))
    assert [(track.first_s, track.last_s) for track in report.followed] == [
        (0.0, pytest.approx(11 / 25)),
        (pytest.approx(28 / 25), pytest.approx(39 / 25)),
    ]


# People who are not there.


def test_a_video_without_the_person_is_refused_with_the_best_similarity(
    studio: Any,
    stage: Stage,
    swap: Callable[..., FaceSwapper],
    dyed: np.ndarray,
    hopper_path: Path,
    tmp_path: Path,
) -> None:
    video = stage.video(tmp_path / "video.mkv", [(0, [("astronaut", 80, 110)])] * 12)
    with pytest.raises(NoFaceError) as caught:
        swap(dyed, reference=hopper_path).video(video, tmp_path / "out.mkv")
    message = str(caught.value)
    assert message.startswith(f"{video}: Nobody like {hopper_path} was found: ")
    assert "similarity of 0." in message
    assert "at least 0." in message
    assert studio.names(tmp_path) == ["video.mkv"]
    empty = studio.write(tmp_path / "empty.mkv", [studio.background()] * 8)
    with pytest.raises(NoFaceError, match=r"empty\.mkv: no face was found; nothing was written"):
        swap(dyed, reference=hopper_path).video(empty, tmp_path / "out.mkv")


def test_one_absent_person_is_noted_and_the_others_are_swapped(
    studio: Any,
    stage: Stage,
    swap: Callable[..., FaceSwapper],
    dyed: np.ndarray,
    red: np.ndarray,
    astronaut_path: Path,
    hopper_path: Path,
    tmp_path: Path,
) -> None:
    place: Place = ("astronaut", 80, 110)
    video = stage.video(tmp_path / "video.mkv", [(0, [place])] * 12)
    people = {hopper_path: red, astronaut_path: [dyed]}
    report = swap(people=people).video(video, tmp_path / "out.mkv")
    for frame in studio.read(tmp_path / "out.mkv"):
        assert lean(frame, stage.face(*place, grow=0.6)) == "green"
    absent, present = report.people
    assert (absent.reference, absent.face_count) == (str(hopper_path), 0)
    assert (present.reference, present.face_count) == (str(astronaut_path), 12)
    assert -0.2 < absent.similarity < 0.3 < 0.9 < present.similarity
    (note,) = (note for note in report.notes if "Nobody" in note)
    assert note.startswith(f"Nobody like {hopper_path} was found: ")
