"""Videos that are gone on with after their run ended: to the byte what one run makes."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sosie.errors import InputError, InterruptedSwapError, NoFaceError, OutputError, UsageError
from sosie.media.segments import SegmentWriter
from sosie.pipeline import FaceSwapper
from sosie.swapping import sameness
from sosie.swapping import video_analysis as video_module
from sosie.swapping.work import SUFFIX, WorkFolder, read_job, work_path
from sosie.types import Progress, SwapReport

ROOT = Path(__file__).resolve().parents[3]
FRAMES, CUT = 52, 21
MakeSwap = Callable[..., FaceSwapper]


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 12 frames, and at least 5."""
    monkeypatch.setattr(video_module, "_LEAST_S", 0.2)
    monkeypatch.setattr(video_module, "_MOST_S", 0.48)


@pytest.fixture(scope="module")
def clip(
    studio: Any, head: np.ndarray, hopper: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two people, a cut, a while in which nobody is there, and sound."""
    other = np.ascontiguousarray(hopper[60:330:2, 120:390:2])

    def frame(number: int) -> np.ndarray:
        if 40 <= number < 44:
            return np.ascontiguousarray(studio.background(0)[:, ::-1])
        picture = studio.with_head(head, 4 + 10 * np.sin(number / 4))
        rows, columns = slice(90, 90 + len(other)), slice(180, 180 + other.shape[1])
        picture[rows, columns] = other
        return picture if number < CUT else np.ascontiguousarray(picture[:, ::-1])

    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    frames = (frame(number) for number in range(FRAMES))
    return studio.write(path, frames, codec="libx264", pix_fmt="yuv420p", sound_s=FRAMES / 25)


OPTIONS = {"codec": "libx264", "preset": "ultrafast", "faces": "all"}


@pytest.fixture(scope="module")
def swapper(make_swap: MakeSwap) -> FaceSwapper:
    return make_swap(**OPTIONS)


@pytest.fixture(scope="module")
def whole(
    swapper: FaceSwapper, clip: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[bytes, SwapReport]:
    """What one run makes of it."""
    patch = pytest.MonkeyPatch()
    patch.setattr(video_module, "_LEAST_S", 0.2)
    patch.setattr(video_module, "_MOST_S", 0.48)
    output = tmp_path_factory.mktemp("whole") / "out.mp4"
    report = swapper.video(clip, output)
    patch.undo()
    assert [path.name for path in output.parent.iterdir()] == ["out.mp4"]
    return output.read_bytes(), report


def stop_at(frame: int) -> Callable[[Progress], None]:
    def stop(progress: Progress) -> None:
        if progress.done >= frame:
            raise KeyboardInterrupt

    return stop


def same_report(report: SwapReport, other: SwapReport) -> None:
    """But for where it was written, how long it took, and the note that it was gone on with."""
    a, b = asdict(report), asdict(other)
    for one in (a, b):
        for key in ("output", "seconds", "fps"):
            del one[key]
        one["notes"] = [note for note in one["notes"] if "earlier run" not in note]
    assert a == b


def work_of(output: Path) -> Path:
    return output.with_name(f".{output.name}{SUFFIX}")


def test_a_stopped_video_is_gone_on_with_to_the_same_bytes(
    studio: Any, swapper: FaceSwapper, clip: Path, tmp_path: Path, whole: tuple[bytes, SwapReport]
) -> None:
    output = tmp_path / "out.mp4"
    done = [0]
    # Before the cut, after it, where nobody is in sight, and at once.
    for number, frame in enumerate((14, 30, 47, 38)):
        with pytest.raises(InterruptedSwapError, match=r"Stopped\. The first") as caught:
            swapper.video(clip, output, stop_at(frame))
        assert f"`sosie resume {output}`, goes on after frame" in str(caught.value)
        partial = Path(str(caught.value.partial))
        assert number == 0 or "-" in partial.name
        assert len(studio.read(partial)) >= frame
        folder = work_of(output)
        assert sum(path.stat().st_size for path in folder.glob("*.segment")) < len(whole[0])
        done.append(len(list(folder.glob("*.segment"))))
        assert len(list(folder.glob("*.state"))) == 1
    assert done == sorted(done)
    assert done[1] > 0
    told: list[Progress] = []
    report = swapper.video(clip, output, told.append)
    assert output.read_bytes() == whole[0]
    assert any("from an earlier run" in note for note in report.notes)
    same_report(report, whole[1])
    assert not work_of(output).exists()
    assert told[-1].done == FRAMES
    # What was done is not done again: a segment is one step.
    resumed = [progress for progress in told if progress.stage == "resuming"]
    assert len(resumed) == done[-1]
    assert len(told) == FRAMES - resumed[-1].done + done[-1] + 1


def test_what_is_shown_of_the_work_is_no_part_of_what_must_be_the_same(
    studio: Any, make_swap: MakeSwap, clip: Path, tmp_path: Path, whole: tuple[bytes, SwapReport]
) -> None:
    output = tmp_path / "out.mp4"
    with pytest.raises(InterruptedSwapError):
        make_swap(**OPTIONS, compare="wipe").video(clip, output, stop_at(30))
    assert not (tmp_path / "out.compare.mp4").exists()
    shown = {"compare": "side", "watch": str(tmp_path / "now.jpg")}
    report = make_swap(**OPTIONS, **shown).video(clip, output)
    assert output.read_bytes() == whole[0]
    assert any("from an earlier run" in note for note in report.notes)
    assert report.comparison == str(tmp_path / "out.compare.mp4")
    assert len(studio.read(tmp_path / "out.compare.mp4")) == FRAMES
    assert (tmp_path / "now.jpg").exists()


def test_a_comparison_that_is_stopped_leaves_the_result(
    make_swap: MakeSwap, clip: Path, tmp_path: Path
) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == "comparing":
            raise KeyboardInterrupt

    output = tmp_path / "out.mp4"
    with pytest.raises(InterruptedSwapError, match=r"out\.mp4, is whole"):
        make_swap(**OPTIONS, compare="wipe", end_s=0.2).video(clip, output, stop)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_the_state_is_taken_at_cuts_and_after_the_most_frames(
    swapper: FaceSwapper, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = []
    real = WorkFolder.end_segment

    def noted(self: WorkFolder, facts: dict[str, Any], state: bytes) -> None:
        ends.append(facts["frames"])
        real(self, facts, state)

    monkeypatch.setattr(WorkFolder, "end_segment", noted)
    swapper.video(clip, tmp_path / "out.mp4")
    # At frame 44 they come back, which is a cut too.
    assert ends == [12, CUT, CUT + 12, 44]


KILLED = """
import os, signal, sys
from sosie.swapping import video_analysis as video
from sosie.swapping.work import WorkFolder
video._LEAST_S, video._MOST_S = 0.2, 0.48
import sosie

def stop(progress):
    if progress.done == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)

sosie.swap_video(
    sys.argv[1], sys.argv[2], sys.argv[3], color="none", codec="libx264", preset="ultrafast",
    faces="all", on_progress=stop
)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_video_is_gone_on_with(clip: Path, hopper_path: Path, tmp_path: Path) -> None:
    """In processes of their own: nothing that is in memory helps."""
    outputs = [tmp_path / "killed" / "out.mp4", tmp_path / "whole" / "out.mp4"]
    codes = []
    for output, frames in ((outputs[0], (20, 0)), (outputs[1], (0,))):
        output.parent.mkdir()
        for frame in frames:
            done = subprocess.run(
                [sys.executable, "-c", KILLED, hopper_path, clip, output, str(frame)],
                env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
                check=False,
            )
            codes.append(done.returncode)
            if frame:
                assert read_job(work_of(output))["output"] == str(output)
    assert codes == [-signal.SIGKILL, 0, 0]
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert [path.name for path in outputs[0].parent.iterdir()] == ["out.mp4"]


def test_a_full_disk_costs_no_more_than_a_segment(
    studio: Any,
    swapper: FaceSwapper,
    clip: Path,
    tmp_path: Path,
    whole: tuple[bytes, SwapReport],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is full when the third segment reaches it."""
    output, real = tmp_path / "out.mp4", SegmentWriter.finish

    def full(self: SegmentWriter, facts: dict[str, Any]) -> None:
        if self.path.name == "000002.segment":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, facts)

    monkeypatch.setattr(SegmentWriter, "finish", full)
    with pytest.raises(OutputError, match="disk is full") as caught:
        swapper.video(clip, output)
    assert f"goes on after frame {CUT}." in caught.value.__notes__[0]
    assert len(studio.read(tmp_path / "out.partial.mp4")) >= CUT
    assert not list(work_of(output).glob("*.part"))
    monkeypatch.setattr(SegmentWriter, "finish", real)
    swapper.video(clip, output)
    assert output.read_bytes() == whole[0]


def test_by_identity_too(
    studio: Any,
    dyed: np.ndarray,
    astronaut: np.ndarray,
    hopper: np.ndarray,
    by_look: Any,
    clip: Path,
    tmp_path: Path,
) -> None:
    """Who is whose, and how alike they are at best, is remembered."""

    def swapper() -> FaceSwapper:
        return FaceSwapper(
            None, people=[(astronaut, dyed), (hopper, astronaut)], codec="ffv1", color="none"
        )

    first, second = tmp_path / "a.mkv", tmp_path / "b.mkv"
    report = swapper().video(clip, first)
    assert {person.face_count for person in report.people} & {FRAMES - 4}
    with pytest.raises(InterruptedSwapError):
        swapper().video(clip, second, stop_at(30))
    assert read_job(work_of(second))["command"] is None
    again = swapper().video(clip, second)
    assert second.read_bytes() == first.read_bytes()
    same_report(again, report)


# What is not the same.


@pytest.fixture
def begun(swapper: FaceSwapper, clip: Path, tmp_path: Path) -> Path:
    """The output of a video that was stopped after two segments."""
    output = tmp_path / "out.mp4"
    with pytest.raises(InterruptedSwapError):
        swapper.video(clip, output, stop_at(30))
    return output


def test_work_of_another_swap_is_not_thrown_away_unasked(
    make_swap: MakeSwap,
    dyed: np.ndarray,
    clip: Path,
    begun: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = make_swap(**OPTIONS, crf=30)
    before = {path.name: path.read_bytes() for path in work_of(begun).iterdir()}
    with pytest.raises(UsageError, match=r"crf was 18 and is 30\. Give the same .* --restart"):
        other.video(clip, begun)
    with pytest.raises(UsageError, match="the sources are not the same"):
        FaceSwapper(dyed[:, ::-1], color="none", **OPTIONS).video(clip, begun)
    moved = tmp_path / "moved.mp4"
    moved.write_bytes(clip.read_bytes() + b"\0")
    with pytest.raises(UsageError, match="the target is not the same"):
        make_swap(**OPTIONS).video(moved, begun)
    with monkeypatch.context() as newer:
        newer.setattr(sameness, "swap_code", lambda: "another")
        with pytest.raises(UsageError, match="the code of Sosie is not the same"):
            make_swap(**OPTIONS).video(clip, begun)
    assert {path.name: path.read_bytes() for path in work_of(begun).iterdir()} == before
    report = make_swap(**OPTIONS, crf=30, restart=True).video(clip, begun)
    assert not any("earlier run" in note for note in report.notes)
    assert not work_of(begun).exists()


def test_the_target_may_be_moved(
    make_swap: MakeSwap, clip: Path, begun: Path, tmp_path: Path, whole: tuple[bytes, SwapReport]
) -> None:
    moved = tmp_path / "elsewhere.mp4"
    moved.write_bytes(clip.read_bytes())
    make_swap(**OPTIONS).video(moved, begun)
    assert begun.read_bytes() == whole[0]


def test_damaged_work_is_told(swapper: FaceSwapper, clip: Path, begun: Path) -> None:
    (state,) = work_of(begun).glob("*.state")
    data = bytearray(state.read_bytes())
    data[len(data) // 2] ^= 1
    state.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        swapper.video(clip, begun)
    assert not begun.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no locks of this kind")
def test_two_processes_do_not_write_one_output(
    swapper: FaceSwapper, clip: Path, begun: Path
) -> None:
    held = WorkFolder(begun, None, read_job(work_of(begun)))
    with pytest.raises(OutputError, match="Another process is writing"):
        swapper.video(clip, begun)
    held.close()
    swapper.video(clip, begun)


# Where the work is, and what is left of it.


def test_the_work_may_lie_elsewhere(
    make_swap: MakeSwap, studio: Any, clip: Path, tmp_path: Path, whole: tuple[bytes, SwapReport]
) -> None:
    work, output = tmp_path / "work", tmp_path / "results" / "out.mp4"
    work.mkdir()
    output.parent.mkdir()
    swapper = make_swap(**OPTIONS, work=str(work))
    with pytest.raises(InterruptedSwapError, match=f"--work {work}"):
        swapper.video(clip, output, stop_at(30))
    assert studio.names(output.parent) == ["out.partial.mp4"]
    (folder,) = work.iterdir()
    assert folder == work_path(output, work)
    swapper.video(clip, output)
    assert output.read_bytes() == whole[0]
    assert studio.names(work) == []


def test_a_work_folder_that_cannot_be_made_is_told(
    make_swap: MakeSwap, studio: Any, clip: Path, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="nowhere"):
        make_swap(**OPTIONS, work=str(tmp_path / "nowhere")).video(clip, tmp_path / "out.mp4")
    assert studio.names(tmp_path) == []


def test_a_folder_in_which_nothing_can_be_begun_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _content: str) -> None:
        raise OutputError(f"The disk is full: {path} could not be written.")

    monkeypatch.setattr("sosie.swapping.work.write_whole", full)
    with pytest.raises(OutputError, match="disk is full"):
        WorkFolder(tmp_path / "out.mp4", None, {"same": {}, "command": None, "output": "out.mp4"})
    assert list(tmp_path.iterdir()) == []


def test_a_short_video_has_no_work_folder(
    make_swap: MakeSwap, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WorkFolder, "__init__", None)
    make_swap(**OPTIONS, end_s=0.4).video(clip, tmp_path / "out.mp4")


def test_nothing_is_left_where_nothing_can_be_gone_on_with(
    studio: Any, swapper: FaceSwapper, clip: Path, tmp_path: Path
) -> None:
    with pytest.raises(InterruptedSwapError, match=r"The first \d+ frames are in [^ ]*\.$"):
        swapper.video(clip, tmp_path / "out.mp4", stop_at(3))
    assert studio.names(tmp_path) == ["out.partial.mp4"]
    empty = studio.write(tmp_path / "empty.mkv", [studio.background()] * 40)
    with pytest.raises(NoFaceError):
        swapper.video(empty, tmp_path / "none.mp4")
    assert studio.names(tmp_path) == ["empty.mkv", "out.partial.mp4"]
