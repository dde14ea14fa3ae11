"""Compare what two versions of Sosie make of the same inputs, to the byte.

    python tools/compare_results.py BEFORE AFTER [--keep FOLDER]

BEFORE and AFTER are commits of this repository, or folders that hold a `src/sosie`. Both run on
this machine and with this Python, through the command line alone, so that modules may move and
change their names in between. Each swaps the two sample portraits and a generated clip of them by
every method that needs no weights of the user's; inspects both, extracts a set of faces, and
evaluates swaps. Compared are pictures and files of videos byte by byte, decoded frames where files
differ, JSON without times and paths, and the numbers of evaluations. A refactoring changes none of
them.

The exit code is 0 where all is equal, and 1 otherwise. It takes a few minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
NO_WEIGHTS = 2
"""The exit code of a method that asks for weights of the user's."""
WIDTH, HEIGHT, FPS, FRAMES = 640, 360, 25, 36
PHOTO_OPTIONS: dict[str, list[str]] = {
    "plain": [],
    "poisson": ["--blend", "poisson"],
    "alpha": ["--blend", "alpha"],
    "match": ["--color", "match"],
    "unlit": ["--color", "none"],
    "half-shape": ["--shape", "0.5", "--mask-feather", "0.03"],
}
SPELLINGS = {"--color": "--colour", "video": "film"}
"""Words of the command line -> what versions before called them."""
TIMES = re.compile(r"(^|_)(seconds|ms|mb|fps|time|times|date|started|finished|s)$|version")
"""Keys of JSON whose values differ from run to run; all below them is left out."""


class Version:
    """One version of Sosie: where its code lies, and where it writes."""

    def __init__(self, source: Path, out: Path) -> None:
        self.out = out
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(source / "src"),
            "OPENBLAS_NUM_THREADS": "1",
            "XDG_CACHE_HOME": str(out / "cache"),
        }
        out.mkdir(parents=True)

    def run(self, *arguments: str | Path, may_fail: bool = False) -> tuple[int, str]:
        """The exit code of a command, and what it printed. It runs in the version's folder."""
        words = list(map(str, arguments))
        code, printed, complaint = self._run(words)
        older = [SPELLINGS.get(word, word) for word in words]
        if code == NO_WEIGHTS and older != words:
            code, printed, complaint = self._run(older)
        if code and not may_fail:
            raise SystemExit(f"sosie {' '.join(words)} failed: {complaint.strip()}")
        return code, printed

    def methods(self) -> list[str]:
        """The names that `--method` takes, as far as the version knows them without weights."""
        return self.python("import sosie.methods as m; print(*m.TABLE)").split()

    def python(self, code: str) -> str:
        """What a piece of Python prints."""
        return subprocess.run(
            [sys.executable, "-c", code],
            env=self.environment,
            cwd=self.out,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def _run(self, words: Sequence[str]) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "sosie.app", *words],
            env=self.environment,
            cwd=self.out,
            check=False,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout, done.stderr


def portraits(version: Version) -> tuple[Path, Path]:
    """The two sample portraits."""
    code = "from sosie.app.samples import sample_portraits as s; print(*s().values(), sep='\\n')"
    first, second = version.python(code).splitlines()
    return Path(first), Path(second)


def write_clip(path: Path, people: Sequence[Path]) -> None:
    """A clip with a tone: both people side by side, moving; after a cut the first one alone."""
    pictures = [cv2.cvtColor(cv2.imread(str(one)), cv2.COLOR_BGR2RGB) for one in people]
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.options = {"preset": "veryfast", "crf": "16", "threads": "1"}
        sound = container.add_stream("aac", rate=44100)
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(_clip_frame(pictures, number), format="rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for frame in _tone():
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))


def _clip_frame(pictures: Sequence[NDArray[Any]], number: int) -> NDArray[np.uint8]:
    phase = 2 * np.pi * number / FRAMES
    frame = np.full((HEIGHT, WIDTH, 3), (70, 90, 110), np.uint8)
    frame[:, :, 0] += np.linspace(0, 80, WIDTH).astype(np.uint8)
    whole = number < 2 * FRAMES // 3
    for place, picture in enumerate(pictures if whole else pictures[:1]):
        scale = (0.55 if whole else 0.62) * (1 + 0.05 * np.sin(phase))
        matrix = cv2.getRotationMatrix2D((256, 200), 8 * np.sin(phase + place), scale)
        middle = WIDTH * (1 + 2 * place) / 4 if whole else WIDTH / 2
        matrix[:, 2] += (middle - 256 + 20 * np.sin(phase), 170 - 200 + 10 * np.cos(phase))
        cv2.warpAffine(
            picture, matrix, (WIDTH, HEIGHT), frame, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT
        )
    return frame


def _tone() -> Iterator[av.AudioFrame]:
    times = np.arange(44100 * FRAMES // FPS) / 44100
    samples = (0.2 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
    for start in range(0, len(samples) - 1023, 1024):
        frame = av.AudioFrame.from_ndarray(
            samples[None, start : start + 1024], format="fltp", layout="mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = 44100, start, Fraction(1, 44100)
        yield frame


def make_results(version: Version, inputs: Path, people: tuple[Path, Path]) -> None:
    """Write into the version's folder all that is to be compared."""
    astronaut, hopper = people
    clip = inputs / "clip.mp4"
    for method in version.methods():
        swap = ["swap", "--json", "--threads", "2", "--method", method]
        wanted = [*swap, "-s", hopper, "-t", astronaut, "-o", f"{method}-plain.png"]
        if version.run(*wanted, may_fail=True)[0] == NO_WEIGHTS:
            continue
        print(f"  {version.out.name}: method {method}", file=sys.stderr)
        for name, options in PHOTO_OPTIONS.items():
            out = f"{method}-{name}-back.png"
            report = version.run(*swap, "-s", astronaut, "-t", hopper, "-o", out, *options)[1]
            _note(version, f"{method}-{name}.json", report)
        _swap_clip(version, clip, people, method)
    _inspect(version, clip, people)
    print(f"  {version.out.name}: set and evaluations", file=sys.stderr)
    _extract(version, clip, people)
    _evaluate(version, inputs)


def _swap_clip(version: Version, clip: Path, people: tuple[Path, Path], method: str) -> None:
    astronaut, hopper = people
    swap = ["swap", "--json", "--threads", "2", "--method", method, "-t", clip]
    runs: dict[str, list[str | Path]] = {
        "one": ["-s", hopper],
        "all": ["-s", astronaut, "-s", hopper, "--faces", "all"],
        "people": ["--map", f"{astronaut}={hopper}", "--map", f"{hopper}={astronaut}"],
    }
    for name, options in runs.items():
        printed = version.run(*swap, *options, "-o", f"{method}-{name}.mp4")[1]
        _note(version, f"{method}-{name}-video.json", printed)


def _inspect(version: Version, clip: Path, people: tuple[Path, Path]) -> None:
    for place, photo in enumerate(people):
        printed = version.run("inspect", "--json", "--landmarks", "--threads", "2", photo)[1]
        _note(version, f"inspect-{place}.json", printed)
    _note(version, "inspect-clip.json", version.run("inspect", "--json", "--threads", "2", clip)[1])


def _extract(version: Version, clip: Path, people: tuple[Path, Path]) -> None:
    extract = ["dataset", "extract", "--threads", "1", "--json", "--out", "set"]
    printed = version.run(*extract, "--size", "256", "--min-face", "40", clip, *people)[1]
    _note(version, "extract.json", printed)


def _evaluate(version: Version, inputs: Path) -> None:
    run = ["eval", "run", "--pairs", inputs / "pairs.json", "--no-cache", "--no-cost", "--json"]
    run += ["--threads", "2", "--no-report", "--out", "runs"]
    printed = version.run(*run, "--method", "graft", "--method", "paste")[1]
    _note(version, "eval-run.json", printed, numbers_alone=True)
    video = ["eval", "video", inputs / "clip.mp4", "graft-one.mp4", "--json", "--threads", "2"]
    printed = version.run(*video, "-s", inputs / "hopper.png", "--out", "runs")[1]
    _note(version, "eval-video.json", printed, numbers_alone=True)


def _note(version: Version, name: str, printed: str, numbers_alone: bool = False) -> None:
    """Keep what a command printed as JSON: without times, and without words where asked for."""
    found = dict(_leaves(json.loads(printed), numbers_alone))
    path = version.out / name
    path.write_text(json.dumps(found, indent=1, sort_keys=True), "utf-8")


def _leaves(value: Any, numbers_alone: bool, key: str = "") -> Iterator[tuple[str, Any]]:
    if TIMES.search(key.split(".")[-1]):
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, numbers_alone, f"{key}.{name}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _leaves(inner, numbers_alone, f"{key}.{place}")
    elif not (numbers_alone and isinstance(value, str)):
        # Versions before 0.2.0 wrote `film` and `film_flicker`.
        old = {SPELLINGS["video"]: "video"}
        yield (
            key.replace(".film_", ".video_"),
            old.get(value, value) if key.endswith("kind") else value,
        )


def differences(before: Path, after: Path) -> list[str]:
    """A line for each file of two folders of results that is not the same in both."""
    one, other = _contents(before), _contents(after)
    lines = [f"{name}: only in {before.name}" for name in sorted(one.keys() - other.keys())]
    lines += [f"{name}: only in {after.name}" for name in sorted(other.keys() - one.keys())]
    for name in sorted(one.keys() & other.keys()):
        if one[name] != other[name]:
            lines.append(f"{name}: {_what_differs(before / name, after / name)}")
    return lines


def _contents(folder: Path) -> dict[str, str]:
    """File -> digest, of pictures, videos and notes; a set's tables are compared as rows."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith(("cache/", "runs/")):
            content = _rows(path) if path.suffix == ".parquet" else path.read_bytes()
            if path.suffix != ".json" or "/" not in name:
                found[name] = hashlib.sha256(content).hexdigest()
    return found


def _rows(path: Path) -> bytes:
    import pyarrow.parquet

    return repr(pyarrow.parquet.read_table(path).to_pylist()).encode()


def _what_differs(one: Path, other: Path) -> str:
    if one.suffix == ".mp4":
        same = all(np.array_equal(a, b) for a, b in zip(_frames(one), _frames(other), strict=True))
        return "the file differs, its frames do not" if same else "frames differ"
    if one.suffix in {".png", ".jpg", ".webp"}:
        pixels = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (one, other)]
        if pixels[0].shape != pixels[1].shape:
            return f"sizes differ, {pixels[0].shape} and {pixels[1].shape}"
        return f"pixels differ by up to {cv2.absdiff(*pixels).max()}"
    if one.suffix == ".json":
        left, right = (json.loads(path.read_text("utf-8")) for path in (one, other))
        keys = sorted(dict(left.items() ^ right.items()))
        shown = ", ".join(f"{k} {left.get(k)!r} -> {right.get(k)!r}" for k in keys[:3])
        return f"{len(keys)} values differ: {shown}"
    return "contents differ"


def _frames(path: Path) -> list[NDArray[Any]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def unpack(version: str, folder: Path) -> Path:
    """The folder with a version's code: itself where it is one, or a commit unpacked there."""
    if (Path(version) / "src/sosie").is_dir():
        return Path(version).resolve()
    done = subprocess.run(
        ["git", "-C", str(ROOT), "archive", version, "src"], check=False, capture_output=True
    )
    if done.returncode:
        raise SystemExit(f"{version} is neither a folder with src/sosie nor a commit.")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def write_inputs(inputs: Path, people: tuple[Path, Path]) -> None:
    """The clip, the portraits, and a list of pairs of them."""
    inputs.mkdir()
    write_clip(inputs / "clip.mp4", people)
    for name, path in zip(("astronaut", "hopper"), people, strict=True):
        cv2.imwrite(str(inputs / f"{name}.png"), cv2.imread(str(path)))
    pairs = [
        {"id": "a", "source": "hopper.png", "target": "astronaut.png"},
        {"id": "b", "source": "astronaut.png", "target": "hopper.png"},
    ]
    (inputs / "pairs.json").write_text(json.dumps({"format": 1, "pairs": pairs}), "utf-8")


def compare(before: str, after: str, folder: Path) -> list[str]:
    """What differs between two versions, a line each; files are written to `folder`."""
    versions = []
    for name, version in (("before", before), ("after", after)):
        source = unpack(version, folder / f"{name}-source")
        versions.append(Version(source, folder / name))
    people = portraits(versions[0])
    write_inputs(folder / "inputs", people)
    for one in versions:
        make_results(one, folder / "inputs", people)
    return differences(versions[0].out, versions[1].out)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", help="commit, or folder with src/sosie")
    parser.add_argument("after", help="commit, or folder with src/sosie")
    parser.add_argument("--keep", type=Path, help="new folder for all that is made")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        lines = compare(arguments.before, arguments.after, folder.resolve())
        count = len(_contents(folder / "before"))
    print("\n".join(lines) or f"All {count} results are equal.")
    return 1 if lines else 0


if __name__ == "__main__":
    raise SystemExit(main())
