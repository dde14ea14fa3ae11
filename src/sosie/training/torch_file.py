"""What `torch.save` writes, in its three forms, read without torch and without running anything.

- zip (since 1.6): `data.pkl` describes the values, `data/KEY` holds the bytes of each storage;
- stream (before): five pickles, then the storages one after the other;
- tar (the first months): the members `pickle`, `tensors` and `storages`.

Each is read in place, by one parse of its own headers; nothing is extracted. A tensor is a view of
its storage, so that it takes no more memory than the file has bytes for, whatever its shape claims.
"""

from __future__ import annotations

import math
import struct
from io import BufferedReader
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.training.archive_members import Member, read_tar, read_zip
from sosie.training.inert_pickle import MIB, Budget, DamagedError, Find, Named, load
from sosie.training.tensor_description import (
    MOST_AXES,
    TYPES,
    Storage,
    Tensor,
    described_tensor,
    make_tensor,
    require_counts,
    size_of,
    storage_type,
)

MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""What a stream begins with: two pickles of a number each."""

_START = 512
"""So many bytes tell the form of a file."""

_MOST_VALUES = 1 << 40
"""More values than any tensor shows, repeated ones included."""

_MOST_BYTES = 16 * 1024 * MIB
"""What the weights of a file may take in memory."""


class ProgramError(ValueError):
    """The file is a TorchScript archive."""


class UnreadableError(ValueError):
    """A tensor that numpy has nothing for; the message is what kind of one it is."""


def is_torch_file(opened: BufferedReader) -> bool:
    """Whether a file begins as those of PyTorch do."""
    opened.seek(0)
    return _form(opened.read(_START)) is not None


def _form(start: bytes) -> str | None:
    if start.startswith(b"PK\x03\x04"):
        return "zip"
    if start[257:262] == b"ustar":
        return "tar"
    return "stream" if start.startswith(b"\x80") else None


class TorchFile:
    """An open checkpoint. root: its value, of tensors and inert records.

    Raises DamagedError where it is no such file, and ProgramError on a TorchScript archive. The
    file stays open as long as arrays are taken.
    """

    def __init__(self, opened: BufferedReader) -> None:
        self._file = opened
        self._size = opened.seek(0, 2)
        opened.seek(0)
        self._budget = Budget()
        self._order = "<"
        self._bytes_left = _MOST_BYTES
        self._places: dict[str | int, tuple[int, int]] = {}
        """Where the bytes of each storage lie, and how many they are."""
        self._sizes: dict[str | int, tuple[int, int]] = {}
        """In streams: how many values the description gives a storage, and bytes to each."""
        self._views: dict[str | int, Storage] = {}
        self._loaded: dict[tuple[str | int, str], NDArray[Any]] = {}
        readers = {"zip": self._read_zip, "tar": self._read_tar, "stream": self._read_stream}
        form = _form(opened.read(_START))
        try:
            if form is None:
                raise DamagedError("no checkpoint of PyTorch")
            self.root = readers[form]()
        except (DamagedError, ProgramError, UnreadableError):
            raise
        except (ValueError, OverflowError, struct.error, OSError) as error:
            raise DamagedError(str(error)) from error

    def array(self, tensor: Tensor) -> NDArray[Any]:
        """The values of a tensor: bfloat16 as float32, all else as numpy's type of the same bits.

        Tensors that share a storage share memory. Raises UnreadableError on a type that numpy
        lacks, DamagedError where the tensor reaches beyond its storage.
        """
        if tensor.dtype not in TYPES:
            raise UnreadableError(tensor.dtype)
        values = self._values(tensor.storage, tensor.dtype)
        shape, strides, size = tensor.shape, tensor.strides, values.itemsize
        if math.prod(max(side, 1) for side in shape) > _MOST_VALUES:
            raise DamagedError("a tensor of more values than any has")
        if 0 in shape:
            return np.empty(shape, values.dtype)
        last = sum((side - 1) * step for side, step in zip(shape, strides, strict=True))
        if tensor.offset + last >= len(values):
            raise DamagedError("a tensor that reaches beyond its storage")
        steps = [step * size if side > 1 else 0 for side, step in zip(shape, strides, strict=True)]
        # numpy checks the bounds once more.
        return np.ndarray(shape, values.dtype, values, tensor.offset * size, steps)

    def _values(self, storage: Storage, dtype: str) -> NDArray[Any]:
        key = (storage.key, dtype)
        if key not in self._loaded:
            self._loaded[key] = self._loaded_values(storage.key, dtype)
        values = self._loaded[key]
        first, end = storage.first, storage.first + storage.count
        if storage.dtype != dtype:
            # A storage of bytes, shown as another type.
            return values
        if end > len(values):
            raise DamagedError("a storage that is shorter than described")
        return values[first:end]

    def _loaded_values(self, key: str | int, dtype: str) -> NDArray[Any]:
        """All values of a storage, read once for each type that tensors have in it."""
        if key not in self._places:
            raise DamagedError("a storage that is not there")
        start, size = self._places[key]
        kind = np.dtype(self._order + TYPES[dtype])
        self._bytes_left -= size * (3 if dtype == "bfloat16" else 1)
        if self._bytes_left < 0:
            raise UnreadableError(f"part of more than {_MOST_BYTES // (1024 * MIB)} GiB")
        content = np.empty(size // kind.itemsize, kind)
        self._file.seek(start)
        if self._file.readinto(content.view(np.uint8).data) != content.nbytes:
            raise DamagedError("cut short")
        if not kind.isnative:
            content = content.astype(kind.newbyteorder("="))
        if dtype == "bfloat16":
            # The upper half of a float32.
            return (content.astype("u4") << 16).view("f4")
        return content.astype(bool) if dtype == "bool" else content

    def _read_zip(self) -> Any:
        members = read_zip(self._file, self._size)
        names = [name.split("/") for name in members]
        if any("constants.pkl" in name or "code" in name[:-1] for name in names):
            raise ProgramError
        tops = [name[0] for name in names if name[1:] == ["data.pkl"]]
        if len(tops) != 1:
            raise DamagedError("not one description")
        if not all(member.is_plain for member in members.values()):
            raise UnreadableError("compressed")
        data = f"{tops[0]}/data/"
        for name, member in members.items():
            if name.startswith(data):
                self._places[name.removeprefix(data)] = member.start, member.size
        self._order = self._byte_order(members.get(f"{tops[0]}/byteorder"))
        return self._load_member(members[f"{tops[0]}/data.pkl"], self._find_in_zip)

    def _load_member(self, member: Member, find: Find) -> Any:
        self._file.seek(member.start)
        return load(self._file, member.start + member.size, self._budget, make_tensor, find)

    def _byte_order(self, member: Member | None) -> str:
        if member is None:
            return "<"
        self._file.seek(member.start)
        order = {b"little": "<", b"big": ">"}.get(self._file.read(min(member.size, 16)))
        if order is None:
            raise DamagedError("an unknown order of bytes")
        return order

    def _find_in_zip(self, identifier: Any) -> Storage:
        match identifier:
            case ("storage", Named() as kind, str() as key, _, int() as count):
                return Storage(key, storage_type(kind), 0, count)
        raise DamagedError("an identifier of no storage")

    def _read_stream(self) -> Any:
        def pickled() -> Any:
            return load(self._file, self._size, self._budget, make_tensor, self._find_in_stream)

        self._file.seek(0)
        if pickled() != MAGIC or pickled() != _PROTOCOL:
            raise DamagedError("no checkpoint of PyTorch")
        pickled()  # The machine that wrote it; its values are little-endian on all.
        root, keys = pickled(), pickled()
        if not isinstance(keys, list):
            raise DamagedError("no list of storages")
        for key in keys:
            if not isinstance(key, str) or key not in self._sizes or key in self._places:
                raise DamagedError("a storage that nothing describes")
            count, size = self._sizes[key]
            self._place(key, size, self._file.tell(), self._size)
            if self._places[key][1] != count * size:
                raise DamagedError("a storage of another size")
        return root

    def _find_in_stream(self, identifier: Any) -> Any:
        match identifier:
            case ("module", Named() as kind, *_):
                return kind
            case ("storage", Named() as kind, str() as key, _, int() as count, None):
                part = (0, count)
            case (
                "storage", Named() as kind, str() as key, _, int() as count,
                (_, int() as first, int() as part_count),
            ):  # fmt: skip
                part = (first, part_count)
            case _:
                raise DamagedError("an identifier of no storage")
        dtype = storage_type(kind)
        self._sizes.setdefault(key, (count, size_of(dtype)))
        return Storage(key, dtype, *part)

    def _place(self, key: str | int, size: int, start: int, end: int) -> None:
        """Note a storage that begins with its number of values, and go on behind it."""
        self._file.seek(start)
        (count,) = struct.unpack("<q", _exactly(self._file, 8, end))
        if not 0 <= count * size <= end - start - 8:
            raise DamagedError("a storage that is not in the file")
        self._places[key] = start + 8, count * size
        self._file.seek(start + 8 + count * size)

    def _read_tar(self) -> Any:
        members = read_tar(self._file, self._size)
        if not {"pickle", "tensors", "storages"} <= set(members):
            raise DamagedError("a tar that is no checkpoint")
        self._read_tar_storages(members["storages"])
        tensors = self._read_tar_tensors(members["tensors"])

        def find(identifier: Any) -> Any:
            if isinstance(identifier, tuple) and identifier:
                return identifier[0]
            if isinstance(identifier, str) and len(identifier) <= 20:
                identifier = int(identifier)
            if isinstance(identifier, int):
                found = tensors.get(identifier, self._views.get(identifier))
                if found is not None:
                    return found
            raise DamagedError("an identifier of no tensor")

        return self._load_member(members["pickle"], find)

    def _read_tar_storages(self, member: Member) -> None:
        end = member.start + member.size
        self._file.seek(member.start)
        for _ in range(self._number(end)):
            match self._plain(end):
                case (int() as key, _, Named() as kind) if key not in self._views:
                    require_counts(key)
                    dtype = storage_type(kind)
                    self._place(key, size_of(dtype), self._file.tell(), end)
                    count = self._places[key][1] // size_of(dtype)
                    self._views[key] = Storage(key, dtype, 0, count)
                case _:
                    raise DamagedError("no storage")
        views = self._plain(end)
        for view in views if isinstance(views, list) else ():
            match view:
                case (int() as key, int() as root, int() as first, int() as count):
                    whole = self._views.get(root)
                    if whole is None or key in self._views:
                        raise DamagedError("a part of no storage")
                    require_counts(key, first, count)
                    self._views[key] = Storage(whole.key, whole.dtype, whole.first + first, count)
                case _:
                    raise DamagedError("no part of a storage")

    def _read_tar_tensors(self, member: Member) -> dict[int, Tensor]:
        end, tensors = member.start + member.size, {}
        self._file.seek(member.start)
        for _ in range(self._number(end)):
            match self._plain(end):
                case (int() as key, int() as place, _) if place in self._views:
                    require_counts(key)
                    # The number of axes takes four bytes of eight.
                    (axes,) = struct.unpack("<i4x", _exactly(self._file, 8, end))
                    if not 0 <= axes <= MOST_AXES:
                        raise DamagedError("a tensor of too many axes")
                    form = f"<{2 * axes + 1}q"
                    numbers = struct.unpack(form, _exactly(self._file, struct.calcsize(form), end))
                    storage = self._views[place]
                    tensors[key] = described_tensor(
                        storage, storage.dtype, numbers[-1], numbers[:axes], numbers[axes:-1]
                    )
                case _:
                    raise DamagedError("no tensor")
        return tensors

    def _plain(self, end: int) -> Any:
        return load(self._file, end, self._budget, make_tensor, _find_nothing)

    def _number(self, end: int) -> int:
        number = self._plain(end)
        if not isinstance(number, int) or not 0 <= number <= self._size:
            raise DamagedError("no number of entries")
        return number


def _exactly(opened: BufferedReader, size: int, end: int) -> bytes:
    if size > end - opened.tell():
        raise DamagedError("cut short")
    return opened.read(size)


def _find_nothing(_: Any) -> Any:
    raise DamagedError("an identifier where there is nothing outside")
