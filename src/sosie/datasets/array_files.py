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


def make_parts(
    folder: Path,
    work: Callable[..., None],
    jobs: Sequence[tuple[Any, ...]],
    sizes: Sequence[int],
    workers: int,
) -> list[Path]:
    """The files of all parts of a cache, in order: `work(file, *job)` writes each.

    Those that an earlier run left in `folder` are kept. sizes: pictures of each part, for the log.
    """
    files = [folder / f"rows-{number:05}.npz" for number in range(len(jobs))]
    missing = [number for number, file in enumerate(files) if not file.exists()]
    name, total = folder.name.split("-")[0], sum(sizes[number] for number in missing)
    done, started = 0, time.monotonic()
    wanted = [(files[number], *jobs[number]) for number in missing]
    for place, _ in in_processes(work, wanted, workers):
        done += sizes[missing[place]]
        rate = done / max(time.monotonic() - started, 1e-9)
        _log.info("%s: %d of %d pictures, %.1f a second", name, done, total, rate)
    return files


def merge_parts(
    files: Sequence[Path],
    table: Path,
    mapped: Mapping[str, Path],
    *,
    common: Collection[str] = (),
    finish: Callable[[Columns], Columns] = lambda columns: columns,
) -> None:
    """Make one of all parts, and remove them: their arrays one after another, numbers added up.

    table: the .npz of all but what is `mapped`, name -> .npy file of uint8. common: arrays that are
    the same in all parts. finish: changes the table's arrays before they are written. The table
    comes last: where it is, the cache is whole.
    """
    columns: dict[str, list[NDArray[Any]]] = {}
    shapes: dict[str, list[tuple[int, ...]]] = {name: [] for name in mapped}
    for file in files:
        with np.load(file, allow_pickle=False) as kept:
            for name in kept.files:
                if name in mapped:
                    shapes[name].append(_shape_in(kept, name))
                else:
                    columns.setdefault(name, []).append(kept[name])
    for name, target in mapped.items():
        row, total = 0, sum(shape[0] for shape in shapes[name])
        rest = max((shape[1:] for shape in shapes[name]), key=len)
        with new_bytes(target, (total, *rest)) as array:
            for file, shape in zip(files, shapes[name], strict=True):
                if shape[0]:
                    with np.load(file, allow_pickle=False) as kept:
                        array[row : row + shape[0]] = kept[name]
                    row += shape[0]
    merged = {
        name: values[-1] if name in common else _joined(values) for name, values in columns.items()
    }
    save_arrays(table, finish(merged))
    for file in files:
        file.unlink()


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
