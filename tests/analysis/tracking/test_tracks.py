"""Tracks over generated videos: whose face is where, on every frame, and with how much memory."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sosie import records
from sosie.analysis.analyzer import Analyzer, make_face
from sosie.analysis.detection import Detection
from sosie.analysis.selection import TrackSelector
from sosie.analysis.tracking.tracks import (
    STATE_CLASSES,
    FaceTracker,
    TrackedFace,
    track_video,
)
from sosie.geometry.alignment import transform_points
from sosie.geometry.head_pose import Region, region_of
from sosie.types import Face

FPS = 25
Pixels = NDArray[np.uint8]
Tracked = list[tuple[TrackedFace, ...]]


class Frame:
    """A frame of a video that is only drawn when it is asked for."""

    conversions = 0

    def __init__(self, draw: Callable[[], Pixels]) -> None:
        self._draw = draw

    def to_rgb(self) -> Pixels:
        Frame.conversions += 1
        return self._draw()


class Stage:
    """Draws people, each with a place (x, y, size, roll) that depends on the frame."""

    def __init__(
        self,
        put: Callable[..., NDArray[np.float64]],
        people: dict[str, tuple[Pixels, Face]],
        background: Pixels,
    ) -> None:
        self._put = put
        self._people = people
        self._background = background
        self._noise = [
            np.random.default_rng(seed).normal(0, 2.5, background.shape).astype(np.float32)
            for seed in range(5)
        ]

    def draw(self, index: int, *places: tuple[str, float, float, float, float]) -> Pixels:
        canvas = self._background.copy()
        for name, *place in places:
            self._put(canvas, *self._people[name], *place)
        noisy = canvas + self._noise[index % 5]
        return np.clip(noisy, 0, 255).astype(np.uint8)

    def truth(self, name: str, x: float, y: float, size_px: float, roll_deg: float) -> np.ndarray:
        """The landmarks that a face drawn there has, 478 x 2."""
        canvas = np.zeros((2, 2, 3), np.uint8)
        matrix = self._put(canvas, *self._people[name], x, y, size_px, roll_deg)
        return transform_points(self._people[name][1].landmarks[:, :2], matrix)


@pytest.fixture(scope="module")
def stage(
    put: Callable[..., NDArray[np.float64]],
    backdrop: Callable[..., Pixels],
    astronaut: Pixels,
    astronaut_face: Face,
    hopper: Pixels,
    hopper_face: Face,
) -> Stage:
    people = {"astronaut": (astronaut, astronaut_face), "hopper": (hopper, hopper_face)}
    return Stage(put, people, backdrop(640, 360))


def video(draw: Callable[[int], Pixels], count: int) -> Iterator[Frame]:
    for index in range(count):
        yield Frame(lambda index=index: draw(index))


def tracks_of(analyzer: Analyzer, draw: Callable[[int], Pixels], count: int) -> Tracked:
    result = list(track_video(video(draw, count), analyzer, FPS))
    assert len(result) == count
    return [faces for _, faces in result]


def errors_px(tracked: Tracked, track: int, truths: list[np.ndarray]) -> np.ndarray:
    """Mean landmark error on each frame; fails where the track is missing."""
    return np.array(
        [
            np.linalg.norm(
                next(face for face in faces if face.track == track).face.landmarks[:, :2] - truth,
                axis=1,
            ).mean()
            for faces, truth in zip(tracked, truths, strict=True)
        ]
    )


def test_moving_head_has_one_track_without_lag(analyzer: Analyzer, stage: Stage) -> None:
    places = [
        (
            "hopper",
            240 + 110 * np.sin(i / 7),
            135 + 15 * np.cos(i / 5),
            90 + i / 4,
            12 * np.sin(i / 9),
        )
        for i in range(60)
    ]
    tracked = tracks_of(analyzer, lambda i: stage.draw(i, places[i]), 60)
    assert [[face.track for face in faces] for faces in tracked] == [[0]] * 60
    assert not any(face.bridged for faces in tracked for face in faces)
    truths = [stage.truth(*place) for place in places]
    assert errors_px(tracked, 0, truths).max() < 1.8
    # Along the path a lag of one frame would be some 10 px.
    path = np.array([truth[:, 0].mean() for truth in truths])
    seen = np.array([faces[0].face.landmarks[:, 0].mean() for faces in tracked])
    speed = np.gradient(path)
    lag_frames = ((path - seen) * speed).sum() / (speed**2).sum()
    assert abs(lag_frames) < 0.05


def test_jitter_of_a_still_head(analyzer: Analyzer, stage: Stage) -> None:
    rng = np.random.default_rng(5)

    def draw(index: int) -> Pixels:
        picture = stage.draw(0, ("hopper", 240, 135, 130, 0)).astype(np.float32)
        return np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)

    frames = [draw(i) for i in range(40)]
    tracked = tracks_of(analyzer, lambda i: frames[i], 40)
    region_of_first = tracked[0][0].face
    raw = [analyzer.landmarks(frame, region_of(region_of_first.landmarks)) for frame in frames]
    before = np.stack([face.landmarks for face in raw if face is not None])[8:-8, :, :2]
    after = np.stack([faces[0].face.landmarks for faces in tracked])[8:-8, :, :2]
    assert after.std(0).mean() < 0.75 * before.std(0).mean()


def test_hidden_face_is_bridged(analyzer: Analyzer, stage: Stage) -> None:
    places = [("astronaut", 150 + 2.5 * i, 140, 100, 0) for i in range(60)]

    def draw(index: int) -> Pixels:
        # A board slides over the face, stays on it, and slides on.
        picture = stage.draw(index, places[index])
        slide_px = 40 * (min(index, 25) - 25 + max(index, 29) - 29)
        x = round(places[index][1]) + slide_px - 75
        picture[60:260, max(x, 0) : max(x + 150, 0)] = 40
        return picture

    tracked = tracks_of(analyzer, draw, 60)
    assert [[face.track for face in faces] for faces in tracked] == [[0]] * 60
    hidden = [index for index, faces in enumerate(tracked) if faces[0].bridged]
    assert set(hidden) >= set(range(25, 30))
    assert set(hidden) <= set(range(22, 34))
    assert errors_px(tracked, 0, [stage.truth(*place) for place in places]).max() < 3.5


def test_long_absence_ends_the_track(analyzer: Analyzer, stage: Stage) -> None:
    def draw(index: int) -> Pixels:
        seen = not 20 <= index < 45
        return stage.draw(index, *([("astronaut", 240, 140, 60, 0)] if seen else []))

    tracked = tracks_of(analyzer, draw, 70)
    numbers = [[face.track for face in faces] for faces in tracked]
    assert numbers == [[0]] * 20 + [[]] * 25 + [[1]] * 25
    assert {face.scene for faces in tracked for face in faces} == {0}


@pytest.mark.parametrize("entrance", [11, 13, 17])
def test_face_found_late_is_there_from_its_first_frame(
    analyzer: Analyzer, stage: Stage, entrance: int
) -> None:
    def draw(index: int) -> Pixels:
        seen = index >= entrance
        return stage.draw(index, *([("hopper", 240 + index, 140, 90, 0)] if seen else []))

    tracked = tracks_of(analyzer, draw, 34)
    assert [len(faces) for faces in tracked] == [0] * entrance + [1] * (34 - entrance)


def test_cut_starts_new_tracks(
    analyzer: Analyzer,
    stage: Stage,
    backdrop: Callable[..., Pixels],
    put: Callable[..., np.ndarray],
    astronaut: Pixels,
    astronaut_face: Face,
) -> None:
    other = backdrop(640, 360, seed=9)

    def draw(index: int) -> Pixels:
        if index < 15 or index >= 30:
            return stage.draw(index, ("hopper", 240, 135, 110, 0))
        picture = other.copy()
        put(picture, astronaut, astronaut_face, 240, 135, 110)
        return picture

    tracked = tracks_of(analyzer, draw, 42)
    assert [[(f.track, f.scene) for f in faces] for faces in tracked] == (
        [[(0, 0)]] * 15 + [[(1, 1)]] * 15 + [[(2, 2)]] * 12
    )
    # Nothing of one shot's face is smoothed into the other's: both are still.
    for first, last in ((0, 15), (15, 30), (30, 42)):
        points = np.stack([faces[0].face.landmarks for faces in tracked[first:last]])
        assert np.abs(points - points.mean(0)).mean() < 0.5


def test_people_who_cross_keep_their_numbers(analyzer: Analyzer, stage: Stage) -> None:
    def places(index: int) -> tuple[tuple[str, float, float, float, float], ...]:
        # The astronaut passes in front of hopper.
        return (
            ("hopper", 540 - 9 * index, 170, 80, 0),
            ("astronaut", 100 + 9 * index, 185, 90, 0),
        )

    tracked = tracks_of(analyzer, lambda i: stage.draw(i, *places(i)), 50)
    first = {int(face.face.center[0] > 320): face.track for face in tracked[0]}
    front, behind = first[0], first[1]
    truths = [stage.truth(*places(i)[1]) for i in range(50)]
    assert errors_px(tracked, front, truths).max() < 5
    hopper_late = [face for face in tracked[-1] if face.track != front]
    assert len(hopper_late) == 1
    assert abs(hopper_late[0].face.center[0] - places(49)[0][1]) < 10
    assert hopper_late[0].track == behind
    # Never two tracks on one face.
    for faces in tracked:
        for a in faces:
            for b in faces:
                apart = np.hypot(*np.subtract(a.face.center, b.face.center))
                assert a is b or a.bridged or b.bridged or apart > 20


def test_short_false_alarm_is_no_track(analyzer: Analyzer, stage: Stage) -> None:
    def draw(index: int) -> Pixels:
        seen = index in (20, 21)
        return stage.draw(index, *([("hopper", 240, 140, 60, 0)] if seen else []))

    assert not any(tracks_of(analyzer, draw, 40))


def test_memory_is_bounded_and_each_frame_converted_once(analyzer: Analyzer, stage: Stage) -> None:
    count, most = 90, 0
    alive: weakref.WeakSet[Frame] = weakref.WeakSet()

    def frames() -> Iterator[Frame]:
        picture = stage.draw(0, ("hopper", 240, 135, 110, 0))
        for _ in range(count):
            frame = Frame(lambda: picture)
            alive.add(frame)
            yield frame

    Frame.conversions = 0
    for _, faces in track_video(frames(), analyzer, FPS):
        gc.collect(0)
        most = max(most, len(alive))
        assert len(faces) == 1
    assert Frame.conversions == count
    # Half a second of gap, the smoother's reach, and the frame in hand.
    assert most <= 13 + 7 + 3


def test_prominence_knows_who_leaves(analyzer: Analyzer, stage: Stage) -> None:
    def draw(index: int) -> Pixels:
        places = [("hopper", 120.0, 140.0, 50.0, 0.0)]
        if index < 22:
            places.append(("astronaut", 350.0, 135.0, 65.0, 0.0))
        return stage.draw(index, *places)

    tracked = tracks_of(analyzer, draw, 50)
    stays, leaves = sorted(tracked[0], key=lambda face: face.face.center[0])
    assert leaves.prominence > stays.prominence
    by_track = {face.track: face for face in tracked[18]}
    assert by_track[leaves.track].prominence < by_track[stays.track].prominence


def test_a_face_that_the_edge_cuts_counts_as_what_is_seen(analyzer: Analyzer, stage: Stage) -> None:
    """A half face at the edge, though the larger one, is not whom a video is about."""

    def draw(index: int) -> Pixels:
        return stage.draw(
            index, ("astronaut", 8.0, 180.0, 75.0, 0.0), ("hopper", 400.0, 150.0, 65.0, 0.0)
        )

    cut, whole = sorted(tracks_of(analyzer, draw, 12)[0], key=lambda face: face.face.center[0])
    assert cut.face.size_px > 1.05 * whole.face.size_px
    assert cut.area < 0.9 * whole.area
    assert cut.prominence < whole.prominence
    assert TrackSelector("largest").choose((cut, whole)) == (whole,)


def test_video_without_faces_and_without_frames(analyzer: Analyzer, stage: Stage) -> None:
    assert not any(tracks_of(analyzer, lambda i: stage.draw(i), 30))
    assert tracks_of(analyzer, lambda i: stage.draw(i), 0) == []


def test_16_bit_video(analyzer: Analyzer, stage: Stage) -> None:
    def draw(index: int) -> NDArray[np.uint16]:
        return stage.draw(index, ("hopper", 240, 135, 110, 0)).astype(np.uint16) * 257

    assert [len(faces) for faces in tracks_of(analyzer, draw, 12)] == [1] * 12


def test_clip_of_real_people(analyzer: Analyzer, shared_data) -> None:
    """Four seconds of a talking head: one track, nowhere interrupted."""
    path = shared_data / "clips" / "talk_d19.mp4"
    capture = cv2.VideoCapture(str(path))
    frames = []
    while len(frames) < 60:
        read, picture = capture.read()
        if not read:
            break
        frames.append(Frame(lambda picture=picture: picture[..., ::-1].copy()))
    capture.release()
    result = list(track_video(iter(frames), analyzer, FPS))
    assert [[face.track for face in faces] for _, faces in result] == [[0]] * len(frames)


class Blinking:
    """An analyzer that knows where the faces are, and misses some of them at random."""

    def __init__(self, truth: list[list[Face]], seed: int) -> None:
        self._truth = truth
        self._seed = seed

    def _chance(self, pixels: Pixels, x: float, y: float) -> float:
        """0..1, the same for the same look at the same frame."""
        numbers = [self._seed, int(pixels[0, 0, 0]), round(abs(x) * 100), round(abs(y) * 100)]
        return float(np.random.default_rng(numbers).random())

    def _faces(self, pixels: Pixels) -> list[Face]:
        return self._truth[int(pixels[0, 0, 0])]

    def detect(self, pixels: Pixels, *, thorough: bool = True) -> list[Detection]:
        faces = [f for f in self._faces(pixels) if self._chance(pixels, *f.center) < 0.9]
        return [Detection(region_of(face.landmarks), 0.9) for face in faces]

    def landmarks(self, pixels: Pixels, region: Region) -> Face | None:
        for face in self._faces(pixels):
            own = region_of(face.landmarks)
            near = np.hypot(own.x - region.x, own.y - region.y) < 0.5 * own.size_px
            if near and self._chance(pixels, region.x, region.y) < 0.95:
                return face
        return None

    confirm = landmarks

    def identify(self, pixels: Pixels, face: Face) -> NDArray[np.float32]:
        return np.eye(1, 512, dtype=np.float32)[0]

    def analyze(self, pixels: Pixels, roi: object = None, *, thorough: bool = True) -> list[Face]:
        raise NotImplementedError


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 120),
    people=st.integers(0, 4),
    fps=st.sampled_from([1, 12, 25, 60]),
)
def test_tracks_have_no_gaps_whatever_is_missed(
    astronaut_face: Face,
    backdrop: Callable[..., Pixels],
    seed: int,
    count: int,
    people: int,
    fps: float,
) -> None:
    rng = np.random.default_rng(seed)
    shape = astronaut_face.landmarks - (*astronaut_face.center, 0)
    place, speed = rng.uniform(100, 250, (people, 2)), rng.normal(0, 6, (people, 2))
    shown = np.ones(people, bool)
    truth = []
    for _ in range(count):
        place += speed
        speed[(place < 60) | (place > 300)] *= -1
        shown ^= rng.random(people) < 0.08
        faces = [shape + np.array([*place[k], 0]) for k in range(people) if shown[k]]
        truth.append([make_face(face.astype(np.float32), 1.0) for face in faces])
    views = [backdrop(360, 360), backdrop(360, 360, seed=1)]
    cuts = np.cumsum(rng.random(count) < 0.03)

    def draw(index: int) -> Pixels:
        picture = views[cuts[index] % 2].copy()
        picture[0, 0, 0] = index
        return picture

    indices: dict[int, list[int]] = {}
    scenes: dict[int, set[int]] = {}
    result = list(track_video(video(draw, count), Blinking(truth, seed), fps))
    for index, (frame, faces) in enumerate(result):
        assert frame.to_rgb()[0, 0, 0] == index
        for face in faces:
            indices.setdefault(face.track, []).append(index)
            scenes.setdefault(face.track, set()).add(face.scene)
    for track, seen in indices.items():
        assert seen == list(range(seen[0], seen[-1] + 1))
        assert len(scenes[track]) == 1

    # Another run that goes on from any frame finds the same; it takes as long as all the rest.
    if seed % 3:
        return
    at = seed % count
    analyzer = Blinking(truth, seed)
    first: FaceTracker[Frame] = FaceTracker(analyzer, fps)
    followed = first.follow(video(draw, count))
    for _ in range(at):
        next(followed)
    assert first.starts_scene(at) == (at > 0 and bool(cuts[at] != cuts[at - 1])) or at == 0
    state = records.unpack(records.pack(first.state()), STATE_CLASSES)
    second: FaceTracker[Frame] = FaceTracker(analyzer, fps)
    frames = (Frame(lambda index=index: draw(index)) for index in range(at, count))
    second.restore(state, frames)
    went_on = [faces for _, faces in second.follow(frames)]
    assert records.pack(went_on) == records.pack([faces for _, faces in result[at:]])
