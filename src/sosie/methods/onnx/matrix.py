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
from sosie.types import FloatArray

_GRAPH = 7
_INITIALIZER = 5
_DIMS, _DATA_TYPE, _FLOAT_DATA, _RAW_DATA = 1, 2, 4, 9
_TYPES = {1: "<f4", 10: "<f2", 11: "<f8"}
"""TensorProto's numbers of the types that a matrix may have."""

_MOST_BYTES = 64_000_000
"""More than any map has: one of 512 x 512 has 2 million bytes."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def last_matrix(file: Path) -> FloatArray:
    """The last initializer of the graph, which has two axes. float32.

    Raises InputError where the file is damaged or its last initializer is no such matrix.
    """
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as m:
            return _last_matrix(m)
    except (ValueError, IndexError, KeyError, OSError) as error:
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
    kind, values = 1, b""
    for number, wire, first, stop in _fields(data, start, end):
        if number == _DIMS and wire == _VARINT:
            shape.append(_varint(data, first)[0])
        elif number == _DIMS:
            while first < stop:
                size, first = _varint(data, first)
                shape.append(size)
        elif number == _DATA_TYPE:
            kind = _varint(data, first)[0]
        elif number in (_FLOAT_DATA, _RAW_DATA):
            if len(values) + stop - first > _MOST_BYTES:
                raise ValueError("too large")
            values += data[first:stop]
    matrix: NDArray[Any] = np.frombuffer(values, _TYPES[kind]).reshape(shape)
    if matrix.ndim != 2:
        raise ValueError("no matrix")
    return matrix.astype(np.float32)


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, kind, and where the content lies, of each field of a message."""
    while start < end:
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
    while True:
        byte = data[place]
        if shift > 63:
            raise ValueError("no number")
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
