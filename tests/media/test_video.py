"""Frames of a video: upright, by their own timestamps, and with nothing but patches changed."""

from __future__ import annotations

import gc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from sosie.errors import UsageError
from sosie.media.pixel_formats import plane_array
from sosie.media.prefetch import prefetch
from sosie.media.probe import Orientation
from sosie.media.video import VideoFrame, open_video
from sosie.media.video_decode import VideoDecoder
from sosie.types import Patch


def planes(native: Any) -> list[np.ndarray]:
    return [plane_array(native, index).copy() for index in range(len(native.planes))]


def decoded(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


# What a video is.


def test_info(make_clip: Any, kinds: Any) -> None:
    path = make_clip(
        "video.mkv",
        frames=30,
        fps=Fraction(30000, 1001),
        aspect=Fraction(4, 3),
        colors=(1, 1, 1, 1),
        sounds=(kinds.sound(), kinds.sound("flac", "fra", "Commentaire", default=False)),
        subtitles=(kinds.subtitles("subrip", "deu", forced=True),),
    )
    with open_video(path) as video:
        info = video.info
    assert (info.width, info.height, info.sample_aspect) == (160, 120, Fraction(4, 3))
    assert info.fps == pytest.approx(30000 / 1001, abs=0.01)
    assert abs((info.frame_count or 0) - 30) <= 1
    assert info.duration_s == pytest.approx(1.0, abs=0.05)
    assert (info.codec, info.pixel_format, info.bit_depth) == ("h264", "yuv420p", 8)
    assert info.color.primaries == info.color.transfer == info.color.matrix == 1
    assert info.color.full_range is False
    assert [(t.kind, t.codec, t.language, t.default, t.forced) for t in info.tracks] == [
        ("audio", "aac", "eng", True, False),
        ("audio", "flac", "fra", False, False),
        ("subtitle", "subrip", "deu", False, True),
    ]
    assert info.tracks[1].title == "Commentaire"


def test_untagged_colors_are_said_to_be_unknown(make_clip: Any) -> None:
    with open_video(make_clip()) as video:
        color = video.info.color
    assert (color.primaries, color.transfer, color.matrix, color.full_range) == (None,) * 4


def test_frame_count_of_an_mp4_is_exact(make_clip: Any) -> None:
    with open_video(make_clip(frames=17)) as video:
        assert video.info.frame_count == video.expected_frames == 17
        assert len(list(video.frames())) == 17


# Timestamps.


def test_variable_frame_rate(make_clip: Any) -> None:
    pts = [0, 3000, 3100, 9000, 9001, 20000, 45000, 90000]
    path = make_clip(frames=8, pts=pts, time_base=Fraction(1, 90000))
    with open_video(path) as video:
        frames = [(f.index, f.pts * f.time_base, f.time_s) for f in video.frames()]
    assert [f[0] for f in frames] == list(range(8))
    assert [f[1] for f in frames] == [Fraction(p, 90000) for p in pts]
    assert [f[2] for f in frames] == pytest.approx([p / 90000 for p in pts])


def test_time_counts_from_the_videos_start(make_clip: Any) -> None:
    path = make_clip("video.ts", frames=10)
    with open_video(path) as video:
        first = next(video.frames())
    assert first.pts > 0  # this container begins its clock late
    assert first.time_s == pytest.approx(0)


@pytest.mark.parametrize("name", ["video.mp4", "video.mkv", "video.ts", "video.avi"])
@pytest.mark.parametrize(("start", "end"), [(0.52, 0.8), (2.0, 2.4), (7.96, None), (None, 0.2)])
def test_a_part_is_exact_at_frames(
    make_clip: Any, name: str, start: float | None, end: float | None
) -> None:
    options = {"codec": "mpeg4", "options": {}} if name.endswith(".avi") else {}
    path = make_clip(name, frames=200, size=(64, 48), gop=40, **options)
    with open_video(path) as video:
        whole = [(round(f.time_s * 25), planes(f.native)) for f in video.frames()]
    low, high = (0 if start is None else start), (99 if end is None else end)
    expected = [f for f in whole if low - 1e-6 <= f[0] / 25 < high - 1e-6]
    with open_video(path, start, end) as video:
        part = [(round(f.time_s * 25), planes(f.native)) for f in video.frames()]
        assert abs((video.expected_frames or 0) - len(expected)) <= 1
    assert [f[0] for f in part] == [f[0] for f in expected]
    assert len(part) > 0
    for (_, got), (_, want) in zip(part, expected, strict=True):
        for one, two in zip(got, want, strict=True):
            np.testing.assert_array_equal(one, two)


def test_a_late_part_does_not_decode_the_video_from_its_start(
    make_clip: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_clip(frames=500, size=(64, 48), gop=25)
    count = 0
    original = VideoDecoder._decode_packets

    def counted(self: VideoDecoder, *args: Any) -> Any:
        nonlocal count
        for frame in original(self, *args):
            count += 1
            yield frame

    monkeypatch.setattr(VideoDecoder, "_decode_packets", counted)
    with open_video(path, 18.0, 18.2) as video:
        assert len(list(video.frames())) == 5
    assert count < 150


def test_a_part_after_the_end(make_clip: Any) -> None:
    with pytest.raises(UsageError, match=r"no frame at 9\.0 s or later; start earlier"):
        open_video(make_clip(), 9.0)


@pytest.mark.parametrize(
    "span", [(-1.0, None), (float("nan"), None), (2.0, 1.0), (None, 0.0), (None, float("inf"))]
)
def test_parts_that_cannot_be_meant(make_clip: Any, span: tuple) -> None:
    with pytest.raises(UsageError):
        open_video(make_clip(), *span)


def test_frames_can_be_read_again(make_clip: Any) -> None:
    with open_video(make_clip()) as video:
        once = [planes(f.native) for f in video.frames()]
        again = [planes(f.native) for f in video.frames()]
    assert len(once) == len(again) == 12
    for one, two in zip(once, again, strict=True):
        np.testing.assert_array_equal(one[0], two[0])


# Pixels.


def test_rgb(make_clip: Any, kinds: Any) -> None:
    path = make_clip(options={"crf": "1"}, pix_fmt="yuv444p")
    with open_video(path) as video:
        for frame in video.frames():
            rgb = frame.to_rgb()
            assert rgb.dtype == np.uint8
            assert rgb.shape == (120, 160, 3) == (frame.height, frame.width, 3)
            assert rgb.flags.c_contiguous
            error = rgb.astype(int) - kinds.picture(frame.index, 160, 120)
            assert np.abs(error).max() <= 6
            assert np.abs(error).mean() < 1


def test_deep_color_is_16_bits(make_clip: Any, kinds: Any) -> None:
    path = make_clip(pix_fmt="yuv422p10le", options={"crf": "1"})
    with open_video(path) as video:
        assert video.info.bit_depth == 10
        rgb = next(video.frames()).to_rgb()
    assert rgb.dtype == np.uint16
    assert np.abs(rgb / 257.0 - kinds.picture(0, 160, 120)).mean() < 3
    assert len(np.unique(rgb[..., 1])) > 256


def test_frames_are_as_decoded_and_patches_do_not_reach_other_frames(make_clip: Any) -> None:
    """Decoders keep frames to predict the next from: a patch must not show in those."""
    path = make_clip(frames=20)
    expected = [planes(native) for native in decoded(path)]
    mask = np.zeros((60, 60), bool)
    mask[10:50, 10:50] = True
    patch = Patch(40, 30, np.zeros((60, 60, 3), np.uint8), mask)
    with open_video(path) as video:
        for frame, want in zip(video.frames(), expected, strict=True):
            before = planes(frame.native)
            for one, two in zip(before, want, strict=True):
                np.testing.assert_array_equal(one, two)
            frame.paste(patch)
            after = planes(frame.native)
            inside = (slice(40, 80), slice(50, 90))
            assert (after[0][inside] == 16).all()
            after[0][inside] = before[0][inside]
            np.testing.assert_array_equal(after[0], before[0])


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        (Patch(150, 0, np.zeros((8, 20, 3), np.uint8), np.ones((8, 20), bool)), "not inside"),
        (Patch(0, 115, np.zeros((8, 20, 3), np.uint8), np.ones((8, 20), bool)), "not inside"),
        (Patch(-1, 0, np.zeros((8, 20, 3), np.uint8), np.ones((8, 20), bool)), "not inside"),
        (Patch(0, 0, np.zeros((8, 20, 3), np.uint16), np.ones((8, 20), bool)), "depth"),
        (Patch(0, 0, np.zeros((8, 20, 3), np.uint8), np.ones((9, 20), bool)), "do not fit"),
    ],
)
def test_patches_that_do_not_fit(make_clip: Any, patch: Patch, words: str) -> None:
    with open_video(make_clip()) as video, pytest.raises(ValueError, match=words):
        next(video.frames()).paste(patch)


# Memory.


def test_frames_are_not_kept(make_clip: Any) -> None:
    path = make_clip(frames=60, size=(64, 48))
    peak = 0
    with open_video(path) as video, prefetch(video.frames(), 3) as frames:
        for frame in frames:
            assert frame.width == 64
            alive = sum(type(thing) is VideoFrame for thing in gc.get_objects())
            peak = max(peak, alive)
    assert 0 < peak <= 3 + 2 + 1  # queued, in the two hands, and the one before


def test_memory_does_not_grow_with_the_video(
    make_clip: Any, kinds: Any, run_python: Callable[[str], str]
) -> None:
    path = make_clip(frames=1500, size=(320, 240), sounds=(kinds.sound(),))
    code = """
import resource
from sosie.media.prefetch import prefetch
from sosie.media.video import open_video
with open_video({path!r}, None, {end}) as clip, clip.writer({out!r}, preset="ultrafast") as writer:
    for frame in prefetch(clip.frames(), 4):
        frame.to_rgb()
        writer.write(frame)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    out = str(path.with_name("out.mp4"))
    peaks = [int(run_python(code.format(path=str(path), end=end, out=out))) for end in (6, 60)]
    assert peaks[1] - peaks[0] < 12_000  # kB; 1,350 frames more are 155,000 as they are decoded


# Rotation.

FLIPPED = (-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)


@pytest.mark.parametrize("name", ["video.mp4", "video.mkv", "video.mov"])
@pytest.mark.parametrize("turn", [90, 180, 270, "mirrored"])
def test_frames_are_upright(make_clip: Any, kinds: Any, name: str, turn: int | str) -> None:
    tag = {"matrix": FLIPPED} if turn == "mirrored" else {"rotation": turn}
    path = make_clip(name, pix_fmt="yuv444p", options={"crf": "1"}, aspect=Fraction(4, 3), **tag)
    stored = kinds.picture(0, 160, 120)
    expected = stored[:, ::-1] if turn == "mirrored" else np.rot90(stored, int(turn) // 90)
    with open_video(path) as video:
        assert video.info.width == expected.shape[1]
        swapped = turn in (90, 270)
        assert video.info.sample_aspect == (Fraction(3, 4) if swapped else Fraction(4, 3))
        frame = next(video.frames())
        rgb = frame.to_rgb()
        assert rgb.shape == expected.shape == (frame.height, frame.width, 3)
        assert np.abs(rgb.astype(int) - expected).max() <= 4
        parts = frame.parts_to_rgb([(10, 21, 47, 66), (60, 0, 64, 8)])
        for x0, y0, x1, y1 in ((10, 21, 47, 66), (60, 0, 64, 8)):
            np.testing.assert_array_equal(parts[y0:y1, x0:x1], rgb[y0:y1, x0:x1])
        mask = np.zeros((20, 30), bool)
        mask[2:18, 5:25] = True
        frame.paste(Patch(33, 51, np.full((20, 30, 3), 255, np.uint8), mask))
        changed = np.abs(frame.to_rgb().astype(int) - rgb).max(2) > 8
        where = np.zeros_like(changed)
        where[51:71, 33:63] = mask
        assert changed[where].mean() > 0.99
        assert not changed[~where].any()


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv420p10le"])
def test_a_part_is_converted_as_the_whole_is(make_clip: Any, pix_fmt: str) -> None:
    """A decoded frame says where its chroma samples lie, and one that is made does not."""
    with open_video(make_clip(pix_fmt=pix_fmt, options={"crf": "1"})) as video:
        frame = next(video.frames())
        whole, box = frame.to_rgb(), (21, 11, 130, 87)
        x0, y0, x1, y1 = box
        part = frame.parts_to_rgb([box])
        np.testing.assert_array_equal(part[y0:y1, x0:x1], whole[y0:y1, x0:x1])
        part[y0:y1, x0:x1] = 0
        assert not part.any()


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("mirror_x", [False, True])
@pytest.mark.parametrize("mirror_y", [False, True])
def test_orientation_there_and_back(swap: bool, mirror_x: bool, mirror_y: bool) -> None:
    turn = Orientation(swap, mirror_x, mirror_y)
    stored = np.arange(5 * 7).reshape(5, 7)
    seen = turn.upright(stored)
    np.testing.assert_array_equal(turn.stored(seen), stored)
    part = seen[1:3, 2:5]
    x, y = turn.stored_corner(2, 1, (3, 2), (seen.shape[1], seen.shape[0]))
    back = turn.stored(part)
    np.testing.assert_array_equal(stored[y : y + back.shape[0], x : x + back.shape[1]], back)


def test_cover_art_before_the_video_is_not_the_video(make_clip: Any) -> None:
    with open_video(make_clip(cover=png_bytes())) as video:
        assert (video.info.width, video.info.codec) == (160, "h264")
        assert [track.kind for track in video.info.tracks] == ["picture"]


def png_bytes() -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def test_files_are_let_go_of(make_clip: Any) -> None:
    path = make_clip()

    def descriptors() -> int:
        return sum(
            1 for link in Path("/proc/self/fd").iterdir() if link.exists() and link.samefile(path)
        )

    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc on this system")
    with open_video(path) as video:
        next(video.frames())
    with open_video(path):
        pass
    gc.collect()
    assert descriptors() == 0
