"""Frames that were put away come back as they were, wherever they waited."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from sosie.errors import OutputError
from sosie.media import spool as spool_module
from sosie.media.pixel_formats import plane_array
from sosie.media.spool import Spool
from sosie.media.video import VideoFrame, open_video
from sosie.types import Patch

FORMATS = ("yuv420p", "yuv411p", "yuv422p10le", "yuv444p", "gbrp10le", "gray", "yuva420p")
BUDGETS = (0, 1 << 30)


def planes(native: Any) -> list[np.ndarray]:
    return [plane_array(native, index).copy() for index in range(len(native.planes))]


def traits(native: Any) -> list[object]:
    side = [(data.type, bytes(data)) for data in native.side_data]
    tags = [native.colorspace, native.color_range, native.color_trc, native.color_primaries]
    times = [native.pts, native.time_base, native.duration, native.interlaced_frame]
    return [native.format.name, native.width, native.height, tags, times, side]


def same(left: list[np.ndarray], right: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.fixture
def on_disk(tmp_path: Path) -> Iterator[Spool]:
    """A spool that keeps nothing in memory."""
    with Spool(tmp_path / "out.mkv", in_memory_bytes=0) as spool:
        yield spool


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("pix_fmt", FORMATS)
def test_planes_and_all_that_belongs_to_a_frame(
    make_clip: Any, tmp_path: Path, pix_fmt: str, budget: int
) -> None:
    path = make_clip(
        "video.mkv", frames=6, size=(98, 66), codec="ffv1", pix_fmt=pix_fmt, options={}, gop=1
    )
    with open_video(path) as video, Spool(tmp_path / "out.mkv", budget) as spool:
        for frame in video.frames():
            pixels, before, about = frame.to_rgb(), planes(frame.native), traits(frame.native)
            frame.put_away(spool)
            assert np.array_equal(frame.to_rgb(), pixels)
            assert same(planes(frame.native), before)
            assert traits(frame.native) == about


def test_side_data_and_tags_come_back(make_clip: Any, on_disk: Spool) -> None:
    path = make_clip(colors=(9, 16, 9, 1), rotation=90)
    with open_video(path) as video:
        frames = list(video.frames())
        before = [traits(frame.native) for frame in frames]
        assert any(about[-1] for about in before)
        for frame in frames:
            frame.put_away(on_disk)
        assert [traits(frame.native) for frame in frames] == before


def test_a_frame_that_waited_can_be_pasted_into(make_clip: Any, on_disk: Spool) -> None:
    path = make_clip(pix_fmt="yuv444p")
    patch = Patch(8, 4, np.full((20, 30, 3), 200, np.uint8), np.ones((20, 30), bool))
    results = []
    for waits in (False, True):
        with open_video(path) as video:
            frame = next(video.frames())
            if waits:
                frame.put_away(on_disk)
            frame.paste(patch)
            results.append(planes(frame.native))
    assert same(*results)


def test_room_is_used_again(make_clip: Any, tmp_path: Path) -> None:
    path = make_clip("video.mkv", frames=30, codec="ffv1", options={})
    with open_video(path) as video, Spool(tmp_path / "out.mkv", 3 * video.frame_bytes) as spool:
        waiting: list[tuple[VideoFrame, list[np.ndarray]]] = []
        sizes = []
        for frame in video.frames():
            waiting.append((frame, planes(frame.native)))
            frame.put_away(spool)
            if len(waiting) == 6:
                oldest, before = waiting.pop(0)
                assert same(planes(oldest.native), before)
            sizes.append(os.fstat(spool._file.fileno()).st_size if spool._file else 0)
    assert 0 < max(sizes) == sizes[7] <= 4 * video.frame_bytes
    assert [path.name for path in tmp_path.iterdir()] == ["video.mkv"]


@pytest.mark.parametrize("fault", ["no room", "no file", "full later"])
def test_without_room_on_the_disk_frames_stay_in_memory(
    make_clip: Any, on_disk: Spool, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if fault == "no room":
        monkeypatch.setattr(spool_module, "_LARGEST_SHARE", 0)
    elif fault == "no file":
        monkeypatch.setattr(spool_module.tempfile, "TemporaryFile", refuse)
    else:
        monkeypatch.setattr(Spool, "_write", refuse)
    with open_video(make_clip()) as video:
        frames = list(video.frames())
        before = [planes(frame.native) for frame in frames]
        for frame in frames:
            frame.put_away(on_disk)
        assert all(same(planes(f.native), b) for f, b in zip(frames, before, strict=True))


def test_a_4k_video_of_10_bits_takes_bounded_memory(run_python: Any, tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 3840, 2160, "yuv420p10le"
        still = av.VideoFrame(3840, 2160, "yuv420p10le")
        for index in range(3):
            plane_array(still, index)[:] = 512
        for number in range(16):
            still.pts, still.time_base = number, Fraction(1, 25)
            container.mux(video.encode(still))
        container.mux(video.encode())
    peak = run_python(f"""
from sosie.media.spool import Spool
from sosie.media.video import open_video
out = {str(tmp_path / "out.mp4")!r}
with open_video({str(path)!r}) as video, Spool(out) as spool, video.writer(out) as writer:
    waiting = []
    for frame in video.frames():
        frame.put_away(spool)
        waiting.append(frame)
    waiting.reverse()
    while waiting:
        writer.write(waiting.pop())
rows = open("/proc/self/status").read().split()
print(rows[rows.index("VmHWM:") + 1])
""")
    # The encoder takes 500 MB by itself: 1,000 if it looks as far ahead as at other videos. Sixteen
    # frames are 400 MB.
    assert int(peak) < 1_000_000


def test_a_disk_that_fails_is_told_in_a_sentence(make_clip: Any, on_disk: Spool) -> None:
    with open_video(make_clip()) as video:
        frame = next(video.frames())
        frame.put_away(on_disk)
        on_disk._file.truncate(100)
        with pytest.raises(OutputError, match=r"out\.mkv could not be read again .*check the disk"):
            frame.bring_back()
