"""`sosie eval video`, and `sosie eval compare` of what it wrote."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

QUICK = ("--threads", 1)


@pytest.fixture(scope="module")
def darker(small, make_video, tmp_path_factory) -> Path:
    """`video_path` with the middle, where the face is, 30 levels darker."""
    shade = np.zeros((256, 256, 1), np.int16)
    shade[60:200, 70:190] = 30
    frames = (
        np.clip(small[k : k + 256, k : k + 256] - shade, 0, 255).astype(np.uint8)
        for k in range(0, 24, 2)
    )
    return make_video(tmp_path_factory.mktemp("darker") / "darker.mp4", frames)


def test_a_video_is_scored_and_reported(sosie, video_path, darker, small_path, tmp_path):
    result = sosie("eval", "video", video_path, darker, "-s", small_path, "--out", tmp_path, *QUICK)
    assert result.code == 0, result.err
    report = tmp_path / "darker" / "report.html"
    assert result.out.endswith(f"The report: {report}\n")
    lines = [line for line in result.out.splitlines() if line.startswith("|")]
    assert any("fell back" in line and " 0 % |" in line for line in lines)
    assert "Sound that was kept as it is: The target has no sound." in result.out
    assert "Along the video" in report.read_text("utf-8")


def test_the_target_itself_fell_back_throughout(sosie, video_path, tmp_path):
    command = ("eval", "video", video_path, video_path, "--out", tmp_path, "--name", "none", *QUICK)
    told = sosie(*command, "--json").json
    assert told["figures"]["video_fallback"] == 100
    assert told["figures"]["video_identity_target"] == pytest.approx(1)
    assert told["figures"]["video_identity_source"] is None
    assert told["reasons"]["video_identity_source"] == "No source photo was named: give --source."
    assert told["report"] == str(tmp_path / "none" / "report.html")


def test_runs_are_compared(sosie, video_path, darker, tmp_path):
    for result in (video_path, darker):
        assert sosie("eval", "video", video_path, result, "--out", tmp_path, *QUICK).code == 0
    runs = (tmp_path / video_path.stem, tmp_path / "darker")
    told = sosie("eval", "compare", *runs, "--json").json
    fallback = {one["run"]: one["value"] for one in told["figures"] if "fallback" in one["figure"]}
    assert fallback == {video_path.stem: 100, "darker": 0}
    assert told["report"] is None
    out = tmp_path / "all"
    printed = sosie("eval", "compare", *runs, "--out", out)
    assert printed.code == 0
    assert printed.out.endswith(f"The page: {out / 'comparison.html'}\n")
    assert (out / "comparison.md").read_text("utf-8") in printed.out


def test_a_run_and_a_comparison_are_not_replaced_unasked(sosie, refused, video_path, tmp_path):
    for name in ("a", "b"):
        command = ("eval", "video", video_path, video_path, "--out", tmp_path, "--name", name)
        assert sosie(*command, *QUICK).code == 0
    assert "--overwrite" in refused(1, *command)
    compare = ("eval", "compare", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "c")
    assert sosie(*compare).code == 0
    assert "--overwrite" in refused(1, *compare)
    assert sosie(*compare, "--overwrite").code == 0
    assert "Unknown baseline" in refused(2, *compare[:-2], "--baseline", "x")
    assert "two or more" in refused(1, "eval", "compare", tmp_path / "a", tmp_path)


def test_a_run_that_an_earlier_version_wrote_is_read_and_compared(sosie, video_path, tmp_path):
    """Their keys said `film`."""
    for name in ("old", "new"):
        command = ("eval", "video", video_path, video_path, "--out", tmp_path, "--name", name)
        assert sosie(*command, *QUICK).code == 0
    for file in ("config.json", "results.jsonl"):
        path = tmp_path / "old" / file
        told = path.read_text("utf-8")
        older = re.sub(r'"(pair|kind)": "video"', r'"\1": "film"', told)
        path.write_text(older.replace('"video_', '"film_'), "utf-8")
        assert path.read_text("utf-8") != told
    out = tmp_path / "both"
    told = sosie("eval", "compare", tmp_path / "old", tmp_path / "new", "--out", out, "--json").json
    values = {
        run: {entry["figure"]: entry["value"] for entry in told["figures"] if entry["run"] == run}
        for run in ("old", "new")
    }
    assert values["old"] == values["new"]
    assert values["old"]["video_fallback"] == 100


def test_bad_videos_are_refused(refused, video_path, small_path, tmp_path):
    out = ("--out", tmp_path / "runs")
    assert "absent.mp4" in refused(1, "eval", "video", video_path, tmp_path / "absent.mp4", *out)
    assert small_path.name in refused(1, "eval", "video", video_path, small_path, *out)


@pytest.fixture(scope="module")
def part(small, make_video, tmp_path_factory) -> Path:
    """Frames 3 to 8 of `video_path`, as a swap with --start and --end writes them."""
    frames = (small[k : k + 256, k : k + 256] for k in range(6, 18, 2))
    return make_video(tmp_path_factory.mktemp("part") / "part.mp4", frames)


def test_a_part_is_held_against_that_part(sosie, video_path, part, tmp_path):
    """Frames lie between the times, so that rounding of a container does not matter."""
    from sosie.media.packet_list import take_inventory

    times = take_inventory(video_path).frame_times_s
    start, end = (times[2] + times[3]) / 2, (times[8] + times[9]) / 2
    command = ("eval", "video", video_path, part, "--out", tmp_path, *QUICK)
    span = ("--start", f"{start:.4f}", "--end", f"{end:.4f}")
    told = sosie(*command, *span, "--name", "part", "--json").json
    figures = told["figures"]
    assert (figures["video_frames_missing"], figures["video_frames_added"]) == (0, 0)
    assert figures["video_timing"] < 1
    assert figures["video_fallback"] == 100
    assert told["notes"] == []
    whole = sosie(*command, "--name", "whole", "--json").json
    assert whole["figures"]["video_frames_missing"] == len(times) - 6
