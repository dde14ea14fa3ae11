"""The measurements of `sosie bench`: stages, a cold start, a video from end to end, memory.

Its material is a generated video of a moving portrait.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.errors import SosieError
from sosie.pipeline import swap_image
from sosie.types import Face, Pixels

FPS = 25
WIDTH, HEIGHT = 1920, 1080
_SWING_PX = 120
_TILT_DEG = 6.0
_PERIOD_S = 4.0


def scene_frame(portrait: Pixels, face: Face, face_px: float, time_s: float) -> NDArray[np.uint8]:
    """One frame of 1080p, RGB uint8: the portrait before a generated background.

    face: where the face is in the portrait; it becomes `face_px` large and swings about the middle.
    """
    phase = 2 * math.pi * time_s / _PERIOD_S
    x, y = face.center
    matrix = cv2.getRotationMatrix2D((x, y), _TILT_DEG * math.sin(phase), face_px / face.size_px)
    matrix[0, 2] += WIDTH / 2 - x + _SWING_PX * math.sin(phase)
    matrix[1, 2] += HEIGHT / 2 - y + _SWING_PX / 3 * math.cos(phase)
    frame = _background().copy()
    cv2.warpAffine(
        portrait, matrix, (WIDTH, HEIGHT), frame, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT
    )
    return frame


def write_scene(path: Path, portrait: Pixels, face: Face, face_px: float, duration_s: float) -> int:
    """Write the scene as a video (H.264, veryfast, 25 frames a second) and return its frames."""
    count = round(duration_s * FPS)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "20"}
        for frame in _frames(portrait, face, face_px, count):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return count


def _frames(portrait: Pixels, face: Face, face_px: float, count: int) -> Iterator[av.VideoFrame]:
    for number in range(count):
        pixels = scene_frame(portrait, face, face_px, number / FPS)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts = number
        yield frame


@cache
def _background() -> NDArray[np.uint8]:
    """A gradient with soft blobs: neither flat, which encoders get for nothing, nor noise."""
    random = np.random.default_rng(7)
    blobs = random.uniform(-40, 40, (9, 16, 3)).astype(np.float32)
    texture = cv2.resize(blobs, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    ramp = np.linspace(60, 170, HEIGHT, dtype=np.float32)[:, None, None]
    return np.clip(ramp + texture, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Material:
    """Source photo, and the portrait and its face that the scenes are made of."""

    source: Path
    portrait: Pixels
    face: Face
    face_px: float


@dataclass(frozen=True)
class VideoFigures:
    """A video swapped in a process of its own.

    fps: frames over the whole time of the swap. stages_ms: busy milliseconds a frame; the stages
    overlap, so that their sum is not the time a frame takes. peak_mb: most memory that the process
    held, in MB (10^6 bytes); None where the system does not tell.
    """

    duration_s: float
    frames: int
    fps: float
    stages_ms: dict[str, float]
    peak_mb: float | None


@dataclass(frozen=True)
class Figures:
    """What `sosie bench` found.

    frame_ms: milliseconds by stage for one face of `face_px` in one frame of 1080p, medians of
    `runs`. cold_start_s: `sosie swap` of one photo, from the start of the process to its end.
    """

    machine: dict[str, str | int]
    face_px: float
    runs: int
    frame_ms: dict[str, float]
    cold_start_s: float
    videos: tuple[VideoFigures, ...]


def measure_frame(material: Material, runs: int) -> dict[str, float]:
    """Median milliseconds by stage for one frame of 1080p in memory. The first run is left out."""
    frame = scene_frame(material.portrait, material.face, material.face_px, 0.0)
    reports = [swap_image(material.source, frame).report for _ in range(runs + 1)][1:]
    return {
        stage: 1000 * statistics.median(report.seconds[stage] for report in reports)
        for stage in reports[0].seconds
    }


def measure_cold_start(material: Material, target: Path, folder: Path, runs: int) -> float:
    """Median seconds of `sosie swap` of one photo in a new process."""
    output = folder / "cold.png"
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        _run_swap(material.source, target, output)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def measure_video(material: Material, folder: Path, duration_s: float) -> VideoFigures:
    """A video of the scene, swapped in a new process."""
    video, output = folder / "scene.mp4", folder / "swapped.mp4"
    frames = write_scene(video, material.portrait, material.face, material.face_px, duration_s)
    report, peak_mb = _run_swap(material.source, video, output)
    seconds = dict(report["seconds"])
    total_s = seconds.pop("total")
    return VideoFigures(
        duration_s=duration_s,
        frames=frames,
        fps=frames / total_s,
        stages_ms={stage: 1000 * value / frames for stage, value in seconds.items()},
        peak_mb=peak_mb,
    )


def _run_swap(source: Path, target: Path, output: Path) -> tuple[dict[str, Any], float | None]:
    """The report of a swap in a new process, and its peak memory in MB."""
    command = [sys.executable, "-m", "sosie.app", "swap", "--json", "--overwrite"]
    command += ["-s", str(source), "-t", str(target), "-o", str(output)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        answer = process.stdout.read()
        peak_mb = _wait_for_peak(process)
    report = json.loads(answer)
    if process.returncode != 0:
        raise SosieError(f"The swap that was to be measured failed: {report['error']}")
    return report, peak_mb


def _wait_for_peak(process: subprocess.Popen[bytes]) -> float | None:
    if not hasattr(os, "wait4"):
        process.wait()
        return None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit / 1e6
