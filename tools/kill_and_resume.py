"""Kill swaps at random moments, go on with them, and compare the bytes.

    python tools/kill_and_resume.py -s me.jpg -t video.mp4 -o out.mp4 [--layers comp/face.mov]
        [--kills 10] [--full 1] [--lost 0] [--seed 1] [--segment-s 0.5] [--set OPTION=VALUE ...]

`-o` and `--layers` are names in a folder that is made for each trial; `-o 'out/p.%04d.png'` is a
sequence, `-o out.gif` an animation. One run writes them without a stop. Then runs are killed
(SIGKILL) at moments spread evenly over their frames, each a random time after one is written, and
started again with the same command until one comes to its end; that goes on with further trials
until there were so many kills. As many runs as `--full` says meet a file size limit (RLIMIT_FSIZE)
at random, as they would a full disk, before they go on without one. As many as `--lost` says have
two workers, of which one is killed at a random moment. All files must have the bytes of the first
run, and nothing else may be left but parts that play. Segments are shortened to `--segment-s`, so
that a short video has many. Each run is a process of its own, but the networks and the source are
read once, before it: they run in one thread, so that they can be shared. The exit code is 0 where
all is so.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from sosie.cluster import close_clusters
from sosie.media.targets import open_target
from sosie.options import SwapOptions
from sosie.pipeline import FaceSwapper
from sosie.swapping import video_analysis
from sosie.swapping.work import frames_in, work_path

_WAIT_S = 0.005


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("-s", "--source", required=True)
    parser.add_argument("-t", "--target", required=True)
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--layers")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--full", type=int, default=1)
    parser.add_argument("--lost", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--segment-s", type=float, default=0.5)
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE")
    given = parser.parse_args()
    rng = random.Random(given.seed)
    video_analysis._LEAST_S, video_analysis._MOST_S = given.segment_s / 2, given.segment_s
    with tempfile.TemporaryDirectory() as folder:
        trials = _Trials(given, Path(folder), rng)
        print(f"without a stop: {trials.whole_s:.1f} s, {len(trials.expected)} files", flush=True)
        for number in range(given.lost):
            trials.lose_a_worker(number)
        for number in range(given.full):
            trials.fill_the_disk(number)
        while trials.kills < given.kills:
            trials.kill(given.kills)
    print(
        f"{given.output}: {trials.kills} kills in {trials.outputs} outputs, after these shares of "
        f"the frames were kept: {', '.join(f'{share:.2f}' for share in sorted(trials.kept))}; "
        f"{given.full} limits, {given.lost} lost workers: {trials.wrong} wrong; the work was, but "
        f"for its state, at most {trials.largest:.2f} of the output"
    )
    return 1 if trials.wrong else 0


class _Trials:
    """Runs of one command. kills: how many there were. kept: which share of the frames each of them
    left to go on with. largest: the work folder's size, but for the state, as a share of the
    output's."""

    def __init__(self, given: argparse.Namespace, folder: Path, rng: random.Random) -> None:
        self._given, self._folder, self._rng = given, folder, rng
        self.kills = self.outputs = self.wrong = 0
        self.kept: list[float] = []
        self.largest = 0.0
        pairs = [one.partition("=")[::2] for one in given.set]
        known = {name: SwapOptions.value_of(name, text) for name, text in pairs}
        self._swapper = FaceSwapper(given.source, SwapOptions(**known, threads=1))
        started = time.monotonic()
        whole = self._new("whole")
        code = self._run(whole)
        assert code == 0, f"the run without a stop ended with {code}"
        self.whole_s = time.monotonic() - started
        self.expected = _content(whole)
        self._bytes = sum(map(len, self.expected.values()))
        with open_target(Path(given.target)) as video:
            self._frames = video.expected_frames or 0

    def kill(self, most: int) -> None:
        """Kills runs of one output until one comes to its end."""
        place = self._new(f"killed-{self.outputs}")
        code = -1
        while code < 0 and self.kills < most:
            code = self._run(place, self._killer(place))
            if code < 0:
                self.kills += 1
                self._look(place)
        self._check(place, self._run(place) if code < 0 else code)
        print(f"{self.kills} kills, {self.outputs} outputs, {self.wrong} wrong", flush=True)

    def _killer(self, place: Path) -> Callable[[int, int], None]:
        """Kills a run some time after one of the frames that it has to write."""
        work = work_path(place / self._given.output, None)
        frame = self._rng.randint(frames_in(work) if work.is_dir() else 0, self._frames)
        later_s = self._rng.uniform(0, 3) * self.whole_s / self._frames
        seen: list[float] = []

        def kill(pid: int, done: int) -> None:
            if done >= frame and not seen:
                seen.append(time.monotonic())
            if seen and time.monotonic() > seen[0] + later_s:
                os.kill(pid, signal.SIGKILL)

        return kill

    def fill_the_disk(self, number: int) -> None:
        """Has a run meet a file size limit."""
        place = self._new(f"full-{number}")
        largest = max(map(len, self.expected.values()))
        code = self._run(place, limit=round(self._rng.uniform(0.2, 0.95) * largest))
        print(f"file size limit: exit code {code}", flush=True)
        self.wrong += code != 1
        self._check(place, self._run(place))

    def lose_a_worker(self, number: int) -> None:
        """Kills one of two workers."""
        place = self._new(f"lost-{number}")
        killed: list[int] = []
        frame = self._rng.randint(1, self._frames // 2)

        def kill_one(pid: int, done: int) -> None:
            if not killed and done >= frame:
                # Dask's nannies watch over processes that work.
                nannies = psutil.Process(pid).children()
                workers = [one for nanny in nannies for one in nanny.children()] or nannies
                workers = [one for one in workers if "spawn_main" in " ".join(one.cmdline())]
                if len(workers) > 1:
                    workers[0].kill()
                    killed.append(workers[0].pid)

        code = self._run(place, kill_one, workers=2)
        print(f"lost worker: exit code {code}, {len(killed)} killed", flush=True)
        self.wrong += not killed
        self._check(place, code)

    def _look(self, place: Path) -> None:
        """At what a run that was ended has left."""
        work = work_path(place / self._given.output, None)
        frames = frames_in(work) if work.is_dir() else 0
        self.kept.append(frames / self._frames if self._frames else 0.0)
        files = (path for path in work.rglob("*") if path.is_file() and path.suffix != ".state")
        size = sum(path.stat().st_size for path in files)
        self.largest = max(self.largest, size / self._bytes)

    def _new(self, name: str) -> Path:
        (self._folder / name).mkdir()
        return self._folder / name

    def _run(
        self,
        place: Path,
        watch: Callable[[int, int], None] | None = None,
        limit: int | None = None,
        workers: int | None = None,
    ) -> int:
        """The exit code of a run; below 0 where it was killed. watch: called with its number
        and how many frames are written, while it runs. limit: bytes of a file."""
        layers = None if self._given.layers is None else str(place / self._given.layers)
        swapper = copy.copy(self._swapper)
        swapper.options = dataclasses.replace(swapper.options, layers=layers, workers=workers)
        told, tell = os.pipe()
        os.set_blocking(told, False)
        pid = os.fork()
        if pid == 0:
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            code = 0
            try:
                swapper.video(
                    *(self._given.target, place / self._given.output),
                    on_progress=lambda progress: os.write(tell, bytes([min(255, progress.done)])),
                )
                close_clusters()
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", flush=True)
                code = 1
            os._exit(code)
        os.close(tell)
        frames = 0
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                os.close(told)
                return os.waitstatus_to_exitcode(status)
            with suppress(BlockingIOError):
                frames = max([frames, *os.read(told, 1 << 16)])
            if watch is not None:
                watch(pid, frames)
            time.sleep(_WAIT_S)

    def _check(self, place: Path, code: int) -> None:
        """Says what is not as it should be."""
        self.outputs += 1
        found = _content(place)
        if code != 0 or found != self.expected:
            names = sorted({*found, *self.expected})
            other = [name for name in names if found.get(name) != self.expected.get(name)]
            print(f"{place.name}: exit code {code}, other files or bytes: {other[:5]}", flush=True)
            self.wrong += 1


def _content(folder: Path) -> dict[str, bytes]:
    """All files but parts that stops have kept."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".partial" not in str(path.relative_to(folder))
    }


if __name__ == "__main__":
    sys.exit(main())
