"""The last constant of an ONNX file, read from its bytes: inswapper keeps its embedding map there.

An ONNX file is a protobuf message, a row of (field number, kind, content). Only the fields of
ModelProto, GraphProto and TensorProto on the way to the constant are looked at, by their numbers in
onnx.proto.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.errors import InputError
from sosie.files import open_regular
from sosie.types import FloatArray

_GRAPH = 7
_INITIALIZER = 5
_DIMS, _DATA_TYPE, _FLOAT_DATA, _RAW_DATA = 1, 2, 4, 9
_TYPES = {1: "<f4", 10: "<f2", 11: "<f8"}
"""TensorProto's numbers of the types that a matrix may have."""

_AXES = 2
"""Of a matrix."""

_NUMBER_BITS = 70
"""What ten bytes hold, the most that a number takes."""

_MOST_FIELDS = 1_000_000
"""No file on the way to a swapper's last constant has more."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def last_matrix(file: Path) -> FloatArray:
    """The last initializer of the graph, which has two axes. float32.

    Raises InputError where the file is damaged or its last initializer is no such matrix.
    """
    try:
        with (
            open_regular(file) as opened,
            mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as m,
        ):
            return _last_matrix(m)
    except (ValueError, IndexError, KeyError, OverflowError, OSError, InputError) as error:
        raise InputError(
            f"{file} holds no embedding map as its last constant: it is no inswapper; name its "
            f"interface."
        ) from error


def _last_matrix(data: mmap.mmap) -> FloatArray:
    last = None
    for number, _, start, end in _fields(data, 0, len(data)):
        if number == _GRAPH:
            for inner, _, first, stop in _fields(data, start, end):
                if inner == _INITIALIZER:
                    last = (first, stop)
    if last is None:
        raise ValueError("no initializer")
    return _tensor(data, *last)


def _tensor(data: mmap.mmap, start: int, end: int) -> FloatArray:
    shape: list[int] = []
    kind, place = 1, (start, start)
    for number, wire, first, stop in _fields(data, start, end):
        if number == _DIMS and wire == _VARINT:
            shape.append(_varint(data, first)[0])
        elif number == _DIMS:
            while first < stop and len(shape) <= _AXES:
                size, first = _varint(data, first)
                shape.append(size)
        elif number == _DATA_TYPE:
            kind = _varint(data, first)[0]
        elif number in (_FLOAT_DATA, _RAW_DATA):
            place = first, stop
    if len(shape) != _AXES:
        raise ValueError("no matrix")
    matrix: NDArray[Any] = np.frombuffer(data[slice(*place)], _TYPES[kind]).reshape(shape)
    return matrix.astype(np.float32)


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, kind, and where the content lies, of each field of a message."""
    left = _MOST_FIELDS
    while start < end:
        left -= 1
        if not left:
            raise ValueError("too many fields")
        key, start = _varint(data, start)
        wire = key & 7
        if wire == _VARINT:
            stop = _varint(data, start)[1]
        elif wire == _BYTES:
            size, start = _varint(data, start)
            stop = start + size
        elif wire in (_FIXED64, _FIXED32):
            stop = start + (8 if wire == _FIXED64 else 4)
        else:
            raise ValueError("no protobuf message")
        if stop > end:
            raise ValueError("cut short")
        yield key >> 3, wire, start, stop
        start = stop


def _varint(data: mmap.mmap, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and the place behind it."""
    value = shift = 0
    while shift < _NUMBER_BITS:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
    raise ValueError("no number")
