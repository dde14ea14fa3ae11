"""Written videos keep clock, colors, shape and depth; what they cannot keep, they say."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from sosie.errors import UsageError
from sosie.media.encoders import is_available
from sosie.media.hdr import HdrMetadata
from sosie.media.pixel_formats import plane_array
from sosie.media.video import open_video
from sosie.types import Patch


def rewrite(source: Path, target: Path, patch: Patch | None = None, **options: Any) -> tuple:
    """Writes a video anew, and returns the writer's notes."""
    span = {key: options.pop(key) for key in ("start_s", "end_s") if key in options}
    with open_video(source, **span) as video, video.writer(target, **options) as writer:
        for frame in video.frames():
            if patch is not None:
                frame.paste(patch)
            writer.write(frame)
    return writer.notes


def frames(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def times(path: Path) -> list[Fraction]:
    return [frame.pts * frame.time_base for frame in frames(path)]


def planes(native: Any) -> list[np.ndarray]:
    return [plane_array(native, index).copy() for index in range(len(native.planes))]


# Clock.

VARIABLE = [0, 3000, 3100, 9000, 9001, 20000, 20010, 45000, 90000, 90001]


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.m4v"])
def test_variable_frame_rate_is_kept_exactly(make_clip: Any, tmp_path: Path, name: str) -> None:
    path = make_clip(frames=10, pts=VARIABLE, time_base=Fraction(1, 90000))
    rewrite(path, tmp_path / name)
    assert times(tmp_path / name) == [Fraction(p, 90000) for p in VARIABLE]


def test_variable_frame_rate_in_matroska(make_clip: Any, tmp_path: Path) -> None:
    path = make_clip(
        "video.mkv", frames=6, pts=[0, 40, 41, 113, 900, 901], time_base=Fraction(1, 1000)
    )
    rewrite(path, tmp_path / "out.mkv")
    assert times(tmp_path / "out.mkv") == times(path)
    rewrite(path, tmp_path / "out.mp4")
    assert times(tmp_path / "out.mp4") == times(path)


@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(25), Fraction(60000, 1001)])
def test_ntsc_rates_do_not_drift(make_clip: Any, tmp_path: Path, fps: Fraction) -> None:
    path = make_clip(frames=120, size=(32, 32), fps=fps)
    rewrite(path, tmp_path / "out.mp4")
    assert times(tmp_path / "out.mp4") == times(path) == [n / fps for n in range(120)]
    with av.open(str(path)) as one, av.open(str(tmp_path / "out.mp4")) as two:
        assert two.streams.video[0].average_rate == one.streams.video[0].average_rate
        assert two.streams.video[0].duration == one.streams.video[0].duration


def test_a_clock_that_is_too_fine_is_rounded_and_said(make_clip: Any, tmp_path: Path) -> None:
    path = make_clip(frames=10, pts=VARIABLE, time_base=Fraction(1, 90000))
    notes = rewrite(path, tmp_path / "out.mp4", codec="mpeg4")
    assert any("1/60000 s" in note for note in notes)
    for got, want in zip(times(tmp_path / "out.mp4"), times(path), strict=True):
        assert abs(got - want) <= Fraction(1, 60000)


def test_full_range_without_a_tag(make_clip: Any, tmp_path: Path) -> None:
    path = make_clip("video.avi", codec="mjpeg", pix_fmt="yuvj420p", options={})
    rewrite(path, tmp_path / "out.webm", crf=5)
    one, two = seen(path).astype(int), seen(tmp_path / "out.webm").astype(int)
    assert np.abs(one - two).mean() < 2


def test_a_late_start_is_kept(make_clip: Any, tmp_path: Path) -> None:
    path = make_clip(
        frames=5, pts=[12800, 13312, 13824, 14336, 14848], time_base=Fraction(1, 12800)
    )
    rewrite(path, tmp_path / "out.mp4")
    assert times(tmp_path / "out.mp4") == times(path)


def test_a_recording_whose_clock_began_hours_before(
    make_clip: Any, kinds: Any, tmp_path: Path
) -> None:
    path = make_clip(
        "video.ts", sounds=(kinds.sound(),), container_options={"output_ts_offset": "36000"}
    )
    with av.open(str(path)) as container:
        starts = [stream.start_time * stream.time_base for stream in container.streams]
    assert min(starts) > 35999
    for name in ("out.mp4", "out.mkv"):
        rewrite(path, tmp_path / name)
        with av.open(str(tmp_path / name)) as container:
            assert container.duration / av.time_base < 1
            now = [next(container.decode(stream)).time for stream in container.streams]
            container.seek(0)
        # Sound and pictures stay as far apart as they were.
        assert now[0] - now[1] == pytest.approx(float(starts[0] - starts[1]), abs=0.025)
        shown = times(tmp_path / name)
        before = times(path)
        assert [float(t - shown[0]) for t in shown] == pytest.approx(
            [float(t - before[0]) for t in before], abs=1e-3
        )


def test_mpeg4_in_avi_with_frames_between_others(make_clip: Any, tmp_path: Path) -> None:
    """FFmpeg gives two of such frames each other's time."""
    path = make_clip(
        "video.avi", codec="mpeg4", frames=20, gop=12, options={"bf": "2", "qscale": "3"}
    )
    with open_video(path) as video:
        found = [frame.time_s for frame in video.frames()]
    steps = np.diff(found)
    assert len(found) == 20
    # The first may be shown longer: the clock of an AVI is that of decoding.
    assert steps[2:] == pytest.approx(np.full(17, 0.04), abs=1e-6)
    with pytest.raises(UsageError, match=r"no frame from 0 up to 0\.01 s; give a longer part"):
        open_video(path, None, 0.01)


@pytest.mark.parametrize("extension", ["mkv", "webm", "mp4", "mov"])
def test_the_same_video_is_the_same_file_each_time(
    make_clip: Any, kinds: Any, tmp_path: Path, extension: str
) -> None:
    path = make_clip(
        "video.mkv",
        # A width that is not of whole vectors: what lies beside the picture must not count.
        size=(336, 240),
        sounds=(kinds.sound(),),
        chapters=((0, 0.1, "one"),),
        metadata={"title": "Words", "creation_time": "2020-01-02T03:04:05.000000Z"},
    )
    contents = set()
    for number in range(8):
        rewrite(path, tmp_path / f"{number}.{extension}")
        contents.add((tmp_path / f"{number}.{extension}").read_bytes())
    assert len(contents) == 1


def test_the_last_frame_lasts_as_long(make_clip: Any, tmp_path: Path) -> None:
    path = make_clip(frames=3, pts=[0, 1000, 2000], time_base=Fraction(1, 1000))

    def last(video: Path) -> Fraction:
        with av.open(str(video)) as container:
            packets = [p for p in container.demux(video=0) if p.size]
        packet = max(packets, key=lambda p: p.pts)
        return packet.duration * packet.time_base

    rewrite(path, tmp_path / "out.mp4")
    assert last(tmp_path / "out.mp4") == last(path)


def test_a_part_begins_at_0(make_clip: Any, tmp_path: Path) -> None:
    path = make_clip(frames=100, size=(64, 48))
    rewrite(path, tmp_path / "out.mp4", start_s=1.0, end_s=2.0, crf=0)
    assert times(tmp_path / "out.mp4") == [Fraction(n, 25) for n in range(25)]
    for got, want in zip(frames(tmp_path / "out.mp4"), frames(path)[25:50], strict=True):
        np.testing.assert_array_equal(planes(got)[0], planes(want)[0])


def test_timestamps_that_do_not_rise_are_repaired(make_clip: Any, tmp_path: Path) -> None:
    """A stream without a clock, as cameras write it raw."""
    path = make_clip(frames=10)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        annexb = av.bitstream.BitStreamFilterContext("h264_mp4toannexb", stream)
        data = b"".join(
            bytes(out) for packet in container.demux(stream) for out in annexb.filter(packet)
        )
    raw = tmp_path / "film.h264"
    raw.write_bytes(data)
    rewrite(raw, tmp_path / "out.mp4", crf=0)
    stamps = times(tmp_path / "out.mp4")
    assert len(stamps) == 10
    assert all(a < b for a, b in itertools.pairwise(stamps))
    for got, want in zip(frames(tmp_path / "out.mp4"), frames(path), strict=True):
        np.testing.assert_array_equal(planes(got)[0], planes(want)[0])


CLIPS = ("group_720p", "studio_1080p", "talk_d0", "talk_d19", "talk_d3", "talk_s13")


@pytest.mark.parametrize("name", CLIPS)
def test_real_videos(shared_data: Path, tmp_path: Path, name: str) -> None:
    path = shared_data / "clips" / f"{name}.mp4"
    mask = np.ones((32, 32), bool)
    patch = Patch(41, 51, np.full((32, 32, 3), (20, 200, 30), np.uint8), mask)
    assert rewrite(path, tmp_path / "out.mp4", patch, end_s=1.0, crf=5) == ()
    got, want = times(tmp_path / "out.mp4"), times(path)
    assert 20 < len(got) < 35
    assert got == want[: len(got)]
    new, old = (seen(video, 0.5).astype(int) for video in (tmp_path / "out.mp4", path))
    assert np.abs(new[55:79, 45:69] - (20, 200, 30)).mean() < 8
    new[49:85, 39:75] = old[49:85, 39:75]
    assert np.abs(new - old).mean() < 1.5


# Pixels.


@pytest.mark.parametrize("name", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p"])
def test_crf_0_keeps_every_sample_that_no_patch_covers(
    make_clip: Any, tmp_path: Path, name: str
) -> None:
    path = make_clip(pix_fmt=name)
    mask = np.zeros((40, 40), bool)
    mask[5:35, 5:35] = True
    patch = Patch(21, 31, np.full((40, 40, 3), 200, np.uint8), mask)
    rewrite(path, tmp_path / "out.mp4", patch, crf=0)
    for got, want in zip(frames(tmp_path / "out.mp4"), frames(path), strict=True):
        assert got.format.name == want.format.name
        for index, (new, old) in enumerate(zip(planes(got), planes(want), strict=True)):
            step_y, step_x = 120 // old.shape[0], 160 // old.shape[1]
            covered = np.zeros(old.shape, bool)
            covered[36 // step_y : -(-66 // step_y), 26 // step_x : -(-56 // step_x)] = True
            np.testing.assert_array_equal(new[~covered], old[~covered])
            assert (new[covered] != old[covered]).mean() > 0.8, index


@pytest.mark.parametrize("codec", ["libx264", "libx265", "ffv1"])
def test_10_bits_stay_10_bits(make_clip: Any, tmp_path: Path, codec: str) -> None:
    if not is_available(codec):
        pytest.skip(f"{codec} is not in this FFmpeg")
    path = make_clip(pix_fmt="yuv420p10le")
    notes = rewrite(path, tmp_path / "out.mkv", codec=codec)
    assert not [note for note in notes if "bits" in note]
    got, want = frames(tmp_path / "out.mkv")[3], frames(path)[3]
    assert got.format.name == "yuv420p10le"
    assert np.abs(planes(got)[0].astype(int) - planes(want)[0]).mean() < 4


def test_8_bits_of_10_are_noted(make_clip: Any, tmp_path: Path) -> None:
    path = make_clip(pix_fmt="yuv420p10le")
    notes = rewrite(path, tmp_path / "out.mp4", codec="mpeg4")
    assert any("does not keep all of the video's bits" in note for note in notes)
    got, want = frames(tmp_path / "out.mp4")[3], frames(path)[3]
    assert np.abs(planes(got)[0].astype(int) - planes(want)[0] / 4).mean() < 2


@pytest.mark.parametrize("size", [(161, 120), (160, 121), (63, 49)])
@pytest.mark.parametrize("name", ["out.mp4", "out.webm"])
def test_odd_sizes_are_kept(
    make_clip: Any, tmp_path: Path, size: tuple[int, int], name: str
) -> None:
    path = make_clip("video.webm", codec="libvpx-vp9", options={"crf": "10", "b": "0"}, size=size)
    codec = "libx264" if name == "out.mp4" else "keep"
    notes = rewrite(path, tmp_path / name, crf=10, codec=codec)
    got, want = frames(tmp_path / name), frames(path)
    assert (got[0].width, got[0].height) == size
    assert (
        np.abs(
            got[5].to_ndarray(format="rgb24").astype(int) - want[5].to_ndarray(format="rgb24")
        ).mean()
        < 3
    )
    odd = [note for note in notes if "odd" in note]
    assert len(odd) == (1 if name == "out.mp4" else 0)
    if name == "out.mp4":
        assert got[0].format.name == "yuv444p"


def test_rgb_videos(make_clip: Any, tmp_path: Path, kinds: Any) -> None:
    path = make_clip("video.mkv", codec="ffv1", pix_fmt="bgr0", options={})
    rewrite(path, tmp_path / "out.mp4", crf=5)
    seen = frames(tmp_path / "out.mp4")[4].to_ndarray(format="rgb24").astype(int)
    assert np.abs(seen - kinds.picture(4, 160, 120)).mean() < 2


def test_alpha_is_kept_or_noted(tmp_path: Path, kinds: Any, make_clip: Any) -> None:
    path = make_clip("video.mov", codec="prores_ks", pix_fmt="yuva444p10le", options={})
    notes = rewrite(path, tmp_path / "out.mp4")
    assert any("transparency" in note for note in notes)
    notes = rewrite(path, tmp_path / "out.mov", codec="prores_ks")
    assert not any("transparency" in note for note in notes)
    assert "yuva" in frames(tmp_path / "out.mov")[0].format.name


def test_transparency_of_a_webm_is_kept(make_clip: Any, tmp_path: Path, kinds: Any) -> None:
    path = make_clip(
        "video.webm",
        codec="libvpx-vp9",
        pix_fmt="yuva420p",
        options={"crf": "10", "b": "0"},
        video_metadata={"alpha_mode": "1"},
    )
    assert rewrite(path, tmp_path / "out.webm", crf=10) == ()
    with open_video(tmp_path / "out.webm") as video:
        assert video.info.pixel_format == "yuva420p"
        read = list(video.frames())
    assert [frame.pts * frame.time_base for frame in read] == times(path)
    opacity = plane_array(read[4].native, 3).astype(int)
    assert np.abs(opacity - kinds.picture(4, 160, 120)[..., 0]).mean() < 3


# Tags.


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
@pytest.mark.parametrize("tags", [(9, 16, 9, 1), (1, 1, 1, 1), (5, 6, 5, 1), (1, 13, 1, 2)])
def test_color_tags(make_clip: Any, tmp_path: Path, name: str, tags: tuple) -> None:
    path = make_clip(colors=tags, pix_fmt="yuv420p10le" if tags[0] == 9 else "yuv420p")
    rewrite(path, tmp_path / name)
    for video in (path, tmp_path / name):
        frame = frames(video)[0]
        assert (frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range) == tags
    with av.open(str(tmp_path / name)) as container:
        context = container.streams.video[0].codec_context
        assert (context.color_primaries, context.color_trc, context.colorspace) == tags[:3]


def test_no_color_tags_stay_none(make_clip: Any, tmp_path: Path) -> None:
    rewrite(make_clip(), tmp_path / "out.mp4")
    frame = frames(tmp_path / "out.mp4")[0]
    assert (frame.color_primaries, frame.color_trc, frame.colorspace) == (2, 2, 2)


@pytest.mark.parametrize("source", ["video.mp4", "video.mkv"])
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov", "out.avi"])
def test_sample_aspect(make_clip: Any, tmp_path: Path, source: str, name: str) -> None:
    rewrite(make_clip(source, aspect=Fraction(16, 15)), tmp_path / name)
    with av.open(str(tmp_path / name)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(16, 15)


def test_a_sample_aspect_that_is_lost_is_noted(make_clip: Any, tmp_path: Path) -> None:
    notes = rewrite(make_clip(aspect=Fraction(16, 15)), tmp_path / "out.webm")
    assert any("16:15, not square" in note for note in notes)


def seen(path: Path, start_s: float | None = None) -> np.ndarray:
    """The first frame from a time on, as a player shows it."""
    with open_video(path, start_s) as video:
        return next(video.frames()).to_rgb()


FLIPPED = (-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov", "out.webm", "out.avi"])
@pytest.mark.parametrize("turn", [90, 180, 270, "mirrored"])
def test_rotation_shows_the_same(
    make_clip: Any, tmp_path: Path, name: str, turn: int | str
) -> None:
    tag = {"matrix": FLIPPED} if turn == "mirrored" else {"rotation": turn}
    path = make_clip(**tag)
    rewrite(path, tmp_path / name, crf=5)
    one, two = seen(path), seen(tmp_path / name)
    assert one.shape == two.shape
    assert np.abs(one.astype(int) - two).mean() < 3
    if name != "out.avi" and (turn != "mirrored" or name not in ("out.mkv", "out.webm")):
        # The planes were not turned, only marked: nothing is lost for it.
        assert frames(tmp_path / name)[0].rotation == frames(path)[0].rotation


HDR = "G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,50)"


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_hdr_metadata(make_clip: Any, tmp_path: Path, codec: str) -> None:
    if not is_available(codec):
        pytest.skip(f"{codec} is not in this FFmpeg")
    path = make_clip(
        pix_fmt="yuv420p10le",
        colors=(9, 16, 9, 1),
        options={"x264-params": f"mastering-display={HDR}:cll=1000,400"},
    )
    rewrite(path, tmp_path / "out.mp4", codec=codec)
    one, two = frames(path)[0].side_data, frames(tmp_path / "out.mp4")[0].side_data
    for name in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"):
        assert bytes(two[name]) == bytes(one[name])
    assert HdrMetadata.of(frames(path)[0]) == HdrMetadata(HDR, "1000,400")
    notes = rewrite(path, tmp_path / "out.mkv", codec="ffv1")
    assert any("HDR mastering metadata" in note for note in notes)


def test_interlacing_is_kept(make_clip: Any, tmp_path: Path) -> None:
    path = make_clip(size=(160, 128), options={"crf": "20", "x264-params": "tff=1"})
    assert frames(path)[0].interlaced_frame
    rewrite(path, tmp_path / "out.mp4")
    assert frames(tmp_path / "out.mp4")[0].interlaced_frame
