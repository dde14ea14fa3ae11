"""How a video is encoded: as its input is, unless another codec or a delivery was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from av.codec.codec import Codec, UnknownCodecError

from sosie.errors import UsageError
from sosie.media.deliveries import DELIVERIES, USUAL_SPEED, split_preset
from sosie.media.encoders import (
    KEEP,
    Encoder,
    choose_encoder,
    container_format,
    default_encoder,
    encoding_format,
    fitting_encoders,
    is_available,
    is_subsampled,
)
from sosie.media.hdr import HdrMetadata
from sosie.media.input_info import VideoSource
from sosie.media.linear import is_linear
from sosie.media.pixel_formats import bit_depth, has_alpha, is_rgb
from sosie.media.probe import Orientation

# Codec of a video -> what encodes it again.
_OWN = {
    "h264": "libx264",
    "hevc": "libx265",
    "av1": "libsvtav1",
    "vp9": "libvpx-vp9",
    "vp8": "libvpx",
    "mpeg4": "mpeg4",
    "mjpeg": "mjpeg",
    "png": "png",
    "prores": "prores_ks",
    "dnxhd": "dnxhd",
    "ffv1": "ffv1",
    "utvideo": "utvideo",
    "qtrle": "qtrle",
    "cfhd": "cfhd",
    "v210": "v210",
}
# Where its own encoder loses bits, transparency or chroma of a video in one of these, one of the
# others that does not is taken: people who watch it see the picture and not the codec.
_WATCHED, _RELATIVES = ("hevc", "av1", "vp9"), ("libx265", "libsvtav1", "libvpx-vp9", "libx264")
# Codecs that a container may hold, but in which next to nothing plays them.
_UNUSUAL = {"avi": ("libx264", "libx264rgb", "libx265", "libsvtav1", "libvpx-vp9", "libvpx")}
_ONLY_IN = {"mpeg4": ("avi",), "mjpeg": ("avi", "mov"), "png": ("mov",)}
# Codecs of editing, by container: what takes the place of one that cannot be kept.
_EDITED = {"mov": "prores_ks", "matroska": "ffv1", "avi": "ffv1"}
_OF_PICTURES = ("sequence", "animation")
_EDITING = ("prores", "dnxhd", "cfhd")
_APPLE_CONTAINERS = ("mp4", "mov")
# Profiles as FFmpeg's decoder names them -> as its encoders do.
_PRORES = {"Proxy": "proxy", "LT": "lt", "Standard": "standard", "HQ": "hq"}
_DNXHR = {"DNXHR LB": "dnxhr_lb", "DNXHR SQ": "dnxhr_sq"}
_HDR_TRANSFERS = (16, 18)
_USUAL_CRF = 18
_LARGE_FRAME_BYTES = 14_000_000  # 4K with 8 bits is just below


@dataclass(frozen=True)
class Encoding:
    """How a video is encoded.

    options: of the encoder. tag: the four letters by which players of a container know the codec,
    None for FFmpeg's choice. starts_fast: whether the index goes before the pictures, so that it
    plays while it is loaded. notes: sentences on what of the video that does not keep.
    """

    encoder: Encoder
    pixel_format: str
    options: dict[str, str]
    tag: str | None
    starts_fast: bool
    notes: tuple[str, ...]


def check_encoding(path: Path, codec: str, crf: int, preset: str) -> None:
    """Checks what can be told of an encoding before the video is there.

    Raises UsageError on an extension that is not written, an unknown codec or preset, or a delivery
    that the container cannot hold; UnavailableError where the encoder is not there.
    """
    delivery, _ = split_preset(preset)
    container_format(path)
    if delivery is not None:
        if codec != KEEP:
            raise UsageError(
                f"The preset {delivery} has a codec of its own: leave out --codec {codec}, or the "
                f"preset."
            )
        choose_encoder(path, _delivered_by(delivery, path), 0)
    elif codec != KEEP:
        choose_encoder(path, codec, crf)


def choose_encoding(video: VideoSource, path: Path, codec: str, crf: int, preset: str) -> Encoding:
    """How to encode a video into `path`.

    codec: an encoder's name, or `keep` for the video's own codec. preset: see `split_preset`.
    Raises as `check_encoding`.
    """
    check_encoding(path, codec, crf, preset)
    delivery, speed = split_preset(preset)
    notes: list[str] = []
    only: tuple[str, ...] = ()
    profile = video.profile
    if delivery is not None:
        chosen = DELIVERIES[delivery]
        name, only, profile = _delivered_by(delivery, path), chosen.formats, chosen.profile
        _refuse_hdr(video, delivery)
    elif codec != KEEP:
        name = codec
    else:
        name, why = _kept(video, path)
        notes += [f"{why}: it is encoded with {name}."] if why else []
    encoder = choose_encoder(path, name, crf)
    width, height = written_size(video, path)
    format_, losses = _format(video, encoder, (width, height), only)
    notes += [
        f"{encoder.name} does not keep {lost}: it is encoded as {format_}." for lost in losses
    ]
    odd = encoder.even and (width % 2 or height % 2)
    if odd and is_subsampled(video.native_format) and not is_subsampled(format_):
        notes.append(
            f"The video's size, {width} x {height}, is odd: it is kept by encoding chroma in full "
            f"resolution ({format_}), which some players do not show."
        )
    if encoder.fixed and codec != KEEP and (crf, speed) != (_USUAL_CRF, USUAL_SPEED):
        notes.append(f"crf and preset have no meaning for {encoder.name}.")
    if video.first.interlaced_frame and not encoder.interlaced:
        notes.append(f"{encoder.name} does not mark the video's frames as interlaced.")
    options, more = _options(video, encoder, crf, speed)
    options |= _profile(encoder, format_, profile)
    is_apple = name in ("libx265", "hevc_nvenc") and container_format(path) in _APPLE_CONTAINERS
    return Encoding(
        encoder,
        format_,
        options,
        tag="hvc1" if is_apple else None,
        starts_fast=delivery in ("web", "apple") and container_format(path) in _APPLE_CONTAINERS,
        notes=(*notes, *more),
    )


def must_be_turned(video: VideoSource, path: Path) -> bool:
    """Whether pixels must be turned, because the container has no mark for that: AVI has none at
    all, Matroska none for mirroring."""
    turn, extension = video.orientation, path.suffix.lower()
    if extension in (".mkv", ".webm"):
        return turn.is_mirrored
    return extension == ".avi" and turn != Orientation()


def written_size(video: VideoSource, path: Path) -> tuple[int, int]:
    """Width and height of the frames that are encoded."""
    if must_be_turned(video, path):
        return video.info.width, video.info.height
    return video.first.width, video.first.height


def _delivered_by(delivery: str, path: Path) -> str:
    encoders = DELIVERIES[delivery].encoders
    name = encoders.get(path.suffix.lower())
    if name is None:
        raise UsageError(
            f"The preset {delivery} is not written into a {path.suffix}: name the output "
            f"{path.with_suffix(next(iter(encoders))).name}."
        )
    return name


def _refuse_hdr(video: VideoSource, delivery: str) -> None:
    if int(video.first.color_trc) in _HDR_TRANSFERS and DELIVERIES[delivery].bits < 10:
        raise UsageError(
            f"{video.path} is HDR, which the {DELIVERIES[delivery].bits} bits of the preset "
            f"{delivery} cannot show: choose the preset apple, or convert it to SDR first."
        )


def _kept(video: VideoSource, path: Path) -> tuple[str, str | None]:
    """The encoder that keeps a video as it is, as far as one does, and why it is not that of the
    video's own codec, if so."""
    container, codec = container_format(path), video.info.codec
    fitting = [n for n in fitting_encoders(container) if is_available(n)]
    usual = [n for n in fitting if n not in _UNUSUAL.get(container, ())]
    own = _OWN.get(codec)
    if video.info.container in _OF_PICTURES:
        kind = f"The target is a {video.info.container} of {codec} pictures"
        return _instead(video, path, usual), kind
    if own == "libx264" and is_rgb(video.native_format):
        own = "libx264rgb"
    is_held = own in usual and container in _ONLY_IN.get(codec, (container,))
    lost = _losses(video, path, own) if own is not None and is_held else None
    if own is not None and lost is not None and codec not in _WATCHED:
        return own, None
    if own is not None and is_held and codec in _WATCHED:
        others = {name: _losses(video, path, name) for name in _RELATIVES if name in usual}
        able = {own: lost} | others
        known = {name: found for name, found in able.items() if found is not None}
        best = min(known, key=lambda name: _badness(known[name]), default=own)
        if lost is None:
            return best, f"{own} does not encode the video's size ({codec})"
        if _badness(known[best]) < _badness(lost):
            return best, f"{own} would not keep {lost[0]} ({codec})"
        return own, None
    name = _instead(video, path, usual)
    if own is None:
        return name, f"There is no encoder of the video's codec, {codec}"
    return name, f"The video's codec, {codec}, is not kept in a {path.suffix}"


def _instead(video: VideoSource, path: Path, fitting: Iterable[str]) -> str:
    """The encoder for a video whose own codec cannot be kept."""
    container, default = container_format(path), default_encoder(path)
    codec = video.info.codec
    is_edited = codec in _EDITING or video.info.container == "sequence" or _is_lossless(codec)
    if container in _EDITED and is_edited:
        return _EDITED[container]
    alpha = has_alpha(video.first.format.name, video.first)
    preferred = []
    if alpha:
        preferred += {"mov": ["prores_ks"], "matroska": ["ffv1"], "avi": ["ffv1"]}.get(
            container, []
        )
    if bit_depth(video.first) > 8:
        preferred += ["libx265", "libsvtav1", "ffv1"]
    return next((name for name in preferred if name in fitting), default)


def _is_lossless(codec: str) -> bool:
    """Whether a codec never loses anything."""
    try:
        decoder = Codec(codec, "r")
    except UnknownCodecError:
        return False
    return bool(decoder.lossless and not decoder.lossy)


def _badness(losses: list[str]) -> tuple[bool, ...]:
    return tuple(any(word in text for text in losses) for word in ("bits", "transp", "resolution"))


def _losses(video: VideoSource, path: Path, name: str) -> list[str] | None:
    """What an encoder does not keep of a video, None where it cannot encode its size."""
    try:
        return _format(video, choose_encoder(path, name, 0), written_size(video, path))[1]
    except UsageError:
        return None


def _format(
    video: VideoSource, encoder: Encoder, size: tuple[int, int], only: tuple[str, ...] = ()
) -> tuple[str, list[str]]:
    alpha = has_alpha(video.first.format.name, video.first)
    # What is linear is encoded as a screen shows it.
    native = "gbrp16le" if is_linear(video.native_format) else video.native_format
    return encoding_format(encoder, native, *size, alpha, only)


def _profile(encoder: Encoder, pixel_format: str, profile: str | None) -> dict[str, str]:
    """The option for the video's own profile of an editing codec, or the best of the format."""
    subsampled = is_subsampled(pixel_format)
    if encoder.name == "prores_ks":
        if subsampled:
            return {"profile": _PRORES.get(profile or "", "hq")}
        return {"profile": "4444xq" if profile == "XQ" else "4444"}
    if encoder.name == "dnxhd":
        if not subsampled:
            return {"profile": "dnxhr_444"}
        deep = pixel_format.endswith("10le")
        return {"profile": "dnxhr_hqx" if deep else _DNXHR.get(profile or "", "dnxhr_hq")}
    if encoder.name == "libvpx" and pixel_format.startswith("yuva"):
        return {"auto-alt-ref": "0"}  # it has none of these frames with transparency
    return {}


def _options(
    video: VideoSource, encoder: Encoder, crf: int, speed: str
) -> tuple[dict[str, str], list[str]]:
    """Options of the encoder, and notes."""
    options, notes = encoder.options(crf, speed), []
    if sum(plane.buffer_size for plane in video.first.planes) > _LARGE_FRAME_BYTES:
        options = _merged(options, encoder.fewer)
    metadata = HdrMetadata.of(video.first)
    if metadata.dynamic:
        notes.append(
            "The video's HDR metadata from scene to scene (HDR10+ or Dolby Vision) is left out."
        )
    hdr = metadata.options(encoder.name)
    if hdr is None:
        notes.append(
            f"{encoder.name} does not keep the video's HDR mastering metadata: choose libx265, "
            f"libx264 or libsvtav1 to keep it."
        )
    return _merged(options, hdr or {}), notes


def _merged(options: dict[str, str], more: dict[str, str]) -> dict[str, str]:
    """Both, with lists of an encoder's own parameters joined."""
    joined = {
        name: f"{options[name]}:{value}"
        for name, value in more.items()
        if name in options and name.endswith("-params")
    }
    return options | more | joined
