"""Arrays on disk that are whole or absent, however a run ends, and caches of them that processes
make in parts."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sosie.output import atomic_output
from sosie.stops import leave_stops

Result = TypeVar("Result")
Columns = dict[str, NDArray[Any]]

_log = logging.getLogger(__name__)


def save_arrays(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as an .npz file; its folder is made where need be."""
    file.parent.mkdir(parents=True, exist_ok=True)
    # By an open file: to a path, numpy would add an ending.
    with (
        atomic_output(file, overwrite=True, durable=False) as pending,
        pending.path.open("wb") as opened,
    ):
        np.savez(opened, **arrays)


def load_arrays(file: Path) -> Columns:
    """What `save_arrays` wrote."""
    with np.load(file, allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}


@contextmanager
def new_bytes(file: Path, shape: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    """A new .npy file of uint8, mapped to be filled; it is there when the block ends."""
    with atomic_output(file, overwrite=True, durable=False) as pending:
        array: NDArray[np.uint8] = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
            pending.path, mode="w+", dtype=np.uint8, shape=shape
        )
        yield array
        array.flush()  # type: ignore[attr-defined]


def short_hash(text: str) -> str:
    """What the name of a cache ends with; `text` says all that it is made from."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def in_processes(
    work: Callable[..., Result], jobs: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[tuple[int, Result]]:
    """The number of each job and `work(*job)`, as they are done, in processes of their own.

    workers: how many; 0 works here, in order. Requests to stop are left to this process.
    """
    if not workers:
        for number, job in enumerate(jobs):
            yield number, work(*job)
        return
    # A fresh interpreter each: the threads of some networks do not survive a fork.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=fresh, initializer=leave_stops) as pool:
        futures = {pool.submit(work, *job): number for number, job in enumerate(jobs)}
        for future in as_completed(futures):
            yield futures[future], future.result()


def open_cache(
    folder: Path,
    table: str,
    mapped: Collection[str],
    work: Callable[..., None],
    parts: Callable[[], Sequence[tuple[tuple[Any, ...], int]]],
    *,
    workers: int,
    common: Collection[str] = (),
    finish: Callable[[Columns], Columns] = lambda columns: columns,
) -> Columns:
    """The arrays of a cache in `folder`; it is made in parts first where need be.

    table: the .npz of all arrays but those that are `mapped`: uint8, in a .npy each. work: writes a
    part, `work(file, *job)`. parts: what gives the job of each part, and how many pictures it has
    (for the log). workers: see `in_processes`. common: arrays that are the same in all parts; the
    others are put one after another, and numbers added up. finish: changes the table's arrays
    before they are written.

    What an interrupted run has left of parts is kept. The table comes last: where it is, the cache
    is whole.
    """
    if not (folder / table).exists():
        jobs = parts()
        files = [folder / f"rows-{number:05}.npz" for number in range(len(jobs))]
        _make_missing(files, work, jobs, workers)
        save_arrays(folder / table, finish(_merged(files, mapped, common)))
        for file in files:
            file.unlink()
    maps = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in mapped}
    return maps | load_arrays(folder / table)


def _make_missing(
    files: Sequence[Path],
    work: Callable[..., None],
    jobs: Sequence[tuple[tuple[Any, ...], int]],
    workers: int,
) -> None:
    missing = [(file, *job) for file, job in zip(files, jobs, strict=True) if not file.exists()]
    total, done, started = sum(size for _, _, size in missing), 0, time.monotonic()
    wanted = [(file, *job) for file, job, _ in missing]
    for number, _ in in_processes(work, wanted, workers):
        done += missing[number][2]
        rate = done / max(time.monotonic() - started, 1e-9)
        name = files[0].parent.name.split("-")[0]
        _log.info("%s: %d of %d pictures, %.1f a second", name, done, total, rate)


def _merged(files: Sequence[Path], mapped: Collection[str], common: Collection[str]) -> Columns:
    """The table of all parts; what is mapped is written beside them."""
    columns: dict[str, list[NDArray[Any]]] = {}
    shapes: dict[str, list[tuple[int, ...]]] = {name: [] for name in mapped}
    for file in files:
        with np.load(file, allow_pickle=False) as kept:
            for name in kept.files:
                if name in mapped:
                    shapes[name].append(_shape_in(kept, name))
                else:
                    columns.setdefault(name, []).append(kept[name])
    for name in mapped:
        row, total = 0, sum(shape[0] for shape in shapes[name])
        rest = max((shape[1:] for shape in shapes[name]), key=len)
        with new_bytes(files[0].with_name(f"{name}.npy"), (total, *rest)) as array:
            for file, shape in zip(files, shapes[name], strict=True):
                if shape[0]:
                    with np.load(file, allow_pickle=False) as kept:
                        array[row : row + shape[0]] = kept[name]
                    row += shape[0]
    return {
        name: values[-1] if name in common else _joined(values) for name, values in columns.items()
    }


def _joined(values: list[NDArray[Any]]) -> NDArray[Any]:
    if values[0].ndim == 0:
        return np.asarray(sum(values))
    # A part without rows need not know the shape of one.
    return np.concatenate([value for value in values if len(value)] or values[:1])


def _shape_in(kept: Any, name: str) -> tuple[int, ...]:
    """The shape of an array in an open .npz file, which is not read for it."""
    form: Any = np.lib.format
    with kept.zip.open(f"{name}.npy") as opened:
        form.read_magic(opened)
        shape: tuple[int, ...] = form.read_array_header_1_0(opened)[0]
    return shape
