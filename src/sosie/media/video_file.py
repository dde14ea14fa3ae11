"""The file that a video is written to, with room kept for its end."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from sosie.output import FULL

_STEP = 1 << 20
"""Bytes by which the room that is kept grows."""


class VideoFile:
    """A file object for FFmpeg that can end a video when the disk is full.

    Behind its pictures a video needs an index, without which many kinds do not play. So room is
    kept on the disk (`reserve`), in a file without a name, which goes away with the process. When
    the disk is full that room is given up, and what is written from then on goes into it. `error`
    then says so, None before: the video has to be ended.
    """

    def __init__(self, path: Path) -> None:
        """Creates the file, or empties one that is there. Raises OSError where that fails."""
        self.name = str(path)
        self.error: OSError | None = None
        self._folder = path.absolute().parent
        self._file = path.open("wb", buffering=0)
        self._room: IO[Any] | None = None
        self._reserved = 0

    def reserve(self, size: int) -> None:
        """Keeps room for at least `size` more bytes. Where there is not even that much, the disk is
        full."""
        if self.error is not None or size <= self._reserved:
            return
        size += _STEP
        try:
            if self._room is None:
                self._room = tempfile.TemporaryFile(dir=self._folder, prefix=".", buffering=0)  # noqa: SIM115
            _allocate(self._room, self._reserved, size - self._reserved)
        except OSError as error:
            if error.errno in FULL:
                self._give_up(error)
                return
            # A file system without such files: it has to do without.
        self._reserved = size

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._file.write(rest) :]
            except OSError as error:
                if error.errno not in FULL or self.error is not None:
                    raise
                self._give_up(error)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def release(self) -> None:
        """Lets go of the file and of the room."""
        self._file.close()
        self._give_room_back()

    def _give_up(self, error: OSError) -> None:
        self.error = error
        self._give_room_back()

    def _give_room_back(self) -> None:
        if self._room is not None:
            with suppress(OSError):
                self._room.close()
            self._room = None


def _allocate(file: IO[Any], offset: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), offset, size)
    else:
        file.seek(offset)
        file.write(bytes(size))
