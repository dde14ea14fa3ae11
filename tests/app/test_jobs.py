"""`sosie jobs`: the list, what is done of it, and what is left when a process is ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sosie.app.jobs import run as run_module
from sosie.app.jobs.store import JobStore, usual_file
from sosie.app.swap_command import Person, SwapCommand
from sosie.options import SwapOptions

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def jobs(sosie: Any, tmp_path: Path) -> Any:
    """`jobs("add", ...)` on a file of jobs of the test's own."""

    def call(command: str, *arguments: object) -> Any:
        return sosie("jobs", command, *arguments, "--file", tmp_path / "jobs.sqlite")

    return call


@pytest.fixture
def targets(small_path: Path, tmp_path: Path) -> Path:
    """A folder with two photos, one of which shows nobody."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").write_bytes(small_path.read_bytes())
    Image.fromarray(np.full((200, 200, 3), 90, np.uint8)).save(folder / "b.png")
    return folder


def listed(jobs: Any) -> list[tuple[str, str]]:
    found = jobs("list", "--json").json["jobs"]
    return [(Path(job["command"]["output"]).name, job["state"]) for job in found]


def test_jobs_are_done_and_what_failed_is_done_again_alone(
    jobs: Any, targets: Path, small_path: Path, hopper_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    added = jobs("add", "-s", hopper_path, "-t", targets, "-o", out, "--crf", 20, "--json")
    assert added.json["added"] == [1, 2]
    assert listed(jobs) == [("a.png", "queued"), ("b.png", "queued")]
    result = jobs("run")
    assert result.code == 3
    assert f"{out / 'a.png'}: 1 face swapped" in result.out
    assert "1 of 2 jobs done" in result.out
    assert result.err.splitlines()[-1].startswith("sosie: job 2: ")
    assert "No face was found" in result.err
    assert listed(jobs) == [("a.png", "done"), ("b.png", "failed")]
    # The first one is not touched any more.
    first = (out / "a.png").read_bytes()
    (targets / "b.png").write_bytes(small_path.read_bytes())
    assert jobs("retry", 1).code == 2
    again = jobs("retry", "--json")
    assert (again.code, again.json["done"], again.json["failed"]) == (0, [2], [])
    assert (out / "a.png").read_bytes() == first == (out / "b.png").read_bytes()
    assert jobs("run").out == "0 of 0 jobs done\n"
    assert jobs("remove", "done").out == "2 jobs and 0 work folders removed\n"
    assert listed(jobs) == []


def test_a_job_keeps_its_files_when_it_is_run_from_another_folder(
    jobs: Any, small_path: Path, hopper_path: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """Sources and targets do, and so do the files that options name."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    added = jobs("add", "-s", hopper_path, "-t", small_path, "-o", "a.png", "--watch", "now.jpg")
    assert added.code == 0
    monkeypatch.chdir(there)
    assert jobs("run").code == 0
    assert sorted(path.name for path in here.iterdir()) == ["a.png", "now.jpg"]
    assert not list(there.iterdir())


def test_each_source_for_each_target_by_names(
    jobs: Any, targets: Path, hopper_path: Path, astronaut_path: Path, tmp_path: Path
) -> None:
    crew = tmp_path / "crew"
    crew.mkdir()
    for number in range(2):
        (crew / f"{number}.jpg").write_bytes(hopper_path.read_bytes())
    name = str(tmp_path / "out" / "{target}_{source}")
    flags = ("-s", astronaut_path, crew, "-t", str(targets / "*.png"), "-o")
    dry = jobs("add", *flags, name, "--dry-run")
    assert (dry.code, dry.out.count("would add")) == (0, 4)
    assert listed(jobs) == []
    jobs("add", *flags, name)
    names = ["a_astronaut.png", "a_crew.png", "b_astronaut.png", "b_crew.png"]
    assert [name for name, _ in listed(jobs)] == names
    kept = jobs("list", "--json").json["jobs"][1]["command"]
    assert kept["people"] == [
        {"reference": None, "sources": [str(crew / "0.jpg"), str(crew / "1.jpg")]}
    ]
    # Several photos of one person, where the name does not part them.
    one = jobs("add", *flags, str(tmp_path / "{index}.{extension}"), "--json").json
    assert [Path(job["output"]).name for job in one["jobs"]] == ["1.png", "2.png"]
    assert len(one["jobs"][0]["people"][0]["sources"]) == 3


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("{target}.png", None),
        ("same.png", "and .* is a file|There are several"),
        ("{tagret}.png", r"Unknown word \{tagret\}.*did you mean 'target'"),
        ("x_{source}.png", "would both be"),
        ("{target", "cannot be read"),
    ],
)
def test_names_that_cannot_be_meant(
    jobs: Any, targets: Path, hopper_path: Path, tmp_path: Path, output: str, message: str | None
) -> None:
    (tmp_path / "same.png").write_bytes(b"mine")
    result = jobs("add", "-s", hopper_path, "-t", targets, "-o", str(tmp_path / output))
    assert result.code == (2 if message else 0)
    if message:
        import re

        assert re.search(message, result.err)
        assert listed(jobs) == []


def test_two_jobs_do_not_write_one_output(
    jobs: Any, targets: Path, hopper_path: Path, tmp_path: Path
) -> None:
    flags = ("-s", hopper_path, "-t", targets / "a.png", "-o", tmp_path / "o.png")
    assert jobs("add", *flags).code == 0
    again = jobs("add", *flags)
    assert (again.code, "is the output of job 1 too" in again.err) == (2, True)


def test_jobs_go_to_another_file_and_come_back(
    jobs: Any, sosie: Any, targets: Path, hopper_path: Path, tmp_path: Path
) -> None:
    jobs("add", "-s", hopper_path, "-t", targets, "-o", tmp_path / "out", "--blend", "alpha")
    written = tmp_path / "jobs.json"
    assert jobs("export", written).code == 0
    before = jobs("list", "--json").json["jobs"]
    assert json.loads(written.read_text())["jobs"] == before
    other = ("--file", tmp_path / "other.sqlite")
    assert sosie("jobs", "import", written, *other).out == "2 jobs added\n"
    after = sosie("jobs", "list", "--json", *other).json["jobs"]
    assert [job["command"] for job in after] == [job["command"] for job in before]
    assert sosie("jobs", "import", targets / "a.png", *other).code == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from sosie.app.jobs.store import JobStore
store = JobStore(Path(sys.argv[1]))
job = store.take()
print(job.number, flush=True)
sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


def command(tmp_path: Path, name: str, target: Path) -> SwapCommand:
    people = (Person(None, (str(target),)),)
    return SwapCommand(target, tmp_path / name, people, SwapOptions())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_job_whose_process_was_killed_is_taken_again(tmp_path: Path, hopper_path: Path) -> None:
    file = tmp_path / "jobs.sqlite"
    with JobStore(file) as store:
        store.add([command(tmp_path, f"{number}.png", hopper_path) for number in range(2)])
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, file],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        assert [job.state for job in store.all()] == ["running", "queued"]
        with pytest.raises(Exception, match="is being worked on"):
            store.remove([1])
        # Another process takes the next one meanwhile.
        taken = store.take()
        assert taken is not None
        assert taken.number == 2
        process.communicate()
        assert [job.state for job in store.all()] == ["queued", "running"]
        taken = store.take()
        assert taken is not None
        assert taken.number == 1
    # Let go of, not done.
    with JobStore(file) as store:
        assert [job.state for job in store.all()] == ["queued", "queued"]
    assert [path.name for path in tmp_path.glob("*.runner")] == []


def test_a_job_that_was_done_when_its_process_was_killed_is_not_done_again(
    tmp_path: Path, hopper_path: Path
) -> None:
    with JobStore(tmp_path / "jobs.sqlite") as store:
        store.add([command(tmp_path, "out.png", hopper_path)])
        store.take()
    (tmp_path / "out.png").write_bytes(b"whole")
    with JobStore(tmp_path / "jobs.sqlite") as store:
        (outcome,) = run_module.run_jobs(store, lambda *_: pytest.fail("it is there"))
        assert outcome.result is None
        assert [job.state for job in store.all()] == ["done"]


def test_a_stopped_job_stays_in_the_queue(
    jobs: Any, targets: Path, hopper_path: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    jobs("add", "-s", hopper_path, "-t", targets, "-o", tmp_path / "out")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sosie.pipeline.FaceSwapper.photo", stop)
    assert jobs("run").code == 4
    assert listed(jobs) == [("a.png", "queued"), ("b.png", "queued")]


def test_the_usual_file_is_in_the_folder_of_data(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert usual_file() == tmp_path / "sosie" / "jobs.sqlite"


def test_a_file_of_something_else_is_refused(sosie: Any, small_path: Path) -> None:
    result = sosie("jobs", "list", "--file", small_path)
    assert (result.code, "cannot be used" in result.err) == (1, True)


def test_work_left_behind_is_listed_resumed_and_removed(
    sosie: Any, jobs: Any, hopper_path: Path, video_path: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    from sosie.swapping import video_analysis as video

    monkeypatch.setattr(video, "_LEAST_S", 0.1)
    monkeypatch.setattr(video, "_MOST_S", 0.2)
    swap = ("-s", hopper_path, "-t", video_path, "--preset", "ultrafast")
    whole = tmp_path / "whole.mp4"
    assert sosie("swap", *swap, "-o", whole).code == 0
    outputs = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    from sosie.media.video_write import VideoWriter

    real = VideoWriter.write

    def stopped(self: VideoWriter, frame: Any) -> None:
        real(self, frame)
        if self.frames == 8:
            raise RuntimeError("stopped")

    for output in outputs:
        monkeypatch.setattr(VideoWriter, "write", stopped)
        result = sosie("swap", *swap, "-o", output)
        assert result.code == 1
        assert f"or `sosie resume {output}`, goes on after frame" in result.err
    monkeypatch.setattr(VideoWriter, "write", real)
    left = jobs("list", tmp_path, "--json").json["resumable"]
    assert [one["output"] for one in left] == [str(output) for output in outputs]
    assert all(one["frames"] >= 5 and one["size_bytes"] > 100 for one in left)
    result = sosie("resume", outputs[0])
    assert (result.code, result.err) == (0, "")
    assert "are from an earlier run" in result.out
    assert outputs[0].read_bytes() == whole.read_bytes()
    assert jobs("remove", left[1]["folder"]).out == "0 jobs and 1 work folders removed\n"
    assert jobs("list", tmp_path, "--json").json["resumable"] == []
    gone = sosie("resume", outputs[1])
    assert (gone.code, "has no work folder" in gone.err) == (1, True)
