"""Generated videos of a head that is known to the pixel, and swaps that can be told by color.

The source is dyed green and keeps its colors, so that a frame tells whether it was swapped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest

from sosie.options import SwapOptions
from sosie.pipeline import FaceSwapper
from sosie.types import Progress, SwapReport

WIDTH, HEIGHT, FPS = 320, 240, 25
# The astronaut's head in its photo, and the middle of the face in that cut-out.
HEAD, SCALE = (slice(10, 250), slice(105, 345)), 0.8
FACE_X, FACE_Y = (222 - 105 + 0.5) * SCALE, (122 - 10 + 0.5) * SCALE
# Lossless, so that pixels can be compared to the bit.
LOSSLESS = {"codec": "ffv1"}


@pytest.fixture(scope="package")
def dyed(hopper: np.ndarray) -> np.ndarray:
    return np.rint(hopper * np.array([0.5, 1.0, 0.5])).astype(np.uint8)


@pytest.fixture(scope="package")
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
    """A video; by default in .mkv and lossless, full-resolution color."""
    with av.open(str(path), "w") as container:
        video_stream: Any = container.add_stream(codec, rate=FPS)
        video_stream.width, video_stream.height, video_stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        video_stream.codec_context.time_base = video_stream.time_base = time_base
        if codec == "libx264":
            video_stream.options = {"crf": "12", "preset": "ultrafast"}
        sound: Any = container.add_stream("aac", rate=44100) if sound_s else None
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts = pts[number] if pts else number
            frame.time_base = time_base
            container.mux(video_stream.encode(frame))
        container.mux(video_stream.encode())
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


MakeSwap = Callable[..., FaceSwapper]


@pytest.fixture(scope="package")
def make_swap(dyed: np.ndarray) -> MakeSwap:
    def make(**options: Any) -> FaceSwapper:
        return FaceSwapper(dyed, SwapOptions(**{"color": "none", **LOSSLESS, **options}))

    return make


@pytest.fixture(scope="package")
def lossless(make_swap: MakeSwap) -> FaceSwapper:
    return make_swap()


def positions(count: int) -> list[float]:
    """Where a head is that sways from side to side."""
    return [64 + 40 * np.sin(number / 8) for number in range(count)]


@pytest.fixture(scope="package")
def swaying(head: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 frames, lossless."""
    path = tmp_path_factory.mktemp("swaying") / "video.mkv"
    return write(path, (with_head(head, x) for x in positions(50)))


@dataclass(frozen=True)
class Done:
    """A video that was swapped: its path and the result's, frames of both, what was told."""

    video: Path
    output: Path
    before: list[np.ndarray]
    after: list[np.ndarray]
    report: SwapReport
    told: list[Progress]


@pytest.fixture(scope="package")
def swayed(lossless: FaceSwapper, swaying: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    output = tmp_path_factory.mktemp("swayed") / "out.mkv"
    told: list[Progress] = []
    report = lossless.video(swaying, output, told.append)
    return Done(swaying, output, read(swaying), read(output), report, told)


@pytest.fixture(scope="session")
def studio() -> SimpleNamespace:
    """The functions and figures above, for the tests."""
    return SimpleNamespace(
        WIDTH=WIDTH,
        HEIGHT=HEIGHT,
        FPS=FPS,
        FACE_X=FACE_X,
        FACE_Y=FACE_Y,
        SWAPPED=SWAPPED,
        background=background,
        greenness=greenness,
        names=names,
        positions=positions,
        read=read,
        sound_packets=sound_packets,
        stages_alive=stages_alive,
        times=times,
        with_head=with_head,
        write=write,
    )
