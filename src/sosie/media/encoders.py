"""The video encoders that are offered, and what each understands by crf and preset."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import av
from av.codec.codec import Codec, PixFmtLoss, UnknownCodecError, find_best_pix_fmt_of_list
from av.video.format import VideoFormat

from sosie.errors import UnavailableError, UsageError, nearest

KEEP = "keep"
"""The codec that is the input's own."""

PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow"),
)
"""Speed presets, fastest first; each encoder has its own numbers for them."""

_CONTAINERS = {
    ".mp4": ("mp4", "libx264"),
    ".m4v": ("mp4", "libx264"),
    ".mov": ("mov", "libx264"),
    ".mkv": ("matroska", "libx264"),
    ".webm": ("webm", "libvpx-vp9"),
    ".avi": ("avi", "mpeg4"),
}
# What a change of the pixel format may lose, the worst first.
_LOSSES = (
    (PixFmtLoss.DEPTH, "all of the video's bits a color"),
    (PixFmtLoss.ALPHA, "the video's transparency"),
    (PixFmtLoss.RESOLUTION, "all of the video's chroma resolution"),
    (PixFmtLoss.CHROMA, "the video's colors"),
)
VIDEO_EXTENSIONS = tuple(_CONTAINERS)
"""Extensions of the videos that can be written."""


@dataclass(frozen=True)
class Encoder:
    """An encoder of FFmpeg.

    options: crf and preset -> its own options. max_crf: the largest crf; None where it has no such
    scale. even: whether it takes even sizes only where chroma is subsampled. alpha: whether what
    it writes carries transparency. aspect: whether it carries the sample aspect. fixed: whether
    crf and preset mean nothing to it. interlaced: whether it marks interlaced frames. finest_clock:
    the most ticks a second that it counts in. smallest: width and height that a frame must have.
    not_opened: pixel formats that FFmpeg lists for it and does not start with. fewer: options by
    which it holds fewer frames at once, and packs them a little less well.
    """

    name: str
    options: Callable[[int, str], dict[str, str]]
    max_crf: int | None = None
    even: bool = True
    alpha: bool = False
    aspect: bool = True
    fixed: bool = False
    interlaced: bool = False
    finest_clock: int | None = None
    smallest: tuple[int, int] = (1, 1)
    not_opened: tuple[str, ...] = ()
    fewer: dict[str, str] = field(default_factory=dict)


def _x264(crf: int, preset: str) -> dict[str, str]:
    # Else x264 weighs the parts of a picture in ways that differ from processor to processor, and
    # its way for AVX-512 reads memory that was never set, so that no two runs are the same.
    return {"crf": str(crf), "preset": preset, "x264-params": "cpu-independent=1"}


_X264_FEWER = {"rc-lookahead": "2", "bf": "2", "b-pyramid": "none"}
_X265_FEWER = {"x265-params": "rc-lookahead=5:bframes=2:frame-threads=1"}


def _x265(crf: int, preset: str) -> dict[str, str]:
    # x265 writes to the terminal unless told not to.
    return {"crf": str(crf), "preset": preset, "x265-params": "log-level=none"}


def _vpx(crf: int, preset: str) -> dict[str, str]:
    speed = {"ultrafast": 8, "superfast": 6, "veryfast": 5, "faster": 4, "fast": 3, "medium": 2}
    return {
        "crf": str(crf),
        "b": "0",
        "deadline": "good",
        "cpu-used": str(min(speed.get(preset, 1), 5)),
        "row-mt": "1",
    }


def _vp8(crf: int, preset: str) -> dict[str, str]:
    # VP8 has no constant quality without a bit rate: one so high that crf alone decides.
    options = _vpx(max(crf, 4), preset) | {"b": "100M"}
    del options["row-mt"]
    return options


def _svt_av1(crf: int, preset: str) -> dict[str, str]:
    return {"crf": str(crf), "preset": str(12 - PRESETS.index(preset))}


def _no_options(_crf: int, _preset: str) -> dict[str, str]:
    return {}


def _ffv1(_crf: int, _preset: str) -> dict[str, str]:
    # Version 3, as archives want it: every slice of a frame has a check sum of its own.
    return {"level": "3", "slicecrc": "1", "g": "1"}


def _mpeg4(crf: int, _preset: str) -> dict[str, str]:
    # Quantizer 1..31. About the same look as crf of H.264, found by eye: 18 -> 3.
    quantizer = str(max(1, min(31, round(crf / 6))))
    return {"qmin": quantizer, "qmax": quantizer}


def _mjpeg(crf: int, preset: str) -> dict[str, str]:
    # Full range only, as its players take it.
    return _mpeg4(crf, preset) | {"strict": "unofficial"}


def _nvenc(crf: int, preset: str) -> dict[str, str]:
    speed = max(1, min(7, PRESETS.index(preset) - 1))
    return {"rc": "vbr", "cq": str(crf), "b": "0", "preset": f"p{speed}"}


ENCODERS = {
    encoder.name: encoder
    for encoder in (
        Encoder("libx264", _x264, 51, interlaced=True, fewer=_X264_FEWER),
        Encoder("libx264rgb", _x264, 51, even=False, interlaced=True, fewer=_X264_FEWER),
        Encoder("libx265", _x265, 51, fewer=_X265_FEWER),
        Encoder(
            *("libvpx-vp9", _vpx, 63),
            even=False,
            alpha=True,
            aspect=False,
            not_opened=("yuva422p", "yuva444p", "gbrap"),
        ),
        Encoder("libvpx", _vp8, 63, even=False, alpha=True, aspect=False),
        Encoder("libsvtav1", _svt_av1, 63, aspect=False),
        Encoder("mpeg4", _mpeg4, even=False, interlaced=True, finest_clock=60_000),
        Encoder("mjpeg", _mjpeg, even=False),
        Encoder("png", _no_options, even=False, alpha=True, fixed=True),
        Encoder("prores_ks", _no_options, even=False, alpha=True, fixed=True, interlaced=True),
        Encoder("dnxhd", _no_options, even=False, fixed=True, smallest=(256, 120)),
        Encoder(
            *("ffv1", _ffv1),
            even=False,
            alpha=True,
            fixed=True,
            not_opened=("yaf16le", "grayf16le", "gbrpf16le", "gbrpf32le"),
        ),
        Encoder("utvideo", _no_options, alpha=True, fixed=True),
        Encoder("qtrle", _no_options, even=False, alpha=True, fixed=True),
        Encoder("cfhd", _no_options, alpha=True, fixed=True),
        Encoder("v210", _no_options, fixed=True),
        Encoder("h264_nvenc", _nvenc, 51),
        Encoder("hevc_nvenc", _nvenc, 51),
        Encoder("av1_nvenc", _nvenc, 63, aspect=False),
    )
}
"""Encoders by FFmpeg's name."""


def container_format(path: Path) -> str:
    """FFmpeg's name of the container that the extension of `path` means. Raises UsageError."""
    return _container(path)[0]


def default_encoder(path: Path) -> str:
    """The encoder that fits the container best, where nothing else speaks for one."""
    return _container(path)[1]


def _container(path: Path) -> tuple[str, str]:
    extension = path.suffix.lower()
    if extension not in _CONTAINERS:
        raise UsageError(
            f"{path} has no extension of a video that can be written: "
            f"{nearest(extension, VIDEO_EXTENSIONS)}."
        )
    return _CONTAINERS[extension]


@cache
def fitting_encoders(container: str) -> tuple[str, ...]:
    """Names of the encoders whose codec a container (FFmpeg's name) can hold."""
    with av.open(io.BytesIO(), "w", format=container) as output:
        return tuple(name for name in ENCODERS if name in output.supported_codecs)


def choose_encoder(path: Path, name: str, crf: int) -> Encoder:
    """The encoder of a name, to write `path` with.

    Raises UsageError on an unknown name (naming the nearest), a crf out of its range or a codec
    that the container cannot hold, UnavailableError where this installation of FFmpeg has no such
    encoder.
    """
    container = container_format(path)
    encoder = ENCODERS.get(name)
    if encoder is None:
        raise UsageError(f"Unknown codec {name!r}: {nearest(name, (KEEP, *ENCODERS))}.")
    if encoder.max_crf is not None and not 0 <= crf <= encoder.max_crf:
        raise UsageError(f"crf of {name} must be between 0 and {encoder.max_crf}, not {crf}.")
    if not is_available(name):
        raise UnavailableError(
            f"The codec {name} is not in the installed FFmpeg (package av {av.__version__}); "
            f"choose one of {', '.join(available_encoders())}."
        )
    if name not in fitting_encoders(container):
        raise UsageError(
            f"A {path.suffix} video cannot hold {name}; choose one of "
            f"{', '.join(fitting_encoders(container))}, or another extension."
        )
    return encoder


def is_available(name: str) -> bool:
    """Whether the installed FFmpeg has this encoder. It may still lack its hardware."""
    try:
        return bool(Codec(name, "w").is_encoder)
    except UnknownCodecError:
        return False


def available_encoders() -> list[str]:
    """Names of the encoders that the installed FFmpeg has."""
    return [name for name in ENCODERS if is_available(name)]


def offered_codecs() -> list[str]:
    """What `--codec` takes."""
    return [KEEP, *available_encoders()]


def encoding_format(
    encoder: Encoder,
    native: str,
    width: int,
    height: int,
    alpha: bool,
    only: tuple[str, ...] = (),
) -> tuple[str, list[str]]:
    """The pixel format to encode a video of `native` in, and what of the video that loses.

    The video's own where the encoder takes it; else the one that loses least. only: the formats to
    choose from, where not all that the encoder takes. Odd sizes, which 4:2:0 cannot hold in most
    encoders, are kept in 4:4:4. Raises UsageError where the encoder cannot hold the size.
    """
    formats = Codec(encoder.name, "w").video_formats or ()
    offered = [f.name for f in formats if _usable(f, encoder) and (not only or f.name in only)]
    odd = encoder.even and (width % 2 or height % 2)
    fitting = [name for name in offered if not (odd and is_subsampled(name))]
    if not fitting:
        raise UsageError(
            f"{encoder.name} cannot encode {width} x {height} pixels, an odd size; "
            f"choose libx264, or libvpx-vp9 for .webm."
        )
    if width < encoder.smallest[0] or height < encoder.smallest[1]:
        raise UsageError(
            f"{encoder.name} cannot encode {width} x {height} pixels: it takes "
            f"{encoder.smallest[0]} x {encoder.smallest[1]} and more; choose another codec."
        )
    if native in fitting:
        return native, []
    best, loss = find_best_pix_fmt_of_list(fitting, native, alpha)
    return str(getattr(best, "name", best)), [text for flag, text in _LOSSES if loss & flag]


def _usable(format_: VideoFormat, encoder: Encoder) -> bool:
    """Whether frames of this format are in memory, and mean what the encoder writes."""
    components = format_.components
    if not components or format_.name.endswith("msble") or format_.name in encoder.not_opened:
        return False
    return encoder.alpha or not any(c.is_alpha for c in components)


def is_subsampled(name: str) -> bool:
    """Whether chroma of a pixel format has less than its luma's resolution."""
    format_ = VideoFormat(name, 64, 64)
    return any(c.width < 64 or c.height < 64 for c in format_.components)
