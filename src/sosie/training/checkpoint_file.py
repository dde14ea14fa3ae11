"""Published checkpoints as arrays, without running anything that is in the file.

A pickle is a program. PyTorch's `weights_only` reader runs none of it but what builds tensors, and
refuses the rest. Where a whole module was pickled instead of its weights, a second reader puts
inert records in the place of every class that the file names, and takes the tensors out of them.
"""

from __future__ import annotations

import pickle
import types
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from sosie.errors import InputError

Arrays = dict[str, NDArray[Any]]

_DEPTH = 4
"""Weights lie no deeper than this in a checkpoint's dictionaries."""

_PICKLES = (b"\x80", b"PK")
"""How PyTorch's files begin: before version 1.6, and since (a zip)."""

_TENSOR_MAKERS = {
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
}


def read_checkpoint(file: Path) -> dict[str, Arrays]:
    """Every collection of weights in a checkpoint, by its place in it ("" for the file itself).

    file: .safetensors, or what `torch.save` wrote, whatever its ending: of tensors, of
    dictionaries of tensors, or of a module. Names lose a leading "module.", which data-parallel
    training leaves. Raises InputError where there is no such file, where it is of another kind or
    damaged, and where it holds no weights.
    """
    if not file.is_file():
        raise InputError(f"There is no file {file}: name a checkpoint.")
    with file.open("rb") as opened:
        start = opened.read(16)
    if file.suffix == ".safetensors":
        return {"": _plain(_safetensors(file))}
    if file.suffix == ".onnx":
        raise InputError(
            f"{file} is an ONNX file, which runs as it is: "
            f"`sosie swap --method onnx --model {file.name}`."
        )
    if not start.startswith(_PICKLES):
        raise InputError(
            f"{file} is no checkpoint: it was written neither by PyTorch nor as .safetensors; "
            f"name another."
        )
    found = {place: _plain(arrays) for place, arrays in _collections(_unpickled(file))}
    if not found:
        raise InputError(f"{file} holds no weights: name another.")
    return found


def _safetensors(file: Path) -> Arrays:
    try:
        with safe_open(file, "pt") as opened:
            return {key: _array(opened.get_tensor(key)) for key in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{file} is no .safetensors file, or it is damaged ({error}): name another."
        ) from error


def _unpickled(file: Path) -> Any:
    if _is_program(file):
        raise InputError(
            f"{file} is a TorchScript program, which would have to be run: save its state_dict, "
            f"and name that file."
        )
    # Damaged files make either reader fail in any way, so the second one decides.
    with suppress(Exception):
        return torch.load(file, map_location="cpu", weights_only=True)
    try:
        with warnings.catch_warnings():
            # For the same reason it warns that a record's source is not the module's.
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=False, pickle_module=_INERT)
    except Exception as error:
        raise InputError(
            f"{file} is damaged, cut short, or no checkpoint of PyTorch: get it again."
        ) from error


def _is_program(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(PurePath(name).name == "constants.pkl" for name in archive.namelist())


class _Record:
    """Stands for an object of any class that a pickle names: keeps its state and does nothing."""

    # PyTorch's oldest files carry the source of modules, and it is asked whether to write a patch.
    dump_patches: ClassVar[bool] = False

    def __init__(self, *_: Any, **__: Any) -> None:
        self.state: Any = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        pass

    def extend(self, values: Any) -> None:
        pass

    def add(self, value: Any) -> None:
        pass


class _InertUnpickler(pickle.Unpickler):
    """Calls nothing that a file names but what assembles tensors and dictionaries of them."""

    storages: ClassVar[dict[str, type]] = {
        name: getattr(torch, name) for name in dir(torch) if name.endswith("Storage")
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _TENSOR_MAKERS:
            return getattr(torch._utils, name)
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in self.storages:
            return self.storages[name]
        return _Record


def _load_inert(opened: Any, **settings: Any) -> Any:
    return _InertUnpickler(opened, **settings).load()


_INERT = types.ModuleType("inert_pickle", "What `torch.load` takes for the module `pickle`.")
vars(_INERT).update(
    Unpickler=_InertUnpickler, load=_load_inert, UnpicklingError=pickle.UnpicklingError
)


def _collections(value: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, Arrays]]:
    """Dictionaries of tensors and modules within a checkpoint, the outer ones first."""
    if isinstance(value, _Record):
        arrays = dict(_of_module(value))
        if arrays:
            yield place, arrays
        return
    if not isinstance(value, dict) or depth > _DEPTH:
        return
    tensors = {
        str(key): _array(entry) for key, entry in value.items() if isinstance(entry, torch.Tensor)
    }
    if tensors:
        yield place, tensors
    for key, entry in value.items():
        inner = f"{place}.{key}" if place else str(key)
        yield from _collections(entry, inner, depth + 1)


def _of_module(record: _Record, prefix: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """The parameters and buffers of a pickled module, by their dotted names."""
    state = record.state if isinstance(record.state, dict) else {}
    for kind in ("_parameters", "_buffers"):
        for name, value in (state.get(kind) or {}).items():
            if isinstance(value, torch.Tensor):
                yield prefix + name, _array(value)
    for name, child in (state.get("_modules") or {}).items():
        if isinstance(child, _Record):
            yield from _of_module(child, f"{prefix}{name}.")


def _array(tensor: torch.Tensor) -> NDArray[Any]:
    tensor = tensor.detach().cpu()
    # numpy has no bfloat16.
    return np.asarray((tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy())


def _plain(arrays: Arrays) -> Arrays:
    if arrays and all(key.startswith("module.") for key in arrays):
        return {key.removeprefix("module."): value for key, value in arrays.items()}
    return arrays
