"""Films from end to end: every frame of a face is swapped, all else is as it was, in bounded
memory, and whatever happens on the way nothing unfinished stands under the final name.

The source is dyed green and keeps its colours, so that a frame tells whether it was swapped.
"""

from __future__ import annotations

import gc
import itertools
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

import sosie
from sosie import pipeline
from sosie.analysis import follow
from sosie.analysis.analyser import Analyser, create_analyser
from sosie.engine import Engine
from sosie.errors import InterruptedSwapError, NoFaceError, OutputError, UsageError
from sosie.media.planes import plane_array
from sosie.media.video import FilmFrame
from sosie.options import SwapOptions
from sosie.pipeline import Swap
from sosie.types import Face, Progress, SwapReport

WIDTH, HEIGHT, FPS = 320, 240, 25
# The astronaut's head in its photo, and the middle of the face in that cut-out.
HEAD, SCALE = (slice(10, 250), slice(105, 345)), 0.8
FACE_X, FACE_Y = (222 - 105 + 0.5) * SCALE, (122 - 10 + 0.5) * SCALE
# Lossless, so that pixels can be compared to the bit.
LOSSLESS = {"codec": "ffv1"}
BLIND = (255, 0, 255)


@pytest.fixture(scope="module")
def dyed(hopper: np.ndarray) -> np.ndarray:
    return np.rint(hopper * np.array([0.5, 1.0, 0.5])).astype(np.uint8)


@pytest.fixture(scope="module")
def head(astronaut: np.ndarray) -> np.ndarray:
    side = round(240 * SCALE)
    return cv2.resize(astronaut[HEAD], (side, side), interpolation=cv2.INTER_AREA)


def background(seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).uniform(30, 220, (4, 6, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth, 0, 255).astype(np.uint8)


def with_head(head: np.ndarray, x: float, y: float = 20, onto: np.ndarray | None = None) -> Any:
    """A frame with the head's left upper corner at x, y."""
    frame = background() if onto is None else onto.copy()
    matrix = np.float32([[1, 0, x], [0, 1, y]])
    cv2.warpAffine(
        head,
        matrix,
        (WIDTH, HEIGHT),
        frame,
        cv2.INTER_LINEAR,
        cv2.BORDER_TRANSPARENT,
    )
    return frame


def write(
    path: Path,
    frames: Iterable[np.ndarray],
    *,
    pts: list[int] | None = None,
    time_base: Fraction = Fraction(1, FPS),
    codec: str = "ffv1",
    pix_fmt: str = "yuv444p",
    sound_s: float = 0,
) -> Path:
    """A film; by default in .mkv and lossless, full-resolution colour."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream(codec, rate=FPS)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, pix_fmt
        video.codec_context.time_base = video.time_base = time_base
        if codec == "libx264":
            video.options = {"crf": "12", "preset": "ultrafast"}
        sound: Any = container.add_stream("aac", rate=44100) if sound_s else None
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts = pts[number] if pts else number
            frame.time_base = time_base
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if sound is not None:
            _write_sound(container, sound, sound_s)
    return path


def _write_sound(container: Any, stream: Any, seconds: float) -> None:
    for start in range(0, int(seconds * 44100) - 1024, 1024):
        wave = 0.4 * np.sin((start + np.arange(1024)) * 0.06).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 44100, start, Fraction(1, 44100)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def read(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def sound_packets(path: Path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in container.demux(audio=0)
            if packet.size
        ]


def greenness(frame: np.ndarray, x: float, y: float = 20) -> float:
    """How green the middle of the face is where the head stands at x, y."""
    column, row = round(x + FACE_X), round(y + FACE_Y)
    middle = frame[row - 10 : row + 12, column - 22 : column + 22].astype(float).mean((0, 1))
    return float(middle[1] - (middle[0] + middle[2]) / 2)


SWAPPED = 25.0
"""Greenness of a swapped face is above, of any other below."""


def stages_alive() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sosie-stage"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


MakeSwap = Callable[..., Swap]


@pytest.fixture(scope="module")
def make_swap(dyed: np.ndarray) -> MakeSwap:
    def make(**options: Any) -> Swap:
        return Swap(dyed, SwapOptions(**{"colour": "none", **LOSSLESS, **options}))

    return make


@pytest.fixture(scope="module")
def lossless(make_swap: MakeSwap) -> Swap:
    return make_swap()


def positions(count: int) -> list[float]:
    """Where a head is that sways from side to side."""
    return [64 + 40 * np.sin(number / 8) for number in range(count)]


@pytest.fixture(scope="module")
def swaying(head: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 frames, lossless."""
    path = tmp_path_factory.mktemp("swaying") / "film.mkv"
    return write(path, (with_head(head, x) for x in positions(50)))


@dataclass(frozen=True)
class Done:
    """A film that was swapped: its path and the result's, frames of both, what was told."""

    film: Path
    output: Path
    before: list[np.ndarray]
    after: list[np.ndarray]
    report: SwapReport
    told: list[Progress]


@pytest.fixture(scope="module")
def swayed(lossless: Swap, swaying: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    output = tmp_path_factory.mktemp("swayed") / "out.mkv"
    told: list[Progress] = []
    report = lossless.film(swaying, output, told.append)
    return Done(swaying, output, read(swaying), read(output), report, told)


# Pixels.


def test_every_frame_is_swapped_and_nothing_but_the_face(swayed: Done) -> None:
    assert len(swayed.after) == len(swayed.before) == 50
    assert swayed.report.frames == swayed.report.swapped_frames == 50
    assert swayed.report.skipped == ()
    for x, old, new in zip(positions(50), swayed.before, swayed.after, strict=True):
        assert greenness(old, x) < 5
        assert greenness(new, x) > SWAPPED
        far = np.ones((HEIGHT, WIDTH), bool)
        far[20 : int(20 + FACE_Y + 75), int(x + FACE_X - 65) : int(x + FACE_X + 65)] = False
        assert np.array_equal(old[far], new[far])
    assert times(swayed.output) == times(swayed.film)
    assert names(swayed.output.parent) == ["out.mkv"]


def test_the_report_of_a_film(swayed: Done) -> None:
    told, report = swayed.told, swayed.report
    assert [p.done for p in told] == list(range(1, 51))
    assert all(p.fps > 0 and (p.total is None or abs(p.total - 50) <= 1) for p in told)
    assert (report.method, report.tracks, report.face_count) == ("mesh", 1, 50)
    assert (report.target, report.output) == (str(swayed.film), str(swayed.output))
    assert {"decode", "analysis", "swap", "compose", "encode", "total"} <= set(report.seconds)
    assert min(report.seconds.values()) >= 0
    assert report.fps == pytest.approx(50 / report.seconds["total"])
    json.dumps(asdict(report))


def test_a_film_swapped_twice_is_the_same(lossless: Swap, swayed: Done, tmp_path: Path) -> None:
    """Neither the threads' timing nor the film before has a say."""
    lossless.film(swayed.film, tmp_path / "again.mkv")
    for once, again in zip(swayed.after, read(tmp_path / "again.mkv"), strict=True):
        assert np.array_equal(once, again)


def test_a_still_face_stays_still(lossless: Swap, head: np.ndarray, tmp_path: Path) -> None:
    """What trembles in the result was added by us."""
    still = with_head(head, 64)
    film = write(tmp_path / "still.mkv", [still] * 40)
    lossless.film(film, tmp_path / "out.mkv")
    frames = [frame.astype(int) for frame in read(tmp_path / "out.mkv")]
    face = (frames[0] != still).any(-1)
    assert face.sum() > 2000
    steps = [np.abs(b - a)[face].mean() for a, b in itertools.pairwise(frames)]
    assert max(steps) < 1.5
    assert np.mean(steps) < 0.5
    # And it settles: the last second wanders off nowhere.
    assert np.abs(frames[-1] - frames[15])[face].mean() < 2


# A face that is not seen all the time.


class Blinded:
    """An analyser that sees nothing on frames with a mark in their corner."""

    def __init__(self, analyser: Analyser) -> None:
        self._analyser = analyser
        self.blind_calls = 0

    def _blind(self, pixels: np.ndarray) -> bool:
        marked = bool((np.abs(pixels[:8, :8].astype(int) - BLIND) < 12).all())
        self.blind_calls += marked
        return marked

    def detect(self, pixels: np.ndarray, **how: Any) -> Any:
        return [] if self._blind(pixels) else self._analyser.detect(pixels, **how)

    def landmarks(self, pixels: np.ndarray, region: Any) -> Face | None:
        return None if self._blind(pixels) else self._analyser.landmarks(pixels, region)

    def confirm(self, pixels: np.ndarray, region: Any) -> Face | None:
        return None if self._blind(pixels) else self._analyser.confirm(pixels, region)

    def analyse(self, pixels: np.ndarray, *args: Any, **how: Any) -> Any:
        return self._analyser.analyse(pixels, *args, **how)


@pytest.mark.parametrize("codec", ["ffv1", "libx264"])
def test_no_flash_of_the_old_face_where_detection_fails(
    make_swap: MakeSwap,
    head: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    codec: str,
) -> None:
    blinded = Blinded(create_analyser(2))
    monkeypatch.setattr(pipeline, "create_analyser", lambda threads: blinded)
    swap = make_swap(codec=codec)
    blind = {7, 13, 14, 15, 16, 17, 18, 19, 20, 30, 32, 34, 35}
    # Slower than elsewhere: inside a gap the path is a straight line.
    path = [64 + 20 * np.sin(number / 16) for number in range(45)]

    def frames() -> Iterator[np.ndarray]:
        for number, x in enumerate(path):
            frame = with_head(head, x)
            if number in blind:
                frame[:16, :16] = BLIND
            yield frame

    film = write(tmp_path / "film.mkv", frames())
    report = swap.film(film, tmp_path / "out.mkv")
    assert blinded.blind_calls >= len(blind)
    assert report.swapped_frames == 45
    assert report.tracks == 1
    for number, (x, frame) in enumerate(zip(path, read(tmp_path / "out.mkv"), strict=True)):
        assert greenness(frame, x) > SWAPPED, number


def test_frames_without_the_face_are_left_as_they_are(
    lossless: Swap, head: np.ndarray, tmp_path: Path
) -> None:
    def frames() -> Iterator[np.ndarray]:
        for number in range(60):
            yield with_head(head, 64) if 20 <= number < 42 else background()

    film = write(tmp_path / "film.mkv", frames())
    report = lossless.film(film, tmp_path / "out.mkv")
    before, after = read(film), read(tmp_path / "out.mkv")
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        if 20 <= number < 42:
            assert greenness(new, 64) > SWAPPED, number
        else:
            assert np.array_equal(old, new), number
    assert [skip.index for skip in report.skipped] == [*range(20), *range(42, 60)]
    assert report.swapped_frames == 22
    assert report.skipped[3].time_s == pytest.approx(3 / FPS, abs=1e-3)
    assert {skip.reason for skip in report.skipped} == {"no face was found"}


def test_the_first_frame_after_a_cut_is_swapped(
    lossless: Swap, head: np.ndarray, tmp_path: Path
) -> None:
    places = [(20.0, 20.0)] * 20 + [(118.0, 34.0)] * 20

    def frames() -> Iterator[np.ndarray]:
        for number, (x, y) in enumerate(places):
            yield with_head(head, x, y, background(0 if number < 20 else 5))

    film = write(tmp_path / "film.mkv", frames())
    report = lossless.film(film, tmp_path / "out.mkv")
    assert report.swapped_frames == 40
    assert report.tracks == 2
    for number, ((x, y), frame) in enumerate(zip(places, read(tmp_path / "out.mkv"), strict=True)):
        assert greenness(frame, x, y) > SWAPPED, number


# Which face.


@pytest.fixture(scope="module")
def two_people(
    astronaut: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, tuple[slice, slice]]]:
    """A larger face on the left, a smaller one on the right."""
    cut = astronaut[40:220, 135:315]
    frame = background()
    frame[30:190, 5:165] = cv2.resize(cut, (160, 160), interpolation=cv2.INTER_AREA)
    frame[60:180, 190:310] = cv2.resize(cut, (120, 120), interpolation=cv2.INTER_AREA)
    # The middle of the faces: (222, 122) in the photo.
    places = {}
    for name, scale, x, y in (("left", 160 / 180, 5, 30), ("right", 120 / 180, 190, 60)):
        column, row = round(x + 87 * scale), round(y + 82 * scale)
        places[name] = (slice(row - 8, row + 8), slice(column - 14, column + 14))
    path = tmp_path_factory.mktemp("two") / "film.mkv"
    return write(path, [frame] * 15), places


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
    make_swap: MakeSwap,
    two_people: tuple[Path, dict[str, tuple[slice, slice]]],
    tmp_path: Path,
    faces: str,
    swapped: set[str],
) -> None:
    film, places = two_people
    report = make_swap(faces=faces).film(film, tmp_path / "out.mkv")
    assert report.tracks == len(swapped)
    assert report.face_count == 15 * len(swapped)
    for old, new in zip(read(film), read(tmp_path / "out.mkv"), strict=True):
        for name, place in places.items():
            middle = new[place].astype(float).mean((0, 1))
            green = middle[1] - (middle[0] + middle[2]) / 2 > SWAPPED
            assert green == (name in swapped)
            if name not in swapped:
                assert np.array_equal(old[place], new[place])


def test_a_position_that_never_comes(
    make_swap: MakeSwap, two_people: tuple[Path, Any], tmp_path: Path
) -> None:
    with pytest.raises(NoFaceError, match=r"film\.mkv"):
        make_swap(faces="3").film(two_people[0], tmp_path / "out.mkv")
    assert names(tmp_path) == []


# What else a film has.


def test_uneven_timestamps_and_sound_are_kept(
    make_swap: MakeSwap, head: np.ndarray, tmp_path: Path
) -> None:
    pts = [0, 40, 81, 120, 300, 310, 333, 400, 440, 481, 520, 900, 940, 980, 1021]
    film = write(
        tmp_path / "film.mp4",
        [with_head(head, 64 + number) for number in range(len(pts))],
        pts=pts,
        time_base=Fraction(1, 1000),
        codec="libx264",
        pix_fmt="yuv420p",
        sound_s=1.2,
    )
    report = make_swap(codec=None).film(film, tmp_path / "out.mp4")
    assert report.frames == len(pts)
    assert times(tmp_path / "out.mp4") == [Fraction(value, 1000) for value in pts] == times(film)
    assert sound_packets(tmp_path / "out.mp4") == sound_packets(film) != []
    for number, frame in enumerate(read(tmp_path / "out.mp4")):
        assert greenness(frame, 64 + number) > SWAPPED


def test_ten_bits_stay_ten_bits(make_swap: MakeSwap, head: np.ndarray, tmp_path: Path) -> None:
    film = write(tmp_path / "film.mkv", [with_head(head, 64)] * 8, pix_fmt="yuv444p10le")
    make_swap().film(film, tmp_path / "out.mkv")
    with av.open(str(film)) as old, av.open(str(tmp_path / "out.mkv")) as new:
        for a, b in zip(old.decode(video=0), new.decode(video=0), strict=True):
            assert b.format.name == "yuv444p10le"
            for index in range(3):
                old_plane, new_plane = (plane_array(frame, index) for frame in (a, b))
                assert np.array_equal(old_plane[:18], new_plane[:18])
                changed = new_plane[old_plane != new_plane]
                assert changed.size > 2000
                # All four of the values that eight bits have one for.
                counts = np.bincount(changed % 4, minlength=4)
                assert (counts > 0.15 * changed.size).all()
            assert greenness(b.to_ndarray(format="rgb24"), 64) > SWAPPED


def test_a_part_of_a_film(make_swap: MakeSwap, swaying: Path, tmp_path: Path) -> None:
    report = make_swap(start_s=0.4, end_s=1.2).film(swaying, tmp_path / "out.mkv")
    frames = read(tmp_path / "out.mkv")
    assert report.frames == len(frames) == 20
    assert times(tmp_path / "out.mkv") == pytest.approx([n / FPS for n in range(20)], abs=1e-3)
    for x, frame in zip(positions(50)[10:30], frames, strict=True):
        assert greenness(frame, x) > SWAPPED


# Memory.


def test_frames_in_memory_do_not_grow_with_the_film(
    lossless: Swap, head: np.ndarray, tmp_path: Path
) -> None:
    peaks = []
    for count in (40, 90):
        film = write(
            tmp_path / f"{count}.mkv", (with_head(head, 64 + n % 20) for n in range(count))
        )
        alive: list[int] = []

        def look(progress: Progress, alive: list[int] = alive) -> None:
            if progress.done % 8 == 0:
                alive.append(sum(isinstance(thing, FilmFrame) for thing in gc.get_objects()))

        lossless.film(film, tmp_path / f"{count}-out.mkv", look)
        peaks.append(max(alive))
    # 0.8 s known ahead is 20 frames; the queues hold a few more.
    assert 15 < peaks[0] <= 40
    assert peaks[1] <= max(peaks[0], 36)
    assert sum(isinstance(thing, FilmFrame) for thing in gc.get_objects()) == 0


# Interruption and errors.


def test_ctrl_c_leaves_a_part_that_plays(lossless: Swap, swaying: Path, tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.done == 20:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedSwapError, match="first 20 frames") as caught:
        lossless.film(swaying, tmp_path / "out.mkv", interrupt)
    assert caught.value.exit_code == 4
    assert caught.value.partial == str(tmp_path / "out.partial.mkv")
    assert names(tmp_path) == ["out.partial.mkv"]
    frames = read(tmp_path / "out.partial.mkv")
    assert len(frames) == 20
    for x, frame in zip(positions(20), frames, strict=True):
        assert greenness(frame, x) > SWAPPED
    assert stages_alive() == []
    # Nothing of it hinders the next film.
    again = lossless.film(caught.value.partial, tmp_path / "out.mkv")
    assert again.frames == 20


def test_ctrl_c_before_the_first_frame_leaves_nothing(
    lossless: Swap, swaying: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: Any, **how: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "patch", interrupt)
    with pytest.raises(InterruptedSwapError, match="before the first frame") as caught:
        lossless.film(swaying, tmp_path / "out.mkv")
    assert caught.value.partial is None
    assert names(tmp_path) == []
    assert stages_alive() == []


@pytest.mark.parametrize("existing", [False, True])
def test_ctrl_c_does_not_touch_an_earlier_result(
    make_swap: MakeSwap, swaying: Path, tmp_path: Path, existing: bool
) -> None:
    output = tmp_path / "out.mkv"
    if existing:
        output.write_bytes(b"an earlier film")

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(InterruptedSwapError):
        make_swap(overwrite=True).film(swaying, output, interrupt)
    assert output.exists() == existing
    if existing:
        assert output.read_bytes() == b"an earlier film"
    assert len(read(tmp_path / "out.partial.mkv")) == 1


@pytest.mark.parametrize("where", ["swap", "analysis", "progress"])
def test_an_error_in_a_stage_comes_out_and_leaves_nothing(
    make_swap: MakeSwap,
    swaying: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    swap = make_swap()
    calls = [0]
    real = {"swap": Engine.patch, "analysis": follow.look_of}

    def broken(*args: Any, **how: Any) -> Any:
        calls[0] += 1
        if calls[0] == 10:
            raise ZeroDivisionError("tenth")
        return real[where](*args, **how)

    def progress(told: Progress) -> None:
        if where == "progress" and told.done == 10:
            raise ZeroDivisionError("tenth")

    if where == "swap":
        monkeypatch.setattr(Engine, "patch", broken)
    elif where == "analysis":
        monkeypatch.setattr(follow, "look_of", broken)
    with pytest.raises(ZeroDivisionError, match="tenth"):
        swap.film(swaying, tmp_path / "out.mkv", progress)
    assert names(tmp_path) == []
    assert stages_alive() == []


def test_a_film_without_a_face(lossless: Swap, tmp_path: Path) -> None:
    film = write(tmp_path / "scenery.mkv", [background()] * 10)
    with pytest.raises(NoFaceError, match=r"scenery\.mkv: no face was found"):
        lossless.film(film, tmp_path / "out.mkv")
    assert names(tmp_path) == ["scenery.mkv"]
    assert stages_alive() == []


def test_the_output_is_checked_before_anything_is_done(
    hopper_path: Path, swaying: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "create_analyser", None)  # no analysis could start
    taken = tmp_path / "out.mkv"
    taken.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        sosie.swap_video(hopper_path, swaying, taken)
    with pytest.raises(UsageError, match="also an input"):
        sosie.swap_video(hopper_path, swaying, swaying)
    with pytest.raises(OutputError, match="does not exist"):
        sosie.swap_video(hopper_path, swaying, tmp_path / "nowhere" / "out.mkv")
    with pytest.raises(UsageError, match="multiband"):
        sosie.swap_video(hopper_path, swaying, tmp_path / "new.mkv", blend="multi")
    assert names(tmp_path) == ["out.mkv"]
    assert taken.read_bytes() == b"mine"


def test_the_function_for_users(hopper_path: Path, swaying: Path, tmp_path: Path) -> None:
    told: list[Progress] = []
    report = sosie.swap_video(
        hopper_path, swaying, tmp_path / "out.mp4", end_s=0.32, on_progress=told.append
    )
    assert report.frames == len(told) == len(read(tmp_path / "out.mp4")) == 8
    assert report.swapped_frames == 8
