"""What a target is: a photo or a video, told by its content."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from sosie.errors import InputError
from sosie.files import require_file

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


def _is_video(path: Path) -> bool:
    from sosie.media.probe import opened, video_stream

    try:
        with opened(path) as container:
            video_stream(container, path)
    except InputError:
        return False
    return True
