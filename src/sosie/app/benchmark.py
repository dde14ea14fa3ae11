"""The measurements of `sosie bench`: stages, a cold start, a video from end to end, memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sosie.app.synthetic_clip import scene_frame, write_scene
from sosie.errors import SosieError
from sosie.pipeline import swap_image
from sosie.types import Face, Pixels


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
