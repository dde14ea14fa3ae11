"""What a video is written for, by name: the codec, the pixel formats and the containers of each."""

from __future__ import annotations

from dataclasses import dataclass

from sosie.errors import UsageError, nearest
from sosie.media.encoders import PRESETS

_8_BIT, _10_BIT = ("yuv420p",), ("yuv420p", "yuv420p10le")
_PLAYED = (".mp4", ".m4v", ".mov")


@dataclass(frozen=True)
class Delivery:
    """encoders: extension of the output -> encoder. formats: pixel formats to choose from, all that
    the encoder takes where empty. profile: of the encoder, where it is not the video's own.
    bits: the most a color that it has."""

    encoders: dict[str, str]
    formats: tuple[str, ...] = ()
    profile: str | None = None
    bits: int = 16


DELIVERIES = {
    "web": Delivery(
        dict.fromkeys((*_PLAYED, ".mkv"), "libx264") | {".webm": "libvpx-vp9"}, _8_BIT, bits=8
    ),
    "apple": Delivery(dict.fromkeys(_PLAYED, "libx265"), _10_BIT, bits=10),
    "archive": Delivery(dict.fromkeys((".mkv", ".avi"), "ffv1")),
    "prores": Delivery(dict.fromkeys((".mov", ".mkv"), "prores_ks"), profile="HQ"),
    "dnxhr": Delivery({".mov": "dnxhd"}, profile="HQ"),
    "proxy": Delivery(
        dict.fromkeys((".mov", ".mkv"), "prores_ks"), ("yuv422p10le",), profile="Proxy"
    ),
}
"""By name: `web` plays in every browser, `apple` on Apple's devices in up to 10 bits, `archive` is
without loss, `prores` and `dnxhr` are for editing, `proxy` is light for editing."""

PRESET_NAMES = (*DELIVERIES, *PRESETS)
"""What `--preset` takes."""

USUAL_SPEED = "veryfast"
"""The speed preset where none is named."""


def split_preset(text: str) -> tuple[str | None, str]:
    """The name of a delivery, None where there is none, and a speed preset: `apple`, `slow`, or
    both as `apple,slow`. Raises UsageError."""
    delivery, speed = None, None
    for name in (part.strip() for part in text.split(",")):
        if name in DELIVERIES and delivery is None:
            delivery = name
        elif name in PRESETS and speed is None:
            speed = name
        elif name in PRESET_NAMES:
            raise UsageError(
                f"The preset {text!r} names two of one kind: give one delivery, one speed, or one "
                f"of each as in 'apple,slow'."
            )
        else:
            raise UsageError(f"Unknown preset {name!r}: {nearest(name, PRESET_NAMES)}.")
    return delivery, speed or USUAL_SPEED
