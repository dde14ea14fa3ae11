"""Where the members of a zip or a tar lie in it, each from one strict parse of its own headers.

Where two readers see different things in one file, one of them can be deceived. So a zip that
leaves any room for that is refused: bytes before or behind it, a comment, members that overlap or
have the same name, or whose own header says something else. In a tar, links, pipes and devices are
refused. Nothing is extracted.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BufferedReader
from itertools import pairwise
from typing import Any

from sosie.training.inert_pickle import MIB, DamagedError

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")

_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF
"""In place of a number that stands elsewhere, in 64 bits."""

_ENCRYPTED = 1
"""The flag of members that are."""

_ZIP_MEMBERS = 200_000
"""More than any network has tensors."""

_DIRECTORY = 64 * MIB
"""The longest list of members, in bytes."""

_NAME = 1000
"""The longest name of a member, in bytes."""

_BLOCK = 512
"""Bytes of a header of a tar, and what its members are padded to."""

_TAR_MEMBERS = 32


@dataclass(frozen=True)
class Member:
    """Bytes of a file. is_plain: they are the content itself, not compressed or encrypted."""

    start: int
    size: int
    is_plain: bool = True


def read_zip(opened: BufferedReader, size: int) -> dict[str, Member]:
    """The members of a zip by name. size: of the file. Raises DamagedError where it is none."""
    count, length, start = _find_directory(opened, size)
    opened.seek(start)
    directory = opened.read(length)
    members: dict[str, Member] = {}
    spans = []
    place = 0
    for _ in range(count):
        name, header, stored, is_plain, place = _read_entry(directory, place)
        first = _find_content(opened, name, header)
        text = name.decode("utf-8")
        if text in members or first + stored > start:
            raise DamagedError("a member twice, or one that is not in the file")
        members[text] = Member(first, stored, is_plain)
        spans.append((header, first + stored))
    if place != length:
        raise DamagedError("more than the members in their list")
    spans.sort()
    if any(end > following for (_, end), (following, _) in pairwise(spans)):
        raise DamagedError("members that overlap")
    return members


def _find_directory(opened: BufferedReader, size: int) -> tuple[int, int, int]:
    """How many members there are, and the size and place of the list of them."""
    end = size - _END.size
    magic, *disks, count_here, count, length, start, comment = _unpack(_END, opened, end)
    if magic != b"PK\x05\x06" or any(disks) or count_here != count or comment:
        raise DamagedError("no end of a zip")
    if count == _FULL_16 or _FULL_32 in (length, start):
        locator = end - _LOCATOR.size
        magic, disk, end, disk_count = _unpack(_LOCATOR, opened, locator)
        if magic != b"PK\x06\x07" or disk or disk_count != 1 or end + _END_64.size > locator:
            raise DamagedError("no end of a zip of 64 bits")
        magic, _, _, _, *disks, count_here, count, length, start = _unpack(_END_64, opened, end)
        if magic != b"PK\x06\x06" or any(disks) or count_here != count:
            raise DamagedError("no end of a zip of 64 bits")
    if start + length > end or not count * _ENTRY.size <= length <= _DIRECTORY:
        raise DamagedError("a list of members that is not in the file")
    if count > _ZIP_MEMBERS:
        raise DamagedError("more members than any checkpoint has")
    return count, length, start


def _read_entry(directory: bytes, place: int) -> tuple[bytes, int, int, bool, int]:
    """Name, place of its own header, size and `is_plain` of a member; where the next one begins."""
    end = place + _ENTRY.size
    if end > len(directory):
        raise DamagedError("cut short")
    numbers = _ENTRY.unpack_from(directory, place)
    magic, flags, method, disk, header = (numbers[k] for k in (0, 3, 4, 13, 16))
    stored, size, name_length, extra_length, comment_length = numbers[8:13]
    name = directory[end : end + name_length]
    extra = directory[end + name_length : end + name_length + extra_length]
    if magic != b"PK\x01\x02" or disk or not 0 < name_length <= _NAME:
        raise DamagedError("no entry of a zip")
    size, stored, header = _long_numbers([size, stored, header], extra)
    is_plain = method == 0 and not flags & _ENCRYPTED
    if is_plain and stored != size:
        raise DamagedError("a member of two sizes")
    return name, header, stored, is_plain, end + name_length + extra_length + comment_length


def _long_numbers(numbers: list[int], extra: bytes) -> list[int]:
    """The numbers, with those that did not fit in 32 bits from the field that is there for them."""
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, place)
        if kind == 1:
            field = extra[place + 4 : place + 4 + length]
            long = list(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
            numbers = [long.pop(0) if n == _FULL_32 and long else n for n in numbers]
            break
        place += 4 + length
    return numbers


def _find_content(opened: BufferedReader, name: bytes, header: int) -> int:
    """Where the bytes of a member begin: behind its own header, which has to be of that name."""
    numbers = _unpack(_LOCAL, opened, header)
    name_length, extra_length = int(numbers[-2]), int(numbers[-1])
    if numbers[0] != b"PK\x03\x04" or opened.read(name_length) != name:
        raise DamagedError("a member whose header says something else")
    return header + _LOCAL.size + name_length + extra_length


def _unpack(form: struct.Struct, opened: BufferedReader, place: int) -> tuple[Any, ...]:
    if place < 0:
        raise DamagedError("cut short")
    opened.seek(place)
    content = opened.read(form.size)
    if len(content) != form.size:
        raise DamagedError("cut short")
    return form.unpack(content)


def read_tar(opened: BufferedReader, size: int) -> dict[str, Member]:
    """The files in a tar by name. size: of the file. Raises DamagedError where it is none, where it
    holds anything but files, and where it holds more than any checkpoint."""
    members: dict[str, Member] = {}
    place = 0
    while place + _BLOCK <= size:
        opened.seek(place)
        header = opened.read(_BLOCK)
        if not header.strip(b"\0"):
            break
        kind, digits = header[156:157], header[124:136].strip(b" \0")
        if not digits or digits.strip(b"01234567"):
            raise DamagedError("a member of no size")
        start, length = place + _BLOCK, int(digits, 8)
        if length > size - start or len(members) > _TAR_MEMBERS:
            raise DamagedError("a member that is not in the file")
        if kind in (b"0", b"\0"):
            name = header[:100].rstrip(b"\0").decode("latin-1")
            if name in members:
                raise DamagedError("a member twice")
            members[name] = Member(start, length)
        elif kind not in (b"x", b"g"):  # Headers of further facts, such as the time in full.
            raise DamagedError("a member that is no file")
        place = start + -(-length // _BLOCK) * _BLOCK
    return members
