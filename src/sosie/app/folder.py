"""One swap after another over several targets: one bad file does not stop the others."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sosie.app.error_messages import describe
from sosie.app.input_kinds import files_in, folders_in
from sosie.app.requests import INTERRUPTED
from sosie.errors import (
    InputError,
    InterruptedSwapError,
    NoFaceError,
    SosieError,
    UsageError,
)
from sosie.media.kinds import Kind, kind_of, require_kind
from sosie.output import make_folder

if TYPE_CHECKING:
    from sosie.types import SwapReport

SwapFile = Callable[[Path, Kind, Path], "SwapReport"]
"""Swaps one target (path, kind) into an output."""

_NUMBERED = re.compile(r"(.*?)(\d+)(\.\w+)")
_SECOND_OF_FRAMES = 24


@dataclass(frozen=True)
class Failure:
    """A target that was not swapped, and why: one sentence and the exit code that goes with it."""

    target: str
    error: str
    exit_code: int


@dataclass(frozen=True)
class Batch:
    """What several targets stand for, to be swapped one after another into one folder.

    media: photos and videos. ignored: files of other kinds that lie in a folder. folders: those
    inside a target folder, which are not looked into. notes: sentences for the user.
    """

    media: tuple[tuple[Path, Kind], ...]
    ignored: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


def collect(targets: Sequence[Path], output: Path) -> Batch:
    """The photos and videos that targets stand for: files, and folders with what lies directly in
    them.

    Raises InputError where a target is no photo, video or folder, or a folder has nothing to swap;
    UsageError or OutputError where results cannot go into the folder `output`.
    """
    check_folders(targets, output)
    media: list[tuple[Path, Kind]] = []
    ignored: list[Path] = []
    folders: list[Path] = []
    notes: list[str] = []
    for target in targets:
        if not target.is_dir():
            media.append((target, require_kind(target)))
            continue
        kinds = [(path, kind_of(path)) for path in files_in(target)]
        found = [(path, kind) for path, kind in kinds if kind is not None]
        if not found:
            raise InputError(f"The folder {target} holds no photo and no video; give another one.")
        media += found
        ignored += [path for path, kind in kinds if kind is None]
        folders += [path for path in folders_in(target) if path.resolve() != output.resolve()]
        notes += sequence_notes(target, [path for path, kind in found if kind == "photo"])
    _refuse_twins(media)
    return Batch(tuple(media), tuple(ignored), tuple(folders), tuple(notes))


def sequence_notes(folder: Path, photos: Sequence[Path]) -> list[str]:
    """A sentence where the photos of a folder look like the frames of a video, else nothing.

    They do where one name with successive numbers is that of all, and they are a second of video.
    """
    names = [_NUMBERED.fullmatch(path.name) for path in photos]
    found = [match for match in names if match]
    if len(found) < max(_SECOND_OF_FRAMES, len(photos)):
        return []
    if len({(match[1], match[3]) for match in found}) > 1:
        return []
    numbers = sorted(int(match[2]) for match in found)
    if numbers[-1] - numbers[0] != len(numbers) - 1:
        return []
    lengths = {len(match[2]) for match in found}
    number = f"%0{lengths.pop()}d" if len(lengths) == 1 else "%d"
    pattern = folder / f"{found[0][1].replace('%', '%%')}{number}{found[0][3]}"
    video = shlex.quote(f"{folder.resolve().name}.mkv")
    note = (
        f"{folder} looks like {len(found)} frames of one video, but each is swapped as a photo "
        f"that knows nothing of the others; for steady faces join them and swap that video: ffmpeg "
        f"-framerate 25 -start_number {numbers[0]} -i {shlex.quote(str(pattern))} -c:v ffv1 {video}"
    )
    return [note]


def check_folders(targets: Sequence[Path], output: Path) -> None:
    """Raises UsageError where results of `targets` cannot go into `output`."""
    if output.exists() and not output.is_dir():
        what = f"{targets[0]} is a folder" if len(targets) == 1 else "There are several targets"
        raise UsageError(f"{what} and {output} is a file; give a folder for the results.")
    for target in targets:
        folder = target if target.is_dir() else target.parent
        if output.resolve() == folder.resolve():
            raise UsageError(
                f"The output {output} is the target's own folder; give another one for the results."
            )


def _refuse_twins(media: Sequence[tuple[Path, Kind]]) -> None:
    """Raises UsageError where two results would have one name."""
    taken: dict[str, Path] = {}
    for target, kind in media:
        name = result_name(target, kind)
        if name in taken:
            raise UsageError(
                f"The results of {taken[name]} and {target} would both be called {name}; give them "
                f"in two runs, with a folder each."
            )
        taken[name] = target


def swap_each(
    media: Iterable[tuple[Path, Kind]], output: Path, swap_file: SwapFile
) -> Iterator[SwapReport | Failure]:
    """What became of each target, in order, and the last is the one at which the user stopped.

    Results keep their targets' names. `output` is created where it does not exist, and is not
    left behind empty. Raises OutputError where it cannot be created.
    """
    is_new = not output.exists()
    make_folder(output)
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
    """The target's own name, with `.png`, `.mkv` or `.apng` added to one that is not written."""
    from sosie.media.animation_write import ANIMATION_FORMATS
    from sosie.media.encoders import VIDEO_EXTENSIONS
    from sosie.media.image_write import WRITABLE

    suffix = target.suffix.lower()
    if kind == "photo":
        return target.name if suffix in WRITABLE else target.name + ".png"
    if suffix in VIDEO_EXTENSIONS or suffix in ANIMATION_FORMATS:
        return target.name
    return target.name + (".apng" if suffix == ".png" else ".mkv")


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
