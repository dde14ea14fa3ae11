"""Records: what comes back is what went in, to the bit and by type; nothing else is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from sosie import records
from sosie.errors import InputError


@dataclass
class Thing:
    name: str
    parts: dict[Any, Any] = field(default_factory=dict)


def same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, Thing):
        return same(vars(a), vars(b))
    return bool(a == b)


def test_what_comes_back_is_what_went_in() -> None:
    value = {
        "numbers": [1, -2.5, 1e-320, 0.1 + 0.2, True, None, "é\n", Fraction(-3, 7)],
        (1, "key"): Thing("a", {3: np.arange(6, dtype=np.float32).reshape(2, 3).T}),
        "scalars": (np.float32(0.1), np.float64(0.1), np.int64(5)),
        "sets": {3, 1, 2},
        "pairs": {(2, 1), (1, 2)},
        "empty": np.zeros((0, 4), np.uint8),
        "negative zero": np.array([-0.0, np.nan, np.inf]),
        "lists that look like marks": ["a", ["t", []], [["d"]]],
    }
    assert same(records.unpack(records.pack(value), [Thing]), value)


def test_a_changed_byte_is_noticed() -> None:
    data = bytearray(records.pack({"a": np.arange(100)}))
    for place in (0, 20, 40, len(data) - 1):
        data[place] ^= 1
        with pytest.raises(InputError, match="damaged"):
            records.unpack(bytes(data))
        data[place] ^= 1
    with pytest.raises(InputError, match="damaged"):
        records.unpack(bytes(data[:-1]))
    with pytest.raises(InputError, match="damaged"):
        records.unpack(b"")


def test_only_classes_that_are_named_are_made() -> None:
    with pytest.raises(InputError, match="Thing"):
        records.unpack(records.pack(Thing("a")))


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        records.pack([object()])
