"""Videos from end to end: every frame of a face is swapped, and all else is as it was."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from sosie import pipeline
from sosie.analysis.analyzer import Analyzer, create_analyzer
from sosie.errors import NoFaceError
from sosie.media.pixel_formats import plane_array
from sosie.pipeline import FaceSwapper
from sosie.types import Face

MakeSwap = Callable[..., FaceSwapper]
BLIND = (255, 0, 255)

# Pixels.


def test_every_frame_is_swapped_and_nothing_but_the_face(studio: Any, swayed: Any) -> None:
    assert len(swayed.after) == len(swayed.before) == 50
    assert swayed.report.frames == swayed.report.swapped_frames == 50
    assert swayed.report.skipped == ()
    for x, old, new in zip(studio.positions(50), swayed.before, swayed.after, strict=True):
        assert studio.greenness(old, x) < 5
        assert studio.greenness(new, x) > studio.SWAPPED
        far = np.ones((studio.HEIGHT, studio.WIDTH), bool)
        far[
            20 : int(20 + studio.FACE_Y + 75),
            int(x + studio.FACE_X - 65) : int(x + studio.FACE_X + 65),
        ] = False
        assert np.array_equal(old[far], new[far])
    assert studio.times(swayed.output) == studio.times(swayed.video)
    assert studio.names(swayed.output.parent) == ["out.mkv"]


def test_the_report_of_a_video(swayed: Any) -> None:
    told, report = swayed.told, swayed.report
    assert [(p.stage, p.done) for p in told] == [
        *(("swapping", number) for number in range(1, 51)),
        ("finishing", 50),
    ]
    assert all(p.fps > 0 and (p.total is None or abs(p.total - 50) <= 1) for p in told)
    assert (report.method, report.tracks, report.face_count) == ("graft", 1, 50)
    assert (report.target, report.output) == (str(swayed.video), str(swayed.output))
    assert {"decode", "analysis", "swap", "compose", "encode", "total"} <= set(report.seconds)
    assert min(report.seconds.values()) >= 0
    assert report.fps == pytest.approx(50 / report.seconds["total"])
    json.dumps(asdict(report))


def test_a_video_swapped_twice_is_the_same(
    studio: Any, lossless: FaceSwapper, swayed: Any, tmp_path: Path
) -> None:
    """Neither the threads' timing nor the video before has a say."""
    lossless.video(swayed.video, tmp_path / "again.mkv")
    for once, again in zip(swayed.after, studio.read(tmp_path / "again.mkv"), strict=True):
        assert np.array_equal(once, again)


def test_a_still_face_stays_still(
    studio: Any, lossless: FaceSwapper, head: np.ndarray, tmp_path: Path
) -> None:
    """What trembles in the result was added by us."""
    still = studio.with_head(head, 64)
    video = studio.write(tmp_path / "still.mkv", [still] * 40)
    lossless.video(video, tmp_path / "out.mkv")
    frames = [frame.astype(int) for frame in studio.read(tmp_path / "out.mkv")]
    face = (frames[0] != still).any(-1)
    assert face.sum() > 2000
    steps = [np.abs(b - a)[face].mean() for a, b in itertools.pairwise(frames)]
    assert max(steps) < 1.5
    assert np.mean(steps) < 0.5
    # And it settles: the last second wanders off nowhere.
    assert np.abs(frames[-1] - frames[15])[face].mean() < 2


# A face that is not seen all the time.


class Blinded:
    """An analyzer that sees nothing on frames with a mark in their corner."""

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        self.blind_calls = 0
        self.providers = analyzer.providers

    def _blind(self, pixels: np.ndarray) -> bool:
        marked = bool((np.abs(pixels[:8, :8].astype(int) - BLIND) < 12).all())
        self.blind_calls += marked
        return marked

    def detect(self, pixels: np.ndarray, **how: Any) -> Any:
        return [] if self._blind(pixels) else self._analyzer.detect(pixels, **how)

    def landmarks(self, pixels: np.ndarray, region: Any) -> Face | None:
        return None if self._blind(pixels) else self._analyzer.landmarks(pixels, region)

    def confirm(self, pixels: np.ndarray, region: Any) -> Face | None:
        return None if self._blind(pixels) else self._analyzer.confirm(pixels, region)

    def analyze(self, pixels: np.ndarray, *args: Any, **how: Any) -> Any:
        return self._analyzer.analyze(pixels, *args, **how)

    def identify(self, pixels: np.ndarray, face: Face) -> np.ndarray:
        return self._analyzer.identify(pixels, face)

    def visible(self, pixels: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        return self._analyzer.visible(pixels, landmarks)

    def parts(self, pixels: np.ndarray, landmarks: np.ndarray) -> Any:
        return self._analyzer.parts(pixels, landmarks)

    def beard(self, *given: Any) -> Any:
        return self._analyzer.beard(*given)


@pytest.mark.parametrize("codec", ["ffv1", "libx264"])
def test_no_flash_of_the_old_face_where_detection_fails(
    studio: Any,
    make_swap: MakeSwap,
    head: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    codec: str,
) -> None:
    blinded = Blinded(create_analyzer(2))
    monkeypatch.setattr(pipeline, "create_analyzer", lambda *_: blinded)
    swap = make_swap(codec=codec)
    blind = {7, 13, 14, 15, 16, 17, 18, 19, 20, 30, 32, 34, 35}
    # Slower than elsewhere: inside a gap the path is a straight line.
    path = [64 + 20 * np.sin(number / 16) for number in range(45)]

    def frames() -> Iterator[np.ndarray]:
        for number, x in enumerate(path):
            frame = studio.with_head(head, x)
            if number in blind:
                frame[:16, :16] = BLIND
            yield frame

    video = studio.write(tmp_path / "video.mkv", frames())
    report = swap.video(video, tmp_path / "out.mkv")
    assert blinded.blind_calls >= len(blind)
    assert report.swapped_frames == 45
    assert report.tracks == 1
    for number, (x, frame) in enumerate(zip(path, studio.read(tmp_path / "out.mkv"), strict=True)):
        assert studio.greenness(frame, x) > studio.SWAPPED, number


def test_frames_without_the_face_are_left_as_they_are(
    studio: Any, lossless: FaceSwapper, head: np.ndarray, tmp_path: Path
) -> None:
    def frames() -> Iterator[np.ndarray]:
        for number in range(60):
            yield studio.with_head(head, 64) if 20 <= number < 42 else studio.background()

    video = studio.write(tmp_path / "video.mkv", frames())
    report = lossless.video(video, tmp_path / "out.mkv")
    before, after = studio.read(video), studio.read(tmp_path / "out.mkv")
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        if 20 <= number < 42:
            assert studio.greenness(new, 64) > studio.SWAPPED, number
        else:
            assert np.array_equal(old, new), number
    assert [skip.index for skip in report.skipped] == [*range(20), *range(42, 60)]
    assert report.swapped_frames == 22
    assert report.skipped[3].time_s == pytest.approx(3 / studio.FPS, abs=1e-3)
    assert {skip.reason for skip in report.skipped} == {"no face was found"}


def test_the_first_frame_after_a_cut_is_swapped(
    studio: Any, lossless: FaceSwapper, head: np.ndarray, tmp_path: Path
) -> None:
    places = [(20.0, 20.0)] * 20 + [(118.0, 34.0)] * 20

    def frames() -> Iterator[np.ndarray]:
        for number, (x, y) in enumerate(places):
            yield studio.with_head(head, x, y, studio.background(0 if number < 20 else 5))

    video = studio.write(tmp_path / "video.mkv", frames())
    report = lossless.video(video, tmp_path / "out.mkv")
    assert report.swapped_frames == 40
    assert report.tracks == 2
    for number, ((x, y), frame) in enumerate(
        zip(places, studio.read(tmp_path / "out.mkv"), strict=True)
    ):
        assert studio.greenness(frame, x, y) > studio.SWAPPED, number


# Which face.


@pytest.fixture(scope="module")
def two_people(
    studio: Any, astronaut: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, tuple[slice, slice]]]:
    """A larger face on the left, a smaller one on the right."""
    cut = astronaut[40:220, 135:315]
    frame = studio.background()
    frame[30:190, 5:165] = cv2.resize(cut, (160, 160), interpolation=cv2.INTER_AREA)
    frame[60:180, 190:310] = cv2.resize(cut, (120, 120), interpolation=cv2.INTER_AREA)
    # The middle of the faces: (222, 122) in the photo.
    places = {}
    for name, scale, x, y in (("left", 160 / 180, 5, 30), ("right", 120 / 180, 190, 60)):
        column, row = round(x + 87 * scale), round(y + 82 * scale)
        places[name] = (slice(row - 8, row + 8), slice(column - 14, column + 14))
    path = tmp_path_factory.mktemp("two") / "video.mkv"
    return studio.write(path, [frame] * 15), places


@pytest.mark.parametrize(
    ("faces", "swapped"),
    [
        ("largest", {"left"}),
        ("all", {"left", "right"}),
        ("0", {"left"}),
        ("1", {"right"}),
        ("1,0", {"left", "right"}),
    ],
)
def test_which_of_two_people(
    studio: Any,
    make_swap: MakeSwap,
    two_people: tuple[Path, dict[str, tuple[slice, slice]]],
    tmp_path: Path,
    faces: str,
    swapped: set[str],
) -> None:
    video, places = two_people
    report = make_swap(faces=faces).video(video, tmp_path / "out.mkv")
    assert report.tracks == len(swapped)
    assert report.face_count == 15 * len(swapped)
    for old, new in zip(studio.read(video), studio.read(tmp_path / "out.mkv"), strict=True):
        for name, place in places.items():
            middle = new[place].astype(float).mean((0, 1))
            green = middle[1] - (middle[0] + middle[2]) / 2 > studio.SWAPPED
            assert green == (name in swapped)
            if name not in swapped:
                assert np.array_equal(old[place], new[place])


def test_a_position_that_never_comes(
    studio: Any, make_swap: MakeSwap, two_people: tuple[Path, Any], tmp_path: Path
) -> None:
    with pytest.raises(NoFaceError, match=r"video\.mkv"):
        make_swap(faces="3").video(two_people[0], tmp_path / "out.mkv")
    assert studio.names(tmp_path) == []


# What else a video has.


def test_uneven_timestamps_and_sound_are_kept(
    studio: Any, make_swap: MakeSwap, head: np.ndarray, tmp_path: Path
) -> None:
    pts = [0, 40, 81, 120, 300, 310, 333, 400, 440, 481, 520, 900, 940, 980, 1021]
    video = studio.write(
        tmp_path / "video.mp4",
        [studio.with_head(head, 64 + number) for number in range(len(pts))],
        pts=pts,
        time_base=Fraction(1, 1000),
        codec="libx264",
        pix_fmt="yuv420p",
        sound_s=1.2,
    )
    report = make_swap(codec="keep").video(video, tmp_path / "out.mp4")
    assert report.frames == len(pts)
    assert (
        studio.times(tmp_path / "out.mp4")
        == [Fraction(value, 1000) for value in pts]
        == studio.times(video)
    )
    assert studio.sound_packets(tmp_path / "out.mp4") == studio.sound_packets(video) != []
    for number, frame in enumerate(studio.read(tmp_path / "out.mp4")):
        assert studio.greenness(frame, 64 + number) > studio.SWAPPED


@pytest.mark.parametrize(
    ("pix_fmt", "options"),
    [
        ("yuv444p10le", {}),
        ("yuv444p12le", {"blend": "alpha"}),
        ("yuva444p12le", {"processors": ("sharpen",)}),
        ("gbrp16le", {"mask_feather": 0.1}),
    ],
)
def test_deep_color_is_swapped_in_all_of_its_bits(
    studio: Any, make_swap: MakeSwap, head: np.ndarray, tmp_path: Path, pix_fmt: str, options: dict
) -> None:
    frames = [studio.with_head(head, 64)] * 4
    video = studio.write(tmp_path / "video.mkv", frames, pix_fmt=pix_fmt)
    make_swap(**options).video(video, tmp_path / "out.mkv")
    with av.open(str(video)) as old, av.open(str(tmp_path / "out.mkv")) as new:
        for a, b in zip(old.decode(video=0), new.decode(video=0), strict=True):
            assert b.format.name == pix_fmt
            # The values that eight bits have one for.
            steps = 2 ** (a.format.components[0].bits - 8)
            touched = np.zeros((a.height, a.width), bool)
            for index in range(3):
                old_plane, new_plane = (plane_array(frame, index) for frame in (a, b))
                different = old_plane != new_plane
                touched |= different
                changed = new_plane[different]
                assert changed.size > 2000
                # All are there, and none is favored as if by rounding.
                exact = np.count_nonzero(changed % steps == 0) / changed.size
                assert exact < 2 / min(steps, 16)
                assert len(np.unique(changed % steps)) > 0.8 * min(steps, 64)
            assert touched.mean() < 0.5
            assert not touched[:18].any()
            for index in range(3, len(a.planes)):
                assert np.array_equal(plane_array(a, index), plane_array(b, index))
            assert studio.greenness(b.to_ndarray(format="rgb24"), 64) > studio.SWAPPED


def test_a_part_of_a_video(studio: Any, make_swap: MakeSwap, swaying: Path, tmp_path: Path) -> None:
    report = make_swap(start_s=0.4, end_s=1.2).video(swaying, tmp_path / "out.mkv")
    frames = studio.read(tmp_path / "out.mkv")
    assert report.frames == len(frames) == 20
    assert studio.times(tmp_path / "out.mkv") == pytest.approx(
        [n / studio.FPS for n in range(20)], abs=1e-3
    )
    for x, frame in zip(studio.positions(50)[10:30], frames, strict=True):
        assert studio.greenness(frame, x) > studio.SWAPPED
