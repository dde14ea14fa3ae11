"""Places where no result can be written: full, gone, no folder, too long, too large, closed."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from tools.attack.command import judged
from tools.attack.damage import Dice
from tools.attack.signals import count_frames, words_of, write_video
from tools.attack.trial import Case

WORKS = ("swap", "extract", "inspect")


def cases(count: int, seed: int) -> Iterator[tuple[int, Case]]:
    """Each work with each trouble, and again with other moments and sizes."""
    with tempfile.TemporaryDirectory() as name:
        video = Path(name) / "video.mp4"
        write_video(video)
        for number in range(count):
            trouble = TROUBLES[number % len(TROUBLES)]
            work = WORKS[number // len(TROUBLES) % len(WORKS)]
            yield number, _case(trouble, work, video, Dice(f"outputs {seed} {number}"))


def _case(trouble: Callable[..., Sequence[str]], work: str, video: Path, dice: Dice) -> Case:
    def run(folder: Path) -> Sequence[str]:
        return trouble(work, video, folder / "out", dice)

    return Case(f"{work}: {trouble.__name__[1:].replace('_', ' ')}", run)


def _run(words: Sequence[str], stdout: int | IO[str] = subprocess.PIPE, **more: Any) -> list[str]:
    done = subprocess.run(
        words, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, **more
    )
    return judged(done.returncode, done.stderr, done.stdout or "")


def _hidden(out: Path) -> list[str]:
    left = [path.name for path in out.rglob("*") if path.name.startswith(".o")]
    return [f"left over: {left}"] if left else []


def _full_terminal(work: str, video: Path, out: Path, _: Dice) -> list[str]:
    with Path("/dev/full").open("w") as full:
        return _run([*words_of(work, video, out), "--json"], full)


def _closed_terminal(work: str, video: Path, out: Path, _: Dice) -> list[str]:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        return _run(words_of(work, video, out), pipe)


def _no_terminal(work: str, video: Path, out: Path, _: Dice) -> list[str]:
    return _run(words_of(work, video, out), preexec_fn=lambda: os.close(1))


def _largest_file(work: str, video: Path, out: Path, dice: Dice) -> list[str]:
    most = dice.choice((0, 1000, 5000, 20_000))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    wrong = _run(words_of(work, video, out), preexec_fn=limit)
    whole = out / "o.mp4"
    if whole.exists() and count_frames(whole) != 50:
        wrong.append("the video under its own name is not whole")
    return wrong + _hidden(out)


def _few_files(work: str, video: Path, out: Path, dice: Dice) -> list[str]:
    most = dice.choice((12, 20, 30))
    return _run(
        words_of(work, video, out),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)),
    )


def _long_name(work: str, video: Path, out: Path, dice: Dice) -> list[str]:
    name = dice.choice(("n" * 300, "n" * 251, "é" * 126, "d/" * 2100))
    words = [word.replace(str(out), str(out / name)) for word in words_of(work, video, out)]
    return _run(words)


def _long_ending(work: str, video: Path, out: Path, _: Dice) -> list[str]:
    words = [word.replace("/o.mp4", f"/{'o' * 251}.mp4") for word in words_of(work, video, out)]
    return _run(words) + _hidden(out)


def _file_for_folder(work: str, video: Path, out: Path, _: Dice) -> list[str]:
    (out / "file").write_text("mine")
    words = [word.replace(str(out), str(out / "file")) for word in words_of(work, video, out)]
    wrong = _run(words)
    return wrong + ([] if (out / "file").read_text() == "mine" else ["the file is gone"])


def _folder_for_file(work: str, video: Path, out: Path, _: Dice) -> list[str]:
    (out / "o.mp4").mkdir()
    (out / "set").write_text("mine")
    return _run(words_of(work, video, out)) + _hidden(out)


def _device(work: str, video: Path, out: Path, dice: Dice) -> list[str]:
    place = dice.choice(("/dev/full", "/dev/null", "/proc/self/x", "/sys/x"))
    (out / "o.mp4").symlink_to(place)
    (out / "set").symlink_to(place)
    return _run(words_of(work, video, out))


def _gone(work: str, video: Path, out: Path, dice: Dice) -> list[str]:
    """The folder, or what is written in it, is taken away at a moment of the work."""
    place = out / "inner"
    place.mkdir()
    process = subprocess.Popen(
        words_of(work, video, place), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 100
    while process.poll() is None and not list(place.iterdir()) and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(dice.random() * 0.5)
    if dice.random() < 0.5:
        shutil.rmtree(place, ignore_errors=True)
    else:
        for path in place.rglob("*"):
            if path.is_file():
                path.unlink(missing_ok=True)
    told, said = process.communicate()
    wrong = judged(process.returncode, said, told)
    if process.returncode == 0 and work == "swap" and not (place / "o.mp4").exists():
        # It may have been whole before it was taken away.
        wrong += [] if "50 of 50" in said + told else ["exit 0 and no video"]
    return wrong


TROUBLES = (
    *(_full_terminal, _closed_terminal, _no_terminal, _largest_file, _few_files, _long_name),
    *(_long_ending, _file_for_folder, _folder_for_file, _device, _gone, _largest_file),
)
