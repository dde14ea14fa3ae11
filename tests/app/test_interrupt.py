"""Ctrl-C in the middle of a film, and a reader that goes away, as a shell sees them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

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
    """Until some of the film has reached the disk."""
    while process.poll() is None:
        if any(path.stat().st_size > 10_000 for path in folder.iterdir()):
            return
        time.sleep(0.01)
    pytest.fail(f"the swap ended before it was interrupted: {process.communicate()}")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_leaves_a_playable_film_that_says_it_is_partial(
    hopper_path, small, make_film, tmp_path
):
    # Each frame is shifted, so that the encoder has something to write.
    film = make_film(
        tmp_path / "long.mp4",
        (small[k % 32 : k % 32 + 256, (k * 7) % 32 : (k * 7) % 32 + 256] for k in range(1500)),
    )
    folder = tmp_path / "results"
    folder.mkdir()
    output = folder / "out.mp4"
    with start("swap", "-s", hopper_path, "-t", film, "-o", output, "--json") as process:
        wait_for_output(folder, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 4, err
    partial = folder / "out.partial.mp4"
    assert [path.name for path in folder.iterdir()] == [partial.name]
    assert str(partial) in err
    assert "Traceback" not in err
    assert json.loads(out)["exit_code"] == 4
    with av.open(str(partial)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert 1 < len(times) < 1500
    assert times == pytest.approx([n / 25 for n in range(len(times))], abs=1e-3)


def test_a_reader_that_goes_away_is_no_fault(small_path):
    with start("inspect", small_path, "--json", "--landmarks") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 0
    assert err == ""
