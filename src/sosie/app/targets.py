"""What a target is: a photo, a film or a folder of them, told by its content."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from sosie.errors import InputError
from sosie.files import require_file

Kind = Literal["photo", "film"]

PHOTO_SUFFIXES = {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
FILM_SUFFIXES = {
    ".avi", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ts",
    ".webm", ".wmv",
}  # fmt: skip


def kind_of(path: Path) -> Kind | None:
    """`photo` or `film`, and None for a file of another kind.

    The content decides. Only where it says nothing does the name: a broken `.jpg` is a photo, so
    that loading it says what is wrong with it. Raises InputError where `path` does not exist, or is
    a folder, a pipe or a device.
    """
    from sosie.media.image import is_photo

    if not path.is_file():
        require_file(path, "picture or film")
    if is_photo(path):
        return "photo"
    suffix = path.suffix.lower()
    if suffix in PHOTO_SUFFIXES:
        return "photo"
    if suffix in FILM_SUFFIXES or _is_film(path):
        return "film"
    return None


def require_kind(path: Path) -> Kind:
    """As `kind_of`, with InputError for a file of another kind."""
    kind = kind_of(path)
    if kind is None:
        raise InputError(
            f"{path} is neither a photo nor a film that can be read; give a picture "
            "(JPEG, PNG, TIFF, WebP, ...) or a film (MP4, MKV, MOV, WebM, ...)."
        )
    return kind


def files_in(folder: Path) -> list[Path]:
    """The files that lie directly in a folder, by name, without hidden ones."""
    files = (path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
    return sorted(files)


def _is_film(path: Path) -> bool:
    from sosie.media.probe import opened, video_stream

    try:
        with opened(path) as container:
            video_stream(container, path)
    except InputError:
        return False
    return True
