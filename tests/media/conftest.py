"""Generated videos with every kind of stream, tag and clock that a video may have."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.subtitles.subtitle import SubtitleSet

# SVT-AV1 reads this once in a process, and writes to the terminal unless told not to.
os.environ.setdefault("SVT_LOG", "1")

ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, Alignment
Style: Default,Arial,16,&Hffffff,2

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def picture(index: int, width: int, height: int) -> np.ndarray:
    """A smooth colored RGB picture that differs from frame to frame."""
    y, x = np.mgrid[:height, :width]
    red = 60 + 120 * x / width + 5 * (index % 8)
    green = 90 + 80 * y / height
    blue = 128 + 60 * np.sin((x + y + 6 * index) / 20)
    return np.stack([red, green, blue], -1).round().astype(np.uint8)


@dataclass
class Sound:
    """An audio track to generate."""

    codec: str = "aac"
    language: str = "eng"
    title: str | None = None
    default: bool = True
    rate: int = 48000


@dataclass
class Subtitles:
    """A subtitle track to generate: lines of (start, end, text), in milliseconds."""

    codec: str = "mov_text"
    language: str = "eng"
    forced: bool = False
    lines: tuple[tuple[int, int, str], ...] = ((100, 300, "one"), (350, 450, "two"))


@dataclass
class Clip:
    """A video to generate. pts: timestamps in `time_base`, else one a frame."""

    frames: int = 12
    size: tuple[int, int] = (160, 120)
    fps: Fraction = Fraction(25)
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    options: dict[str, str] = field(default_factory=lambda: {"crf": "20", "preset": "veryfast"})
    container_options: dict[str, str] = field(default_factory=dict)
    pts: list[int] | None = None
    time_base: Fraction | None = None
    sounds: tuple[Sound, ...] = ()
    subtitles: tuple[Subtitles, ...] = ()
    chapters: tuple[tuple[float, float, str], ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    video_metadata: dict[str, str] = field(default_factory=dict)
    matrix: tuple[int, ...] | None = None
    rotation: int = 0
    aspect: Fraction | None = None
    colors: tuple[int, int, int, int] | None = None
    gop: int = 6
    cover: bytes | None = None


def write_clip(path: Path, clip: Clip) -> Path:
    with av.open(str(path), "w", container_options=clip.container_options) as container:
        container.metadata.update(clip.metadata)
        video = _add_video(container, clip)
        sounds = [_add_sound(container, sound) for sound in clip.sounds]
        texts = [_add_subtitles(container, track) for track in clip.subtitles]
        if clip.cover:
            cover = container.add_stream("png", rate=1)
            cover.width, cover.height, cover.pix_fmt = 32, 32, "rgb24"
            cover.disposition = av.stream.Disposition.attached_pic
        container.set_chapters(
            [
                {
                    "id": number,
                    "start": round(start * 1000),
                    "end": round(end * 1000),
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": title},
                }
                for number, (start, end, title) in enumerate(clip.chapters, 1)
            ]
        )
        if clip.cover:
            container.start_encoding()
            packet = av.Packet(clip.cover)
            packet.stream, packet.pts, packet.dts = cover, 0, 0
            packet.time_base = Fraction(1)
            container.mux(packet)
        _write_subtitles(container, clip, texts)
        _write_frames(container, clip, video, sounds)
    return path


def _add_video(container: Any, clip: Clip) -> Any:
    video = container.add_stream(clip.codec, rate=clip.fps, options=clip.options)
    video.width, video.height = clip.size
    video.pix_fmt = clip.pix_fmt
    video.codec_context.gop_size = clip.gop
    if clip.time_base:
        video.codec_context.time_base = video.time_base = clip.time_base
    if clip.aspect:
        video.codec_context.sample_aspect_ratio = clip.aspect
    if clip.colors:
        context = video.codec_context
        context.color_primaries, context.color_trc = clip.colors[:2]
        context.colorspace, context.color_range = clip.colors[2:]
    if clip.rotation:
        video.set_display_rotation(clip.rotation)
    if clip.matrix:
        video.set_display_matrix(clip.matrix)
    video.metadata.update(clip.video_metadata)
    return video


def _add_sound(container: Any, sound: Sound) -> Any:
    stream = container.add_stream(sound.codec, rate=sound.rate)
    stream.codec_context.layout = "stereo"
    stream.metadata["language"] = sound.language
    if sound.title:
        stream.metadata["title"] = sound.title
    stream.disposition = av.stream.Disposition.default if sound.default else 0
    return stream


def _add_subtitles(container: Any, track: Subtitles) -> Any:
    stream = container.add_stream(track.codec)
    stream.codec_context.subtitle_header = ASS_HEADER
    stream.metadata["language"] = track.language
    stream.disposition = av.stream.Disposition.forced if track.forced else 0
    return stream


def _write_subtitles(container: Any, clip: Clip, streams: list[Any]) -> None:
    if streams:
        container.start_encoding()
    for stream, track in zip(streams, clip.subtitles, strict=True):
        for number, (start, end, text) in enumerate(track.lines):
            line = f"{number},0,Default,,0,0,0,,{text}".encode()
            packet = stream.codec_context.encode_subtitle(SubtitleSet.create(line, 0, end - start))
            packet.time_base = Fraction(1, 1000)
            packet.pts = packet.dts = start
            packet.duration = end - start
            packet.stream = stream
            container.mux(packet)


def _write_frames(container: Any, clip: Clip, video: Any, sounds: list[Any]) -> None:
    for index in range(clip.frames):
        pixels = picture(index, *clip.size)
        if "yuva" in clip.pix_fmt:  # red stands for opacity, which makes a ramp
            frame = av.VideoFrame.from_ndarray(np.dstack([pixels, pixels[..., 0]]), "rgba")
        else:
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
        frame.pts = clip.pts[index] if clip.pts else index
        frame.time_base = clip.time_base or 1 / clip.fps
        container.mux(video.encode(frame))
    container.mux(video.encode())
    seconds = clip.frames / clip.fps
    for number, (stream, sound) in enumerate(zip(sounds, clip.sounds, strict=True)):
        position = 0
        samples = round(seconds * sound.rate)
        while position < samples:
            count = min(stream.codec_context.frame_size or 1024, samples - position)
            wave = np.sin((position + np.arange(count)) * (0.05 + 0.02 * number)) * 0.5
            name = stream.codec_context.format.name
            planes = np.stack([wave, wave])
            if name.startswith("s16"):
                planes = (planes * 32767).astype(np.int16)
            packed = planes if name.endswith("p") else planes.T.reshape(1, -1)
            dtype = np.float32 if "flt" in name else np.int16
            sound_frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(packed.astype(dtype)), format=name, layout="stereo"
            )
            sound_frame.sample_rate = sound.rate
            sound_frame.time_base = Fraction(1, sound.rate)
            sound_frame.pts = position
            container.mux(stream.encode(sound_frame))
            position += count
        container.mux(stream.encode())


MakeClip = Callable[..., Path]


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """`make_clip(name, **fields of Clip)` writes a video and returns its path."""

    def make(name: str = "video.mp4", **values: Any) -> Path:
        return write_clip(tmp_path / name, Clip(**values))

    return make


@pytest.fixture
def kinds() -> Any:
    """The kinds of track that `make_clip` takes."""

    class Kinds:
        sound = Sound
        subtitles = Subtitles
        picture = staticmethod(picture)

    return Kinds
