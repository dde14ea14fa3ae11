"""Progress on stderr for a person at a terminal, and silence for everyone else."""

from __future__ import annotations

import json

import pytest

from sosie.app.cli.output import note_progress, print_json, video_progress
from sosie.types import Progress


def test_progress_is_quiet_where_stderr_is_no_terminal(capfd, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with video_progress("video.mp4") as on_progress:
        assert on_progress is None
    note_progress("1 of 2 done")
    assert capfd.readouterr() == ("", "")


def test_progress_shows_stage_frames_fps_and_time_left_at_a_terminal(capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with video_progress("[a] video.mp4") as on_progress:
        on_progress(Progress(done=250, total=1000, fps=10.0, stage="comparing"))
    note_progress("1 of 2 done")
    out, err = capfd.readouterr()
    assert out == ""
    for words in ("[a] video.mp4", "comparing", "250/1000", "10.0 fps", "1:15 left", "1 of 2 done"):
        assert words in err


def test_an_unknown_length_has_no_time_left(capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with video_progress("video.mp4") as on_progress:
        on_progress(Progress(done=7200, total=None, fps=10.0))
    err = capfd.readouterr().err
    assert "7200/?" in err
    assert "left" not in err


def test_long_times_have_hours(capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with video_progress("video.mp4") as on_progress:
        on_progress(Progress(done=0, total=72_610, fps=10.0))
    assert "2:01:01 left" in capfd.readouterr().err


def test_json_is_one_document_and_never_invalid(capfd):
    print_json({"name": "Zoë", "values": [1, 2.5, None]})
    assert json.loads(capfd.readouterr().out) == {"name": "Zoë", "values": [1, 2.5, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json({"value": float("nan")})
