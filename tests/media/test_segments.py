"""Segments: packets that come back as they were, and a video that several encoders wrote."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from sosie.errors import InputError
from sosie.media.place import Place
from sosie.media.segments import SegmentLog, SegmentWriter, segment_facts, segment_packets
from sosie.media.video import open_video
from sosie.media.writers import open_part_writer

MakeClip = Callable[..., Path]

CODECS = [
    *(("libx264", "mp4"), ("libx264", "mkv"), ("libx264", "avi"), ("libx265", "mp4")),
    *(("libvpx-vp9", "webm"), ("libvpx", "webm"), ("libsvtav1", "mkv"), ("mpeg4", "avi")),
    *(("prores_ks", "mov"), ("ffv1", "mkv")),
]


def times_and_frames(path: Path) -> tuple[list[Fraction], list[np.ndarray]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    times = [frame.pts * frame.time_base for frame in frames]
    return times, [frame.to_ndarray(format="rgb24") for frame in frames]


def write(
    clip: Path, output: Path, codec: str, ends: tuple[int, ...], keep: SegmentLog | None = None
) -> Path:
    """The clip anew, in segments. keep: where all but the last are kept."""
    with open_video(clip) as video, video.writer(output, codec=codec) as writer:
        if keep is not None:
            writer.begin_segments(keep)
        for frame in video.frames():
            if frame.index in ends:
                writer.end_segment()
                if keep is not None:
                    keep.end({"frames": writer.frames})
            writer.write(frame)
    if keep is not None:
        keep.discard()
    return output


def shown_packets(log: SegmentLog, number: int) -> list[Any]:
    return [
        (bytes(p), p.pts, p.dts, p.duration, p.time_base, p.is_keyframe)
        for p in log.packets(number)
    ]


@pytest.mark.parametrize(("codec", "extension"), CODECS)
def test_a_video_in_segments_is_one_video(
    make_clip: MakeClip, kinds: Any, tmp_path: Path, codec: str, extension: str
) -> None:
    clip = make_clip("clip.mkv", frames=30, sounds=(kinds.sound(),))
    times, frames = times_and_frames(clip)
    # The uninterrupted one, and one that goes on with the packets of its first segment.
    kept = SegmentLog(tmp_path, ".segment")
    whole = write(clip, tmp_path / f"whole.{extension}", codec, (13, 26), kept)
    assert kept.facts(0) == {"frames": 13}
    resumed = tmp_path / f"resumed.{extension}"
    with open_video(clip) as video, video.writer(resumed, codec=codec) as writer:
        writer.go_on(kept, 0)
        assert writer.frames == 13
        writer.begin_segments(again := SegmentLog(tmp_path, ".again"))
        for frame in video.frames():
            if frame.index >= 13:
                if frame.index == 26:
                    writer.end_segment()
                writer.write(frame)
    again.discard()
    assert resumed.read_bytes() == whole.read_bytes()
    written, shown = times_and_frames(whole)
    # H.264 in an AVI begins a frame late, in segments or not.
    assert [time - written[0] for time in written] == pytest.approx(times, abs=0.001)
    for before, after in zip(frames, shown, strict=True):
        assert np.abs(before.astype(int) - after).mean() < 4
    with av.open(str(whole)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
    assert {0, 13, 26} <= set(keys)
    # Each segment by itself, as another machine makes it.
    for number, (start, end) in enumerate(((0, 13), (13, 26))):
        part = SegmentLog(tmp_path, ".part-of-it", number)
        with open_video(clip) as video:
            settings = (codec, 18, "veryfast", None, start == 0)
            with open_part_writer(video.source, whole, *settings) as writer:
                writer.begin_segments(part)
                for frame in video.frames():
                    if start <= frame.index < end:
                        writer.write(frame)
                part.end(writer.end_segment())
        assert shown_packets(part, number) == shown_packets(kept, number)


def test_decoding_times_rise_where_the_frame_rate_changes(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    """An encoder decodes its first pictures early, by how far apart they are: here before the last
    ones of the encoder before."""
    steps = [10] * 20 + [400] * 20
    pts = [sum(steps[:number]) for number in range(40)]
    clip = make_clip("clip.mp4", frames=40, pts=pts, time_base=Fraction(1, 1000), gop=40)
    output = write(clip, tmp_path / "out.mp4", "libx264", (20,))
    with av.open(str(output)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    decoded = [packet.dts for packet in packets]
    assert decoded == sorted(set(decoded))
    assert all(packet.dts <= packet.pts for packet in packets)
    assert times_and_frames(output)[0] == [Fraction(time, 1000) for time in pts]


def test_transparency_comes_back(make_clip: MakeClip, tmp_path: Path) -> None:
    """VP9 keeps it beside the picture's packet."""
    clip = make_clip("clip.mkv", frames=12, codec="ffv1", options={}, pix_fmt="yuva420p")
    whole = write(clip, tmp_path / "a.webm", "libvpx-vp9", (6,), kept := SegmentLog(tmp_path, ".s"))
    assert any(
        side.data_type == "matroska_block_additional"
        for packet in kept.packets(0)
        for side in packet.iter_sidedata()
    )
    again = tmp_path / "b.webm"
    with open_video(clip) as video, video.writer(again, codec="libvpx-vp9") as writer:
        writer.go_on(kept, 0)
        writer.begin_segments(log := SegmentLog(tmp_path, ".again"))
        for frame in video.frames():
            if frame.index >= 6:
                writer.write(frame)
        log.discard()
    assert again.read_bytes() == whole.read_bytes()


@pytest.fixture
def segment(make_clip: MakeClip, tmp_path: Path) -> Path:
    clip = make_clip("clip.mkv", frames=12)
    write(clip, tmp_path / "out.mkv", "libx264", (6,), log := SegmentLog(tmp_path, ".segment"))
    return log.path(0)


def test_a_segment_has_its_name_only_when_it_is_whole(segment: Path, tmp_path: Path) -> None:
    (packet, *_) = segment_packets(segment)
    writer = SegmentWriter(tmp_path / "1.segment")
    writer.add(packet)
    assert not (tmp_path / "1.segment").exists()
    writer.discard()
    assert [path.name for path in tmp_path.glob("1.*")] == []


@pytest.mark.parametrize("place", [0.01, 0.5])
def test_a_changed_byte_is_noticed_in_a_packet(segment: Path, place: float) -> None:
    data = bytearray(segment.read_bytes())
    data[16 + round((len(data) - 16) * place) + 60] ^= 0xFF
    segment.write_bytes(data)
    with pytest.raises(InputError, match=r"0\.segment.* is damaged; begin .* --restart"):
        list(segment_packets(segment))


@pytest.mark.parametrize("left", [0, 5, 200, -1])
def test_a_segment_that_is_cut_off_is_noticed(segment: Path, left: int) -> None:
    segment.write_bytes(segment.read_bytes()[:left])
    with pytest.raises(InputError, match="is damaged"):
        segment_facts(segment)


# Finding a frame again.


class Counting:
    """Counts the frames that a video decodes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, video: Any) -> None:
        self.count = 0
        inner = video._decoder._decode_packets

        def decode(*args: Any) -> Any:
            for frame in inner(*args):
                self.count += 1
                yield frame

        monkeypatch.setattr(video._decoder, "_decode_packets", decode)


@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_a_frame_is_found_again_without_reading_all(
    make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch, extension: str
) -> None:
    clip = make_clip(f"clip.{extension}", frames=150, gop=12)
    with open_video(clip) as video:
        frames = [(frame.index, frame.pts, frame.to_rgb()) for frame in video.frames()]
        place = next(Place.of(f, False) for f in video.frames() if f.index == 130)
    with open_video(clip) as video:
        counting = Counting(monkeypatch, video)
        again = [(frame.index, frame.pts, frame.to_rgb()) for frame in video.frames_from(place)]
        assert counting.count < 100
    for (index, pts, pixels), (old_index, old_pts, old) in zip(again, frames[130:], strict=True):
        assert (index, pts) == (old_index, old_pts)
        assert np.array_equal(pixels, old)


def test_a_frame_is_found_from_the_start_where_it_must_be(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    clip = make_clip("clip.mp4", frames=80)
    with open_video(clip, start_s=0.4) as video:
        places = [Place.of(frame, True) for frame in video.frames()]
        assert [f.pts for f in video.frames_from(places[50])] == [p.pts for p in places[50:]]


def test_a_frame_that_is_another_one_now_is_refused(make_clip: MakeClip, tmp_path: Path) -> None:
    with open_video(make_clip("a.mp4", frames=20)) as video:
        place = next(Place.of(frame, False) for frame in video.frames() if frame.index == 9)
    other = make_clip("b.mp4", frames=20, options={"crf": "40"})
    with open_video(other) as video, pytest.raises(InputError, match=r"b\.mp4 is not as it was"):
        next(video.frames_from(place))
