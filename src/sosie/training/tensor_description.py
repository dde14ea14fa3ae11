"""Tensors as the pickle of a checkpoint describes them: by the names of what would make them.

The names are compared, never looked up; what is not known by its name makes no tensor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sosie.training.inert_pickle import DamagedError, Named, Record, Table

MOST_AXES = 32
"""Axes that numpy can have in all its versions."""

TYPES = {
    "float64": "f8",
    "float32": "f4",
    "float16": "f2",
    "bfloat16": "u2",
    "complex128": "c16",
    "complex64": "c8",
    "int64": "i8",
    "int32": "i4",
    "int16": "i2",
    "int8": "i1",
    "uint64": "u8",
    "uint32": "u4",
    "uint16": "u2",
    "uint8": "u1",
    "bool": "u1",
}
"""Type of torch -> how numpy finds it in a file."""

_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "ComplexDoubleStorage": "complex128",
    "ComplexFloatStorage": "complex64",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "UntypedStorage": "uint8",
    "QInt8Storage": "qint8",
    "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32",
    "QUInt4x2Storage": "quint4x2",
    "QUInt2x4Storage": "quint2x4",
}
"""Class of a storage -> type of its values."""

_OTHER_SIZES = {"qint8": 1, "quint8": 1, "qint32": 4, "quint4x2": 1, "quint2x4": 1}
"""Bytes of the types that numpy has nothing for, so that what follows them can be found."""

_TENSORS = {
    "torch._utils._rebuild_tensor": 4,
    "torch._utils._rebuild_tensor_v2": 6,
    "torch._utils._rebuild_tensor_v3": 7,
}
"""What makes a tensor -> how many values it is given at least."""

_WRAPPERS = (
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch.nn.parameter.Parameter",
    "torch.autograd.variable.Variable",
)
"""What makes a parameter out of the tensor that it is given first."""

_SUBCLASSES = ("torch._tensor._rebuild_from_type_v2", "torch._tensor._rebuild_from_type")

UNREADABLE = {
    "torch._utils._rebuild_sparse_tensor": "sparse",
    "torch._utils._rebuild_qtensor": "quantized",
    "torch._utils._rebuild_nested_tensor": "nested",
    "torch.nested._internal.nested_tensor._rebuild_njt": "nested",
    "torch._utils._rebuild_meta_tensor_no_storage": "empty (meta)",
    "torch._utils._rebuild_wrapper_subclass": "wrapped",
    "torch._utils._rebuild_device_tensor_from_numpy": "device-bound",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": "device-bound",
    "torch._utils._rebuild_xla_tensor": "device-bound",
    "conjugate": "conjugate or negated",
}
"""What makes a tensor that is not read here -> which kind of tensor that is."""


@dataclass(eq=False, slots=True)
class Storage:
    """Bytes of the file that tensors are views of.

    dtype: of torch. first, count: which of its values this is, where a file shows a part of it.
    """

    key: str | int
    dtype: str
    first: int
    count: int


@dataclass(eq=False, slots=True)
class Tensor:
    """A tensor as the file describes it; `TorchFile.array` holds this against the file."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def storage_type(kind: Named) -> str:
    """The type of the values in a storage of this class. Raises DamagedError on another class."""
    module, _, name = kind.name.rpartition(".")
    if module.split(".")[0] != "torch" or name not in _STORAGES:
        raise DamagedError("a storage of no known type")
    return _STORAGES[name]


def size_of(dtype: str) -> int:
    """Bytes that a value of this type takes in a file."""
    return np.dtype(TYPES[dtype]).itemsize if dtype in TYPES else _OTHER_SIZES[dtype]


def make_tensor(maker: str, given: tuple[Any, ...]) -> Any:
    """What torch would make of these values: a tensor, or None where it is none."""
    if maker in _SUBCLASSES and len(given) >= 3 and isinstance(given[0], Named):
        # Of a subclass, or with attributes: the maker of the plain tensor comes first.
        if not isinstance(given[2], tuple):
            return None
        maker, given = given[0].name, given[2]
    if maker in _WRAPPERS:
        return given[0] if given and isinstance(given[0], Tensor | Record) else None
    if maker not in _TENSORS:
        return None
    if len(given) < _TENSORS[maker]:
        raise DamagedError("a tensor without its description")
    storage, offset, shape, strides, *others = given
    if not isinstance(storage, Storage):
        raise DamagedError("a tensor without a storage")
    dtype = storage.dtype
    if maker.endswith("_v3"):
        if not isinstance(others[2], Named):
            raise DamagedError("a tensor of no known type")
        dtype = others.pop(2).name.removeprefix("torch.")
        if not dtype.isidentifier():
            raise DamagedError("a tensor of no known type")
    if len(others) > 2 and _is_changed(others[2]):
        return Record(Named("conjugate"), ())
    return described_tensor(storage, dtype, offset, shape, strides)


def described_tensor(storage: Storage, dtype: str, offset: Any, shape: Any, strides: Any) -> Tensor:
    """A tensor from what a file says of it. Raises DamagedError where no tensor can be so."""
    if not (isinstance(shape, tuple) and isinstance(strides, tuple)):
        raise DamagedError("a tensor without a shape")
    if len(shape) != len(strides) or len(shape) > MOST_AXES:
        raise DamagedError("a tensor of too many axes")
    require_counts(offset, *shape, *strides, storage.first, storage.count)
    return Tensor(storage, dtype, offset, shape, strides)


def _is_changed(metadata: Any) -> bool:
    """Whether the values are to be conjugated or negated after reading."""
    pairs = metadata.pairs if isinstance(metadata, Table) else []
    if len(pairs) > MOST_AXES:
        raise DamagedError("more to say of a tensor than there is")
    return any(value is True for _, value in pairs)


def require_counts(*numbers: Any) -> None:
    """Return if each is a whole number that can count something. Raises DamagedError."""
    if not all(type(number) is int and 0 <= number < 1 << 62 for number in numbers):
        raise DamagedError("a size that nothing can have")
