"""A small picture of the work in progress, renewed while a video is being made."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
from numpy.typing import NDArray
from PIL import Image

from sosie.errors import OutputError, UsageError
from sosie.files import StrPath
from sosie.media.sheet import as_bytes
from sosie.output import atomic_output, check_output
from sosie.types import Pixels

_SUFFIXES = (".jpg", ".jpeg")
_EVERY_S = 2.0
_LONGER_PX, _QUALITY = 960, 85
# By this comment in a file it is known that it may be replaced.
_MARK = b"Sosie shows its work here and replaces this picture."
_LAST_WRITE_S = 5.0


def check_watch(path: StrPath, inputs: Iterable[StrPath], overwrite: bool) -> None:
    """Raises UsageError where the name is that of no JPEG, or of an input or output; OutputError
    where the file cannot be written. One that an earlier run has left may be replaced.
    """
    if Path(path).suffix.lower() not in _SUFFIXES:
        raise UsageError(
            f"The picture to watch is a JPEG: {path} is not; name it {Path(path).stem}.jpg."
        )
    check_output(path, inputs, overwrite or _is_own(Path(path)))


class WatchFile:
    """The picture. It is renewed at most once in two seconds, whole each time: who reads it never
    meets half a file. What cannot be written does not disturb the work.

    notes: a sentence where it could not be written.
    """

    def __init__(self, path: StrPath) -> None:
        """path: as `check_watch` found it good."""
        self.notes: tuple[str, ...] = ()
        self._path = Path(path)
        self._next_s = -1.0
        self._writing: threading.Thread | None = None

    @property
    def is_due(self) -> bool:
        """Whether it is time for another picture."""
        is_busy = self._writing is not None and self._writing.is_alive()
        return not self.notes and not is_busy and time.monotonic() >= self._next_s

    def show(self, pixels: Pixels, sample_aspect: float = 1.0) -> None:
        """Writes a frame, RGB, h x w x 3, uint8 or uint16. sample_aspect: width over height of its
        pixels. The disk is not waited for."""
        self._next_s = time.monotonic() + _EVERY_S
        width, height = pixels.shape[1] * sample_aspect, float(pixels.shape[0])
        scale = min(1.0, _LONGER_PX / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = as_bytes(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
        self._writing = threading.Thread(target=self._write, args=[small], daemon=True)
        self._writing.start()

    def close(self) -> None:
        """Waits for the last picture, but not for a disk that does not answer."""
        if self._writing is not None:
            self._writing.join(_LAST_WRITE_S)

    def _write(self, pixels: NDArray[Any]) -> None:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY, comment=_MARK)
        try:
            with atomic_output(self._path, overwrite=True, durable=False) as pending:
                pending.path.write_bytes(buffer.getvalue())
        except OutputError as error:
            self.notes = (f"The picture to watch was not renewed any more: {error}",)


def show_once(path: StrPath, pixels: Pixels) -> None:
    """Writes one picture, such as that of a photo that was swapped."""
    watched = WatchFile(path)
    watched.show(pixels)
    watched.close()


def _is_own(path: Path) -> bool:
    with suppress(Exception), Image.open(path, formats=("JPEG",)) as picture:
        return picture.info.get("comment") == _MARK
    return False
