"""`sosie bench`: milliseconds a stage and frames a second on this machine."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sosie.app.cli.arguments import AsJson
from sosie.app.cli.output import note_progress, print_json
from sosie.app.samples import sample_portraits

if TYPE_CHECKING:
    from sosie.app.benchmark import Figures, Material, VideoFigures


def bench(
    video_s: Annotated[
        list[float],
        typer.Option(
            "--video-s", min=0.5, help="Length of a video to swap, in seconds; repeatable."
        ),
    ] = [4.0, 16.0],  # noqa: B006 (typer copies it)
    face_px: Annotated[
        float, typer.Option("--face-px", min=40, max=700, help="Size of the face in the frames.")
    ] = 300.0,
    runs: Annotated[int, typer.Option(min=1, help="Runs of which the median is taken.")] = 9,
    as_json: AsJson = False,
) -> None:
    """Measure stages, cold start, video and memory on generated 1080p material."""
    from sosie.app.benchmark import Figures, measure_cold_start, measure_frame, measure_video
    from sosie.evaluation.environment import machine

    note_progress("Measuring; this takes a minute or two, best with nothing else running ...")
    material = _material(face_px)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = Figures(
            machine=machine(),
            face_px=face_px,
            runs=runs,
            frame_ms=measure_frame(material, runs),
            cold_start_s=measure_cold_start(
                material, sample_portraits()["astronaut"], folder, min(runs, 3)
            ),
            videos=tuple(measure_video(material, folder, seconds) for seconds in video_s),
        )
    if as_json:
        print_json(dataclasses.asdict(figures))
    else:
        print(_table(figures))


def _material(face_px: float) -> Material:
    from sosie.analysis.analyzer import create_analyzer
    from sosie.app.benchmark import Material
    from sosie.media.image import load_photo

    portraits = sample_portraits()
    portrait = load_photo(portraits["astronaut"]).pixels
    face = max(create_analyzer().analyze(portrait), key=lambda face: face.size_px)
    return Material(portraits["hopper"], portrait, face, face_px)


def _table(figures: Figures) -> str:
    lines = [*(f"{name:12}{value}" for name, value in figures.machine.items()), ""]
    lines.append(f"face of {figures.face_px:g} px in a frame of 1080p, median of {figures.runs}")
    lines += [f"  {stage:20}{value:9.1f} ms" for stage, value in figures.frame_ms.items()]
    lines += ["", f"sosie swap of one photo, cold{figures.cold_start_s:11.2f} s"]
    for video in figures.videos:
        lines += ["", *_video_lines(video)]
    return "\n".join(lines)


def _video_lines(video: VideoFigures) -> list[str]:
    memory = "unknown" if video.peak_mb is None else f"{video.peak_mb:.0f} MB"
    return [
        f"video of {video.duration_s:g} s, 1080p, {video.frames} frames, x264 veryfast",
        f"  {'end to end':20}{video.fps:9.1f} frames a second",
        f"  {'peak memory':20}{memory:>12}",
        *(f"  {stage:20}{value:9.1f} ms a frame" for stage, value in video.stages_ms.items()),
    ]
