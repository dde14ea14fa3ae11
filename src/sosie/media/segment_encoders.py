"""An encoder begun anew in the middle of a video, as it was at the start."""

from __future__ import annotations

from typing import Any, Self

from av.codec.context import CodecContext

from sosie.errors import OutputError

# What an encoder is told before it is opened.
_SETTINGS = (
    *("width", "height", "pix_fmt", "time_base", "framerate", "thread_count", "flags", "flags2"),
    *("sample_aspect_ratio", "color_primaries", "color_trc", "colorspace", "color_range"),
    *("max_b_frames", "gop_size", "bit_rate", "profile", "field_order", "options"),
)


class EncoderSettings:
    """What an encoder was told before it was opened, by which others like it are made.

    Each begins with a key frame that needs nothing before it; their packets, one encoder's after
    the other's, are one stream.
    """

    def __init__(self, name: str, settings: dict[str, Any]) -> None:
        self._name, self._settings = name, settings

    @classmethod
    def of(cls, context: Any) -> Self:
        """Those of an encoder that is about to be opened."""
        found = {name: getattr(context, name) for name in _SETTINGS}
        return cls(context.name, {k: v for k, v in found.items() if v is not None})

    def again(self, first: Any) -> Any:
        """Another encoder, open. first: the one whose stream this one goes on with.

        Raises OutputError where it cannot go on with that stream.
        """
        context: Any = CodecContext.create(self._name, "w")
        for name, value in self._settings.items():
            setattr(context, name, value)
        context.open()
        if context.extradata != first.extradata:
            raise OutputError(
                f"{self._name} cannot go on with a video that it began before; choose another "
                f"codec, such as libx264."
            )
        return context


class RisingTimes:
    """Decoding times of a stream that several encoders wrote, one after the other.

    With pictures out of order an encoder decodes its first ones before they are shown, by as much
    as it sees fit. At a variable frame rate that may be before the last one of the encoder before.
    Then the times go on by the least step; no packet is decoded after it is shown by that, as long
    as all encoders reorder by as many pictures.
    """

    def __init__(self) -> None:
        self._last: int | None = None

    def set_after(self, packet: Any) -> None:
        """Moves a packet's decoding time after the last one's, where it is not."""
        if packet.dts is None:
            return
        if self._last is not None and packet.dts <= self._last:
            packet.dts = self._last + 1
        self._last = packet.dts
