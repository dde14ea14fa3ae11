"""Videos that end before their end, and what they hold in memory: nothing unfinished ever stands
under the final name."""

from __future__ import annotations

import errno
import gc
import io
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sosie
from sosie import pipeline
from sosie.analysis.tracking import tracker
from sosie.errors import InterruptedSwapError, NoFaceError, OutputError, UsageError
from sosie.media.spool import Spool
from sosie.media.video import VideoFrame
from sosie.media.video_file import VideoFile
from sosie.media.video_write import VideoWriter
from sosie.pipeline import FaceSwapper
from sosie.swapping.face import Engine
from sosie.types import Progress

MakeSwap = Callable[..., FaceSwapper]

# Memory.


def test_frames_in_memory_do_not_grow_with_the_video(
    studio: Any, lossless: FaceSwapper, head: np.ndarray, tmp_path: Path
) -> None:
    # Other tests may have left some behind, in an error that is still held for instance.
    gc.collect()
    before = sum(type(thing) is VideoFrame for thing in gc.get_objects())
    peaks = []
    for count in (40, 90):
        video = studio.write(
            tmp_path / f"{count}.mkv", (studio.with_head(head, 64 + n % 20) for n in range(count))
        )
        alive: list[int] = []

        def look(progress: Progress, alive: list[int] = alive) -> None:
            if progress.done % 8 == 0:
                frames = sum(type(thing) is VideoFrame for thing in gc.get_objects())
                alive.append(frames - before)

        lossless.video(video, tmp_path / f"{count}-out.mkv", look)
        peaks.append(max(alive))
    # 0.8 s known ahead is 20 frames; the queues hold a few more.
    assert 15 < peaks[0] <= 40
    assert peaks[1] <= max(peaks[0], 36)
    assert sum(type(thing) is VideoFrame for thing in gc.get_objects()) <= before


def test_large_frames_wait_on_the_disk(
    studio: Any, lossless: FaceSwapper, swayed: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("sosie.swapping.video.Spool", partial(Spool, in_memory_bytes=0))
    in_memory: list[int] = []

    def look(progress: Progress) -> None:
        if progress.done % 4 == 0:
            frames = [thing for thing in gc.get_objects() if type(thing) is VideoFrame]
            in_memory.append(sum(frame._spooled is None for frame in frames))

    lossless.video(swayed.video, tmp_path / "out.mkv", look)
    # Those in the queues and in work; at the end too, when all that waited is handed out.
    assert max(in_memory) <= 12
    assert studio.names(tmp_path) == ["out.mkv"]
    for once, again in zip(swayed.after, studio.read(tmp_path / "out.mkv"), strict=True):
        assert np.array_equal(once, again)


# Interruption and errors.


def test_ctrl_c_leaves_a_part_that_plays(
    studio: Any, lossless: FaceSwapper, swaying: Path, tmp_path: Path
) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.done == 20:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedSwapError, match="first 20 frames") as caught:
        lossless.video(swaying, tmp_path / "out.mkv", interrupt)
    assert caught.value.exit_code == 4
    assert caught.value.partial == str(tmp_path / "out.partial.mkv")
    assert studio.names(tmp_path) == ["out.partial.mkv"]
    frames = studio.read(tmp_path / "out.partial.mkv")
    assert len(frames) == 20
    for x, frame in zip(studio.positions(20), frames, strict=True):
        assert studio.greenness(frame, x) > studio.SWAPPED
    assert studio.stages_alive() == []
    # Nothing of it hinders the next video.
    again = lossless.video(caught.value.partial, tmp_path / "out.mkv")
    assert again.frames == 20


def test_ctrl_c_between_encoder_and_file_loses_no_packet(
    studio: Any,
    lossless: FaceSwapper,
    swaying: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mux, calls = VideoWriter._mux, iter(range(1000))

    def interrupted(writer: VideoWriter, packets: list[Any]) -> None:
        if next(calls) == 20:
            signal.raise_signal(signal.SIGINT)
        mux(writer, packets)

    monkeypatch.setattr(VideoWriter, "_mux", interrupted)
    # A shell starts its background jobs, such as a test run may be, with Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(InterruptedSwapError) as caught:
            lossless.video(swaying, tmp_path / "out.mkv")
    finally:
        signal.signal(signal.SIGINT, before)
    times = studio.times(caught.value.partial)
    assert 20 < len(times) < 50
    assert [float(t) for t in times] == pytest.approx(
        [n / studio.FPS for n in range(len(times))], abs=1e-3
    )


def test_ctrl_c_before_the_first_frame_leaves_nothing(
    studio: Any,
    lossless: FaceSwapper,
    swaying: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*args: Any, **how: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "swap_face", interrupt)
    with pytest.raises(InterruptedSwapError, match="before the first frame") as caught:
        lossless.video(swaying, tmp_path / "out.mkv")
    assert caught.value.partial is None
    assert studio.names(tmp_path) == []
    assert studio.stages_alive() == []


@pytest.mark.parametrize("existing", [False, True])
def test_ctrl_c_does_not_touch_an_earlier_result(
    studio: Any, make_swap: MakeSwap, swaying: Path, tmp_path: Path, existing: bool
) -> None:
    output = tmp_path / "out.mkv"
    if existing:
        output.write_bytes(b"an earlier film")

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(InterruptedSwapError):
        make_swap(overwrite=True).video(swaying, output, interrupt)
    assert output.exists() == existing
    if existing:
        assert output.read_bytes() == b"an earlier film"
    assert len(studio.read(tmp_path / "out.partial.mkv")) == 1


@pytest.mark.parametrize("where", ["swap", "analysis", "progress"])
def test_an_error_in_a_stage_comes_out_and_what_was_done_is_kept(
    studio: Any,
    make_swap: MakeSwap,
    swaying: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    swap = make_swap()
    calls = [0]
    real = {"swap": Engine.swap_face, "analysis": tracker.look_of}

    def broken(*args: Any, **how: Any) -> Any:
        calls[0] += 1
        if calls[0] == 10:
            raise ZeroDivisionError("tenth")
        return real[where](*args, **how)

    def progress(told: Progress) -> None:
        if where == "progress" and told.done == 10:
            raise ZeroDivisionError("tenth")

    if where == "swap":
        monkeypatch.setattr(Engine, "swap_face", broken)
    elif where == "analysis":
        monkeypatch.setattr(tracker, "look_of", broken)
    with pytest.raises(ZeroDivisionError, match="tenth") as caught:
        swap.video(swaying, tmp_path / "out.mkv", progress)
    # Looks are ahead of the swap by more than ten frames: at the tenth nothing is written yet.
    partial = tmp_path / "out.partial.mkv"
    done = {"swap": range(7, 10), "analysis": range(1), "progress": range(10, 14)}[where]
    assert studio.names(tmp_path) == ([partial.name] if done.start else [])
    if done.start:
        count = len(studio.read(partial))
        assert count in done
        assert caught.value.__notes__ == [f"The first {count} frames are in {partial}."]
    assert studio.stages_alive() == []


def test_a_video_that_is_removed_while_it_is_written_is_an_error(
    studio: Any, lossless: FaceSwapper, swaying: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    told: list[int] = []

    def remove(progress: Progress) -> None:
        told.append(progress.done)
        if progress.done == 5:
            shutil.rmtree(folder)

    with pytest.raises(OutputError, match=r"results/out\.mkv was removed.*there is no result"):
        lossless.video(swaying, folder / "out.mkv", remove)
    assert not folder.exists()
    # It is seen at once, and not at the end of a long video.
    assert told[-1] < 10


def test_a_full_disk_in_the_middle_leaves_a_part_that_plays(
    studio: Any, make_swap: MakeSwap, swaying: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk holds 300 kB more than the room that was kept on it, and what is given back."""
    left = [300_000]

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            if not left[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            count = super().write(memoryview(data)[: left[0]])
            left[0] -= count
            return count

    def created(file: VideoFile, path: Path) -> None:
        create(file, path)
        file._file.close()
        file._file = Full(path, "w")

    def given_back(file: VideoFile) -> None:
        give_back(file)
        left[0] += 1 << 20

    create, give_back = VideoFile.__init__, VideoFile._give_room_back
    monkeypatch.setattr(VideoFile, "__init__", created)
    monkeypatch.setattr(VideoFile, "_give_room_back", given_back)
    with pytest.raises(OutputError, match=r"disk is full: .*out\.mp4 could not") as caught:
        make_swap(crf=0, preset="ultrafast").video(swaying, tmp_path / "out.mp4")
    monkeypatch.undo()
    partial = tmp_path / "out.partial.mp4"
    assert studio.names(tmp_path) == [partial.name]
    count = len(studio.read(partial))
    assert 1 < count < 50
    assert caught.value.__notes__ == [f"The first {count} frames are in {partial}."]


def test_a_video_without_a_face(studio: Any, lossless: FaceSwapper, tmp_path: Path) -> None:
    video = studio.write(tmp_path / "scenery.mkv", [studio.background()] * 10)
    with pytest.raises(NoFaceError, match=r"scenery\.mkv: no face was found"):
        lossless.video(video, tmp_path / "out.mkv")
    assert studio.names(tmp_path) == ["scenery.mkv"]
    assert studio.stages_alive() == []


def test_the_output_is_checked_before_anything_is_done(
    studio: Any, hopper_path: Path, swaying: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "create_analyzer", None)  # no analysis could start
    taken = tmp_path / "out.mkv"
    taken.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        sosie.swap_video(hopper_path, swaying, taken)
    with pytest.raises(UsageError, match="also an input"):
        sosie.swap_video(hopper_path, swaying, swaying)
    with pytest.raises(OutputError, match="does not exist"):
        sosie.swap_video(hopper_path, swaying, tmp_path / "nowhere" / "out.mkv")
    with pytest.raises(UsageError, match="multiband"):
        sosie.swap_video(hopper_path, swaying, tmp_path / "new.mkv", blend="multi")
    assert studio.names(tmp_path) == ["out.mkv"]
    assert taken.read_bytes() == b"mine"


def test_the_function_for_users(
    studio: Any, hopper_path: Path, swaying: Path, tmp_path: Path
) -> None:
    told: list[Progress] = []
    report = sosie.swap_video(
        hopper_path, swaying, tmp_path / "out.mp4", end_s=0.32, on_progress=told.append
    )
    assert report.frames == told[-1].done == len(studio.read(tmp_path / "out.mp4")) == 8
    assert len([progress for progress in told if progress.stage == "swapping"]) == 8
    assert report.swapped_frames == 8
