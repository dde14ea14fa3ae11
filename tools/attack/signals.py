"""Requests to stop, and a kill, at any moment of a swap, an extraction and an inspection."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.attack.command import judged
from tools.attack.damage import Dice
from tools.attack.trial import WALL_S, Case

FRAMES = 50
KINDS = (
    "INT",
    "TERM",
    "HUP",
    "INT INT",
    "TERM INT",
    "INT HUP TERM",
    "KILL",
    "STOP CONT",
    "ignored HUP",
)


def cases(count: int, seed: int) -> Iterator[tuple[int, Case]]:
    """Each is one signal, or several, at a moment of the time that the whole work takes."""
    with tempfile.TemporaryDirectory() as name:
        video = Path(name) / "video.mp4"
        write_video(video)
        took_s: dict[str, float] = {}
        for number in range(count):
            dice = Dice(f"signals {seed} {number}")
            work = ("swap", "swap", "swap", "extract", "inspect")[number % 5]
            if work not in took_s:
                took_s[work] = _whole_time(work, video)
            moment_s = dice.random() * took_s[work] * dice.choice((1.05, 1.05, 0.2))
            yield number, _case(work, video, KINDS[number % len(KINDS)], moment_s, dice)


def write_video(path: Path) -> None:
    """A portrait that drifts, so that every frame is another."""
    import av
    import numpy as np
    from PIL import Image

    from sosie.app.samples import sample_portraits

    with Image.open(sample_portraits()["astronaut"]) as opened:
        portrait = np.asarray(opened.convert("RGB").crop((64, 0, 384, 320)))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width = stream.height = 256
        stream.pix_fmt = "yuv420p"
        for number in range(FRAMES):
            x, y = (round(32 + 32 * np.sin(number / slow)) for slow in (7, 11))
            part = np.ascontiguousarray(portrait[y : y + 256, x : x + 256])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(part, "rgb24")))
        container.mux(stream.encode())


def count_frames(path: Path) -> int:
    """How many frames a video shows; raises where it does not play."""
    import av

    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def words_of(work: str, video: Path, out: Path, ending: str = ".mp4") -> list[str]:
    """The command of a work, which writes into `out`."""
    from sosie.app.samples import sample_portraits

    source = sample_portraits()["hopper"]
    words = {
        "swap": [
            "swap",
            "-s",
            source,
            "-t",
            video,
            "-o",
            out / f"o{ending}",
            "--preset",
            "ultrafast",
        ],
        "extract": ["dataset", "extract", video, "--out", out / "set", "--size", 112, "--every", 1],
        "inspect": ["inspect", video],
    }
    return [sys.executable, "-m", "sosie.app", *map(str, words[work]), "--threads", "1"][
        : None if work != "extract" else -2
    ]


def _whole_time(work: str, video: Path) -> float:
    with tempfile.TemporaryDirectory() as name:
        started = time.monotonic()
        subprocess.run(words_of(work, video, Path(name)), check=True, capture_output=True)
        return time.monotonic() - started


def _case(work: str, video: Path, kind: str, moment_s: float, dice: Dice) -> Case:
    ending = dice.choice((".mp4", ".mkv", ".mov"))

    def run(folder: Path) -> Sequence[str]:
        out = folder / "out"
        ignored = kind.startswith("ignored")
        words = words_of(work, video, out, ending)

        def before() -> None:
            # As a terminal and `nohup` leave them.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)

        process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=before
        )
        _wait_until_listening(process)
        time.sleep(moment_s)
        for part in kind.removeprefix("ignored ").split():
            process.send_signal(getattr(signal, f"SIG{part}"))
            time.sleep(dice.choice((0.001, 0.03, 0.3)))
        try:
            told, said = process.communicate(timeout=WALL_S / 2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return ["it did not end"]
        wrong = _judged(kind, process.returncode, said, told)
        if kind == "KILL":
            _run_again(words)
        return wrong + _left(work, out, process.returncode, kind == "KILL", ending)

    return Case(f"{work}, {kind}", run)


def _wait_until_listening(process: subprocess.Popen[str]) -> None:
    """Until Sosie answers signals: before its first line, Python's own start does."""
    while process.poll() is None:
        with Path(f"/proc/{process.pid}/status").open() as status:
            caught = next(row.split()[1] for row in status if row.startswith("SigCgt"))
        if int(caught, 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.002)


def _judged(kind: str, code: int, said: str, told: str) -> list[str]:
    if kind == "KILL":
        return [] if code in (0, -signal.SIGKILL) else [f"ended in {code}"]
    must = (0,) if kind in ("ignored HUP", "STOP CONT") else (0, 4)
    wrong = judged(code, said, told)
    lines = [line for line in said.splitlines() if line.startswith("sosie: ")]
    if code not in must or len(lines) > 1:
        wrong.append(f"ended in {code}, said {said[-300:]!r}")
    return wrong


def _run_again(words: Sequence[str]) -> None:
    subprocess.run(
        [*words, "--overwrite"] if "swap" in words else words, check=False, capture_output=True
    )


def _left(work: str, out: Path, code: int, again: bool, ending: str) -> list[str]:
    """What is wrong with what is there afterwards."""
    names = {path.relative_to(out).as_posix() for path in out.rglob("*")}
    hidden = sorted(name for name in names if Path(name).name.startswith("."))
    hidden = [name for name in hidden if not name.startswith("set/")]
    wrong = [f"left over: {hidden}"] if hidden else []
    if work == "swap":
        whole, part = out / f"o{ending}", out / f"o.partial{ending}"
        strange = names - {whole.name, part.name} - set(hidden)
        wrong += [f"strange files: {sorted(strange)}"] if strange else []
        if whole.exists() and count_frames(whole) != FRAMES:
            wrong.append("the video under its own name is not whole")
        if (code == 0 or again) and not whole.exists():
            wrong.append("there is no video")
        if part.exists() and count_frames(part) < 1:
            wrong.append("the part does not play")
    if work == "extract" and (out / "set" / "set.json").exists():
        json.loads((out / "set" / "set.json").read_text())
        wrong += [f"left over: {name}" for name in names if name.endswith(".tmp")]
    return wrong
