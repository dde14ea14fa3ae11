"""The work folder of a long video: what was done so far, so that nothing of it is ever done twice.

Beside the output, or in a folder of the user's choice, it holds the segments that are encoded
(`sosie.media.segments`), the state at the end of the last one, and what the swap is
(`sosie.swapping.sameness`). All are whole or not there, whatever ends the process. A run that finds
the folder of the same swap goes on at the end of the last segment.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from sosie.errors import InputError, OutputError, UsageError
from sosie.foreign import read_json
from sosie.media.segments import SegmentWriter, segment_facts, segment_packets
from sosie.output import locked, not_written, sync, write_whole
from sosie.swapping.sameness import differences

SUFFIX = ".sosie-work"
"""So ends the name of a work folder."""

_FORM = {"same": {str: object}, "command": ({str: object}, None), "output": str}
_JOB, _LOCK, _SEGMENT, _STATE = "job.json", "lock", ".segment", ".state"


def work_path(output: Path, parent: Path | None) -> Path:
    """Where the work folder of an output is: hidden beside it, or in `parent`, where outputs of one
    name in several folders have one each."""
    output = Path(os.path.realpath(output))
    if parent is None:
        return output.with_name(f".{output.name[:200]}{SUFFIX}")
    place = hashlib.blake2b(os.fsencode(output.parent), digest_size=4).hexdigest()
    return parent / f"{output.name[:180]}.{place}{SUFFIX}"


def read_job(folder: Path) -> dict[str, Any]:
    """What was kept of the swap that a work folder is of: `same`, `command` (None where it was
    begun with what has no path) and `output`. Raises InputError where the folder holds none."""
    try:
        kept = read_json(folder / _JOB, _FORM, "give the swap itself, with --restart")
    except FileNotFoundError as error:
        raise InputError(
            f"{folder} holds nothing that can be resumed; give the swap itself."
        ) from error
    return dict(kept)


def segments_in(folder: Path) -> int:
    """How many segments of a work folder a later run can use."""
    states = sorted(int(path.stem) for path in folder.glob(f"*{_STATE}") if path.stem.isdigit())
    while states:
        count = states.pop()
        if all(_segment(folder, number).exists() for number in range(count)):
            return count
    return 0


def frames_in(folder: Path) -> int:
    """How many frames of a work folder a later run need not make again."""
    count = segments_in(folder)
    return int(segment_facts(_segment(folder, count - 1))["frames"]) if count else 0


class WorkFolder:
    """The work folder of one output, held by this process until `close` or `remove`.

    path: of the folder. segments: how many are whole. frames: how many frames these have. state:
    what was saved with the last of them, None where there is none.
    """

    def __init__(
        self, output: Path, parent: Path | None, job: dict[str, Any], restart: bool = False
    ) -> None:
        """job: as `read_job` gives it. restart: whether what is there is thrown away.

        Raises UsageError where the folder holds work of another swap, OutputError where another
        process is at it, or it cannot be written.
        """
        self.path = work_path(output, parent)
        self.state: bytes | None = None
        self.segments = self.frames = 0
        self._output = output
        self._writer: SegmentWriter | None = None
        try:
            self.path.mkdir(exist_ok=True)
            self._lock = self._locked()
        except OSError as error:
            raise OutputError(not_written(self.path, error)) from error
        try:
            self._begin(job, restart)
        except BaseException:
            if segments_in(self.path):
                self._let_go()
            else:
                self.remove()
            raise

    def packets(self, number: int) -> Iterator[Any]:
        """Those of a segment. Raises InputError where it is damaged."""
        return segment_packets(_segment(self.path, number))

    def facts(self, number: int) -> dict[str, Any]:
        """What was kept with a segment. Raises InputError where it is damaged."""
        return segment_facts(_segment(self.path, number))

    def add(self, packet: Any) -> Any:
        """Takes a packet of the segment at hand, and returns it as a later run will read it. Raises
        OutputError."""
        try:
            if self._writer is None:
                self._writer = SegmentWriter(_segment(self.path, self.segments))
            return self._writer.add(packet)
        except OSError as error:
            raise OutputError(not_written(self.path, error)) from error

    def end_segment(self, facts: dict[str, Any], state: bytes) -> None:
        """The segment at hand is complete. facts: what JSON holds, kept with it; `frames` among it
        is how many there are up to its end. state: by which a later run goes on after it. Raises
        OutputError."""
        assert self._writer is not None, "a segment has packets"
        before = self.segments
        try:
            self._writer.finish(facts)
            self._writer = None
            write_whole(_state(self.path, before + 1), state)
            self.segments, self.frames = before + 1, facts["frames"]
            with suppress(FileNotFoundError):
                _state(self.path, before).unlink()
        except OSError as error:
            raise OutputError(not_written(self.path, error)) from error

    def abandon(self) -> None:
        """Throws the segment at hand away, which is not complete."""
        if self._writer is not None:
            self._writer.discard()
            self._writer = None

    def close(self) -> None:
        """Leaves the folder to a later run; without segments nothing is left."""
        self.abandon()
        if self.segments == 0:
            self.remove()
        else:
            self._let_go()

    def remove(self) -> None:
        """Removes the folder: the output is whole."""
        self.abandon()
        with suppress(OSError):
            # First what says that there is something to go on with.
            (self.path / _JOB).unlink()
        shutil.rmtree(self.path, ignore_errors=True)
        self._let_go()

    def _let_go(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _begin(self, job: dict[str, Any], restart: bool) -> None:
        count = 0 if restart else segments_in(self.path)
        if count:
            other = differences(read_job(self.path)["same"], job["same"])
            if other:
                raise UsageError(
                    f"{self.path} holds work on {self._output} that was begun with other "
                    f"settings: {'; '.join(other)}. Give the same to resume it, or --restart to "
                    f"throw it away."
                )
        self._clear(count)
        if count:
            self.segments, self.frames = count, frames_in(self.path)
            self.state = _state(self.path, count).read_bytes()
        else:
            write_whole(self.path / _JOB, json.dumps(job, indent=1))
            sync(self.path)

    def _clear(self, count: int) -> None:
        """Removes all that does not belong to the first `count` segments."""
        kept = {_JOB, _LOCK, _state(self.path, count).name}
        kept |= {_segment(self.path, number).name for number in range(count)}
        for path in self.path.iterdir():
            if path.name not in kept or (count == 0 and path.name != _LOCK):
                with suppress(OSError):
                    path.unlink()

    def _locked(self) -> int | None:
        if sys.platform == "win32":
            return None
        descriptor = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR, 0o666)
        if locked(descriptor, wait=False):
            return descriptor
        os.close(descriptor)
        if is_at_work(self.path):
            raise OutputError(
                f"Another process is writing {self._output}; wait until it is done, or give "
                f"another output."
            )
        return None


def is_at_work(folder: Path) -> bool:
    """Whether a process holds a work folder."""
    if sys.platform == "win32":
        return False
    import errno
    import fcntl

    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Another error says that the file system has no locks.
        return error.errno in (errno.EAGAIN, errno.EACCES)
    finally:
        os.close(descriptor)
    return False


def _segment(folder: Path, number: int) -> Path:
    return folder / f"{number:06}{_SEGMENT}"


def _state(folder: Path, segments: int) -> Path:
    return folder / f"{segments:06}{_STATE}"
