"""Forty videos of other makes, made by code, written anew as Sosie writes them, and compared.

    python tools/other_makes.py [--only WORD] [--report docs/reports/video.md]

Each is read and written without a swap, with a patch on one frame, so that all that differs was
lost on the way. A property of the input that the result does not have must be named by a note; a
row where it is not is marked, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from sosie.errors import SosieError
from sosie.media.encoders import VIDEO_EXTENSIONS
from sosie.media.hdr import HdrMetadata
from sosie.media.probe import opened, video_stream
from sosie.media.video import open_video
from sosie.types import Patch

WIDTH, HEIGHT, FRAMES = 320, 240, 20
X265 = {"x265-params": "log-level=none", "preset": "ultrafast", "crf": "20"}
HDR = "G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,50)"
HDR_X265 = X265 | {"x265-params": f"log-level=none:master-display={HDR}:max-cll=1000,400"}
_MARK = re.compile(r"<!-- table -->.*<!-- end -->", re.DOTALL)


@dataclass
class Make:
    """A video to make. sounds: codec and language. broken: how its bytes are damaged."""

    name: str
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    size: tuple[int, int] = (WIDTH, HEIGHT)
    rate: Fraction = Fraction(25)
    pts: tuple[int, ...] | None = None
    base: Fraction | None = None
    sounds: tuple[tuple[str, str], ...] = ()
    texts: tuple[str, ...] = ()
    chapters: bool = False
    words: dict[str, str] = field(default_factory=dict)
    video_words: dict[str, str] = field(default_factory=dict)
    rotation: int = 0
    aspect: Fraction | None = None
    colors: tuple[int, int, int, int] | None = None
    attachment: bool = False
    broken: str = ""


NTSC, FILM = Fraction(30000, 1001), Fraction(24000, 1001)
UNEVEN = (0, 40, 70, 130, 160, 210, 250, 333, 400, 420, 480, 560, 600, 640, 700, 720, 790, 840,
          900, 960)  # fmt: skip
AAC = (("aac", "eng"),)

MAKES = (
    Make("phone.mp4", sounds=AAC, rotation=90, pts=UNEVEN, base=Fraction(1, 1000)),
    Make("phone_hlg.mov", "libx265", "yuv420p10le", X265, sounds=AAC, rotation=270,
         colors=(9, 18, 9, 1), words={"com.apple.quicktime.model": "a phone"}),
    Make("hdr10.mkv", "libx265", "yuv420p10le", HDR_X265, colors=(9, 16, 9, 1),
         sounds=(("eac3", "eng"), ("ac3", "fra"))),
    Make("hdr10.mp4", "libx265", "yuv420p10le", HDR_X265, colors=(9, 16, 9, 1), sounds=AAC),
    Make("hdr10_av1.mp4", "libsvtav1", "yuv420p10le", {
        "svtav1-params": "mastering-display=G(0.17,0.797)B(0.131,0.046)R(0.708,0.292)"
        "WP(0.3127,0.329)L(1000,0.005):content-light=1000,400"}, colors=(9, 16, 9, 1)),
    Make("camera.mov", rate=NTSC, sounds=(("pcm_s16le", "eng"),),
         video_words={"timecode": "01:00:00;00"}),
    Make("camera_422.mov", "libx264", "yuv422p10le", sounds=(("pcm_s24le", "eng"),) * 2),
    Make("edit_422hq.mov", "prores_ks", "yuv422p10le", {"profile": "hq"}, colors=(1, 1, 1, 1),
         sounds=(("pcm_s24le", "eng"),), video_words={"timecode": "10:00:00:00"}),
    Make("edit_proxy.mov", "prores_ks", "yuv422p10le", {"profile": "proxy"}, rate=FILM),
    Make("edit_4444.mov", "prores_ks", "yuva444p10le", {"profile": "4444"}),
    Make("edit_hqx.mov", "dnxhd", "yuv422p10le", {"profile": "dnxhr_hqx"}, colors=(1, 1, 1, 1)),
    Make("edit_444.mov", "dnxhd", "yuv444p10le", {"profile": "dnxhr_444"}),
    Make("edit_cfhd.mov", "cfhd", "yuv422p10le"),
    Make("capture.mov", "v210", "yuv422p10le", sounds=(("pcm_s16le", "und"),)),
    Make("animation.mov", "qtrle", "argb"),
    Make("titles.mov", "png", "rgba"),
    Make("archive.mkv", "ffv1", "yuv422p10le", {"level": "3"}, sounds=(("flac", "deu"),)),
    Make("archive_rgb.mkv", "ffv1", "gbrp16le"),
    Make("archive_gray.mkv", "ffv1", "gray"),
    Make("lossless.avi", "utvideo", "yuv422p", sounds=(("pcm_s16le", "und"),)),
    Make("lossless_huff.avi", "huffyuv", "yuv422p"),
    Make("old_dv_like.avi", "mjpeg", "yuvj422p", sounds=(("pcm_s16le", "und"),)),
    Make("old_xvid.avi", "mpeg4", options={"bf": "2", "q": "4"}, sounds=(("libmp3lame", "und"),)),
    Make("old_mpeg4.mp4", "mpeg4", sounds=AAC),
    Make("web_vp9.webm", "libvpx-vp9", options={"b": "0", "crf": "20"},
         sounds=(("libopus", "eng"),)),
    Make("web_vp9_alpha.webm", "libvpx-vp9", "yuva420p", {"b": "0", "crf": "20"},
         video_words={"alpha_mode": "1"}),
    Make("web_vp8.webm", "libvpx", options={"b": "2M"}, sounds=(("libopus", "eng"),)),
    Make("web_av1.webm", "libsvtav1", options={"crf": "30", "preset": "10"}),
    Make("web_av1.mp4", "libsvtav1", options={"crf": "30", "preset": "10"}, sounds=AAC),
    Make("broadcast.ts", "mpeg2video", options={"flags": "+ildct+ilme", "q": "4"},
         size=(720, 576), aspect=Fraction(16, 11), sounds=(("mp2", "eng"), ("ac3", "fra"))),
    Make("broadcast_h264.ts", options={"x264-params": "tff=1"}, size=(720, 576),
         aspect=Fraction(16, 11), sounds=(("mp2", "eng"),)),
    Make("disc.mpg", "mpeg2video", sounds=(("ac3", "und"),)),
    Make("film.mkv", rate=FILM, chapters=True, sounds=(("ac3", "eng"), ("libopus", "deu")),
         texts=("subrip", "ass"), words={"title": "A film"}, attachment=True),
    Make("film.mp4", chapters=True, sounds=(("aac", "eng"), ("aac", "deu")), texts=("mov_text",),
         words={"title": "A film", "artist": "somebody"}),
    Make("anamorphic.mkv", "libx265", options=X265, aspect=Fraction(4, 3)),
    Make("odd.mkv", "libx264", "yuv444p", size=(321, 241)),
    Make("high_rate.mp4", rate=Fraction(120), sounds=AAC),
    Make("full_range.mp4", "libx264", "yuv420p", colors=(1, 13, 1, 2)),
    Make("damaged.mp4", sounds=AAC, options={"g": "5"}, broken="zeros"),
    Make("damaged.mkv", sounds=AAC, options={"g": "5"}, broken="zeros"),
    Make("damaged.ts", sounds=(("mp2", "eng"),), options={"g": "5"}, broken="zeros"),
    Make("old_flash.flv", "flv", sounds=(("libmp3lame", "und"),)),
    Make("old_windows.wmv", "wmv2", sounds=(("wmav2", "und"),)),
)  # fmt: skip


def make(path: Path, kind: Make) -> None:
    """Writes the video."""
    with av.open(str(path), "w") as output:
        output.metadata.update(kind.words)
        video = _add_video(output, kind)
        sounds = [_add_sound(output, *sound) for sound in kind.sounds]
        texts = [_add_text(output, codec) for codec in kind.texts]
        if kind.attachment:
            output.add_attachment("font.ttf", "font/ttf", b"no font" * 40)
        if kind.chapters:
            output.set_chapters([
                {"id": n, "start": n * 400, "end": (n + 1) * 400, "time_base": Fraction(1, 1000),
                 "metadata": {"title": f"part {n}"}} for n in range(2)
            ])  # fmt: skip
        if texts:
            output.start_encoding()
        for text in texts:
            _write_text(output, text)
        for number in range(FRAMES):
            output.mux(video.encode(_picture(number, kind)))
        output.mux(video.encode(None))
        for sound in sounds:
            _write_sound(output, sound, FRAMES / float(kind.rate))
    if kind.broken:
        content = bytearray(path.read_bytes())
        middle = len(content) * 2 // 5
        content[middle : middle + 1500] = bytes(1500)
        path.write_bytes(content)


def _add_video(output: Any, kind: Make) -> Any:
    video = output.add_stream(kind.codec, rate=kind.rate, options=kind.options)
    video.width, video.height = kind.size
    video.pix_fmt = kind.pix_fmt
    if kind.base is not None:
        video.codec_context.time_base = video.time_base = kind.base
    if kind.aspect is not None:
        video.codec_context.sample_aspect_ratio = kind.aspect
    if kind.rotation:
        video.set_display_rotation(kind.rotation)
    if kind.colors is not None:
        _tag(video.codec_context, kind.colors)
    video.metadata.update(kind.video_words)
    return video


def _picture(number: int, kind: Make) -> Any:
    width, height = kind.size
    y, x = np.mgrid[:height, :width]
    bands = [60 + 120 * x / width, 90 + 80 * y / height, 128 + 60 * np.sin((x + 6 * number) / 20)]
    name = "rgb24"
    if "a" in kind.pix_fmt.replace("gray", "").replace("bgra", "a"):
        bands.append(60 + 150 * x / width)
        name = "rgba"
    pixels = np.stack(bands, -1).round().astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, name).reformat(format=kind.pix_fmt)
    frame.pts = kind.pts[number] if kind.pts else number
    frame.time_base = kind.base or 1 / kind.rate
    if kind.colors is not None:
        _tag(frame, kind.colors)
    return frame


def _tag(target: Any, colors: tuple[int, int, int, int]) -> None:
    target.color_primaries, target.color_trc, target.colorspace, target.color_range = colors


def _add_sound(output: Any, codec: str, language: str) -> Any:
    stream = output.add_stream(codec, rate=48000)
    stream.codec_context.layout = "stereo"
    stream.codec_context.bit_rate = 128_000
    stream.metadata["language"] = language
    return stream


def _write_sound(output: Any, stream: Any, seconds: float) -> None:
    context = stream.codec_context
    step, position = context.frame_size or 1024, 0
    while position < seconds * 48000:
        wave = (0.3 * np.sin((position + np.arange(step)) * 0.05)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, position, Fraction(1, 48000)
        resampler = av.AudioResampler(context.format, "stereo", 48000)
        for piece in resampler.resample(frame):
            output.mux(stream.encode(piece))
        position += step
    output.mux(stream.encode(None))


def _add_text(output: Any, codec: str) -> Any:
    stream = output.add_stream(codec)
    stream.codec_context.subtitle_header = (
        b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n"
        b"Style: Default,Arial,16\n\n[Events]\n"
        b"Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    )
    stream.metadata["language"] = "eng"
    return stream


def _write_text(output: Any, stream: Any) -> None:
    from av.subtitles.subtitle import SubtitleSet

    for number in range(2):
        line = f"{number},0,Default,,0,0,0,,line {number}".encode()
        packet = stream.codec_context.encode_subtitle(SubtitleSet.create(line, 0, 200))
        packet.time_base, packet.pts = Fraction(1, 1000), 100 + 300 * number
        packet.dts, packet.duration, packet.stream = packet.pts, 200, stream
        output.mux(packet)


def facts(path: Path) -> dict[str, Any]:
    """What there is to be kept of a video."""
    with open_video(path) as video:
        times = [frame.pts * frame.time_base for frame in video.frames()]
        info, first = video.info, video.source.first
        components = first.format.components
        chroma = [(c.width / first.width, c.height / first.height) for c in components[1:3]]
        hdr = HdrMetadata.of(first)
        found: dict[str, Any] = {
            "codec": info.codec,
            "profile": video.source.profile,
            "bits": info.bit_depth,
            "chroma": [tuple(round(side, 1) for side in one) for one in chroma],
            "transparency": any(c.is_alpha for c in components),
            "size": (info.width, info.height),
            "pixel aspect": info.sample_aspect,
            "interlaced": bool(first.interlaced_frame),
            "color": info.color,
            "HDR": (_numbers(hdr.display), hdr.light),
            "times": [round(float(time - times[0]), 3) for time in times],
        }
    with opened(path) as container:
        stream = video_stream(container, path)
        found["timecode"] = stream.metadata.get("timecode")
        found["sound"] = [(s.codec_context.name, _language(s)) for s in container.streams.audio]
        found["sound's start"] = [
            round(float(_start(s) - times[0]), 1) for s in container.streams.audio
        ]
        found["subtitles"] = [
            (s.codec_context.name, _language(s)) for s in container.streams.subtitles
        ]
        found["attachments"] = [s.metadata.get("filename") for s in container.streams.attachments]
        found["chapters"] = [c["metadata"].get("title") for c in container.chapters()]
        found["words"] = {k: v for k, v in container.metadata.items() if k in _WORDS}
    return found


_WORDS = ("title", "artist", "com.apple.quicktime.model")


def _numbers(text: str | None) -> list[int] | None:
    return None if text is None else [round(int(n), -1) for n in re.findall(r"\d+", text)]


def _start(stream: Any) -> Fraction:
    return Fraction((stream.start_time or 0) * stream.time_base)


def _language(stream: Any) -> str:
    return str(stream.metadata.get("language", "und"))


def rewritten(source: Path, target: Path) -> tuple[list[str], list[str]]:
    """Writes a video anew, with a patch on its third frame. Returns the notes before the first
    frame, and those at the end."""
    with open_video(source) as video, video.writer(target) as writer:
        before = list(writer.notes)
        for frame in video.frames():
            if frame.index == 2:
                pixels = frame.to_rgb()[:32, :32]
                frame.paste(Patch(0, 0, pixels // 2, np.ones((32, 32), bool)))
            writer.write(frame)
    return before, [*video.notes, *writer.notes]


def compared(one: dict[str, Any], two: dict[str, Any]) -> list[str]:
    """The properties that are not as they were, or better."""
    differ = [name for name in one if one[name] != two[name]]
    if "bits" in differ and two["bits"] > one["bits"]:
        differ.remove("bits")
    if "chroma" in differ and sum(map(sum, two["chroma"])) >= sum(map(sum, one["chroma"])):
        differ.remove("chroma")
    if "profile" in differ and ("codec" in differ or one["codec"] not in ("prores", "dnxhd")):
        differ.remove("profile")  # elsewhere it says which tools an encoder uses
    if "times" in differ and len(one["times"]) == len(two["times"]):
        apart = np.subtract(one["times"], two["times"])
        if np.abs(apart).max() <= 0.0011:  # Matroska counts in milliseconds
            differ.remove("times")
    return differ


def rows(folder: Path, only: str) -> Iterator[tuple[str, str, str, bool]]:
    """Name, what it is, what became of it, and whether nothing is lost without a note."""
    for kind in MAKES:
        if only not in kind.name:
            continue
        source = folder / kind.name
        target = folder / f"out_{kind.name}"
        if target.suffix not in VIDEO_EXTENSIONS:
            target = target.with_suffix(".mkv")
        make(source, kind)
        try:
            before = facts(source)
            early, notes = rewritten(source, target)
            differ = compared(before, facts(target))
        except SosieError as error:
            yield kind.name, _described(kind), f"refused: {error}", False
            continue
        is_short = len(before["times"]) < FRAMES
        is_told = any("damaged" in note for note in notes) if is_short else bool(early)
        is_fine = is_told or (not differ and not is_short)
        if is_short:
            differ.append(f"{FRAMES - len(before['times'])} frames that the damage took")
        result = "all kept" if not differ else f"differs: {', '.join(differ)}"
        said = " ".join(dict.fromkeys(notes))
        place = f" in {target.suffix}" if target.suffix != source.suffix else ""
        yield kind.name, _described(kind), f"{result}{place}. {said}".strip(), is_fine


def _described(kind: Make) -> str:
    parts = [kind.codec, kind.pix_fmt, *(codec for codec, _ in kind.sounds), *kind.texts]
    words = ("rotation", "chapters", "aspect", "attachment", "broken")
    parts += [word for word in words if getattr(kind, word)]
    if kind.pts:
        parts.append("variable rate")
    return " ".join(parts)


def main() -> int:
    """Makes, writes, compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--report", type=Path)
    given = parser.parse_args()
    lines = ["| video | what it is | written anew |", "|---|---|---|"]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, what, result, is_fine in rows(Path(folder), given.only):
            failed += not is_fine
            mark = "" if is_fine else "**not told** "
            lines.append(f"| `{name}` | {what} | {mark}{result} |")
            print(lines[-1], flush=True)
    if given.report is not None:
        text = given.report.read_text("utf-8")
        table = "<!-- table -->\n" + "\n".join(lines) + "\n<!-- end -->"
        given.report.write_text(_MARK.sub(lambda _: table, text), "utf-8")
    return int(failed > 0)


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        av.logging.set_level(av.logging.PANIC)
        sys.exit(main())
