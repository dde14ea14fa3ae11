"""What a tool's pickle says, as plain values and numbers; see `sosie.training.inert_pickle`.

A pickle that names anything but plain values and arrays of numpy is refused: though nothing of it
would be run, it was not made by a tool that keeps data.
"""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.errors import InputError
from sosie.training.inert_pickle import Budget, DamagedError, Named, Record, Table, load

_MADE = ("_reconstruct", "scalar")
_KNOWN = frozenset(
    (
        *(f"{core}.multiarray.{name}" for core in ("numpy.core", "numpy._core") for name in _MADE),
        *(f"{core}.numeric._frombuffer" for core in ("numpy.core", "numpy._core")),
        *("numpy.ndarray", "numpy.dtype", "_codecs.encode"),
        *("builtins.bytearray", "__builtin__.bytes"),
    )
)
_MOST_TEXT = 255
_TYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")


class ForeignNameError(Exception):
    """The pickle calls something that no data needs; the message is its name."""


def parse(content: bytes, name: str, remedy: str, budget: Budget | None = None) -> Any:
    """The value of a pickle. name: of what holds it, for messages.

    Raises InputError where it is damaged, or calls something that no data needs.
    """
    opened: Any = io.BytesIO(content)
    try:
        return load(opened, len(content), budget or Budget(), _make, _find)
    except ForeignNameError as error:
        raise InputError(
            f"{name} holds a pickle that calls {error}, which no data needs; nothing of it was "
            f"run, and it is not read: {remedy}."
        ) from error
    except DamagedError as error:
        raise InputError(f"{name} holds no data that can be read ({error}): {remedy}.") from error


def _make(name: str, _: tuple[Any, ...]) -> None:
    if name not in _KNOWN:
        raise ForeignNameError(name)


def _find(_: Any) -> None:
    raise DamagedError("it refers to something outside of itself")


def entry(value: Any, key: str) -> Any:
    """What stands in a dictionary under a key; None where it has none, or is no dictionary."""
    found = None
    for own, one in value.pairs if isinstance(value, Table) else ():
        if isinstance(own, str) and own == key:
            found = one
    return found


def text(value: Any) -> str:
    """A text that can be written into a table, "" where it is none; its end, where it is long."""
    whole = value[-_MOST_TEXT:] if isinstance(value, str) else ""
    return whole.encode(errors="replace").decode()


def numbers(value: Any, shape: tuple[int, int]) -> NDArray[np.float64] | None:
    """An array of numpy, or lists of numbers, of that shape, all finite; None where it is none."""
    found = _array(value) if isinstance(value, Record) else _listed(value, shape)
    if found is None or found.shape != shape or not np.isfinite(found).all():
        return None
    return np.asarray(found, np.float64)


def _listed(value: Any, shape: tuple[int, int]) -> NDArray[np.float64] | None:
    if not isinstance(value, list | tuple) or len(value) != shape[0]:
        return None
    rows = [_row(one) for one in value]
    if any(len(row) != shape[1] for row in rows):
        return None
    try:
        return np.array(rows, np.float64)
    except (OverflowError, ValueError):
        return None


def _row(value: Any) -> list[float]:
    """The numbers of a list, or none where one of them is no number."""
    if isinstance(value, Record):
        found = _array(value)
        return found.ravel().tolist() if found is not None else []
    if not isinstance(value, list | tuple):
        return []
    plain = [one for one in value if isinstance(one, int | float) and not isinstance(one, bool)]
    return plain if len(plain) == len(value) else []


def _array(value: Record) -> NDArray[Any] | None:
    """An array as numpy pickles it, from its bytes; None where it is another object."""
    name = value.maker.name if isinstance(value.maker, Named) else ""
    state, made_of = value.state, value.made_of
    if name.endswith("._reconstruct") and isinstance(state, tuple) and len(state) == 5:
        _, shape, kind, by_column, content = state
    elif name.endswith("._frombuffer") and isinstance(made_of, tuple) and len(made_of) == 4:
        content, kind, shape, order = made_of
        by_column = order == "F"
    else:
        return None
    code = _code(kind)
    content = _bytes(content)
    if code is None or content is None or not isinstance(shape, tuple) or len(shape) > 8:
        return None
    sizes = [one for one in shape if isinstance(one, int) and 0 <= one <= len(content)]
    if len(sizes) != len(shape) or math.prod(sizes) * np.dtype(code).itemsize != len(content):
        return None
    flat = np.frombuffer(content, code)
    return flat.reshape(sizes, order="F" if by_column else "C")


def _code(kind: Any) -> str | None:
    """The type of an array's numbers, as numpy writes it."""
    made_of = kind.made_of if isinstance(kind, Record) else None
    code = made_of[0] if isinstance(made_of, tuple) and made_of else None
    if not isinstance(code, str) or code not in _TYPES:
        return None
    state = kind.state
    big = isinstance(state, tuple) and len(state) > 1 and state[1] == ">"
    return f"{'>' if big else '<'}{code}"


def _bytes(value: Any) -> bytes | None:
    """Bytes, also as the oldest protocols write them: as a text with its encoding."""
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, Record) and isinstance(value.maker, Named):
        of = value.made_of
        if value.maker.name == "_codecs.encode" and isinstance(of, tuple) and of:
            try:
                return of[0].encode("latin1") if isinstance(of[0], str) else None
            except UnicodeEncodeError:
                return None
        if value.maker.name == "builtins.bytearray" and isinstance(of, tuple) and of:
            return _bytes(of[0]) if isinstance(of[0], bytes | bytearray) else None
    return None
