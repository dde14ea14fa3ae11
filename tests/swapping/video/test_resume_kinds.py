"""Sequences, animations and layers that are gone on with: to the byte what one run makes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, features

from sosie.app.cli.entry import run
from sosie.errors import InputError, InterruptedSwapError, OutputError, UsageError
from sosie.media.exr import write_exr
from sosie.media.linear import to_linear
from sosie.pipeline import FaceSwapper
from sosie.swapping import video_analysis as video_module
from sosie.swapping.work import SUFFIX, work_path
from sosie.types import Progress

ROOT = Path(__file__).resolve().parents[3]
FRAMES, CUT, GAP = 20, 8, 13
MakeSwap = Callable[..., FaceSwapper]


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 6 frames of a sequence, and at least 3."""
    monkeypatch.setattr(video_module, "_LEAST_S", 0.12)
    monkeypatch.setattr(video_module, "_MOST_S", 0.25)


@pytest.fixture(scope="module")
def pictures(studio: Any, head: np.ndarray) -> list[np.ndarray]:
    """A head that sways, before a cut and after it."""
    shown = [studio.with_head(head, 64 + 20 * np.sin(n / 4)) for n in range(FRAMES)]
    return [p if n < CUT else np.ascontiguousarray(p[:, ::-1]) for n, p in enumerate(shown)]


@pytest.fixture(scope="module")
def plates(pictures: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PNG and linear EXR, numbered from 101 with a gap; masks of some; a video and a GIF."""
    folder = tmp_path_factory.mktemp("plates")
    for name in ("png", "exr", "masks"):
        (folder / name).mkdir()
    for number, pixels in enumerate(pictures):
        shown = 101 + number + (number >= GAP)
        Image.fromarray(pixels).save(folder / "png" / f"p.{shown}.png")
        mask = np.full(pixels.shape[:2], 255, np.uint8)
        mask[:, : 10 * number] = 0
        if number % 3:
            cv2.imwrite(str(folder / "masks" / f"m.{shown}.png"), mask)
        light = to_linear(pixels.astype(np.uint16) * 257)
        channels = {name: light[..., k].astype(np.float16) for k, name in enumerate("RGB")}
        write_exr(folder / "exr" / f"p.{shown}.exr", channels)
    first, *rest = map(Image.fromarray, pictures)
    first.save(folder / "in.gif", save_all=True, append_images=rest, duration=40, loop=0)
    return folder


@pytest.fixture(scope="module")
def clip(studio: Any, pictures: list[np.ndarray], tmp_path_factory: Any) -> Path:
    return studio.write(tmp_path_factory.mktemp("clip") / "in.mkv", pictures)


def stop_at(frame: int) -> Callable[[Progress], None]:
    def stop(progress: Progress) -> None:
        if progress.done >= frame:
            raise KeyboardInterrupt

    return stop


def content(folder: Path) -> dict[str, bytes]:
    """All files in a folder and those in it, but the parts that stops have kept."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".partial" not in str(path.relative_to(folder))
    }


ANIMATIONS = [".gif", ".apng", ".webp", *([".avif"] if features.check("avif") else [])]
KINDS: dict[str, tuple[str, str, dict[str, str]]] = {
    "png": ("png", "out/p.%04d.png", {"masks": "masks"}),
    "exr": ("exr", "out/p.####.exr", {"layers": "comp/face.####.exr"}),
    "tif": ("clip", "out/%d.tif", {"layers": "comp/face.%04d.png"}),
    "dpx": ("clip", "out/%d.dpx", {}),
    "mov": ("png/p.%d.png", "out.mkv", {"layers": "comp/face.mov"}),
    "gif in": ("in.gif", "out.webp", {"layers": "comp/face.mov"}),
    **{ending: ("clip", f"out{ending}", {}) for ending in ANIMATIONS},
}


def prepared(
    kind: str, make_swap: MakeSwap, plates: Path, clip: Path, folder: Path
) -> tuple[FaceSwapper, Path, Path]:
    target, output, options = KINDS[kind]
    given = {"masks": str(plates / "masks")} if "masks" in options else {}
    if "layers" in options:
        given["layers"] = str(folder / options["layers"])
    if target in ("png", "exr"):
        given["sequence"] = "24"
    folder.mkdir()
    return make_swap(**given), clip if target == "clip" else plates / target, folder / output


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_stopped_is_gone_on_with_to_the_same_bytes(
    kind: str, make_swap: MakeSwap, plates: Path, clip: Path, tmp_path: Path, studio: Any
) -> None:
    swapper, target, output = prepared(kind, make_swap, plates, clip, tmp_path / "whole")
    whole = swapper.video(target, output)
    assert whole.swapped_frames == FRAMES
    assert not list((tmp_path / "whole").glob(".*"))
    expected = content(tmp_path / "whole")
    swapper, target, output = prepared(kind, make_swap, plates, clip, tmp_path / "stopped")
    segments = []
    for frame in (5, 15):
        with pytest.raises(InterruptedSwapError, match=r"sosie resume .*goes on after") as caught:
            swapper.video(target, output, stop_at(frame + 3))
        assert caught.value.partial is not None
        folder = work_path(output, None)
        segments.append(len(list(folder.glob("*.segment"))))
        assert len(list(folder.glob("*.state"))) == 1
        assert set(content(tmp_path / "stopped")) & set(expected) == set()
    assert 0 < segments[0] < segments[1]
    done: list[int] = []
    report = swapper.video(target, output, lambda progress: done.append(progress.done))
    assert any("from an earlier run" in note for note in report.notes)
    assert (report.skipped, report.followed) == (whole.skipped, whole.followed)
    # What was done is not done again: a segment is one step, or all are; the end is one too.
    assert len(done) <= FRAMES - 12 + segments[1] + 1
    assert content(tmp_path / "stopped") == expected
    assert not list((tmp_path / "stopped").glob(".*"))


KILLED = """
import os, signal, sys
from sosie.swapping import video_analysis as video
video._LEAST_S, video._MOST_S = 0.12, 0.25
import sosie
source, target, output, layers, frame = sys.argv[1:]

def stop(progress):
    if progress.done == int(frame):
        os.kill(os.getpid(), signal.SIGKILL)

sosie.swap_video(source, target, output, color="none", layers=layers or None, on_progress=stop)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(
    ("target", "output", "layers"),
    [("png/p.%d.png", "out/p.%d.png", "comp/face.mov"), ("in.gif", "out.gif", "")],
)
def test_what_was_killed_is_gone_on_with(
    plates: Path, hopper_path: Path, tmp_path: Path, target: str, output: str, layers: str
) -> None:
    """In processes of their own: nothing that is in memory helps, and nobody cleans up."""
    for name, codes in (("whole", [0]), ("killed", [-signal.SIGKILL, 0])):
        folder = tmp_path / name
        folder.mkdir()
        place = str(folder / layers) if layers else ""
        for code in codes:
            words = [str(plates / target), str(folder / output), place, "17" if code else "0"]
            done = subprocess.run(
                [sys.executable, "-c", KILLED, hopper_path, *words],
                env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
                check=False,
            )
            assert done.returncode == code
            if code:
                assert work_path(folder / output, None).is_dir()
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


def test_pictures_that_got_their_place_when_it_was_killed_are_its_own(
    make_swap: MakeSwap, plates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into a folder that is there they go one by one."""
    swapper = make_swap()
    target, output = plates / "png" / "p.%d.png", tmp_path / "out" / "p.%d.png"
    swapper.video(target, tmp_path / "whole" / "p.%d.png")
    output.parent.mkdir()
    (output.parent / "notes.txt").write_text("mine")
    real = Path.replace

    def killed(self: Path, goal: Path) -> Path:
        if self.name == "p.105.png" and goal.parent == output.parent:
            os._exit(9)
        return real(self, goal)

    monkeypatch.setattr(Path, "replace", killed)
    # What ends here is as good as killed: nothing is cleaned up.
    monkeypatch.setattr(os, "_exit", lambda code: (_ for _ in ()).throw(_Killed()))
    with monkeypatch.context() as nobody:
        nobody.setattr("sosie.media.output_folder.PendingFolder.release", lambda self: None)
        nobody.setattr("sosie.swapping.work.WorkFolder.close", lambda self: self._let_go())
        with pytest.raises(_Killed):
            swapper.video(target, output)
    monkeypatch.setattr(Path, "replace", real)
    assert (output.parent / "p.104.png").exists()
    assert not (output.parent / "p.106.png").exists()
    swapper.video(target, output)
    (output.parent / "notes.txt").unlink()
    assert content(output.parent) == content(tmp_path / "whole")


class _Killed(BaseException):
    pass


@pytest.fixture
def begun(make_swap: MakeSwap, plates: Path, tmp_path: Path) -> Path:
    """A sequence with masks that was stopped after a segment or two."""
    output = tmp_path / "out" / "p.%d.png"
    (tmp_path / "masks").symlink_to(plates / "masks")
    swapper = make_swap(masks=str(plates / "masks"), sequence="24")
    with pytest.raises(InterruptedSwapError):
        swapper.video(plates / "png", output, stop_at(12))
    return output


def test_what_is_not_the_same_is_told(
    make_swap: MakeSwap, plates: Path, begun: Path, tmp_path: Path
) -> None:
    for name in ("masks", "png"):
        (tmp_path / f"other-{name}").mkdir()
        for path in (plates / name).iterdir():
            (tmp_path / f"other-{name}" / path.name).write_bytes(path.read_bytes())
    masks, frames = str(tmp_path / "other-masks"), tmp_path / "other-png"
    # The same content elsewhere is the same, and so are files that are no masks.
    (tmp_path / "other-masks" / "readme.txt").write_text("by Anna")
    cv2.imwrite(masks + "/m.118.png", np.zeros((240, 320), np.uint8))
    with pytest.raises(UsageError, match=r"masks was .* and is"):
        make_swap(masks=masks, sequence="24").video(frames, begun)
    same = make_swap(masks=str(plates / "masks"), sequence="24")
    with pytest.raises(UsageError, match="the target is not the same"):
        (frames / "p.121.png").write_bytes((frames / "p.120.png").read_bytes())
        same.video(frames, begun)
    (kept,) = (work_path(begun, None) / "frames").glob("p.102.png")
    kept.write_bytes(kept.read_bytes()[:-1] + b"\0")
    with pytest.raises(InputError, match=r"p\.102\.png, which an earlier run wrote, is damaged"):
        same.video(plates / "png", begun)
    assert not begun.parent.exists()


def test_the_folder_of_a_sequence_is_resumed(
    make_swap: MakeSwap, plates: Path, hopper_path: Path, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "out").mkdir()
    swapper = FaceSwapper(hopper_path, sequence="24")
    for name in ("a.%d.png", "b.%d.png"):
        with pytest.raises(InterruptedSwapError):
            swapper.video(plates / "png", tmp_path / "out" / name, stop_at(12))
    assert run(["jobs", "list", str(tmp_path), "--file", str(tmp_path / "jobs")]) == 0
    assert "out/b.%d.png, after frame" in capsys.readouterr().out
    assert run(["resume", str(tmp_path / "out")]) == 2
    assert "folder of several sequences" in capsys.readouterr().err
    assert run(["resume", str(tmp_path / "out" / "a.%d.png")]) == 0
    assert run(["resume", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").glob("b.*.png"))) == FRAMES
    assert run(["resume", str(tmp_path / "out")]) == 1
    assert "has no work folder" in capsys.readouterr().err
    assert not list(tmp_path.glob(f"*{SUFFIX}"))


def test_frames_that_are_there_end_like_files_that_are_there(
    make_swap: MakeSwap, plates: Path, tmp_path: Path
) -> None:
    for output, there in (("%d.png", "1.png"), ("out.gif", "out.gif")):
        (tmp_path / there).touch()
        with pytest.raises(OutputError, match="already"):
            make_swap().video(plates / "in.gif", tmp_path / output)
