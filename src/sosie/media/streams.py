"""One stream of a video on its way into another: copied, or converted to another codec."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Protocol

from av.audio.resampler import AudioResampler
from av.codec.codec import Codec
from av.error import FFmpegError

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
"""Arrangements of loudspeakers by their number, in the form that all encoders take."""

_BITS_PER_CHANNEL = 96_000


class Track(Protocol):
    """A stream of the output that is fed with packets of the input.

    damaged: how many packets could not be decoded or written, and were left out.
    """

    damaged: int

    def packets(self, packet: Any) -> Iterator[Any]:
        """What to write for a packet."""

    def rest(self) -> Iterator[Any]:
        """What to write at the end."""


class CopiedTrack:
    """Packets as they are, moved back in time by `shift` seconds."""

    def __init__(self, target: Any, shift: Fraction) -> None:
        self.damaged = 0
        self._target = target
        self._shift = shift

    def packets(self, packet: Any) -> Iterator[Any]:
        _move(packet, self._shift)
        packet.stream = self._target
        yield packet

    def rest(self) -> Iterator[Any]:
        return iter(())


class ConvertedSound:
    """Audio in another codec."""

    def __init__(self, source: Any, target: Any, shift: Fraction) -> None:
        self.damaged = 0
        self._source = source
        self._target = target
        self._shift = shift
        context = target.codec_context
        self._resampler = AudioResampler(context.format, context.layout, context.sample_rate)

    def packets(self, packet: Any) -> Iterator[Any]:
        try:
            frames = packet.decode()
        except FFmpegError:
            self.damaged += 1
            return
        for frame in frames:
            yield from self._encoded(frame)

    def rest(self) -> Iterator[Any]:
        try:
            frames = self._source.codec_context.decode(None)
        except FFmpegError:
            self.damaged += 1
            frames = []
        for frame in frames:
            yield from self._encoded(frame)
        for piece in self._resampler.resample(None):
            yield from self._target.encode(piece)
        yield from self._target.encode(None)

    def _encoded(self, frame: Any) -> Iterator[Any]:
        if frame.time_base is None:  # of a frame that the decoder held back to the end
            frame.time_base = self._source.time_base
        if frame.pts is not None:
            frame.pts -= round(self._shift / frame.time_base)
        for piece in self._resampler.resample(frame):
            yield from self._target.encode(piece)


class ConvertedText:
    """Subtitles in another codec of text."""

    def __init__(self, source: Any, target: Any, shift: Fraction) -> None:
        self.damaged = 0
        self._source = source
        self._target = target
        self._shift = shift

    def packets(self, packet: Any) -> Iterator[Any]:
        try:
            lines = self._source.decode2(packet)
        except FFmpegError:
            self.damaged += 1
            return
        if lines is None:
            return
        text = self._target.codec_context.encode_subtitle(lines)
        text.time_base = packet.time_base
        text.pts = text.dts = packet.pts
        text.duration = packet.duration
        _move(text, self._shift)
        text.stream = self._target
        yield text

    def rest(self) -> Iterator[Any]:
        return iter(())


def add_sound(output: Any, source: Any, codec: str) -> Any:
    """A stream of an output for the sound of `source` in another codec."""
    rates = Codec(codec, "w").audio_rates
    rate = source.codec_context.sample_rate
    target = output.add_stream(codec, rate=rate if not rates or rate in rates else 48_000)
    channels = source.codec_context.layout.nb_channels
    target.codec_context.layout = LAYOUTS.get(channels, "stereo")
    target.codec_context.bit_rate = _BITS_PER_CHANNEL * channels
    return target


def add_text(output: Any, source: Any, codec: str) -> Any:
    """A stream of an output for the subtitles of `source` in another codec of text."""
    target = output.add_stream(codec)
    source.codec_context.open(strict=False)
    target.codec_context.subtitle_header = source.codec_context.subtitle_header
    return target


def _move(packet: Any, shift: Fraction) -> None:
    ticks = round(shift / packet.time_base)
    if ticks:
        packet.pts = None if packet.pts is None else packet.pts - ticks
        packet.dts = None if packet.dts is None else packet.dts - ticks
