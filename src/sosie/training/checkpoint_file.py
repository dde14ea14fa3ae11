"""Checkpoints of others as arrays, without running anything that is in the file.

A pickle is a program. It is read here as data (`inert_pickle`), so nothing that it names is looked
up, made or called: dictionaries are searched for tensors, and records of pickled modules for their
parameters and buffers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from sosie.errors import InputError
from sosie.files import open_regular
from sosie.training.hdf5_file import Hdf5Error, OtherFormError, is_hdf5, read_arrays
from sosie.training.inert_pickle import DamagedError, Named, Record, Table
from sosie.training.network_pickle import NetworkPickle, is_network_pickle
from sosie.training.tensor_description import UNREADABLE, Tensor
from sosie.training.torch_file import ProgramError, TorchFile, UnreadableError, is_torch_file

Arrays = dict[str, NDArray[Any]]

_DEPTH = 4
"""Weights lie no deeper than this in a checkpoint's dictionaries."""

_MODULE_DEPTH = 64
"""Modules lie no deeper than this within one another."""

_MOST_ENTRIES = 500_000
"""Entries of dictionaries that are looked at, those that are seen several times included."""

_MOST_TENSORS = 100_000

_LONGEST_NAME = 1000

_NUMPY = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"}
"""Types of safetensors that numpy has, and bfloat16, which becomes float32."""


def read_checkpoint(file: Path) -> dict[str, Arrays]:
    """Every collection of weights in a checkpoint, by its place in it ("" for the file itself).

    file: .safetensors, or what `torch.save` wrote, whatever its ending: of tensors, of
    dictionaries of tensors, or of a module; or the HDF5 of Keras, whose names are paths; or a
    pickle of networks as NVIDIA publishes them. Names lose a leading "module.", which data-parallel
    training leaves. Tensors that share memory in the file share it here; bfloat16 becomes float32.
    Raises InputError where there is no such file, where it is of another kind or damaged, where it
    holds no weights, or such as numpy has nothing for.
    """
    with open_regular(file) as opened:
        found = _read(file, opened)
    if not any(found.values()):
        raise InputError(f"{file} holds no weights: name another.")
    return {place: _plain(arrays) for place, arrays in found.items()}


def read_tensors(file: Path) -> Arrays:
    """The tensors of a file that holds nothing else, by name.

    Raises InputError where it holds more, and as `read_checkpoint` does.
    """
    with open_regular(file) as opened:
        if file.suffix == ".safetensors":
            return _safetensors(file)
        with _refusals(file):
            stored = TorchFile(opened)
            found = dict(_Search().collections(stored.root)).get("", {})
            whole = stored.root
            if not isinstance(whole, Table) or len(whole.pairs) != len(found):
                raise InputError(f"The weights {file} hold more than named tensors.")
            return {name: stored.array(tensor) for name, tensor in found.items()}


def _read(file: Path, opened: BufferedReader) -> dict[str, Arrays]:
    if file.suffix == ".safetensors":
        return {"": _safetensors(file)}
    if file.suffix == ".onnx":
        raise InputError(
            f"{file} is an ONNX file, which runs as it is: "
            f"`sosie swap --method onnx --model {file.name}`."
        )
    if is_hdf5(opened):
        return {"": _hdf5(file, opened)}
    if not is_torch_file(opened):
        raise InputError(
            f"{file} is no checkpoint: it was written neither by PyTorch nor by Keras (.h5), nor "
            f"as .safetensors; name another."
        )
    with _refusals(file):
        if is_network_pickle(opened):
            return _networks(NetworkPickle(opened))
        return _described(TorchFile(opened))


def _described(stored: TorchFile | NetworkPickle) -> dict[str, Arrays]:
    return {
        place: {name: stored.array(tensor) for name, tensor in tensors.items()}
        for place, tensors in _Search().collections(stored.root)
    }


def _networks(stored: NetworkPickle) -> dict[str, Arrays]:
    return dict(stored.networks()) or _described(stored)


def _hdf5(file: Path, opened: BufferedReader) -> Arrays:
    try:
        return read_arrays(opened)
    except OtherFormError as error:
        raise InputError(
            f"{file} is an HDF5 file that is not read here ({error}): load it with Keras 2 and "
            f"save its weights again with save_weights(..., save_format='h5')."
        ) from error
    except (Hdf5Error, MemoryError) as error:
        raise InputError(f"{file} cannot be read ({error}): get it again.") from error


def _safetensors(file: Path) -> Arrays:
    try:
        with safe_open(file, "pt") as opened:
            names = [name for name in opened.keys() if _name(name)]  # noqa: SIM118
            for name in names:
                if opened.get_slice(name).get_dtype() not in _NUMPY:
                    raise InputError(_unreadable(file, opened.get_slice(name).get_dtype()))
            return {name: _array(opened.get_tensor(name)) for name in names}
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{file} is no .safetensors file, or it is damaged ({error}): name another."
        ) from error


@contextmanager
def _refusals(file: Path) -> Iterator[None]:
    """What may be wrong with a file of PyTorch, as a sentence."""
    try:
        yield
    except ProgramError as error:
        raise InputError(
            f"{file} is a TorchScript program, which would have to be run: save its state_dict, "
            f"and name that file."
        ) from error
    except UnreadableError as error:
        raise InputError(_unreadable(file, str(error))) from error
    except (DamagedError, MemoryError) as error:
        raise InputError(
            f"{file} cannot be read: it is damaged, cut short, or no checkpoint of PyTorch; get it "
            f"again."
        ) from error


def _unreadable(file: Path, kind: str) -> str:
    return (
        f"{file} holds a tensor that is {kind[:40]}, which is not read here: save its weights as "
        f"plain tensors of float32."
    )


class _Search:
    """Finds the tensors in what a file describes, which may contain itself or nest without end."""

    def __init__(self) -> None:
        self._entries_left = _MOST_ENTRIES
        self._tensors_left = _MOST_TENSORS

    def collections(self, value: Any) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Dictionaries of tensors and modules within a checkpoint, the outer ones first."""
        return self._within(value, "", ())

    def _within(
        self, value: Any, place: str, around: tuple[Table, ...]
    ) -> Iterator[tuple[str, dict[str, Tensor]]]:
        if isinstance(value, Record):
            tensors = dict(self._of_module(value, "", 0))
            if tensors:
                yield place, tensors
        if not isinstance(value, Table) or len(around) > _DEPTH:
            return
        if any(value is outer for outer in around):
            return
        tensors = dict(self._tensors(value))
        if tensors:
            yield place, tensors
        for name, entry in self._named(value):
            inner = f"{place}.{name}" if place else name
            if isinstance(entry, Table | Record) and len(inner) <= _LONGEST_NAME:
                yield from self._within(entry, inner, (*around, value))

    def _of_module(self, record: Record, prefix: str, depth: int) -> Iterator[tuple[str, Tensor]]:
        """The parameters and buffers of a pickled module, by their dotted names."""
        if depth > _MODULE_DEPTH or len(prefix) > _LONGEST_NAME:
            raise DamagedError("modules within modules without end")
        parts = {
            key: part
            for key, part in (self._named(record.state) if isinstance(record.state, Table) else ())
            if key in ("_parameters", "_buffers", "_modules") and isinstance(part, Table)
        }
        for kind in ("_parameters", "_buffers"):
            if kind in parts:
                yield from ((prefix + name, t) for name, t in self._tensors(parts[kind]))
        for name, child in self._named(parts["_modules"]) if "_modules" in parts else ():
            if isinstance(child, Record):
                yield from self._of_module(child, f"{prefix}{name}.", depth + 1)

    def _tensors(self, table: Table) -> Iterator[tuple[str, Tensor]]:
        for name, value in self._named(table):
            if isinstance(value, Tensor):
                self._tensors_left -= 1
                if self._tensors_left < 0:
                    raise DamagedError("more tensors than any network has")
                yield name, value
            kind = _unread_kind(value)
            if kind:
                raise UnreadableError(kind)

    def _named(self, table: Table) -> Iterator[tuple[str, Any]]:
        """The entries that have a name; the others are no weights."""
        self._entries_left -= len(table.pairs)
        if self._entries_left < 0:
            raise DamagedError("more entries than any checkpoint has")
        return ((name, value) for key, value in table.pairs if (name := _name(key)))


def _unread_kind(value: Any) -> str:
    """Which kind of tensor a value is that is not read here; nothing where it is none."""
    if isinstance(value, Record) and isinstance(value.maker, Named):
        return UNREADABLE.get(value.maker.name, "")
    return ""


def _name(key: Any) -> str:
    """What a network may call its weights: printable text, or a number; else nothing."""
    if isinstance(key, int) and abs(key) < 1 << 63:
        return str(key)
    if isinstance(key, str) and len(key) <= _LONGEST_NAME and key.isprintable():
        return key
    return ""


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    # numpy has no bfloat16.
    return np.asarray((tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy())


def _plain(arrays: Arrays) -> Arrays:
    if arrays and all(key.startswith("module.") for key in arrays):
        return {key.removeprefix("module."): value for key, value in arrays.items()}
    return arrays
