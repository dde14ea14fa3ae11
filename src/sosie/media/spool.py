"""Room for frames that wait for later ones: so many bytes in memory, the others on the disk."""

from __future__ import annotations

import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from sosie.errors import OutputError
from sosie.files import StrPath
from sosie.media.pixel_formats import Converter, plane_array

IN_MEMORY_BYTES = 64 << 20
"""So many bytes of the frames that wait stay in memory: some 20 frames of 1080p with 8 bits."""

# The file takes at most this share of what is free on its disk, which the output needs too.
_LARGEST_SHARE = 1 / 4
# What stays of a frame on the disk: its times, tags and side data, and as many pixels as swscale
# needs to work.
_HUSK_PX = (16, 16)


class Spool:
    """Keeps the frames of one video, which are of one size. Threads may share it.

    Its file has no name, lies beside the output, and goes away with the process. Where it cannot
    grow, frames stay in memory. Close it, or use it as a context manager.
    """

    def __init__(self, output: StrPath, in_memory_bytes: int = IN_MEMORY_BYTES) -> None:
        self._output = Path(output)
        self._left = in_memory_bytes
        # Frames are let go of at any moment, in the middle of `put` too.
        self._lock = threading.RLock()
        self._file: Any = None
        self._most = self._end = 0
        self._free: list[int] = []

    def put(self, frame: VideoFrame, converter: Converter) -> Spooled:
        """Takes a frame, of which the caller keeps nothing. converter: the video's."""
        planes = [plane_array(frame, index) for index in range(len(frame.planes))]
        size = sum(plane.nbytes for plane in planes)
        with self._lock:
            if size <= self._left:
                self._left -= size
                return Spooled(self, frame, size)
            place = self._room(size)
            if place is None:
                return Spooled(self, frame, 0)
            try:
                self._write(place, planes)
            except (OSError, ValueError):  # ValueError: the spool is closed
                self._most = 0
                return Spooled(self, frame, 0)
        return Spooled(self, converter.scaled(frame, *_HUSK_PX), size, place, converter)

    def fetch(self, place: int, planes: list[NDArray[Any]]) -> None:
        """Fills the planes of a frame. Raises OutputError where the disk fails."""
        with self._lock:
            try:
                assert self._file is not None, "something was written"
                self._file.seek(place)
                for plane in planes:
                    whole = np.empty(plane.shape, plane.dtype)
                    rest = whole.data.cast("B")
                    while rest:
                        count = self._file.readinto(rest)
                        if not count:
                            raise OSError("the file is shorter than it was")
                        rest = rest[count:]
                    plane[...] = whole
            except (OSError, ValueError) as error:
                raise OutputError(
                    f"The frames that waited beside {self._output} could not be read again "
                    f"({error}); check the disk, or write to another one."
                ) from error

    def free(self, size: int, place: int | None) -> None:
        """What was put there, or in memory, is not kept any more."""
        with self._lock:
            if place is None:
                self._left += size
            else:
                self._free.append(place)

    def close(self) -> None:
        """Lets go of the file: what is in it is lost."""
        with self._lock, suppress(OSError):
            if self._file is not None:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _room(self, size: int) -> int | None:
        """Where in the file so many bytes may go, None where there is no room."""
        if self._file is None:
            try:
                folder = self._output.absolute().parent
                self._most = int(shutil.disk_usage(folder).free * _LARGEST_SHARE)
                self._file = tempfile.TemporaryFile(dir=folder, prefix=".", buffering=0)  # noqa: SIM115
            except OSError:
                return None
        if self._free:
            return self._free.pop()
        if self._end + size > self._most:
            return None
        self._end += size
        return self._end - size

    def _write(self, place: int, planes: list[NDArray[Any]]) -> None:
        assert self._file is not None, "there is room"
        self._file.seek(place)
        for plane in planes:
            rest = np.ascontiguousarray(plane).data.cast("B")
            while rest:  # the system may write less than it is given
                rest = rest[self._file.write(rest) :]


class Spooled:
    """A frame that waits: whole, or its husk with the place of its planes in the file. Its room is
    free again once nobody holds this."""

    def __init__(
        self,
        spool: Spool,
        frame: VideoFrame,
        size: int,
        place: int | None = None,
        converter: Converter | None = None,
    ) -> None:
        """size: what it takes of the spool. converter: of a husk, the video's."""
        self._spool, self._frame, self._size = spool, frame, size
        self._place, self._converter = place, converter

    def look(self, width: int, height: int) -> VideoFrame:
        """The frame, which is of that size, as it was. Raises OutputError where the disk fails."""
        if self._place is None or self._converter is None:
            return self._frame
        frame = self._converter.scaled(self._frame, width, height)
        planes = [plane_array(frame, index) for index in range(len(frame.planes))]
        self._spool.fetch(self._place, planes)
        return frame

    def __del__(self) -> None:
        self._spool.free(self._size, self._place)
