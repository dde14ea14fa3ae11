"""Kill swaps of a video at random moments, go on with them, and compare the bytes.

    python tools/kill_and_resume.py -s me.jpg -t video.mp4 [--kills 30] [--seed 1]
        [--segment-s 0.5] [--longest-s 20] [--full 2] [-- FLAGS OF sosie swap ...]

One run writes the video without a stop. Then processes that write it are killed (SIGKILL) at a
random moment, up to `--longest-s` after their start, and started again with the same command until
one comes to its end; that goes on with further outputs until there were so many kills. As many runs
as `--full` says meet a file size limit (RLIMIT_FSIZE) at random, as they would a full disk, before
they go on without one. Every finished file must have the bytes of the first, and nothing else may
be left but parts that play. Segments are shortened to `--segment-s`, so that a short video has
many. The exit code is 0 where all is so.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_CHILD = """
import sys
from sosie.swapping import video
video._LEAST_S, video._MOST_S = float(sys.argv[1]) / 2, float(sys.argv[1])
from sosie.app.cli.entry import main
main(sys.argv[2:])
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("-s", "--source", required=True)
    parser.add_argument("-t", "--target", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--full", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--segment-s", type=float, default=0.5)
    parser.add_argument("--longest-s", type=float, default=20.0)
    parser.add_argument("flags", nargs="*")
    given = parser.parse_args()
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as folder:
        trial = _Trial(given, Path(folder))
        whole = trial.output("whole")
        assert trial.run(whole) == 0, "the run without a stop failed"
        expected = whole.read_bytes()
        kills = wrong = number = 0
        while kills < given.kills:
            output = trial.output(f"killed-{number}")
            while (code := trial.run(output, kill_after_s=rng.uniform(0, given.longest_s))) < 0:
                kills += 1
                if kills >= given.kills:
                    code = trial.run(output)
                    break
            wrong += trial.is_wrong(output, code, expected)
            number += 1
            print(f"{kills} kills, {number} outputs, {wrong} wrong", flush=True)
        for full in range(given.full):
            output = trial.output(f"full-{full}")
            code = trial.run(output, limit=round(rng.uniform(0.1, 0.95) * len(expected)))
            print(f"file size limit: exit code {code}", flush=True)
            wrong += code != 1 or trial.is_wrong(output, trial.run(output), expected)
    print(f"{kills} kills, {given.full} limits: {wrong} wrong")
    return 1 if wrong else 0


class _Trial:
    """Runs of one command."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self._given, self._folder = given, folder

    def output(self, name: str) -> Path:
        """A file in a folder of its own."""
        (self._folder / name).mkdir()
        return self._folder / name / f"out{self._given.target.suffix}"

    def run(self, output: Path, kill_after_s: float | None = None, limit: int | None = None) -> int:
        """The exit code of a run; below 0 where it was killed. limit: bytes of a file."""
        words = [sys.executable, "-c", _CHILD, str(self._given.segment_s), "swap"]
        words += ["-s", self._given.source, "-t", str(self._given.target), "-o", str(output)]

        def limited() -> None:
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        process = subprocess.Popen(
            [*words, *self._given.flags],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            preexec_fn=limited,
        )
        end = None if kill_after_s is None else time.monotonic() + kill_after_s
        while process.poll() is None:
            if end is not None and time.monotonic() > end:
                process.kill()
            time.sleep(0.005)
        said = process.communicate()[1].decode()
        if process.returncode > 0:
            print(said.strip(), flush=True)
        return process.returncode

    def is_wrong(self, output: Path, code: int, expected: bytes) -> bool:
        """Says what is not as it should be."""
        if code != 0 or output.read_bytes() != expected:
            print(f"{output.parent.name}: exit code {code}, or other bytes", flush=True)
            return True
        left = [path.name for path in output.parent.iterdir() if ".partial" not in path.name]
        if left != [output.name]:
            print(f"{output.parent.name}: left are {left}", flush=True)
            return True
        return False


if __name__ == "__main__":
    sys.exit(main())
