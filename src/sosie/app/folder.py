"""One swap after another over a folder: one bad file does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sosie.app.faults import describe
from sosie.app.requests import INTERRUPTED
from sosie.app.targets import Kind, files_in, kind_of
from sosie.errors import (
    InputError,
    InterruptedSwapError,
    NoFaceError,
    OutputError,
    SosieError,
    UsageError,
)

if TYPE_CHECKING:
    from sosie.types import SwapReport

SwapFile = Callable[[Path, Kind, Path], "SwapReport"]
"""Swaps one target (path, kind) into an output."""


@dataclass(frozen=True)
class Failure:
    """A target that was not swapped, and why: one sentence and the exit code that goes with it."""

    target: str
    error: str
    exit_code: int


def media_in(folder: Path) -> tuple[list[tuple[Path, Kind]], list[Path]]:
    """The photos and films that lie directly in a folder, and the files of other kinds.

    Raises InputError where there is nothing to swap.
    """
    kinds = [(path, kind_of(path)) for path in files_in(folder)]
    media = [(path, kind) for path, kind in kinds if kind is not None]
    if not media:
        raise InputError(f"The folder {folder} holds no photo and no film; give another one.")
    return media, [path for path, kind in kinds if kind is None]


def check_folders(target: Path, output: Path) -> None:
    """Raises UsageError or OutputError where results of `target` cannot go into `output`."""
    if output.exists() and not output.is_dir():
        raise UsageError(
            f"{target} is a folder and {output} is a file; give a folder for the results."
        )
    if output.resolve() == target.resolve():
        raise UsageError(
            f"The output {output} is the target's own folder; give another one for the results."
        )


def swap_each(
    media: Iterable[tuple[Path, Kind]], output: Path, swap_file: SwapFile
) -> Iterator[SwapReport | Failure]:
    """What became of each target, in order, and the last is the one at which the user stopped.

    Results keep their targets' names. `output` is created where it does not exist, and is not
    left behind empty. Raises OutputError where it cannot be created.
    """
    is_new = not output.exists()
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {output} cannot be created ({error.strerror}); give another one."
        ) from error
    try:
        for target, kind in media:
            outcome = _attempt(target, kind, output / result_name(target, kind), swap_file)
            yield outcome
            if isinstance(outcome, Failure) and outcome.exit_code == InterruptedSwapError.exit_code:
                return
    finally:
        if is_new:
            with suppress(OSError):
                output.rmdir()


def result_name(target: Path, kind: Kind) -> str:
    """The target's own name, with `.png` or `.mkv` added where its format is not written."""
    from sosie.media.encoders import FILM_EXTENSIONS
    from sosie.media.image_write import WRITABLE

    written, general = (WRITABLE, ".png") if kind == "photo" else (FILM_EXTENSIONS, ".mkv")
    return target.name if target.suffix.lower() in written else target.name + general


def folder_exit_code(failures: Iterable[Failure]) -> int:
    """0 without failures, 3 where all lack a face, 4 where the user stopped, otherwise 1."""
    codes = {failure.exit_code for failure in failures}
    if InterruptedSwapError.exit_code in codes:
        return InterruptedSwapError.exit_code
    if codes == {NoFaceError.exit_code}:
        return NoFaceError.exit_code
    return SosieError.exit_code if codes else 0


def _attempt(target: Path, kind: Kind, output: Path, swap_file: SwapFile) -> SwapReport | Failure:
    try:
        return swap_file(target, kind, output)
    except SosieError as error:
        return Failure(str(target), describe(error), error.exit_code)
    except KeyboardInterrupt:
        return Failure(str(target), INTERRUPTED, InterruptedSwapError.exit_code)
    except Exception as error:
        return Failure(str(target), f"{target}: {describe(error)}", SosieError.exit_code)
