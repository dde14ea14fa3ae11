"""Sound, subtitles, chapters, words and marks come through; what cannot, is said."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from sosie.errors import InputError
from sosie.media.tracks import Tracks
from sosie.media.video import open_video


def rewrite(source: Path, target: Path, **span: float) -> tuple[str, ...]:
    with open_video(source, **span) as video, video.writer(target, preset="ultrafast") as writer:
        for frame in video.frames():
            writer.write(frame)
    return writer.notes


def packets(path: Path, index: int) -> list[tuple[Fraction, bytes]]:
    """Time and content of all packets of a stream."""
    with av.open(str(path)) as container:
        stream = container.streams[index]
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(stream) if p.size]


def lines(path: Path, index: int) -> list[tuple[float, float, str]]:
    """Start, length and text of all subtitles of a stream."""
    with av.open(str(path)) as container:
        stream = container.streams[index]
        found = []
        for packet in container.demux(stream):
            for line in packet.decode() if packet.size else ():
                text = line.dialogue.decode() if line.dialogue else ""
                if text:
                    time, length = (v * packet.time_base for v in (packet.pts, packet.duration))
                    found.append((round(float(time), 3), round(float(length), 3), text))
    return found


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def wave(path: Path, index: int) -> np.ndarray:
    """The left channel of a sound, from time 0 on, at 48 kHz."""
    resampler = av.AudioResampler("fltp", "stereo", 48000)
    pieces = []
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams[index]):
            frame.pts = None
            pieces += [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
    return np.concatenate(pieces)


@pytest.fixture
def rich(make_clip: Any, kinds: Any) -> Any:
    """Makes a video of two seconds with two sounds, two subtitles, chapters and words."""

    def make(name: str) -> Path:
        text = "mov_text" if name.endswith(("mp4", "mov")) else "subrip"
        path: Path = make_clip(
            name,
            frames=50,
            size=(64, 48),
            sounds=(
                kinds.sound(language="eng"),
                kinds.sound(language="fra", title="Commentaire", default=False),
            ),
            subtitles=(
                kinds.subtitles(text, lines=((200, 900, "one"), (1100, 1900, "two"))),
                kinds.subtitles(text, language="ita", forced=True),
            ),
            chapters=((0, 0.8, "First"), (0.8, 2, "Second")),
            metadata={"title": "A video", "artist": "Somebody", "comment": "äöü"},
            video_metadata={"language": "jpn"},
        )
        return path

    return make


@pytest.mark.parametrize("name", ["video.mp4", "video.mkv", "video.mov"])
def test_everything_is_kept(rich: Any, tmp_path: Path, name: str) -> None:
    path = rich(name)
    out = tmp_path / f"out{path.suffix}"
    notes = rewrite(path, out)
    with av.open(str(path)) as one, av.open(str(out)) as two:
        assert len(two.streams) == len(one.streams)
        for before, after in zip(one.streams, two.streams, strict=True):
            assert after.type == before.type
            words = [
                {k: v for k, v in s.metadata.items() if k not in ("DURATION",)}
                for s in (before, after)
            ]
            assert words[1] == words[0]
            assert after.disposition == before.disposition
            if before.type in ("audio", "subtitle"):
                assert after.codec_context.name == before.codec_context.name
                assert packets(out, after.index) == packets(path, before.index)
        assert [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"])
            for c in two.chapters()
        ] == [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"])
            for c in one.chapters()
        ]
        assert [c["metadata"]["title"] for c in two.chapters()] == ["First", "Second"]
        for key, value in one.metadata.items():
            if key.lower() != "encoder":
                assert two.metadata[key] == value
    assert [note for note in notes if "forced" not in note] == []


@pytest.mark.parametrize("source", ["video.mp4", "video.mkv"])
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov", "out.webm"])
def test_subtitles_cross_containers(rich: Any, tmp_path: Path, source: str, name: str) -> None:
    path = rich(source)
    notes = rewrite(path, tmp_path / name)
    for index, expected in (
        (3, [(0.2, 0.7, "one"), (1.1, 0.8, "two")]),
        (4, [(0.1, 0.2, "one"), (0.35, 0.1, "two")]),
    ):
        assert lines(tmp_path / name, index) == expected
    with av.open(str(tmp_path / name)) as container:
        assert [container.streams[i].metadata.get("language") for i in (3, 4)] == ["eng", "ita"]
    same = {"video.mp4": ("out.mp4", "out.mov"), "video.mkv": ("out.mkv",)}[source]
    assert any("was converted to" in note for note in notes) == (name not in same)


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4", "out.avi"])
def test_sound_across_containers_keeps_its_packets_and_the_pictures_time(
    rich: Any, tmp_path: Path, name: str
) -> None:
    path = rich("video.mp4")
    rewrite(path, tmp_path / name)
    for index in (1, 2):
        before = [p for p in packets(path, index) if p[0] >= 0]
        after = [p for p in packets(tmp_path / name, index) if p[0] >= 0]
        assert [p[1] for p in after] == [p[1] for p in before]
        for one, two in zip(before, after, strict=True):
            assert abs(one[0] - two[0]) <= Fraction(1, 1000)
    times = [p[0] for p in packets(tmp_path / name, 0)]
    assert min(times) == 0
    assert max(times) == Fraction(49, 25)


def test_sound_that_a_container_cannot_hold_is_converted_in_time(rich: Any, tmp_path: Path) -> None:
    path = rich("video.mp4")
    notes = rewrite(path, tmp_path / "out.webm")
    assert sum("was converted to libopus" in note for note in notes) == 2
    before, after = wave(path, 2), wave(tmp_path / "out.webm", 2)
    assert abs(len(before) - len(after)) < 3000
    # The offset that fits best, in samples, is that of the codecs' own lead-in.
    piece = before[20_000:44_000]
    scores = [
        float(np.corrcoef(piece, after[20_000 + d : 44_000 + d])[0, 1]) for d in range(-400, 1600)
    ]
    assert max(scores) > 0.95


def test_pcm_of_matroska_into_mp4(make_clip: Any, kinds: Any, tmp_path: Path) -> None:
    path = make_clip("video.mkv", frames=25, sounds=(kinds.sound("pcm_s16le"),))
    assert rewrite(path, tmp_path / "out.mp4") == ()
    np.testing.assert_array_equal(wave(path, 1), wave(tmp_path / "out.mp4", 1))


def test_sound_that_ffmpeg_passes_over_in_silence_is_told(
    make_clip: Any, kinds: Any, tmp_path: Path
) -> None:
    path = make_clip("video.mkv", frames=75, sounds=(kinds.sound("pcm_s16le"),))
    assert rewrite(path, tmp_path / "whole.mkv") == ()
    with av.open(str(path)) as container:
        found = [p for p in container.demux(audio=0) if p.size]
        times = [float(p.pts * p.time_base) for p in found]
        places = [(p.pos, p.size) for p in found]
    data = bytearray(path.read_bytes())
    position, size = places[8]
    data[position - 4 : position + size] = bytes([255]) * (size + 4)
    path.write_bytes(bytes(data))
    (note,) = rewrite(path, tmp_path / "out.mkv")
    heard = [float(time) for time, _ in packets(tmp_path / "out.mkv", 1)]
    lost = [k for k, time in enumerate(times) if not np.isclose(heard, time, atol=1e-3).any()]
    assert lost[0] == 8
    low, high = times[8], times[lost[-1] + 1]
    assert note == f"The video is damaged: its sound from {low:.2f} to {high:.2f} s is lost."


def test_what_avi_cannot_hold_is_said(rich: Any, tmp_path: Path) -> None:
    notes = rewrite(rich("video.mkv"), tmp_path / "out.avi")
    assert sum("subrip" in note and "was left out" in note for note in notes) == 2
    assert any("no chapters" in note for note in notes)
    assert sum("does not hold its language" in note for note in notes) == 2


def test_free_words_in_mp4(make_clip: Any, tmp_path: Path) -> None:
    path = make_clip("video.mkv", metadata={"title": "T", "SCENE": "12", "TAKE": "3"})
    rewrite(path, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert {"title": "T", "SCENE": "12", "TAKE": "3"}.items() <= container.metadata.items()


def test_words_in_no_known_encoding(make_clip: Any, tmp_path: Path) -> None:
    path = make_clip("video.mkv", metadata={"title": "caf? au lait"})
    path.write_bytes(path.read_bytes().replace(b"caf?", b"caf\xe9"))
    rewrite(path, tmp_path / "out.mkv")
    assert b"caf\xe9 au lait" in (tmp_path / "out.mkv").read_bytes()


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_cover_art(make_clip: Any, tmp_path: Path, name: str) -> None:
    path = make_clip(cover=png())
    assert rewrite(path, tmp_path / name) == ()
    with av.open(str(tmp_path / name)) as container:
        covers = [s for s in container.streams if s.disposition & Disposition.attached_pic]
        assert len(covers) == 1
        assert bytes(next(container.demux(covers[0]))) == png()
    with open_video(tmp_path / name) as video:
        assert video.info.width == 160
        assert len(list(video.frames())) == 12


def test_cover_art_that_is_left_out_is_said(make_clip: Any, tmp_path: Path) -> None:
    notes = rewrite(make_clip(cover=png()), tmp_path / "out.webm")
    assert any("cover picture was left out" in note for note in notes)


def test_attachments(tmp_path: Path, make_clip: Any) -> None:
    plain = make_clip("plain.mkv")
    path = tmp_path / "video.mkv"
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream, opaque=True)
        target.add_attachment("font.ttf", "application/x-truetype-font", b"font" * 100)
        for packet in source.demux(stream):
            if packet.size:
                packet.stream = copy
                target.mux(packet)
    assert rewrite(path, tmp_path / "out.mkv") == ()
    with av.open(str(tmp_path / "out.mkv")) as container:
        attachment = container.streams[1]
        assert (attachment.name, attachment.data) == ("font.ttf", b"font" * 100)
    notes = rewrite(path, tmp_path / "out.mp4")
    assert any("Attachment" in note and "was left out" in note for note in notes)


def test_a_second_video_is_copied(make_clip: Any, tmp_path: Path) -> None:
    one, two = make_clip("one.mp4", frames=30), make_clip("two.mp4", size=(96, 64), frames=30)
    path = tmp_path / "both.mkv"
    with (
        av.open(str(one)) as first,
        av.open(str(two)) as second,
        av.open(str(path), "w") as target,
    ):
        copies = []
        for source in (first, second):
            stream = source.streams.video[0]
            copies.append(target.add_stream_from_template(stream, opaque=True))
        for source, copy in zip((first, second), copies, strict=True):
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = copy
                    target.mux(packet)
    rewrite(path, tmp_path / "out.mkv")
    assert packets(tmp_path / "out.mkv", 1) == packets(path, 1)
    assert len(packets(tmp_path / "out.mkv", 0)) == 30


# Parts of a video.


@pytest.mark.parametrize("source", ["video.mp4", "video.mkv"])
def test_a_part_keeps_sound_and_picture_together(
    make_clip: Any, kinds: Any, tmp_path: Path, source: str
) -> None:
    path = make_clip(
        source, frames=250, size=(64, 48), sounds=(kinds.sound(), kinds.sound("ac3", "fra"))
    )
    out = tmp_path / f"out{path.suffix}"
    start, end = 6.0, 8.0
    rewrite(path, out, start_s=start, end_s=end)
    for index in (1, 2):
        whole = packets(path, index)
        expected = [p for p in whole if start <= p[0] < end]
        got = packets(out, index)
        assert [p[1] for p in got] == [p[1] for p in expected]
        for (new, _), (old, _) in zip(got, expected, strict=True):
            assert abs(new - (old - 6)) <= Fraction(1, 1000)
    assert packets(out, 0)[0][0] == 0
    assert len(packets(out, 0)) == 50


@pytest.mark.parametrize(("source", "name"), [("video.mp4", "out.mp4"), ("video.mkv", "out.mkv")])
def test_a_part_keeps_its_subtitles_and_chapters(
    rich: Any, tmp_path: Path, source: str, name: str
) -> None:
    rewrite(rich(source), tmp_path / name, start_s=0.6, end_s=1.6)
    # The first line is on when the part begins, the second still is when it ends.
    first, second = lines(tmp_path / name, 3)
    assert first == (0.0, pytest.approx(0.3, abs=0.002), "one")
    assert second[0] == pytest.approx(0.5, abs=0.002)
    assert second[2] == "two"
    with av.open(str(tmp_path / name)) as container:
        chapters = [
            (float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]))
            for c in container.chapters()
        ]
    assert np.allclose(chapters, [(0, 0.2), (0.2, 1.0)], atol=0.002)


def test_a_part_that_begins_at_a_late_key_frame(make_clip: Any, kinds: Any, tmp_path: Path) -> None:
    path = make_clip(frames=250, size=(64, 48), gop=250, sounds=(kinds.sound(),))
    rewrite(path, tmp_path / "out.mp4", start_s=9.0)
    assert len(packets(tmp_path / "out.mp4", 0)) == 25
    sound = packets(tmp_path / "out.mp4", 1)
    assert sound[0][0] == pytest.approx(0, abs=0.03)
    assert sound[-1][0] == pytest.approx(1, abs=0.06)


def test_surround_sound_is_converted_with_all_its_channels(make_clip: Any, tmp_path: Path) -> None:
    plain, path = make_clip("plain.mkv", frames=25), tmp_path / "video.mkv"
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        copy = target.add_stream_from_template(source.streams.video[0], opaque=True)
        sound = target.add_stream("flac", rate=44100)
        sound.codec_context.layout = "5.1(side)"
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copy
                target.mux(packet)
        for number in range(43):
            tone = np.sin(np.arange(1024 * 6) * 0.01).reshape(1, -1) * 9000
            frame = av.AudioFrame.from_ndarray(
                tone.astype(np.int16), format="s16", layout="5.1(side)"
            )
            frame.sample_rate, frame.pts = 44100, 1024 * number
            target.mux(sound.encode(frame))
        target.mux(sound.encode())
    rewrite(path, tmp_path / "out.webm")
    with open_video(tmp_path / "out.webm") as video:
        assert video.info.tracks[0].codec == "opus"
    with av.open(str(tmp_path / "out.webm")) as container:
        assert container.streams.audio[0].codec_context.layout.nb_channels == 6


# Bad input.


class Proxy:
    """An object with some of its attributes replaced."""

    def __init__(self, inner: Any, **replaced: Any) -> None:
        self._inner = inner
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def test_packets_that_a_container_refuses_are_left_out_and_said(
    make_clip: Any, kinds: Any, tmp_path: Path
) -> None:
    path = make_clip(sounds=(kinds.sound(language="fra"),))
    with open_video(path) as video, video.writer(tmp_path / "out.mp4") as writer:
        output = writer._output
        count = 0

        def mux(packet: Any) -> None:
            nonlocal count
            count += 1
            if count == 5:
                raise av.error.InvalidDataError(1, "Invalid data found")
            output.mux(packet)

        writer._tracks._output = Proxy(output, mux=mux)
        for frame in video.frames():
            writer.write(frame)
    assert len(packets(tmp_path / "out.mp4", 1)) == len(packets(path, 1)) - 1
    assert writer.notes == ("Audio stream 1 (aac, fra): 1 damaged packets were left out.",)


@pytest.mark.parametrize("name", ["out.mov", "out.mp4", "out.mkv"])
def test_a_timecode_stays_and_costs_no_video(make_clip: Any, tmp_path: Path, name: str) -> None:
    path = make_clip("video.mov", video_metadata={"timecode": "10:20:30:05"})
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video", "data"]
    assert rewrite(path, tmp_path / name) == ()
    with av.open(str(tmp_path / name)) as container:
        words = container.streams.video[0].metadata
    assert words.get("timecode", words.get("TIMECODE")) == "10:20:30:05"
    # A part begins at another time.
    notes = rewrite(path, tmp_path / f"part-{name}", start_s=0.2)
    assert notes == ("The video's timecode was left out: it is that of the video's start.",)


def test_a_stream_that_is_refused_only_at_the_end_is_left_out_before(
    make_clip: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(Tracks, "_is_timecode", lambda self, stream: False)
    path = make_clip("video.mov", video_metadata={"timecode": "10:20:30:05"})
    for name in ("out.mov", "out.mkv"):
        with open_video(path) as video, video.writer(tmp_path / name) as writer:
            extension = Path(name).suffix
            # Matroska cannot hold it either, and is not recommended.
            assert writer.notes == (
                f"Data stream 1 (unknown, eng) was left out: {extension} cannot hold it.",
            )
            for frame in video.frames():
                writer.write(frame)


def test_damaged_sound_has_a_sentence(make_clip: Any, kinds: Any) -> None:
    def demux(*streams: Any) -> Any:
        raise av.error.InvalidDataError(1, "Invalid data found")

    path = make_clip(sounds=(kinds.sound(),))
    with open_video(path) as video:
        writer = video.writer(path.with_name("out.mp4"))
        writer._tracks._source = Proxy(writer._source, demux=demux)
        with pytest.raises(InputError, match="damaged in its sound or subtitles"), writer:
            for frame in video.frames():
                writer.write(frame)
