"""Every encoder writes videos, and every way to end leaves what it should."""

from __future__ import annotations

import errno
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from sosie.errors import InputError, OutputError, UnavailableError, UsageError
from sosie.media.encoders import (
    ENCODERS,
    PRESETS,
    choose_encoder,
    container_format,
    encoding_format,
    fitting_encoders,
    is_available,
)
from sosie.media.pixel_formats import plane_array
from sosie.media.video import open_video
from sosie.output import atomic_output
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


# Encoders.


def _holds(extension: str, codec: str) -> bool:
    return codec in fitting_encoders(container_format(Path(f"out.{extension}")))


@pytest.mark.parametrize("codec", [name for name in ENCODERS if "nvenc" not in name])
@pytest.mark.parametrize("preset", ["ultrafast", "medium", "veryslow"])
def test_every_encoder_writes_a_video(
    make_clip: Any, tmp_path: Path, codec: str, preset: str, capfd: Any
) -> None:
    if not is_available(codec):
        pytest.skip(f"{codec} is not in this FFmpeg")
    path = make_clip(frames=5, size=(256, 120))
    name = next(f"out.{end}" for end in ("mkv", "mov", "avi") if _holds(end, codec))
    rewrite(path, tmp_path / name, codec=codec, preset=preset, crf=20)
    got, want = frames(tmp_path / name), frames(path)
    assert len(got) == 5
    assert times(tmp_path / name) == [Fraction(n, 25) for n in range(5)]
    one, two = (f[2].to_ndarray(format="rgb24").astype(int) for f in (got, want))
    assert np.abs(one - two).mean() < 8
    assert capfd.readouterr() == ("", "")


def test_crf_means_something(make_clip: Any, tmp_path: Path) -> None:
    path = make_clip(frames=20)
    for codec, name in (("libx264", "out.mp4"), ("libvpx-vp9", "out.webm"), ("mpeg4", "out.avi")):
        sizes = []
        for crf in (10, 45):
            rewrite(path, tmp_path / name, codec=codec, crf=crf)
            sizes.append((tmp_path / name).stat().st_size)
        assert sizes[0] > 1.3 * sizes[1], codec


def test_containers_choose_a_codec_that_fits(make_clip: Any, tmp_path: Path) -> None:
    path = make_clip()
    for name, codec in (
        ("a.mp4", "h264"),
        ("a.mkv", "h264"),
        ("a.webm", "vp9"),
        ("a.avi", "mpeg4"),
    ):
        rewrite(path, tmp_path / name)
        with open_video(tmp_path / name) as video:
            assert video.info.codec == codec
            assert len(list(video.frames())) == 12


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"codec": "x264"}, r"Unknown codec 'x264'.*did you mean 'libx264'"),
        ({"preset": "veryfst"}, r"Unknown preset 'veryfst'.*did you mean 'veryfast'"),
        ({"crf": 52}, "crf of libx264 must be between 0 and 51, not 52"),
    ],
)
def test_unknown_values_name_the_nearest(
    make_clip: Any, tmp_path: Path, values: dict, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        rewrite(make_clip(), tmp_path / "out.mp4", **values)
    assert not (tmp_path / "out.mp4").exists()


def test_unknown_extension(make_clip: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.mp4, \.m4v, \.mov.*did you mean '\.mp4'"):
        rewrite(make_clip(), tmp_path / "out.mp5")


def test_a_codec_that_the_container_cannot_hold(make_clip: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.webm video cannot hold libx264.*libvpx-vp9"):
        rewrite(make_clip(), tmp_path / "out.webm", codec="libx264")


def test_a_codec_without_its_hardware(make_clip: Any, tmp_path: Path) -> None:
    if not is_available("h264_nvenc"):
        pytest.skip("this FFmpeg has no NVENC")
    path = make_clip(size=(256, 256))
    try:
        rewrite(path, tmp_path / "out.mp4", codec="h264_nvenc")
    except UnavailableError as error:
        assert "does not start here" in str(error)
        assert "libx264" in str(error)
    else:  # a machine that has it
        assert len(frames(tmp_path / "out.mp4")) == 12


def test_a_codec_that_is_not_in_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sosie.media.encoders.is_available", lambda name: name != "libx265")
    with pytest.raises(UnavailableError, match=r"libx265 is not in the installed FFmpeg.*libx264"):
        choose_encoder(Path("out.mp4"), "libx265", 18)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_of_every_encoder_are_in_its_range(preset: str) -> None:
    for encoder in ENCODERS.values():
        options = encoder.options(18, preset)
        speed = options.get("preset", options.get("cpu-used", preset)).removeprefix("p")
        assert speed in PRESETS or 0 <= int(speed) <= 13


def test_formats_that_lose_the_least() -> None:
    for native, codec, expected in (
        ("nv12", "libx265", "yuv420p"),
        ("p010le", "libx264", "yuv420p10le"),
        ("gray", "libx264", "gray"),
        ("gbrp", "libx264", "yuv444p"),
        ("yuv422p", "libvpx-vp9", "yuv422p"),
    ):
        name, notes = encoding_format(ENCODERS[codec], native, 64, 64, alpha=False)
        assert (name, notes) == (expected, [])


# Ends.


def test_an_interrupted_video_plays(make_clip: Any, tmp_path: Path, kinds: Any) -> None:
    path = make_clip(frames=100, size=(64, 48), sounds=(kinds.sound(),))
    for name in ("out.mp4", "out.mkv"):
        partial = None
        with (
            pytest.raises(KeyboardInterrupt),
            atomic_output(tmp_path / name) as pending,
            open_video(path) as video,
            video.writer(pending.path) as writer,
        ):
            try:
                for frame in video.frames():
                    if frame.index == 50:
                        raise KeyboardInterrupt
                    writer.write(frame)
            except KeyboardInterrupt:
                writer.close_partial()
                partial = pending.keep_partial()
                raise
        assert not (tmp_path / name).exists()
        assert partial is not None
        assert partial.name == name.replace("out.", "out.partial.")
        assert len(frames(partial)) == 50
        with av.open(str(partial)) as container:
            sound = [p for p in container.demux(audio=0) if p.size]
            assert sound[-1].pts * sound[-1].time_base == pytest.approx(2.0, abs=0.1)


def test_ctrl_c_while_the_end_is_written(make_clip: Any, tmp_path: Path, kinds: Any) -> None:
    path = make_clip(frames=60, size=(64, 48), sounds=(kinds.sound(),))
    with open_video(path) as video:
        writer = video.writer(tmp_path / "out.mp4")
        for frame in video.frames():
            writer.write(frame)
        write_until = writer._tracks.write_until

        def interrupted(time: Fraction | None) -> None:
            if time is None:  # the pictures are all written, the rest of the sound is not
                raise KeyboardInterrupt
            write_until(time)

        writer._tracks.write_until = interrupted
        with pytest.raises(KeyboardInterrupt):
            writer.close()
        writer.close_partial()
    assert len(frames(tmp_path / "out.mp4")) == 60


def test_an_interruption_before_the_first_frame(make_clip: Any, tmp_path: Path) -> None:
    with open_video(make_clip()) as video, video.writer(tmp_path / "out.mp4") as writer:
        writer.close_partial()


def test_an_error_leaves_nothing_and_lets_go(make_clip: Any, tmp_path: Path) -> None:
    path = make_clip(frames=30)
    target = tmp_path / "results"
    target.mkdir()
    with (
        pytest.raises(InputError),
        atomic_output(target / "out.mp4") as pending,
        open_video(path) as video,
        video.writer(pending.path) as writer,
    ):
        for frame in video.frames():
            writer.write(frame)
            if frame.index == 10:
                raise InputError("x")
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4"])
def test_a_full_disk(make_clip: Any, tmp_path: Path, name: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    path = make_clip(frames=30)
    with (
        pytest.raises(OutputError, match="disk is full"),
        atomic_output(tmp_path / name) as pending,
    ):
        pending.path.unlink()
        pending.path.symlink_to("/dev/full")
        rewrite(path, pending.path)
    assert not (tmp_path / name).exists()


def test_a_full_disk_is_named(make_clip: Any, tmp_path: Path, monkeypatch: Any) -> None:
    with open_video(make_clip()) as video:
        writer = video.writer(tmp_path / "out.mp4")
        frame = next(video.frames())

        def full(packets: Any) -> None:
            raise av.error.OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(writer, "_mux", full)
        with pytest.raises(OutputError, match=r"disk is full.*free some space"), writer:
            writer.write(frame)


def test_an_absent_folder(make_clip: Any, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="could not be written"):
        rewrite(make_clip(), tmp_path / "absent" / "out.mp4")


def test_avi_refuses_a_clock_that_it_cannot_hold(make_clip: Any, tmp_path: Path) -> None:
    path = make_clip(frames=10, pts=[n * n * 500 for n in range(10)], time_base=Fraction(1, 90000))
    with pytest.raises(OutputError, match=r"\.avi.*constant frame rate.*\.mp4"):
        rewrite(path, tmp_path / "out.avi")
