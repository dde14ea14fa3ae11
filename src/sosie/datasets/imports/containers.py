"""Where tools hide what they know of a picture: in segments of a JPEG, in chunks of a PNG."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from sosie import foreign
from sosie.errors import InputError
from sosie.files import open_regular

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_SCAN = 0xDA
# Markers that stand alone, without a length.
_BARE = {0x01, *range(0xD0, 0xD9)}


def read_picture(path: Path) -> bytes:
    """A picture's file. Raises InputError where it cannot be read or is too large for one."""
    with open_regular(path, "picture") as opened:
        try:
            content = opened.read(foreign.MOST_PICTURE_BYTES + 1)
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    if len(content) > foreign.MOST_PICTURE_BYTES:
        raise InputError(f"{path} is too large for a picture of a face; it is not read.")
    return content


def jpeg_segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The segments before a JPEG's pixels: the second byte of each marker, and what it holds. A
    file that is cut short ends early."""
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF or marker in _BARE:
            place += 1 if marker == 0xFF else 2
            continue
        if marker == _SCAN:
            return
        (length,) = struct.unpack(">H", content[place + 2 : place + 4])
        if length < 2 or place + 2 + length > len(content):
            return
        yield marker, content[place + 4 : place + 2 + length]
        place += 2 + length


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a PNG: kind and data. A file that is cut short ends early."""
    place = len(PNG)
    while place + 12 <= len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        if place + 12 + length > len(content):
            return
        yield kind, content[place + 8 : place + 8 + length]
        place += 12 + length
