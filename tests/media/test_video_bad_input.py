"""Bad videos are refused with a sentence on what to do, before or in the work."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from sosie.errors import InputError
from sosie.media.packet_list import take_inventory
from sosie.media.video import VideoFrame, open_video

# Bad input.


def refused(path: Path, *words: str, read: bool = False) -> None:
    with pytest.raises(InputError) as caught, open_video(path) as video:
        for frame in video.frames() if read else ():
            assert isinstance(frame, VideoFrame)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_absent_empty_folder_text_and_picture(tmp_path: Path) -> None:
    refused(tmp_path / "absent.mp4", "does not exist")
    refused(tmp_path, "is a folder")
    (tmp_path / "empty.mp4").write_bytes(b"")
    refused(tmp_path / "empty.mp4", "is empty")
    (tmp_path / "text.mp4").write_bytes(b"no film at all but words " * 99)
    refused(tmp_path / "text.mp4", "not a video")
    (tmp_path / "note.txt").write_text("words that one decoder would make into a picture\n" * 99)
    refused(tmp_path / "note.txt", "not a video")
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n")
    refused(tmp_path / "list.mp4", "not a video")


def test_a_picture_is_not_a_video(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("a.png", "a.jpg"):
        Image.new("RGB", (64, 64)).save(tmp_path / name)
        refused(tmp_path / name, "a picture and not a video")


def test_a_video_without_permission(tmp_path: Path, as_nobody: None) -> None:
    if not Path("/etc/shadow").exists():
        pytest.skip("no file that is closed to others")
    refused(Path("/etc/shadow"), "check its permissions")


def write_audio(path: Path, cover: bool) -> None:
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=48000)
        if cover:
            picture = container.add_stream("png", rate=1)
            picture.width, picture.height, picture.pix_fmt = 64, 64, "rgb24"
            picture.disposition = av.stream.Disposition.attached_pic
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
            container.mux(picture.encode(frame))
            container.mux(picture.encode())
        for number in range(20):
            samples = np.zeros((2, 1024), np.float32)
            chunk = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
            chunk.sample_rate, chunk.pts = 48000, 1024 * number
            container.mux(sound.encode(chunk))
        container.mux(sound.encode())


def test_no_video_stream(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.m4a", cover=False)
    refused(tmp_path / "a.m4a", "no video stream", "only audio")
    write_audio(tmp_path / "b.mp4", cover=True)
    refused(tmp_path / "b.mp4", "no video stream", "cover art")


@pytest.mark.parametrize(
    ("name", "words"),
    [("none.mkv", "no frames"), ("none.avi", "no frames"), ("none.mp4", "no video stream")],
)
def test_zero_frames(tmp_path: Path, name: str, words: str) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        video_stream = container.add_stream("libx264", rate=25)
        video_stream.width, video_stream.height = 64, 64
        container.start_encoding()
    refused(path, words)


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def noisy(make_clip: Any, name: str, **values: Any) -> Path:
    options = {"crf": "10"} if values.get("codec", "libx264") != "mpeg4" else {}
    path: Path = make_clip(name, frames=100, options=options, gop=25, **values)
    return path


def test_an_mp4_without_its_index(make_clip: Any) -> None:
    refused(cut(noisy(make_clip, "video.mp4"), 0.7), "cannot be read", "cut short")


@pytest.mark.parametrize("flags", ["faststart", "frag_keyframe+empty_moov+default_base_moof"])
def test_an_mp4_cut_short_says_how_far_it_goes(make_clip: Any, flags: str) -> None:
    path = noisy(make_clip, "video.mp4", container_options={"movflags": flags})
    refused(cut(path, 0.6), "cut short", "pictures end at", "--end", read=True)


def test_the_part_that_is_there_can_be_used(make_clip: Any) -> None:
    path = cut(noisy(make_clip, "video.mp4", container_options={"movflags": "faststart"}), 0.6)
    with open_video(path, None, 1.0) as video:
        assert len(list(video.frames())) == 25


@pytest.mark.parametrize("name", ["video.mkv", "video.avi"])
def test_other_videos_cut_short(make_clip: Any, name: str) -> None:
    values = {"codec": "mpeg4"} if name.endswith("avi") else {}
    refused(cut(noisy(make_clip, name, **values), 0.6), "cut short", "--end", read=True)


def test_corrupt_packets(make_clip: Any) -> None:
    path = noisy(make_clip, "video.mp4")
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    position, size = packets[60]
    data[position : position + size] = bytes([255]) * size
    path.write_bytes(bytes(data))
    with open_video(path) as video:
        times = [frame.time_s for frame in video.frames()]
        (note,) = video.notes
    lost = [n / 25 for n in range(len(packets)) if not np.isclose(times, n / 25).any()]
    assert 1 <= len(lost) < 20
    assert len(times) + len(lost) == len(packets)
    assert note == (
        f"The video is damaged: its pictures from {lost[0]:.2f} to {lost[-1] + 0.04:.2f} s are "
        "lost."
    )


def test_damage_in_a_broadcast_is_told(make_clip: Any) -> None:
    path = noisy(make_clip, "video.ts")
    whole = path.read_bytes()
    packets = len(whole) // 188
    begin = packets * 2 // 5 * 188
    path.write_bytes(whole[:begin] + whole[begin + 12 * 188 :])
    with open_video(path) as video:
        times = [frame.time_s for frame in video.frames()]
        (note,) = video.notes
    assert times[-1] - times[0] > 3
    assert note.startswith("The video is damaged: ")


def test_blocks_of_matroska_that_ffmpeg_passes_over_in_silence(make_clip: Any, kinds: Any) -> None:
    path = noisy(make_clip, "video.mkv", sounds=(kinds.sound(),))
    with av.open(str(path)) as container:
        packets = sorted((p.pos, p.size) for p in container.demux(video=0) if p.size)
    data = bytearray(path.read_bytes())
    first, (last, size) = packets[40][0], packets[44]
    data[first : last + size] = bytes(last + size - first)
    path.write_bytes(bytes(data))
    with open_video(path) as video:
        times = [frame.time_s for frame in video.frames()]
        (note,) = video.notes
    lost = [n / 25 for n in range(len(packets)) if not np.isclose(times, n / 25, atol=1e-3).any()]
    assert len(lost) >= 5
    assert note == (
        f"The video is damaged: its pictures from {lost[0]:.2f} to {lost[-1] + 0.04:.2f} s are "
        "lost."
    )


def test_a_matroska_of_uneven_rate_is_not_called_damaged(make_clip: Any, kinds: Any) -> None:
    clip = {"frames": 60, "pts": [*range(20), *range(60, 100)], "time_base": Fraction(1, 25)}
    path = make_clip("video.mkv", sounds=(kinds.sound(),), **clip)
    with open_video(path) as video:
        assert len(list(video.frames())) == 60
        assert not video.notes


def test_damage_to_the_end(make_clip: Any) -> None:
    path = noisy(make_clip, "video.mp4")
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for position, size in packets[60:]:
        data[position : position + size] = bytes([255]) * size
    path.write_bytes(bytes(data))
    refused(path, "is damaged at", " s and cannot be read further", read=True)


def write_two_sizes(path: Path) -> Path:
    """A stream that changes its size half-way, as broadcasts and calls do."""
    raw = b""
    for size in ((160, 120), (96, 64)):
        encoder = av.CodecContext.create("libx264", "w")
        encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
        encoder.framerate, encoder.time_base = Fraction(25), Fraction(1, 25)
        for number in range(25):
            frame = av.VideoFrame(*size, "yuv420p")
            for plane in frame.planes:
                np.frombuffer(plane, np.uint8)[:] = 60 + number
            frame.pts, frame.time_base = number, Fraction(1, 25)
            raw += b"".join(bytes(packet) for packet in encoder.encode(frame))
        raw += b"".join(bytes(packet) for packet in encoder.encode())
    path.write_bytes(raw)
    return path


def test_a_change_of_size_says_when(tmp_path: Path) -> None:
    path = write_two_sizes(tmp_path / "film.h264")
    refused(path, "changes from 160 x 120 to 96 x 64", "at 1.00 s", "split it there", read=True)


def test_tiny_videos(make_clip: Any) -> None:
    refused(make_clip(size=(64, 14)), "64 x 14", "at least 16")


def test_frames_of_8k_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 8192, 4320, "gray"
        frame = av.VideoFrame(8192, 4320, "gray")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    refused(path, "8192 x 4320", "35 megapixels", "limit is 10")


def test_frames_that_no_encoder_takes_are_refused_before_the_work(tmp_path: Path) -> None:
    path = tmp_path / "wide.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 40_000, 16, "gray"
        container.mux(stream.encode(av.VideoFrame(40_000, 16, "gray")))
        container.mux(stream.encode())
    refused(path, "40000 x 16", "limit is 16384 a side")


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_pipe_or_a_device_is_refused_without_opening_it(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "video.mp4")
    refused(tmp_path / "video.mp4", "and not a file")


# Whatever comes up while a video is read.

# Each made anew: one that was raised keeps the frames of the videos that it ended.
FAULTS: list[Callable[[], Exception]] = [
    lambda: av.error.InvalidDataError(1, "made up"),
    lambda: av.error.PatchWelcomeError(1, "made up"),
    lambda: av.error.EOFError(1, "made up"),
    lambda: ValueError("made up"),
    lambda: OverflowError("made up"),
    lambda: ZeroDivisionError("made up"),
    lambda: UnicodeDecodeError("utf-8", b"x", 0, 1, "made up"),
    lambda: NotImplementedError("made up"),
    lambda: KeyError("made up"),
    lambda: TypeError("made up"),
    lambda: MemoryError(),
]


class _Faulty:
    """Passes for a container or a decoder, but for one method or property, which fails."""

    def __init__(self, real: Any, name: str, fault: Callable[[], Exception]) -> None:
        self._real, self._name, self._fault = real, name, fault

    def __getattr__(self, name: str) -> Any:
        if name != self._name:
            return getattr(self._real, name)
        if name in ("start_time", "streams", "duration"):
            raise self._fault()
        return self._fail

    def _fail(self, *_: object, **__: object) -> None:
        raise self._fault()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault()).__name__)
@pytest.mark.parametrize("step", ["open", "streams", "start_time", "duration", "demux"])
def test_any_fault_of_the_container_is_one_sentence(
    make_clip: Any, monkeypatch: pytest.MonkeyPatch, step: str, fault: Callable[[], Exception]
) -> None:
    path = make_clip("video.mkv")
    really = av.open

    def opening(*arguments: Any, **options: Any) -> Any:
        if step == "open":
            raise fault()
        return _Faulty(really(*arguments, **options), step, fault)

    monkeypatch.setattr(av, "open", opening)
    refused(path, str(path), read=True)
    if step != "duration":  # which an inventory counts by itself
        with pytest.raises(InputError):
            take_inventory(path)


@pytest.mark.parametrize("fault", FAULTS[3:], ids=lambda fault: type(fault()).__name__)
def test_any_fault_of_a_decoder_is_one_sentence(
    make_clip: Any, monkeypatch: pytest.MonkeyPatch, fault: Callable[[], Exception]
) -> None:
    path = make_clip()
    monkeypatch.setattr(
        "sosie.media.video_decode._decoder", lambda stream: _Faulty(stream, "decode", fault)
    )
    refused(path, str(path), "cannot be read")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault()).__name__)
def test_any_fault_of_a_conversion_is_one_sentence(
    make_clip: Any, monkeypatch: pytest.MonkeyPatch, fault: Callable[[], Exception]
) -> None:
    path = make_clip()
    with open_video(path) as video:
        frame = next(video.frames())
        monkeypatch.setattr(video.source.converter, "reformat", _Faulty(None, "x", fault)._fail)
        with pytest.raises(InputError, match=r"video\.mp4 "):
            frame.to_rgb()


@pytest.mark.parametrize("fault", FAULTS[:4], ids=lambda fault: type(fault()).__name__)
def test_a_fault_in_seeking(
    make_clip: Any, monkeypatch: pytest.MonkeyPatch, fault: Callable[[], Exception]
) -> None:
    """A video that cannot be sought in is read from its start; what else comes up is told."""
    path = make_clip(frames=100, size=(64, 48))
    really = av.open
    monkeypatch.setattr(av, "open", lambda *a, **o: _Faulty(really(*a, **o), "seek", fault))
    if isinstance(fault(), av.error.FFmpegError):
        with open_video(path, 3.0) as video:
            assert len(list(video.frames())) == 25
        return
    with pytest.raises(InputError, match="cannot be read"):
        open_video(path, 3.0)


@pytest.mark.parametrize("fault", FAULTS[3:], ids=lambda fault: type(fault()).__name__)
def test_a_fault_in_the_sound_is_one_sentence(
    make_clip: Any,
    kinds: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[], Exception],
) -> None:
    path = make_clip(sounds=(kinds.sound(),))

    def fail(*_: object) -> None:
        raise fault()

    monkeypatch.setattr("sosie.media.tracks.readable", fail)
    with open_video(path) as video:
        frames = list(video.frames())
        with (
            pytest.raises(InputError, match="cannot be read"),
            video.writer(tmp_path / "out.mp4") as writer,
        ):
            for frame in frames:
                writer.write(frame)
