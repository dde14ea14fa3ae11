"""Videos that were made with known faults, scored against the video that they were made from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from sosie.analysis.analyzer import create_analyzer
from sosie.errors import InputError, NoFaceError, OutputError
from sosie.evaluation.recognition import Judges
from sosie.evaluation.report import write_report
from sosie.evaluation.video_record import read_video_record, write_video_record
from sosie.evaluation.video_score import VideoScore, score_video

FRAMES, SIDE = 14, 256
FACE = (132, 100), (42, 56)
"""Center and half axes of the astronaut's face in a frame."""


def write_video(path: Path, pictures: list[np.ndarray], times: list[int] | None = None) -> Path:
    """H.264 of 25 fps with hardly any loss. times: numbers of the frames, if some are left out."""
    with av.open(str(path), "w") as container:
        options = {"crf": "4", "preset": "veryfast"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv444p"
        for number, picture in zip(times or range(len(pictures)), pictures, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def target(astronaut) -> list[np.ndarray]:
    """The astronaut, who sways: RGB, SIDE x SIDE."""
    frames = []
    for number in range(FRAMES):
        sway = 2.5 * np.sin(number / 3)
        matrix = np.array([[0.98, 0, -90 + sway], [0, 0.98, 0.5 * sway]])
        frames.append(cv2.warpAffine(astronaut, matrix, (SIDE, SIDE), flags=cv2.INTER_AREA))
    return frames


def shifted(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
    return cv2.warpAffine(picture, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)


def swapped(picture: np.ndarray, light: float = 18, x: float = 0, y: float = 0) -> np.ndarray:
    """Another face: the target's own, darker, moved by x and y."""
    mask = np.zeros((SIDE, SIDE), np.float32)
    cv2.ellipse(mask, FACE[0], FACE[1], 0, 0, 360, 1, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), 3)[..., None]
    face = shifted(picture, x, y).astype(np.float32) - light
    return np.clip(picture * (1 - mask) + face * mask, 0, 255).round().astype(np.uint8)


RNG = np.random.default_rng(2)
FAULTS: dict[str, Callable[[int, np.ndarray], np.ndarray]] = {
    "steady": lambda number, picture: swapped(picture),
    "flickering": lambda number, picture: swapped(picture, 18 + 8 * (number % 2)),
    "shaking": lambda number, picture: swapped(picture, 18, *RNG.normal(0, 2.5, 2)),
    "falling back": lambda n, picture: picture if n in (4, 9, 10) else swapped(picture),
    "untouched": lambda number, picture: picture,
}


@dataclass(frozen=True)
class Videos:
    target: Path
    results: dict[str, Path]
    scores: dict[str, VideoScore]

    def figure(self, name: str, fault: str = "steady") -> float:
        value = self.scores[fault].scored.figures[name]
        assert value is not None, self.scores[fault].scored.reasons[name]
        return value


@pytest.fixture(scope="module")
def videos(target, astronaut_path, tmp_path_factory) -> Videos:
    folder = tmp_path_factory.mktemp("films")
    before = write_video(folder / "target.mp4", target)
    analyzer = create_analyzer(1)
    results, scores = {}, {}
    for name, fault in FAULTS.items():
        pictures = [fault(number, picture) for number, picture in enumerate(target)]
        results[name] = write_video(folder / f"{name}.mp4", pictures)
        sources = [astronaut_path] if name in ("steady", "untouched") else []
        scores[name] = score_video(before, results[name], sources, analyzer=analyzer)
    return Videos(before, results, scores)


def test_every_figure_of_videos_is_told_or_has_a_reason(videos):
    from sosie.evaluation import metrics
    from sosie.evaluation.metrics.base import FrameMetric

    told = videos.scores["steady"].scored
    assert set(told.figures) == set(metrics.all_figures(FrameMetric))
    assert {name for name, value in told.figures.items() if value is None} == set(told.reasons)
    assert set(told.reasons) == {"video_sound_kept", "video_sound_shift", "video_sound_length"}


def test_a_whole_video_is_whole(videos):
    for name in (
        "video_frames_missing",
        "video_frames_added",
        "video_timing",
        "video_lost",
        "video_shift",
    ):
        assert videos.figure(name) == 0


def test_flicker_raises_flicker_alone(videos):
    steady, flickering = (videos.figure("video_flicker", name) for name in ("steady", "flickering"))
    # The face is a little larger than what flickers by 8 levels.
    assert 4 < flickering < 9
    assert steady < 2
    assert videos.figure("video_flicker_ratio", "flickering") > 3
    assert videos.figure("video_jitter_ratio", "flickering") < 2
    assert videos.figure("video_flicker_target") == videos.figure(
        "video_flicker_target", "flickering"
    )


def test_shaking_raises_jitter_and_drift(videos):
    for name in ("video_jitter", "video_jitter_ratio", "video_drift"):
        assert videos.figure(name, "shaking") > 1.5 * videos.figure(name), name


def test_frames_that_fell_back_are_counted(videos):
    assert videos.figure("video_fallback") == 0
    share = videos.figure("video_fallback", "falling back")
    assert share == pytest.approx(100 * 3 / FRAMES)
    assert videos.figure("video_fallback", "untouched") == 100


def test_the_target_itself_is_the_targets_person(videos):
    assert videos.figure("video_identity_target", "untouched") == pytest.approx(1, abs=0.02)
    own, target = (
        videos.figure(name, "untouched") for name in ("video_steadiness", "video_steadiness_target")
    )
    assert own == pytest.approx(target, abs=0.01)
    # The source is the very person, in another photo of her.
    assert videos.figure("video_identity_source", "untouched") > 0.5
    reason = videos.scores["shaking"].scored.reasons["video_identity_source"]
    assert reason == "No source photo was named: give --source."


def test_a_video_that_shows_things_late_is_noticed(target, tmp_path):
    before = write_video(tmp_path / "target.mp4", target)
    late = [swapped(picture) for picture in (target[0], target[0], *target[:-2])]
    found = score_video(
        before, write_video(tmp_path / "late.mp4", late), analyzer=create_analyzer(1)
    )
    assert found.scored.figures["video_shift"] == 2
    assert found.scored.figures["video_timing"] == 0


def test_a_dropped_frame_is_missing(target, videos, tmp_path):
    kept = [number for number in range(6) if number != 3]
    short = write_video(tmp_path / "short.mp4", [swapped(target[n]) for n in kept], kept)
    whole = write_video(tmp_path / "whole.mp4", target[:6])
    found = score_video(whole, short, analyzer=create_analyzer(1))
    assert found.scored.figures["video_frames_missing"] == 1
    assert found.scored.figures["video_frames_added"] == 0
    assert found.scored.figures["video_timing"] == pytest.approx(0, abs=1)
    assert found.scored.figures["video_fallback"] == 0
    assert any("6 frames and the result 5" in note for note in found.notes)


def test_another_size_is_scored_and_said(target, videos, tmp_path):
    half = [cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for p in target[:3]]
    small = write_video(tmp_path / "small.mp4", half)
    whole = write_video(tmp_path / "whole.mp4", target[:3])
    found = score_video(whole, small, analyzer=create_analyzer(1))
    assert "256 x 256" in found.notes[0]
    assert found.scored.figures["video_lost"] == 0
    tall = write_video(tmp_path / "tall.mp4", [np.vstack([half[0], half[0]])])
    with pytest.raises(InputError, match="same shape"):
        score_video(whole, tall, analyzer=create_analyzer(1))


def test_a_video_without_a_face_has_reasons_and_a_report(tmp_path):
    plain = [np.full((64, 64, 3), 40 + 5 * number, np.uint8) for number in range(3)]
    video = write_video(tmp_path / "wall.mp4", plain)
    score = score_video(video, video, analyzer=create_analyzer(1))
    assert score.scored.figures["video_fallback"] is None
    assert score.scored.figures["video_timing"] == 0
    folder = tmp_path / "run"
    write_video_record(folder, "wall", (video, video), [], Judges(), score)
    assert "0 of 0 faces" in write_report(folder)[0].read_text("utf-8")


def test_bad_input_has_clear_words(videos, tmp_path):
    plain = tmp_path / "wall.png"
    cv2.imwrite(str(plain), np.full((64, 64, 3), 90, np.uint8))
    with pytest.raises(NoFaceError, match=r"wall\.png"):
        score_video(videos.target, videos.target, [plain], analyzer=create_analyzer(1))
    with pytest.raises(InputError, match=r"absent\.mp4"):
        score_video(videos.target, tmp_path / "absent.mp4", analyzer=create_analyzer(1))


def write_record(videos: Videos, folder: Path, fault: str = "falling back", **flags) -> Path:
    paths = (videos.target, videos.results[fault])
    write_video_record(folder, "run", paths, [], Judges(), videos.scores[fault], **flags)
    return folder


def test_a_record_is_read_as_it_was_written(videos, tmp_path):
    score = videos.scores["falling back"]
    found = read_video_record(write_record(videos, tmp_path / "run"))
    (curve,) = found.curves
    (track,) = score.series.judged
    assert curve.judged
    assert curve.times_s == pytest.approx(track.times_s)
    for name, values in curve.values.items():
        assert values == pytest.approx(track.of(name), abs=1e-5, nan_ok=True), name
    fell = [moment for moment in found.moments if moment.why == "untouched"]
    assert {moment.frame for moment in fell} <= {4, 9, 10}
    assert fell
    assert all(cv2.imread(str(moment.file)).shape[0] == 256 for moment in found.moments)


def test_a_run_is_not_replaced_unasked(videos, tmp_path):
    folder = write_record(videos, tmp_path / "run")
    with pytest.raises(OutputError, match="overwrite"):
        write_record(videos, folder)
    write_record(videos, folder, "steady", overwrite=True)
    config = json.loads((folder / "config.json").read_text())
    assert config["swap"]["result"].endswith("steady.mp4")
    other = tmp_path / "photos"
    other.mkdir()
    (other / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(OutputError, match="holds no run"):
        write_record(videos, other, overwrite=True)
    assert (other / "mine.jpg").is_file()


def test_the_report_of_a_video_shows_it_along_time(videos, tmp_path):
    folder = write_record(videos, tmp_path / "run")
    page, text = write_report(folder)
    html = page.read_text("utf-8")
    assert "Frames that fell back to the target" in html
    assert "21.4 %" in html
    assert html.count("<svg") >= 5
    assert "Fell back to the target" in html
    assert html.count("data:image/jpeg") >= 8
    assert "The target has no sound." in text.read_text("utf-8")
