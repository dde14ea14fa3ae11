"""What a video's file holds, packet by packet, without decoding anything."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from sosie.files import StrPath
from sosie.media.probe import codec_name, is_cover, opened, video_origin, video_stream


@dataclass(frozen=True)
class StreamPackets:
    """One stream's packets, in the order of the file.

    kind: `video` is the video's picture; further ones, sound, text and data, as FFmpeg names them.
    language: None where the file does not say. hashes: BLAKE2b of each packet's content, 16 bytes.
    start_s, end_s: first timestamp and end of the last packet, seconds since the video's start;
    None where no packet has a timestamp.
    """

    kind: str
    codec: str
    language: str | None
    hashes: tuple[bytes, ...]
    start_s: float | None
    end_s: float | None


@dataclass(frozen=True)
class Inventory:
    """A video's file.

    picture: the stream that shows the video. frame_times_s: timestamps of its packets, ascending,
    seconds since the video's start. others: every other stream but cover art, in order.
    """

    picture: StreamPackets
    frame_times_s: tuple[float, ...]
    others: tuple[StreamPackets, ...]

    @property
    def sounds(self) -> tuple[StreamPackets, ...]:
        return tuple(stream for stream in self.others if stream.kind == "audio")


@dataclass
class _Read:
    """What was read of one stream so far; times are in seconds of the file's clock."""

    packets: list[tuple[bytes, Fraction | None, Fraction]] = field(default_factory=list)

    def add(self, packet: Any) -> None:
        content = hashlib.blake2b(bytes(packet), digest_size=16).digest()
        time = None if packet.pts is None else packet.pts * packet.time_base
        self.packets.append((content, time, (packet.duration or 0) * packet.time_base))

    @property
    def hashes(self) -> list[bytes]:
        return [content for content, _, _ in self.packets]

    @property
    def times(self) -> list[Fraction]:
        return [time for _, time, _ in self.packets if time is not None]

    @property
    def end(self) -> Fraction | None:
        ends = (time + length for _, time, length in self.packets if time is not None)
        return max(ends, default=None)

    def cut(self, low: Fraction | None, high: Fraction | None) -> None:
        """Forget what begins before or after a part of the file."""
        self.packets = [
            (content, time, length)
            for content, time, length in self.packets
            if time is not None and (low is None or time >= low) and (high is None or time < high)
        ]


def take_inventory(
    path: StrPath, start_s: float | None = None, end_s: float | None = None
) -> Inventory:
    """Reads all packets of a video, or of the part of it from `start_s` up to, without, `end_s`,
    whose times then count from its first frame.

    Raises InputError where the file is absent, no video, or damaged.
    """
    path = Path(path)
    with opened(path) as container:
        picture = video_stream(container, path)
        streams = [s for s in container.streams if s.index == picture.index or not is_cover(s)]
        found = {stream.index: _Read() for stream in streams}
        for packet in container.demux(streams):
            if packet.size:
                found[packet.stream_index].add(packet)
        origin = video_origin(container)
        if start_s is not None or end_s is not None:
            origin = _cut(found, picture.index, origin, start_s, end_s)
        times = sorted(float(time - origin) for time in found[picture.index].times)
        packets = {s.index: _packets(s, found[s.index], origin) for s in streams}
        shown = packets.pop(picture.index)
    return Inventory(shown, tuple(times), tuple(packets.values()))


def _cut(
    found: dict[int, _Read],
    picture: int,
    origin: Fraction,
    start_s: float | None,
    end_s: float | None,
) -> Fraction:
    """Keep a part of all streams. Returns when its first frame is shown, or else `origin`."""
    high = None if end_s is None else origin + Fraction(end_s)
    found[picture].cut(None if start_s is None else origin + Fraction(start_s), high)
    first = min(found[picture].times, default=origin)
    for index, read in found.items():
        if index != picture:
            read.cut(first, high)
    return origin if start_s is None else first


def kept_share(before: StreamPackets, after: Sequence[StreamPackets]) -> float:
    """The largest share of a stream's packets, 0..1, that are found to the bit in one of `after`.

    A packet that comes several times, such as silence, must be found as often. 1 without packets.
    """
    wanted = Counter(before.hashes)
    if not wanted:
        return 1.0
    found = ((wanted & Counter(stream.hashes)).total() for stream in after)
    return max(found, default=0) / wanted.total()


def _packets(stream: Any, read: _Read, origin: Fraction) -> StreamPackets:
    return StreamPackets(
        kind=stream.type,
        codec=codec_name(stream),
        language=stream.metadata.get("language"),
        hashes=tuple(read.hashes),
        start_s=float(min(read.times) - origin) if read.times else None,
        end_s=None if read.end is None else float(read.end - origin),
    )
