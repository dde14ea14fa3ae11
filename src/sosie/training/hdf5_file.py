"""The arrays in an HDF5 file, as Keras and h5py write it, by their paths; nothing else is read.

Only what such files of weights use is known: the older form of file and of groups (superblock 0 or
1, symbol tables), and arrays of plain numbers that lie in one piece. Attributes, links to other
files, filters and programs that a filter would need are not looked at. Every position is held
against the file's length, no group is entered twice, and no more is read in all than a few times
the file, so a file that was made to harm ends with an error.

Source: The HDF Group, "HDF5 File Format Specification Version 3.0", sections II to IV.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from io import BufferedReader
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89HDF\r\n\x1a\n"

_MOST_OBJECTS = 100_000
_DEPTH = 16
_LONGEST_NAME = 1000
_MOST_AXES = 8
_NOWHERE = 2**64 - 1
# So many times the file's length, and so many bytes, may be read in all: its parts do not overlap.
_TIMES, _BESIDE = 3, 1 << 20
_DATASPACE, _DATATYPE, _LAYOUT, _FILTERS, _CONTINUED, _SYMBOLS = 0x1, 0x3, 0x8, 0xB, 0x10, 0x11
_LINK = 2
"""Of a symbol: it names another place instead of being one."""


class Hdf5Error(Exception):
    """Why a file cannot be read, as a part of a sentence."""


class OtherFormError(Hdf5Error):
    """It is HDF5, and of a form that is not read here."""


_DAMAGED = "it is damaged or cut short"


def is_hdf5(opened: BufferedReader) -> bool:
    """Whether an opened file is HDF5."""
    return opened.peek(len(SIGNATURE))[: len(SIGNATURE)] == SIGNATURE


def read_arrays(opened: BufferedReader) -> dict[str, NDArray[Any]]:
    """Path -> array, for every array of numbers in the file. Raises Hdf5Error."""
    try:
        return dict(_File(opened).arrays())
    except (struct.error, UnicodeDecodeError, OverflowError) as error:
        raise Hdf5Error(_DAMAGED) from error


class _File:
    def __init__(self, opened: BufferedReader) -> None:
        self._opened = opened
        self._length = opened.seek(0, 2)
        self._left = _TIMES * self._length + _BESIDE
        self._seen: set[int] = set()
        head = self._bytes(0, 24)
        if head[8] > 1:
            raise OtherFormError("it is of HDF5's newer form")
        if (head[13], head[14]) != (8, 8):
            raise OtherFormError("its positions are not of 8 bytes")
        # Before the root's symbol: four addresses, and in form 1 four bytes more before those.
        start = 24 + 4 * head[8] + 32
        self._root = struct.unpack("<QQ", self._bytes(start, 16))[1]

    def arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        yield from self._within(self._root, "", 0)

    def _bytes(self, place: int, count: int) -> bytes:
        if place < 0 or count < 0 or place + count > self._length:
            raise Hdf5Error(_DAMAGED)
        self._left -= count
        if self._left < 0:
            raise Hdf5Error("its parts lie over one another")
        self._opened.seek(place)
        return self._opened.read(count)

    def _within(self, place: int, path: str, depth: int) -> Iterator[tuple[str, NDArray[Any]]]:
        if place in self._seen or len(self._seen) > _MOST_OBJECTS or depth > _DEPTH:
            raise Hdf5Error("its groups lie within one another, or are more than weights have")
        self._seen.add(place)
        messages = dict(self._messages(place))
        if _SYMBOLS in messages:
            tree, heap = struct.unpack_from("<QQ", messages[_SYMBOLS])
            names = self._heap(heap)
            for name_at, inner in self._symbols(tree, 0):
                end = names.find(b"\0", name_at, name_at + _LONGEST_NAME)
                if end < 0:
                    raise Hdf5Error(_DAMAGED)
                name = names[name_at:end].decode("utf-8")
                whole = f"{path}/{name}" if path else name
                if len(whole) > _LONGEST_NAME or not whole.isprintable():
                    raise Hdf5Error(_DAMAGED)
                yield from self._within(inner, whole, depth + 1)
        elif _LAYOUT in messages and _DATASPACE in messages and _DATATYPE in messages:
            array = self._array(messages, path)
            if array is not None:
                yield path, array

    def _messages(self, place: int) -> Iterator[tuple[int, bytes]]:
        """Kind and content of what is said of an object, continuations included."""
        version, _, count, _, size = struct.unpack("<BBHII", self._bytes(place, 12))
        if version != 1:
            raise OtherFormError("its objects are of HDF5's newer form")
        pieces, left = [(place + 16, size)], count
        for number, (start, length) in enumerate(pieces):
            if number > _MOST_OBJECTS:
                raise Hdf5Error(_DAMAGED)
            piece, at = self._bytes(start, length), 0
            while at + 8 <= len(piece) and left > 0:
                kind, length_of = struct.unpack_from("<HH", piece, at)
                content = piece[at + 8 : at + 8 + length_of]
                at, left = at + 8 + length_of, left - 1
                if kind == _CONTINUED:
                    pieces.append(struct.unpack_from("<QQ", content))
                else:
                    yield kind, content

    def _heap(self, place: int) -> bytes:
        head = self._bytes(place, 32)
        if head[:4] != b"HEAP":
            raise Hdf5Error(_DAMAGED)
        size, _, start = struct.unpack_from("<QQQ", head, 8)
        return self._bytes(start, size)

    def _symbols(self, place: int, depth: int) -> Iterator[tuple[int, int]]:
        """Where the name lies in the heap, and the object in the file, of each in a group."""
        head = self._bytes(place, 8)
        if head[:4] == b"SNOD":
            count = struct.unpack_from("<H", head, 6)[0]
            entries = self._bytes(place + 8, 40 * count)
            for at in range(0, len(entries), 40):
                name, inner, kind = struct.unpack_from("<QQI", entries, at)
                if kind != _LINK:
                    yield name, inner
            return
        if head[:4] != b"TREE" or head[4] != 0 or depth > _DEPTH:
            raise Hdf5Error(_DAMAGED)
        count = struct.unpack_from("<H", head, 6)[0]
        # Two neighbors, then keys and children in turn.
        children = self._bytes(place + 24, 16 * count + 8)
        for number in range(count):
            inner = struct.unpack_from("<Q", children, 16 * number + 8)[0]
            if inner in self._seen:
                raise Hdf5Error(_DAMAGED)
            self._seen.add(inner)
            yield from self._symbols(inner, depth + 1)

    def _array(self, messages: dict[int, bytes], path: str) -> NDArray[Any] | None:
        kind = _dtype(messages[_DATATYPE])
        if kind is None:
            return None
        shape = _shape(messages[_DATASPACE])
        if _FILTERS in messages:
            raise OtherFormError(f"{path} is compressed")
        layout = messages[_LAYOUT]
        if layout[0] != 3 or layout[1] not in (0, 1):
            raise OtherFormError(f"{path} does not lie in one piece")
        wanted = math.prod(shape) * kind.itemsize
        if layout[1] == 0:
            content = layout[4 : 4 + struct.unpack_from("<H", layout, 2)[0]]
        else:
            place, size = struct.unpack_from("<QQ", layout, 2)
            if place == _NOWHERE:
                # Space that nothing was written to.
                raise Hdf5Error(f"{path} was never written") if wanted else Hdf5Error(_DAMAGED)
            content = self._bytes(place, size)
        if len(content) != wanted:
            raise Hdf5Error(_DAMAGED)
        return np.frombuffer(content, kind).reshape(shape).astype(kind.newbyteorder("="))


def _dtype(message: bytes) -> np.dtype[Any] | None:
    """Of whole numbers and floats of the usual kinds; None for text and all else."""
    group, bits, size = message[0] & 0xF, message[1], struct.unpack_from("<I", message, 4)[0]
    order = ">" if bits & 1 else "<"
    if group == 1 and size in (2, 4, 8):
        # Where the exponent lies and how long it is, as of IEEE's.
        usual = {2: (10, 5), 4: (23, 8), 8: (52, 11)}[size]
        return np.dtype(f"{order}f{size}") if tuple(message[12:14]) == usual else None
    if group == 0 and size in (1, 2, 4, 8):
        return np.dtype(f"{order}{'i' if bits & 8 else 'u'}{size}")
    return None


def _shape(message: bytes) -> tuple[int, ...]:
    version, axes = message[0], message[1]
    if version not in (1, 2) or axes > _MOST_AXES:
        raise Hdf5Error(_DAMAGED)
    return struct.unpack_from(f"<{axes}Q", message, 8 if version == 1 else 4)
