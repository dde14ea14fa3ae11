"""Ctrl-C in the middle of a video, and a reader that goes away, as a shell sees them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import pytest

from sosie.swapping.work import SUFFIX

SOURCE = Path(__file__).resolve().parents[2] / "src"


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sosie.app", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        # A shell starts its background jobs, such as a test run may be, with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def wait_for_output(folder: Path, process: subprocess.Popen[str]) -> None:
    """Until some of the video has reached the disk."""
    while process.poll() is None:
        if any(path.stat().st_size > 10_000 for path in folder.iterdir()):
            return
        time.sleep(0.01)
    pytest.fail(f"the swap ended before it was interrupted: {process.communicate()}")


def results(folder: Path) -> list[str]:
    """What is there, but for the folder by which a later run goes on."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(SUFFIX))


def wait_until_listening(process: subprocess.Popen[str]) -> None:
    """Until Sosie's first line has run: before it, Python's own start answers signals."""
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        caught = re.search(r"SigCgt:\s*([0-9a-f]+)", status.read_text())
        if caught and int(caught[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.002)


@pytest.fixture(scope="module")
def long_video(small, make_video, tmp_path_factory) -> Path:
    """Each frame is shifted, so that the encoder has something to write."""
    return make_video(
        tmp_path_factory.mktemp("long") / "long.mp4",
        (small[k % 32 : k % 32 + 256, (k * 7) % 32 : (k * 7) % 32 + 256] for k in range(1500)),
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("names", ["SIGINT SIGINT SIGTERM", "SIGTERM", "SIGHUP"])
def test_a_stopped_video_plays_and_says_that_it_is_partial(
    hopper_path, long_video, tmp_path, names
):
    folder = tmp_path / "results"
    folder.mkdir()
    output = folder / "out.mp4"
    with start("swap", "-s", hopper_path, "-t", long_video, "-o", output, "--json") as process:
        wait_for_output(folder, process)
        for name in names.split():
            process.send_signal(getattr(signal, name))
            time.sleep(0.05)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 4, err
    partial = folder / "out.partial.mp4"
    assert results(folder) == [partial.name]
    assert str(partial) in err
    assert "Traceback" not in err
    assert json.loads(out)["exit_code"] == 4
    with av.open(str(partial)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert 1 < len(times) < 1500
    assert times == pytest.approx([n / 25 for n in range(len(times))], abs=1e-3)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")
def test_a_stop_at_any_moment_of_the_start_leaves_nothing(hopper_path, long_video, tmp_path):
    """While modules are loaded, and while networks are."""
    running = []
    for number, moment in enumerate((0.0, 0.1, 0.25, 0.45, 0.7, 1.0)):
        folder = tmp_path / str(number)
        folder.mkdir()
        process = start("swap", "-s", hopper_path, "-t", long_video, "-o", folder / "o.mp4")
        running.append((process, folder))
        wait_until_listening(process)
        time.sleep(moment)
        process.send_signal(signal.SIGTERM if number % 2 else signal.SIGINT)
    ended = [(process, folder, process.communicate(timeout=60)[1]) for process, folder in running]
    for process, folder, err in ended:
        assert process.returncode == 4, err
        assert re.fullmatch(r"sosie: (Interrupted|Stopped)[^\n]*\n", err), err
        # On a fast machine the last ones come when frames are written already: those are kept.
        left = results(folder)
        assert left == (["o.partial.mp4"] if "o.partial.mp4" in err else [])


def test_requests_that_are_ignored_stay_ignored(small_path):
    """As those of `nohup` and of a shell's background jobs."""
    script = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from sosie.app import requests; requests.listen()\n"
        "assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN\n"
        "assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL\n"
    )
    subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers of signals here")
def test_a_request_that_waits_does_not_end_the_process_at_its_end():
    """Python gives signals their first meaning back when it ends; an alarm's is death."""
    script = (
        "import os, signal, sys, time\n"
        "from sosie.app import requests\n"
        "class Import:\n"
        "    f_code = type('C', (), {'co_filename': '<frozen importlib>', 'co_name': ''})\n"
        "    f_back = None\n"
        "requests.listen()\n"
        "requests._requests.stage = 'command'\n"
        "requests._requests.handle(signal.SIGTERM, Import())\n"
        "requests.ignore()\n"
        "signal.signal(signal.SIGALRM, signal.SIG_DFL)\n"
        "time.sleep(0.3)\n"
        "sys.exit(4)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    assert done.returncode == 4


def test_a_request_during_an_import_or_in_a_finalizer_is_not_lost():
    script = """
import signal, sys
from sosie.app import requests

class Finalized:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

requests.listen()
for name in ("del", "import"):
    try:
        with requests.interruptible():
            if name == "del":
                Finalized()
            else:
                sys.path.insert(0, sys.argv[1])
                import stopped
                assert stopped.whole
            while True:
                pass
    except KeyboardInterrupt:
        print(name, flush=True)
"""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "stopped.py").write_text(
            "import signal\nsignal.raise_signal(signal.SIGTERM)\nwhole = True\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, folder],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
        )
    assert (done.stdout, done.stderr) == ("del\nimport\n", "")


def test_a_request_while_a_string_is_evaluated_leaves_the_exit_code(tmp_path):
    """Typer evaluates annotations; of a KeyboardInterrupt out of one `python -m` would die."""
    (tmp_path / "program.py").write_text("""
import signal, sys
from sosie.app import requests

requests.listen()
try:
    with requests.interruptible():
        eval("signal.raise_signal(signal.SIGINT)")
        while True:
            pass
except KeyboardInterrupt:
    requests.ignore()
    sys.exit(4)
""")
    done = subprocess.run(
        [sys.executable, "-m", "program"],
        cwd=tmp_path,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    assert done.returncode == 4


def test_a_video_is_finished_though_nobody_reads_what_is_said(hopper_path, video_path, tmp_path):
    with start("swap", "-s", hopper_path, "-t", video_path, "-o", tmp_path / "o.mp4") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (0, "")
    assert (tmp_path / "o.mp4").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_report_that_cannot_be_written_is_one_sentence(small_path, flags):
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "sosie.app", "inspect", str(small_path), *flags],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
        )
    assert process.returncode == 1
    assert re.fullmatch(
        r"sosie: What .* standard output \(No space left on device\).*\n", process.stderr
    )


def test_a_reader_that_goes_away_is_no_fault(small_path):
    with start("inspect", small_path, "--json", "--landmarks") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 0
    assert err == ""
