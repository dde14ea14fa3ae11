"""A part of an output in a file of its own: packets or pieces of data, whole or not at all.

A segment needs nothing of what is before it: a video's starts with a key frame. Its file is written
beside its final name, reaches the disk, and only then gets that: what has it is whole. Every packet
and every piece has a checksum, so that one that a disk has changed is noticed.
"""

from __future__ import annotations

import json
import os
import secrets
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.packet import Packet, PacketSideData, packet_sidedata_type_from_literal

from sosie.errors import InputError, OutputError
from sosie.output import not_written, sync

_MAGIC = b"SOSIE-SEGMENT-1\n"
_PACKET, _PIECE, _END = b"P", b"B", b"E"
# Of a packet: shown, decoded, duration in ticks; ticks a second as a fraction; whether a key frame;
# how many pieces of side data; bytes; checksum of these.
_HEAD = struct.Struct("<qqqqqBBIL")
_SIDE = struct.Struct("<BI")
_PIECE_HEAD = struct.Struct("<QI")
_TAIL = struct.Struct("<II")
_NO_TIME = -(1 << 63)
# What encoders tell of their own work, which no file keeps.
_PASSING = ("quality_stats",)


@dataclass(frozen=True)
class _Facts:
    """What is kept of a packet besides its content, in the words of one."""

    pts: int | None
    dts: int | None
    duration: int
    time_base: Fraction
    is_keyframe: bool


class SegmentWriter:
    """Writes one segment: `add` each packet, then `finish`; or `discard` it."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where the file cannot be created."""
        self.path = path
        # More than one process may be at the same segment: one that was taken for dead lives on.
        self._part = path.with_suffix(f".{os.getpid()}.{secrets.token_hex(4)}.part")
        self._file = self._part.open("wb")
        self._file.write(_MAGIC)

    def add(self, packet: Any) -> Any:
        """Takes a packet of an encoder, and returns it as it will be read: without marks that
        cannot be made again, so that a video is the same whichever of the two it is made of.

        Raises OSError.
        """
        sides = [
            (packet_sidedata_type_from_literal(side.data_type), bytes(side))
            for side in packet.iter_sidedata()
            if side.data_type not in _PASSING
        ]
        content, base = bytes(packet), packet.time_base
        times = [_NO_TIME if time is None else time for time in (packet.pts, packet.dts)]
        head = _HEAD.pack(
            *times,
            packet.duration or 0,
            base.numerator,
            base.denominator,
            packet.is_keyframe,
            len(sides),
            len(content),
            zlib.crc32(content),
        )
        self._file.write(_PACKET + head + content)
        for kind, data in sides:
            self._file.write(_SIDE.pack(kind, len(data)) + data)
        return _packet(content, packet, sides)

    def add_piece(self, content: bytes) -> None:
        """Takes a piece of data. Raises OSError."""
        self._file.write(_PIECE + _PIECE_HEAD.pack(len(content), zlib.crc32(content)) + content)

    def finish(self, facts: dict[str, Any]) -> None:
        """Gives the segment its name once it is on the disk. facts: what JSON holds, kept with it.
        Raises OSError."""
        text = json.dumps(facts, separators=(",", ":")).encode()
        self._file.write(_END + text + _TAIL.pack(len(text), zlib.crc32(text)))
        self._file.close()
        sync(self._part)
        self._part.replace(self.path)

    def discard(self) -> None:
        """Removes what was written, unless it is finished."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._part.unlink()


def segment_facts(path: Path) -> dict[str, Any]:
    """What was kept with a segment. Raises InputError where the file is not a whole segment."""
    try:
        with path.open("rb") as file:
            file.seek(-_TAIL.size, os.SEEK_END)
            end = file.tell()
            length, checksum = _TAIL.unpack(file.read(_TAIL.size))
            file.seek(end - length)
            text = file.read(length)
        if zlib.crc32(text) == checksum:
            return dict(json.loads(text))
    except (OSError, ValueError, struct.error):
        pass
    raise _damaged(path)


def segment_packets(path: Path) -> Iterator[Any]:
    """The packets of a segment, as the encoder gave them. Raises InputError where it is damaged."""
    return (item for item in _items(path) if not isinstance(item, bytes))


def segment_pieces(path: Path) -> Iterator[bytes]:
    """The pieces of data of a segment. Raises InputError where it is damaged."""
    return (item for item in _items(path) if isinstance(item, bytes))


class SegmentLog:
    """The segments of one output, numbered from 0, each in a file of a folder: those that are
    there are read, the one at hand is written."""

    def __init__(self, folder: Path, suffix: str, number: int = 0) -> None:
        """suffix: of the files. number: of the segment at hand."""
        self.number = number
        self._folder, self._suffix = folder, suffix
        self._writer: SegmentWriter | None = None

    def path(self, number: int) -> Path:
        """The file of a segment."""
        return self._folder / f"{number:06}{self._suffix}"

    def facts(self, number: int) -> dict[str, Any]:
        """What was kept with a segment. Raises InputError where it is damaged."""
        return segment_facts(self.path(number))

    def packets(self, number: int) -> Iterator[Any]:
        """Those of a segment. Raises InputError where it is damaged."""
        return segment_packets(self.path(number))

    def pieces(self, number: int) -> Iterator[bytes]:
        """Those of a segment. Raises InputError where it is damaged."""
        return segment_pieces(self.path(number))

    def add(self, packet: Any) -> Any:
        """Takes a packet of the segment at hand, and returns it as a later run will read it. Raises
        OutputError."""
        with self._explained():
            return self._at_hand().add(packet)

    def add_piece(self, content: bytes) -> None:
        """Takes a piece of data of the segment at hand. Raises OutputError."""
        with self._explained():
            self._at_hand().add_piece(content)

    def end(self, facts: dict[str, Any]) -> None:
        """The segment at hand is complete. facts: what JSON holds, kept with it. Raises
        OutputError."""
        with self._explained():
            self._at_hand().finish(facts)
        self._writer = None
        self.number += 1

    def discard(self) -> None:
        """Throws the segment at hand away."""
        if self._writer is not None:
            self._writer.discard()
            self._writer = None

    def _at_hand(self) -> SegmentWriter:
        if self._writer is None:
            self._writer = SegmentWriter(self.path(self.number))
        return self._writer

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(not_written(self._folder, error)) from error


def _items(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise _damaged(path)
            while (kind := file.read(1)) in (_PACKET, _PIECE):
                yield _read(file, path) if kind == _PACKET else _read_piece(file, path)
    except (OSError, struct.error) as error:
        raise _damaged(path) from error


def _read_piece(file: Any, path: Path) -> bytes:
    size, checksum = _PIECE_HEAD.unpack(file.read(_PIECE_HEAD.size))
    content = bytes(file.read(size))
    if len(content) != size or zlib.crc32(content) != checksum:
        raise _damaged(path)
    return content


def _read(file: Any, path: Path) -> Any:
    pts, dts, duration, above, below, is_key, sides, size, checksum = _HEAD.unpack(
        file.read(_HEAD.size)
    )
    content = file.read(size)
    if len(content) != size or zlib.crc32(content) != checksum:
        raise _damaged(path)
    found = _Facts(
        pts=None if pts == _NO_TIME else pts,
        dts=None if dts == _NO_TIME else dts,
        duration=duration,
        time_base=Fraction(above, below),
        is_keyframe=bool(is_key),
    )
    read = []
    for _ in range(sides):
        kind, length = _SIDE.unpack(file.read(_SIDE.size))
        read.append((kind, file.read(length)))
    return _packet(content, found, read)


def _packet(content: bytes, facts: Any, sides: list[tuple[int, bytes]]) -> Any:
    """A packet with the times and the mark of another, or of _Facts."""
    packet: Any = Packet(content)
    packet.time_base = facts.time_base
    packet.pts, packet.dts, packet.duration = facts.pts, facts.dts, facts.duration or 0
    packet.is_keyframe = facts.is_keyframe
    for kind, data in sides:
        side: Any = PacketSideData(kind, len(data))  # type: ignore[call-arg]
        memoryview(side)[:] = data
        side.to_packet(packet, move=True)
    return packet


def _damaged(path: Path) -> InputError:
    return InputError(
        f"{path}, which an earlier run kept, is damaged; begin that work anew with --restart."
    )
