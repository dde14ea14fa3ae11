"""The static metadata of HDR videos: how bright the screen was on which they were graded."""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

# FFmpeg's AVMasteringDisplayMetadata: ten fractions, then two flags.
_MASTERING = struct.Struct("=20i2i")
_LIGHT = struct.Struct("=2I")
_CHROMATICITY_UNIT = 50_000  # H.265 Annex D counts in 0.00002
_LUMINANCE_UNIT = 10_000  # and in 0.0001 candela a square meter
_PARAMS = {
    "libx264": ("x264-params", "mastering-display", "cll"),
    "libx265": ("x265-params", "master-display", "max-cll"),
    "libsvtav1": ("svtav1-params", "mastering-display", "content-light"),
}
_DYNAMIC = ("DYNAMIC_HDR_PLUS", "DYNAMIC_HDR_VIVID", "DOVI_METADATA", "DOVI_RPU_BUFFER")
_POINTS = ("G", "B", "R", "WP", "L")


@dataclass(frozen=True)
class HdrMetadata:
    """Of a frame, in the text form that x264 and x265 share; None for what it has not.

    display: mastering display, `G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)`. light: `MaxCLL,MaxFALL`.
    dynamic: whether there is more from scene to scene (HDR10+, Dolby Vision), which is not kept.
    """

    display: str | None
    light: str | None
    dynamic: bool = False

    @classmethod
    def of(cls, frame: Any) -> HdrMetadata:
        """The metadata of a decoded frame."""
        display = _side_data(frame, "MASTERING_DISPLAY_METADATA", _MASTERING)
        light = _side_data(frame, "CONTENT_LIGHT_LEVEL", _LIGHT)
        return cls(
            _display(display) if display else None,
            f"{light[0]},{light[1]}" if light else None,
            any(_has(frame, name) for name in _DYNAMIC),
        )

    def options(self, encoder: str) -> dict[str, str] | None:
        """The option that makes an encoder write this; None where there is such metadata and the
        encoder does not take it."""
        if self.display is None and self.light is None:
            return {}
        if encoder not in _PARAMS:
            return None
        option, display_name, light_name = _PARAMS[encoder]
        parts = []
        if self.display is not None:
            whole = encoder != "libsvtav1"
            display = self.display if whole else _in_units(self.display)
            parts.append(f"{display_name}={display}")
        if self.light is not None:
            parts.append(f"{light_name}={self.light}")
        return {option: ":".join(parts)}


def _in_units(display: str) -> str:
    """The display's text with its numbers from 0 to 1 and in candela a square meter."""
    numbers = [int(number) for number in re.findall(r"\d+", display)]
    scaled = [
        f"{number / (_LUMINANCE_UNIT if place >= 8 else _CHROMATICITY_UNIT):.6g}"
        for place, number in enumerate(numbers)
    ]
    pairs = zip(_POINTS, scaled[::2], scaled[1::2], strict=True)
    return "".join(f"{name}({one},{two})" for name, one, two in pairs)


def _has(frame: Any, name: str) -> bool:
    with suppress(KeyError, ValueError):
        return frame.side_data[name] is not None
    return False


def _side_data(frame: Any, name: str, layout: struct.Struct) -> tuple[int, ...] | None:
    with suppress(KeyError, ValueError):  # ValueError: side data of a kind that PyAV does not know
        data = bytes(frame.side_data[name])
        if len(data) >= layout.size:
            return layout.unpack(data[: layout.size])
    return None


def _display(values: tuple[int, ...]) -> str | None:
    fractions = list(zip(values[0:20:2], values[1:20:2], strict=True))
    has_primaries, has_luminance = values[20:]
    if not (has_primaries and has_luminance) or any(below == 0 for _, below in fractions):
        return None

    def scaled(index: int, unit: int) -> int:
        above, below = fractions[index]
        return round(above * unit / below)

    # FFmpeg keeps red, green, blue, white; then the darkest and the brightest.
    points = {"R": 0, "G": 2, "B": 4, "WP": 6}
    text = "".join(
        f"{name}({scaled(points[name], _CHROMATICITY_UNIT)},"
        f"{scaled(points[name] + 1, _CHROMATICITY_UNIT)})"
        for name in ("G", "B", "R", "WP")
    )
    return f"{text}L({scaled(9, _LUMINANCE_UNIT)},{scaled(8, _LUMINANCE_UNIT)})"
