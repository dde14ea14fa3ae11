"""Reading what others may have written: names of files, JSON, and members of zip archives.

Nothing that stands in a file decides by itself where Sosie reads or writes, how much memory it
takes or what type a value has: names go through `inside`, JSON through `read_json` and `check`,
and archives through `open_zip` and `read_member`. Files are opened by `sosie.files`.
"""

from __future__ import annotations

import io
import json
import lzma
import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.errors import InputError
from sosie.files import IrregularError, open_plain, require_file

BROKEN = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, NotImplementedError,
    RuntimeError, OSError, ValueError, KeyError, IndexError, OverflowError,
)  # fmt: skip
"""What the standard library raises at archives that are damaged, encrypted or made to harm."""

# What the reader of an array's head makes of text that is no head.
_BAD_HEADS = (TypeError, SyntaxError, tokenize.TokenError, MemoryError, RecursionError)

MOST_PICTURE_BYTES = 512 << 20
"""No picture's file is read that is larger than this."""

_MOST_JSON_BYTES = 256 << 20
_MOST_NAME_BYTES, _MOST_PART_BYTES = 4096, 255
# Pictures and videos hardly shrink in an archive; a small flat picture may, and does no harm.
_MOST_RATIO, _SMALL_BYTES = 100, 64 << 20
_MOST_INTEGER = 2**64

# The package tells no types of this.
_NPY: Any = np.lib.format

Form = Any
"""What a JSON value should be: `str`, `int`, `float` (a finite number), `bool`, `dict` or `list`;
`object` for anything; None for null; a tuple of forms, any of which will do; `[form]` for a list;
`{str: form}` for an object of any keys; `{"key": form, "other?": form}` for one with these keys,
those with a question mark being optional and others let be; or a function that takes the value and
raises ValueError with what it should be."""


def is_inside(name: str) -> bool:
    """Whether a relative name with `/` stays below the folder that it is joined to: it has no empty
    part, `.` or `..`, no drive, backslash or NUL, and can be a file's name."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return False
    parts = encoded.split(b"/")
    return (
        len(encoded) <= _MOST_NAME_BYTES
        and not any(sign in encoded for sign in (b"\\", b":", b"\0"))
        and not any(part in (b"", b".", b"..") or len(part) > _MOST_PART_BYTES for part in parts)
    )


def inside(root: Path, name: str, said_by: str) -> Path:
    """`root / name` for a name that a file gives, or anything that is found in a folder of others.

    said_by: what gives the name, for the message. `root` itself may be a link, as its user chose
    it. Raises InputError where the name leads out of `root`, by itself or through a symbolic link.
    """
    if not is_inside(name):
        raise InputError(
            f"{said_by} names {shown(name)}, which is no name of a file within {root}; it is "
            f"neither read nor written."
        )
    path = root / name
    real = Path(os.path.realpath(root)) / name
    if os.path.normcase(os.path.realpath(path)) != os.path.normcase(real):
        raise InputError(
            f"{path} is or lies behind a symbolic link, which leads out of {root}; put the file "
            f"itself there."
        )
    return path


def folder_name(value: object) -> None:
    """A form: the name of one folder or file, which is no path."""
    if not isinstance(value, str) or "/" in value or not is_inside(value):
        raise ValueError("should be the name of a folder")


def shown(value: object) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def read_json(path: Path, form: Form, remedy: str) -> Any:
    """The value in a JSON file, checked. remedy: what to do about a damaged one, for the message.

    Raises FileNotFoundError where there is none, and InputError where it cannot be read, is not
    UTF-8 or JSON, holds a number that is none, or is not of the form.
    """
    return parse_json(read_text_file(path, remedy), form, str(path), remedy)


def read_text_file(path: Path, remedy: str) -> bytes:
    """The content of a text file. Raises as `read_json`."""
    try:
        with open_plain(path) as file:
            content = file.read(_MOST_JSON_BYTES + 1)
    except FileNotFoundError:
        raise
    except NotADirectoryError as error:  # its folder is a file: neither is there
        raise FileNotFoundError(*error.args) from error
    except (IrregularError, IsADirectoryError) as error:
        what = "a folder" if isinstance(error, IsADirectoryError) else error.strerror
        raise InputError(f"{path} is {what} and not a file; {remedy}.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({reason(error)}); {remedy}.") from error
    if len(content) > _MOST_JSON_BYTES:
        raise InputError(f"{path} is too large for what it should hold; {remedy}.")
    return content


def parse_json(content: bytes | str, form: Form, name: str, remedy: str) -> Any:
    """As `read_json`, of a text that was read already. name: of where it comes from."""
    try:
        value = json.loads(content)
        # Neither infinite numbers nor half characters can be written again.
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not valid JSON; {remedy}.") from error
    try:
        check(value, form)
    except ValueError as error:
        raise InputError(f"{name} is damaged: {error}; {remedy}.") from error
    return value


def check(value: Any, form: Form, where: str = "it") -> None:
    """Raises ValueError, with words, where a JSON value is not of a form."""
    if isinstance(form, tuple):
        _check_any(value, form, where)
    elif isinstance(form, list):
        _require(isinstance(value, list), value, where, "a list")
        for number, item in enumerate(value):
            check(item, form[0], f"{where}[{number}]" if where != "it" else f"entry {number}")
    elif isinstance(form, dict):
        _require(isinstance(value, dict), value, where, "a JSON object")
        _check_object(value, form, where)
    elif form is None:
        _require(value is None, value, where, "null")
    elif isinstance(form, type):
        _check_type(value, form, where)
    else:
        try:
            form(value)
        except ValueError as error:
            raise ValueError(f"{where} {error}, not {shown(value)}") from None


def _check_any(value: Any, forms: tuple[Form, ...], where: str) -> None:
    for form in forms:
        try:
            return check(value, form, where)
        except ValueError as error:
            last = error
    raise last


def _check_object(value: Mapping[str, Any], form: Mapping[Any, Form], where: str) -> None:
    before = "" if where == "it" else f"{where}."
    if str in form:
        for key, item in value.items():
            check(item, form[str], f"{before}{key if len(key) <= 40 else key[:37] + '...'}")
        return
    for key, inner in form.items():
        name = key.removesuffix("?")
        if name in value:
            check(value[name], inner, f"{before}{name}")
        elif name == key:
            raise ValueError(f"{where} has no {name}")


_WORDS: dict[type, tuple[str, Callable[[Any], bool]]] = {
    str: ("text", lambda v: isinstance(v, str)),
    bool: ("true or false", lambda v: isinstance(v, bool)),
    int: ("a whole number", lambda v: _is_number(v, int) and abs(v) < _MOST_INTEGER),
    float: ("a number", lambda v: _is_number(v, int | float) and math.isfinite(_as_float(v))),
    dict: ("a JSON object", lambda v: isinstance(v, dict)),
    list: ("a list", lambda v: isinstance(v, list)),
    object: ("anything", lambda _: True),
}


def _check_type(value: Any, form: type, where: str) -> None:
    words, fits = _WORDS[form]
    _require(fits(value), value, where, words)


def _is_number(value: object, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _require(fits: bool, value: object, where: str, words: str) -> None:
    if not fits:
        raise ValueError(f"{where} should be {words}, not {shown(value)}")


def open_zip(path: Path) -> zipfile.ZipFile:
    """A zip archive for reading. Raises InputError where it is none, or is damaged."""
    require_file(path, "zip archive")
    try:
        return zipfile.ZipFile(path)
    except BROKEN as error:
        raise InputError(
            f"{path} cannot be read: it is no zip file, or damaged ({reason(error)}); make or get "
            f"it anew."
        ) from error


def member_problem(entry: zipfile.ZipInfo) -> str:
    """Why a member of an archive is not read, "" where it may be: its name leads out, it is no
    plain file, or it unpacks to far more than it takes."""
    kind = (entry.external_attr >> 16) & 0o170000
    if not is_inside(entry.filename) or kind not in (0, 0o100000):
        return "is no plain file within it"
    if is_bomb(entry.file_size, entry.compress_size):
        return f"unpacks to {entry.file_size / 1e6:.0f} MB, many times its size"
    return ""


def is_bomb(size: int, packed: int) -> bool:
    """Whether so many bytes that are packed in so few are made to fill memory or disk."""
    return size > _SMALL_BYTES and size > _MOST_RATIO * max(packed, 1)


def read_member(
    archive: zipfile.ZipFile, member: str | zipfile.ZipInfo, most: int = MOST_PICTURE_BYTES
) -> bytes:
    """The content of a member, of `most` bytes at most. Raises InputError where it is absent,
    larger, damaged or encrypted."""
    name = member if isinstance(member, str) else member.filename
    try:
        entry = archive.getinfo(member) if isinstance(member, str) else member
    except KeyError as error:
        raise InputError(f"The archive {archive.filename} holds no {name}.") from error
    if entry.file_size > most or is_bomb(entry.file_size, entry.compress_size):
        raise InputError(
            f"{name} in {archive.filename} unpacks to {entry.file_size / 1e6:.0f} MB, which is too "
            f"much for what it should be; it is not read."
        )
    try:
        with archive.open(entry) as source:
            return source.read(most)
    except BROKEN as error:
        raise InputError(
            f"{name} cannot be read from the archive {archive.filename}: it is encrypted or "
            f"damaged ({reason(error)})."
        ) from error


def reason(error: BaseException) -> str:
    """What an exception of others says, in one short line."""
    text = " ".join(str(error).split()).rstrip(".")
    return text[:120] if text else type(error).__name__


def parse_arrays(content: bytes, most: int = 1 << 30) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz` file's content; nothing in it is executed, and no more memory is
    taken than it holds. Raises ValueError where it is none or damaged."""
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > most:
                raise ValueError("it is too large")
            for entry in archive.infolist():
                data = io.BytesIO(read_member(archive, entry, most))
                arrays[entry.filename.removesuffix(".npy")] = _array(data)
    except (*BROKEN, *_BAD_HEADS, InputError) as error:
        raise ValueError(f"these are no saved arrays: {reason(error)}") from error
    return arrays


def _array(data: io.BytesIO) -> NDArray[Any]:
    version = _NPY.read_magic(data)
    if version not in ((1, 0), (2, 0)):
        raise ValueError("they are of an unknown version")
    if version == (1, 0):
        shape, by_column, kind = _NPY.read_array_header_1_0(data)
    else:
        shape, by_column, kind = _NPY.read_array_header_2_0(data)
    rest = data.read()
    count = math.prod(shape)
    # Empty texts take no bytes, however many are claimed.
    fits = count * kind.itemsize == len(rest) and (kind.itemsize > 0 or count <= 1)
    if kind.hasobject or not fits or min(shape, default=0) < 0:
        raise ValueError("an array is not what its head says")
    flat = np.frombuffer(rest, kind) if len(rest) else np.zeros(count, kind)
    return np.array(flat.reshape(shape, order="F" if by_column else "C"))
