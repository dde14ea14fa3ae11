"""Small records as bytes, and back to the bit: what a long piece of work needs to go on later.

Dataclasses, dicts, lists, tuples, sets, arrays, numbers, fractions and texts. Reading executes
nothing: of dataclasses only those are made that the reader names.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np

from sosie.errors import InputError

_MAGIC = b"SOSIE-RECORD-1\n"
_DIGEST_BYTES = 16
_LENGTH_BYTES = 8


def pack(value: Any) -> bytes:
    """A record as bytes. Raises TypeError on what cannot be one."""
    arrays: list[bytes] = []
    tree = json.dumps(_tree(value, arrays), separators=(",", ":"), ensure_ascii=False).encode()
    body = b"".join([len(tree).to_bytes(_LENGTH_BYTES, "little"), tree, *arrays])
    return _MAGIC + hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest() + body


def unpack(data: bytes, classes: Iterable[type] = ()) -> Any:
    """What `pack` was given.

    classes: the dataclasses that may be in it. Raises InputError where the bytes are not a whole
    record, or hold another class.
    """
    head = len(_MAGIC) + _DIGEST_BYTES
    body = data[head:]
    digest = hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()
    if data[:head] != _MAGIC + digest:
        raise InputError("A saved record is damaged; begin its work anew.")
    end = _LENGTH_BYTES + int.from_bytes(body[:_LENGTH_BYTES], "little")
    known = {cls.__name__: cls for cls in classes}
    return _value(json.loads(body[_LENGTH_BYTES:end]), memoryview(body)[end:], known)


def _tree(value: Any, arrays: list[bytes]) -> Any:
    """The value in what JSON has, where every list and object that is none of JSON's own says by
    its first letter what it is."""
    # NumPy's scalars first: some are Python's numbers too, and count otherwise among arrays.
    if isinstance(value, np.ndarray | np.generic):
        place = sum(len(one) for one in arrays)
        arrays.append(np.ascontiguousarray(value).tobytes())
        return ["a", value.dtype.str, list(value.shape), place, isinstance(value, np.generic)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [f.name for f in dataclasses.fields(value) if f.init]
        return ["c", type(value).__name__, {n: _tree(getattr(value, n), arrays) for n in fields}]
    if isinstance(value, Fraction):
        return ["f", value.numerator, value.denominator]
    if isinstance(value, dict):
        return ["d", [[_tree(k, arrays), _tree(v, arrays)] for k, v in value.items()]]
    for letter, kind in (("l", list), ("t", tuple), ("s", set)):
        if isinstance(value, kind):
            items = sorted(value) if kind is set else value
            return [letter, [_tree(one, arrays) for one in items]]
    raise TypeError(f"a {type(value).__name__} is nothing that a record can hold")


def _value(tree: Any, arrays: memoryview, known: dict[str, type]) -> Any:
    if not isinstance(tree, list):
        return tree
    letter, *rest = tree
    if letter == "a":
        kind, shape, place, is_scalar = rest
        count = int(np.prod(shape))
        array = np.frombuffer(arrays, np.dtype(kind), count, place).reshape(shape).copy()
        return array[()] if is_scalar else array
    if letter == "c":
        name, fields = rest
        if name not in known:
            raise InputError(f"A saved record holds a {name}, of which nothing is known here.")
        return known[name](**{k: _value(v, arrays, known) for k, v in fields.items()})
    if letter == "f":
        return Fraction(*rest)
    if letter == "d":
        return {_value(k, arrays, known): _value(v, arrays, known) for k, v in rest[0]}
    return {"l": list, "t": tuple, "s": set}[letter](_value(one, arrays, known) for one in rest[0])
