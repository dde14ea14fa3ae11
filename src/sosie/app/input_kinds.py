"""What a target is: a photo, a video or a folder of them, told by its content."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from sosie.errors import InputError
from sosie.files import require_file
from sosie.options import SwapOptions

Kind = Literal["photo", "video"]

PHOTO_SUFFIXES = {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
VIDEO_SUFFIXES = {
    ".avi", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ts",
    ".webm", ".wmv",
}  # fmt: skip


def kind_of(path: Path) -> Kind | None:
    """`photo` or `video`, and None for a file of another kind.

    The content decides. Only where it says nothing does the name: a broken `.jpg` is a photo, so
    that loading it says what is wrong with it. Raises InputError where `path` does not exist, or is
    a folder, a pipe or a device.
    """
    from sosie.media.animation import is_animation
    from sosie.media.image import is_photo
    from sosie.media.sequence_names import sequence_name

    if sequence_name(path) is not None:
        return "video"
    if not path.is_file():
        require_file(path, "picture or video")
    if is_photo(path):
        return "video" if is_animation(path) else "photo"
    suffix = path.suffix.lower()
    if suffix in PHOTO_SUFFIXES:
        return "photo"
    if suffix in VIDEO_SUFFIXES or _is_video(path):
        return "video"
    return None


def require_kind(path: Path) -> Kind:
    """As `kind_of`, with InputError for a file of another kind."""
    kind = kind_of(path)
    if kind is None:
        raise InputError(
            f"{path} is neither a photo nor a video that can be read; give a picture "
            "(JPEG, PNG, TIFF, WebP, ...) or a video (MP4, MKV, MOV, WebM, ...)."
        )
    return kind


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

        check_written(output, options.codec, options.crf, options.preset, options.overwrite)


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


def _is_video(path: Path) -> bool:
    from sosie.media.probe import opened, video_stream

    try:
        with opened(path) as container:
            video_stream(container, path)
    except InputError:
        return False
    return True
