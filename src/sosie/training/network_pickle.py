"""Pickles of whole networks, as NVIDIA publishes StyleGAN's, read without running anything.

Two kinds circulate. Those of PyTorch (StyleGAN2-ADA, StyleGAN3) hold modules that carry their own
source text: it is passed over, and the parameters and buffers are taken. Those of TensorFlow
(StyleGAN, StyleGAN2) hold a tuple of generator, discriminator and averaged generator, each a list
of named arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from io import BufferedReader, BytesIO
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sosie.training.inert_pickle import MIB, Budget, DamagedError, Named, Record, Table, load
from sosie.training.tensor_description import Storage, Tensor, make_tensor
from sosie.training.torch_file import MAGIC, TorchFile

Arrays = dict[str, NDArray[Any]]

_LARGEST = 4096 * MIB
"""The largest of these files have a tenth of it; it is read into memory."""

_PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
_STORAGE = "torch.storage._load_from_bytes"
_ENCODED = "_codecs.encode"
"""How bytes are kept by the older protocols: as text."""
_OF_TENSORFLOW = ("G", "D", "G_ema")
"""What the PyTorch kind calls the three networks of the other."""

_DEPTH = 8
"""Networks lie no deeper than this within one another."""

_STEPS = 4_000_000
_MOST_ARRAYS = 100_000

_START = 32


def is_network_pickle(opened: BufferedReader) -> bool:
    """Whether a file begins as a pickle does, and not as one that `torch.save` wrote."""
    opened.seek(0)
    start = opened.read(_START)
    return start.startswith(b"\x80") and MAGIC.to_bytes(10, "little") not in start


class NetworkPickle:
    """An open file. root: its value, of tensors, arrays and inert records; a module is a record
    whose state has its `_parameters`, `_buffers` and `_modules`.

    Raises DamagedError where it is no such file.
    """

    def __init__(self, opened: BufferedReader) -> None:
        size = opened.seek(0, 2)
        if size > _LARGEST:
            raise DamagedError("a file that is larger than any network")
        opened.seek(0)
        self._parts: list[TorchFile] = []
        # Here the weights lie among the instructions, so the file itself bounds what is read.
        budget = Budget(steps=_STEPS, size=size + MIB)
        self.root = load(opened, size, budget, self._made, _nothing_outside)

    def array(self, tensor: Tensor) -> NDArray[Any]:
        """The values of a tensor; as `TorchFile.array`."""
        part = self._parts[int(tensor.storage.key)]
        inner = part.root
        return part.array(Tensor(inner, inner.dtype, tensor.offset, tensor.shape, tensor.strides))

    def networks(self) -> Iterator[tuple[str, Arrays]]:
        """The networks of a file of TensorFlow, by the names of the other kind; nothing of another
        file."""
        root = self.root
        if not isinstance(root, tuple) or len(root) != len(_OF_TENSORFLOW):
            return
        for place, record in zip(_OF_TENSORFLOW, root, strict=True):
            arrays = dict(_variables(record, "", 0))
            if arrays:
                yield place, arrays

    def _made(self, maker: str, given: tuple[Any, ...]) -> Any:
        if maker == _PERSISTENT:
            told = dict(_pairs(given[0])) if given and isinstance(given[0], Table) else {}
            return Record(Named(str(told.get("class_name"))), (), told.get("state"))
        if maker == _STORAGE:
            return self._storage(given)
        if maker == _ENCODED:
            return _encoded(given)
        module, _, name = maker.rpartition(".")
        if module.split(".")[0] == "numpy" and name in _NUMPY:
            return _NUMPY[name](given)
        return make_tensor(maker, given)

    def _storage(self, given: tuple[Any, ...]) -> Storage:
        if len(given) != 1 or not isinstance(given[0], bytes):
            raise DamagedError("a storage without bytes")
        part = TorchFile(cast(BufferedReader, BytesIO(given[0])))
        if not isinstance(part.root, Storage):
            raise DamagedError("a storage that is none")
        self._parts.append(part)
        return Storage(len(self._parts) - 1, part.root.dtype, 0, part.root.count)


def _encoded(given: tuple[Any, ...]) -> bytes:
    match given:
        case (str() as text, "latin1"):
            return text.encode("latin-1")
    raise DamagedError("bytes of no known code")


def _variables(record: Any, prefix: str, depth: int) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of a network of TensorFlow and of its components, by their slashed names."""
    if depth > _DEPTH:
        raise DamagedError("networks within networks without end")
    state = dict(_pairs(record.state)) if isinstance(record, Record) and record.state else {}
    variables = state.get("variables")
    for entry in variables if isinstance(variables, list) else ():
        match entry:
            case (str() as name, value):
                array = _array_of(value)
                if array is not None:
                    yield prefix + name, array
    components = state.get("components")
    if isinstance(components, Table):
        for name, component in _pairs(components):
            yield from _variables(component, f"{prefix}{name}/", depth + 1)


def _pairs(table: Any) -> Iterator[tuple[str, Any]]:
    """The entries of a dictionary that have a text for a key."""
    pairs = table.pairs if isinstance(table, Table) else []
    if len(pairs) > _MOST_ARRAYS:
        raise DamagedError("more entries than any network has")
    return ((key, value) for key, value in pairs if isinstance(key, str))


def _array_of(value: Any) -> NDArray[Any] | None:
    """The array that a record describes, or that is one already; None for anything else."""
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, Record) or value.maker is not _EMPTY:
        return None
    match value.state:
        case (int(), tuple() as shape, dtype, bool() as by_column, bytes() as content):
            return _filled(shape, dtype, by_column, content)
    raise DamagedError("an array without its values")


def _filled(shape: Any, dtype: Any, by_column: bool, content: bytes) -> NDArray[Any]:
    kind = _kind(dtype)
    sound = isinstance(shape, tuple) and all(type(side) is int and side >= 0 for side in shape)
    if not sound or math.prod(shape) * kind.itemsize != len(content):
        raise DamagedError("an array of another size than it says")
    return np.frombuffer(content, kind).reshape(shape, order="F" if by_column else "C")


_EMPTY = Named("an array that its state fills")


def _reconstructed(given: tuple[Any, ...]) -> Record:  # noqa: ARG001 - its state tells all
    return Record(_EMPTY, ())


def _from_buffer(given: tuple[Any, ...]) -> NDArray[Any]:
    match given:
        case (bytes() | bytearray() as content, dtype, tuple() as shape, str() as order):
            return _filled(shape, dtype, order == "F", bytes(content))
    raise DamagedError("an array without its values")


def _scalar(given: tuple[Any, ...]) -> NDArray[Any]:
    match given:
        case (dtype, bytes() as content):
            return _filled((), dtype, False, content)
    raise DamagedError("a number without its value")


def _dtype(given: tuple[Any, ...]) -> Record:
    return Record(Named("dtype"), given)


_NUMPY: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "_reconstruct": _reconstructed,
    "_frombuffer": _from_buffer,
    "scalar": _scalar,
    "dtype": _dtype,
}
"""What makes an array of numpy, by its last name: the modules that it lies in have moved."""


def _kind(dtype: Any) -> np.dtype[Any]:
    """The type that a record describes: numbers alone, of the byte order that its state tells."""
    code = dtype.made_of[0] if isinstance(dtype, Record) and dtype.made_of else None
    if not isinstance(code, str) or code not in ("f2", "f4", "f8", "i4", "i8", "u1"):
        raise DamagedError("an array of no numbers")
    state = dtype.state
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else "<"
    return np.dtype((">" if order == ">" else "<") + code)


def _nothing_outside(_: Any) -> Any:
    raise DamagedError("an identifier where there is nothing outside")
