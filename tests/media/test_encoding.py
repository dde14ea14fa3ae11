"""A video comes out in its own codec, depth and chroma, or what is lost is told before the work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from sosie.errors import UsageError
from sosie.media.deliveries import DELIVERIES, split_preset
from sosie.media.hdr import HdrMetadata
from sosie.media.video import open_video

X265 = {"crf": "20", "preset": "ultrafast", "x265-params": "log-level=none"}
HQ = {"profile": "hq"}
HDR = "G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,50)"


def rewrite(source: Path, target: Path, **options: Any) -> tuple[str, ...]:
    """Writes a video anew. Returns the notes that were there before the first frame."""
    with open_video(source) as video, video.writer(target, **options) as writer:
        notes = writer.notes
        for frame in video.frames():
            writer.write(frame)
        assert writer.notes == notes
    return notes


def described(path: Path) -> tuple[str, str, str | None]:
    """Codec, pixel format and profile."""
    with open_video(path) as video:
        assert len(list(video.frames())) == 4
        return video.info.codec, video.info.pixel_format, video.source.profile


OWN = [
    ("in.mp4", "libx264", "yuv420p", {}, "out.mkv", ("h264", "yuv420p", "High")),
    ("in.mkv", "libx264", "yuv422p10le", {}, "out.mov", ("h264", "yuv422p10le", "High 4:2:2")),
    ("in.mp4", "libx265", "yuv420p", X265, "out.mov", ("hevc", "yuv420p", "Main")),
    ("in.mkv", "libx265", "yuv420p10le", X265, "out.mp4", ("hevc", "yuv420p10le", "Main 10")),
    ("in.mkv", "libx265", "yuv444p12le", X265, "out.mkv", ("hevc", "yuv444p12le", "Rext")),
    ("in.mkv", "libsvtav1", "yuv420p10le", {}, "out.mp4", ("av1", "yuv420p10le", "Main")),
    ("in.webm", "libvpx-vp9", "yuv444p", {}, "out.webm", ("vp9", "yuv444p", "Profile 1")),
    ("in.webm", "libvpx", "yuv420p", {}, "out.mkv", ("vp8", "yuv420p", None)),
    ("in.mov", "prores_ks", "yuv422p10le", {"profile": "lt"}, "out.mov",
     ("prores", "yuv422p10le", "LT")),
    ("in.mov", "prores_ks", "yuv422p10le", HQ, "out.mkv", ("prores", "yuv422p10le", "HQ")),
    ("in.mov", "dnxhd", "yuv422p10le", {"profile": "dnxhr_hqx"}, "out.mov",
     ("dnxhd", "yuv422p10le", "DNXHR HQX")),
    ("in.mov", "dnxhd", "yuv422p", {"profile": "dnxhr_sq"}, "out.mov",
     ("dnxhd", "yuv422p", "DNXHR SQ")),
    ("in.mov", "dnxhd", "yuv444p10le", {"profile": "dnxhr_444"}, "out.mov",
     ("dnxhd", "yuv444p10le", "DNXHR 444")),
    ("in.mkv", "ffv1", "yuv422p16le", {}, "out.mkv", ("ffv1", "yuv422p16le", None)),
    ("in.mkv", "ffv1", "gbrap12le", {}, "out.avi", ("ffv1", "gbrap12le", None)),
    ("in.avi", "utvideo", "yuv422p", {}, "out.avi", ("utvideo", "yuv422p", None)),
    ("in.mov", "cfhd", "gbrp12le", {}, "out.mov", ("cfhd", "gbrp12le", None)),
    ("in.mov", "v210", "yuv422p10le", {}, "out.mov", ("v210", "yuv422p10le", None)),
    ("in.mov", "png", "rgba", {}, "out.mov", ("png", "rgba", None)),
    ("in.mov", "png", "rgb48be", {}, "out.mov", ("png", "rgb48be", None)),
    ("in.avi", "mjpeg", "yuvj422p", {}, "out.avi", ("mjpeg", "yuvj422p", "Baseline")),
    ("in.mov", "qtrle", "argb", {}, "out.mov", ("qtrle", "argb", None)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "codec", "pix_fmt", "options", "out", "expected"), OWN)
def test_a_video_keeps_its_codec_depth_and_chroma(
    make_clip: Any,
    tmp_path: Path,
    name: str,
    codec: str,
    pix_fmt: str,
    options: dict,
    out: str,
    expected: tuple,
) -> None:
    path = make_clip(name, codec=codec, pix_fmt=pix_fmt, options=options, frames=4, size=(256, 128))
    assert rewrite(path, tmp_path / out) == ()
    assert described(tmp_path / out)[:2] == described(path)[:2] == expected[:2]
    assert expected[2] in (None, described(tmp_path / out)[2])
    with open_video(path) as one, open_video(tmp_path / out) as two:
        for before, after in zip(one.frames(), two.frames(), strict=True):
            top = 255 if before.to_rgb().dtype == np.uint8 else 65535
            apart = np.abs(before.to_rgb().astype(float) - after.to_rgb()) / top
            assert apart.mean() < 0.02


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "options", "out", "expected", "words"),
    [
        ("in.mov", "prores_ks", "yuva444p10le", {}, "out.mov", "prores yuva444p12le",
         "prores_ks does not keep all of the video's bits"),
        ("in.mov", "prores_ks", "yuv422p10le", {}, "out.mp4", "hevc yuv422p10le",
         "prores, is not kept in a .mp4: it is encoded with libx265"),
        ("in.mov", "png", "rgba", {}, "out.mkv", "ffv1 bgra", "png, is not kept"),
        ("in.avi", "huffyuv", "bgra", {}, "out.avi", "ffv1 bgra", "no encoder of .*huffyuv"),
        ("in.mov", "png", "rgba", {}, "out.mp4", "h264 yuv444p", "does not keep .* transparency"),
        ("in.avi", "utvideo", "yuv422p", {}, "out.mkv", "ffv1 yuv422p", "utvideo, is not kept"),
        ("in.mp4", "libx264", "yuv420p", {}, "out.webm", "vp9 yuv420p", "h264, is not kept"),
        ("in.mkv", "libx265", "yuv420p10le", X265, "out.webm", "av1 yuv420p10le", "hevc, is not"),
        ("in.mkv", "mpeg2video", "yuv420p", {}, "out.mp4", "h264 yuv420p", "no encoder of .*mpeg2"),
        ("in.avi", "mpeg4", "yuv420p", {}, "out.mp4", "h264 yuv420p", "mpeg4, is not kept in a"),
        ("in.mkv", "libx265", "yuv420p", X265, "out.avi", "mpeg4 yuv420p", "hevc, is not kept"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_told_before_the_first_frame(
    make_clip: Any,
    tmp_path: Path,
    name: str,
    codec: str,
    pix_fmt: str,
    options: dict,
    out: str,
    expected: str,
    words: str,
) -> None:
    path = make_clip(name, codec=codec, pix_fmt=pix_fmt, options=options, frames=4, size=(256, 128))
    with open_video(path) as video, video.writer(tmp_path / out) as writer:
        assert any(re.search(words, note) for note in writer.notes), writer.notes
        for frame in video.frames():
            writer.write(frame)
    assert " ".join(described(tmp_path / out)[:2]) == expected


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.m4v"])
def test_hevc_has_the_tag_that_apples_players_want(
    make_clip: Any, tmp_path: Path, name: str
) -> None:
    path = make_clip("in.mkv", codec="libx265", options=X265, frames=4)
    rewrite(path, tmp_path / name)
    with av.open(str(tmp_path / name)) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


@pytest.mark.parametrize(
    ("out", "options"),
    [
        ("out.mov", {"codec": "prores_ks"}),
        ("out.mp4", {"codec": "libx265"}),
        ("out.mp4", {"codec": "libsvtav1"}),
        ("out.mkv", {"codec": "ffv1"}),
        ("out.webm", {"codec": "libsvtav1"}),
    ],
)
def test_color_tags_of_hdr_are_on_every_frame(
    make_clip: Any, tmp_path: Path, out: str, options: dict
) -> None:
    path = make_clip(frames=4, pix_fmt="yuv420p10le", colors=(9, 18, 9, 1))
    rewrite(path, tmp_path / out, **options)
    with av.open(str(tmp_path / out)) as container:
        for frame in container.decode(video=0):
            tags = (frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range)
            assert tags == (9, 18, 9, 1)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1"])
def test_hdr10_in_and_out(make_clip: Any, tmp_path: Path, codec: str) -> None:
    path = make_clip(
        frames=4,
        pix_fmt="yuv420p10le",
        colors=(9, 16, 9, 1),
        options={"x264-params": f"mastering-display={HDR}:cll=1000,400"},
    )
    assert rewrite(path, tmp_path / "out.mp4", codec=codec) == ()
    rewrite(tmp_path / "out.mp4", tmp_path / "again.mp4")
    for name in ("out.mp4", "again.mp4"):
        with open_video(tmp_path / name) as video:
            first = video.source.first
            metadata = HdrMetadata.of(first)
            assert metadata.light == "1000,400"
            numbers = [int(n) for n in re.findall(r"\d+", metadata.display or "")]
            assert numbers == pytest.approx([int(n) for n in re.findall(r"\d+", HDR)], abs=2)
            assert video.info.pixel_format == "yuv420p10le"
            assert video.info.color.transfer == 16


# Deliveries by name.


@pytest.mark.parametrize(
    ("preset", "pix_fmt", "out", "expected"),
    [
        ("web", "yuv422p10le", "out.mp4", ("h264", "yuv420p", "High")),
        ("web,ultrafast", "yuv420p", "out.webm", ("vp9", "yuv420p", "Profile 0")),
        ("apple", "yuv420p", "out.mp4", ("hevc", "yuv420p", "Main")),
        ("apple", "yuv422p10le", "out.mov", ("hevc", "yuv420p10le", "Main 10")),
        ("archive", "yuv422p10le", "out.mkv", ("ffv1", "yuv422p10le", None)),
        ("prores", "yuv420p", "out.mov", ("prores", "yuv422p10le", "HQ")),
        ("prores", "yuv444p10le", "out.mov", ("prores", "yuv444p12le", "4444")),
        ("dnxhr", "yuv420p", "out.mov", ("dnxhd", "yuv422p", "DNXHR HQ")),
        ("dnxhr", "yuv420p10le", "out.mov", ("dnxhd", "yuv422p10le", "DNXHR HQX")),
        ("proxy", "yuv444p10le", "out.mov", ("prores", "yuv422p10le", "Proxy")),
    ],
)
def test_deliveries(
    make_clip: Any, tmp_path: Path, preset: str, pix_fmt: str, out: str, expected: tuple
) -> None:
    path = make_clip(pix_fmt=pix_fmt, frames=4, size=(256, 128))
    rewrite(path, tmp_path / out, preset=preset)
    assert described(tmp_path / out) == expected
    if preset in ("web", "apple") and out != "out.webm":
        content = (tmp_path / out).read_bytes()
        assert 0 < content.find(b"moov") < content.find(b"mdat")


def test_a_preset_is_a_delivery_a_speed_or_one_of_each() -> None:
    assert split_preset("slow") == (None, "slow")
    assert split_preset("apple") == ("apple", "veryfast")
    assert split_preset("fast, prores") == ("prores", "fast")
    assert set(DELIVERIES) == {"web", "apple", "archive", "prores", "dnxhr", "proxy"}


@pytest.mark.parametrize(
    ("options", "out", "words"),
    [
        ({"preset": "aple"}, "out.mp4", "Unknown preset 'aple'.*did you mean 'apple'"),
        ({"preset": "apple,web"}, "out.mp4", "names two of one kind"),
        ({"preset": "apple", "codec": "libx264"}, "out.mp4", "leave out --codec libx264"),
        ({"preset": "archive"}, "out.mp4", r"not written into a \.mp4: name the output out\.mkv"),
        ({"preset": "dnxhr"}, "out.mov", "takes 256 x 120 and more"),
        ({"preset": "web"}, "out.mp4", "is HDR, .* choose the preset apple"),
    ],
)
def test_deliveries_that_cannot_be(
    make_clip: Any, tmp_path: Path, options: dict, out: str, words: str
) -> None:
    path = make_clip(frames=4, pix_fmt="yuv420p10le", colors=(9, 18, 9, 1))
    with pytest.raises(UsageError, match=words):
        rewrite(path, tmp_path / out, **options)
    assert not (tmp_path / out).exists()
