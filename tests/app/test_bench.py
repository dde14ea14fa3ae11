"""`sosie bench`: that it measures what it says, on material that is what it says."""

from __future__ import annotations

import av
import numpy as np
import pytest

from sosie.analysis.analyzer import create_analyzer
from sosie.app.benchmark import FPS, HEIGHT, WIDTH, Figures, scene_frame, write_scene
from sosie.app.cli.bench import _table


@pytest.fixture(scope="module")
def face(astronaut):
    return max(create_analyzer().analyze(astronaut), key=lambda face: face.size_px)


def test_the_scene_has_one_face_of_the_size_asked_for_that_moves(astronaut, face):
    analyzer = create_analyzer()
    seen = []
    for time_s in (0.0, 1.0, 3.0):
        frame = scene_frame(astronaut, face, 300, time_s)
        assert frame.shape == (HEIGHT, WIDTH, 3)
        (found,) = analyzer.analyze(frame)
        seen.append(found)
    assert seen[0].size_px == pytest.approx(300, rel=0.06)
    assert abs(seen[1].center[0] - seen[2].center[0]) > 150
    assert abs(seen[1].pose.roll - seen[2].pose.roll) > 6


def test_the_scene_video_has_its_length(astronaut, face, tmp_path):
    path = tmp_path / "scene.mp4"
    assert write_scene(path, astronaut, face, 300, 0.2) == 5
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.average_rate == FPS
    assert len(frames) == 5
    for number, frame in enumerate(frames):
        wanted = scene_frame(astronaut, face, 300, number / FPS)
        assert np.abs(frame.astype(int) - wanted).mean() < 4


def test_bench_reports_stages_video_cold_start_and_memory(sosie):
    result = sosie("bench", "--json", "--runs", 1, "--video-s", 0.5)
    assert result.code == 0, result.err
    figures = result.json
    assert {"analysis", "swap", "compose", "total"} <= set(figures["frame_ms"])
    parts = sum(value for stage, value in figures["frame_ms"].items() if stage != "total")
    assert 0 < parts <= figures["frame_ms"]["total"] * 1.01
    assert figures["cold_start_s"] > 0
    (video,) = figures["videos"]
    assert (video["duration_s"], video["frames"]) == (0.5, 12)
    assert {"decode", "encode"} <= set(video["stages_ms"])
    assert video["fps"] > 0
    assert 100 < video["peak_mb"] < 4000
    assert figures["machine"]["threads"] >= 1


def test_each_fact_of_the_machine_has_its_name():
    figures = Figures({"processor": "X9", "threads": 2, "python": "3.11.2"}, 300, 9, {}, 1.0, ())
    lines = _table(figures).splitlines()[:3]
    assert [line.split() for line in lines] == [
        ["processor", "X9"],
        ["threads", "2"],
        ["python", "3.11.2"],
    ]
