"""Work folders of runs that were stopped and not resumed yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sosie.errors import InputError, UsageError


@dataclass(frozen=True)
class Leftover:
    """A work folder that no process is at. output: what it is of. frames: how many it has."""

    folder: Path
    output: Path
    frames: int
    size_bytes: int


def leftovers(folders: Iterable[Path]) -> list[Leftover]:
    """Those that lie directly in some folders, by name."""
    from sosie.swapping.work import SUFFIX, is_at_work

    found = []
    for folder in sorted({folder.absolute() for folder in folders if folder.is_dir()}):
        paths = (path for path in sorted(folder.glob(f"*{SUFFIX}")) if path.is_dir())
        found += [_leftover(path) for path in paths if not is_at_work(path)]
    return found


def remove_leftover(folder: Path) -> None:
    """Removes a work folder. Raises UsageError where a process is at it, or it is none."""
    import shutil

    from sosie.swapping.work import SUFFIX, is_at_work

    if not (folder.is_dir() and folder.name.endswith(SUFFIX)):
        raise UsageError(f"{folder} is no work folder; `sosie jobs list` names them.")
    if is_at_work(folder):
        raise UsageError(f"A process is at work in {folder}; stop that first.")
    shutil.rmtree(folder)


def _leftover(folder: Path) -> Leftover:
    from sosie.swapping.work import frames_in, read_job

    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    try:
        output = Path(read_job(folder)["output"])
    except InputError:
        output = folder
    return Leftover(folder, output, frames_in(folder), size)
