"""What the words of a command line stand for: targets, patterns and folders of them."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

from sosie.errors import InputError
from sosie.media.kinds import Kind
from sosie.options import SwapOptions


def result_of(target: Path, output: Path) -> Path:
    """The output, with a sequence's own names where it is a folder for one. Raises InputError where
    the target is a folder without a sequence."""
    from sosie.media.targets import result_path

    return result_path(target, output)


def check_result(output: Path, kind: Kind, options: SwapOptions) -> None:
    """Raises an error, before any work, where the name of the output is that of a folder, or means
    no photo, or no video of the codec, that can be written."""
    if output.is_dir():
        from sosie.output import check_output

        check_output(output)
    if kind == "photo":
        from sosie.media.image_write import photo_format

        photo_format(output)
    else:
        from sosie.media.writers import check_written
        from sosie.swapping.work import is_being_placed

        replaced = options.overwrite or is_being_placed(output, options.work)
        check_written(output, options.codec, options.crf, options.preset, replaced)


def files_in(folder: Path) -> list[Path]:
    """The files that lie directly in a folder, by name, without hidden ones."""
    files = (path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
    return sorted(files)


def folders_in(folder: Path) -> list[Path]:
    """The folders that lie directly in a folder, by name, without hidden ones."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")


def expand(patterns: Iterable[Path]) -> list[Path]:
    """The paths, each that does not exist and holds `*`, `?` or `[` replaced by all that fit it.

    So a pattern works that no shell has expanded; `**` stands for any folders. Raises InputError
    where nothing fits.
    """
    expanded: list[Path] = []
    for pattern in patterns:
        if is_pattern(pattern):
            found = glob.glob(str(pattern), recursive=True)  # noqa: PTH207 (Path.glob has no root)
            if not found:
                raise InputError(f"No file fits {pattern}; check the pattern.")
            expanded += map(Path, sorted(found))
        else:
            expanded.append(pattern)
    return expanded


def is_pattern(path: Path) -> bool:
    """Whether a path is to be replaced by all that fit it."""
    return not os.path.lexists(path) and glob.has_magic(str(path))
