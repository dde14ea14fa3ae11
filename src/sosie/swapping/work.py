"""The work folder of a long video: what was done so far, so that nothing of it is ever done twice.

Beside the output, or in a folder of the user's choice, it holds the segments that are done
(`sosie.media.segments`) with the pictures that belong to them, the state at the end of the last
one, and what the swap is (`sosie.swapping.sameness`). All are whole or not there, whatever ends the
process. A run that finds the folder of the same swap goes on at the end of the last segment.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sosie.errors import InputError, NoFaceError, OutputError, UsageError
from sosie.files import StrPath
from sosie.foreign import read_json
from sosie.media.kept_files import names_of
from sosie.media.segments import SegmentLog, segment_facts
from sosie.media.sequence_names import sequence_name
from sosie.output import locked, not_written, sync, write_whole
from sosie.swapping.sameness import differences

SUFFIX = ".sosie-work"
"""So ends the name of a work folder."""

SEGMENT, LAYERS = ".segment", ".layers"
"""So end the names of the files in it that hold segments of the result and of its layers."""

FRAMES_FOLDER, LAYERS_FOLDER = "frames", "layers"
"""The folders in it where pictures wait for their place."""

_FORM = {"same": {str: object}, "command": ({str: object}, None), "output": str}
_JOB, _LOCK, _STATE = "job.json", "lock", ".state"
_PLACED = "placed"


def work_path(output: Path, parent: Path | None) -> Path:
    """Where the work folder of an output is: hidden beside it, or in `parent`, where outputs of one
    name in several folders have one each. That of a sequence is beside the folder of its frames,
    which need not be there yet."""
    output = Path(os.path.realpath(output.parent)) / output.name
    if sequence_name(output) is None:
        output = Path(os.path.realpath(output))
    if parent is not None:
        place = hashlib.blake2b(os.fsencode(output.parent), digest_size=4).hexdigest()
        return parent / f"{output.name[:180]}.{place}{SUFFIX}"
    if sequence_name(output) is not None:
        folder = output.parent
        return folder.with_name(f".{folder.name[:100]}.{output.name[:100]}{SUFFIX}")
    return output.with_name(f".{output.name[:200]}{SUFFIX}")


def is_being_placed(output: Path, parent: StrPath | None) -> bool:
    """Whether a run was ended while it gave the pictures of this output their place: those that are
    there are its own."""
    folder = work_path(output, None if parent is None else Path(parent))
    return (folder / _PLACED).exists()


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
    what was saved with the last of them, None where there is none. result, layers: what is kept of
    the segments of both.
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
        self.result = SegmentLog(self.path, SEGMENT)
        self.layers = SegmentLog(self.path, LAYERS)
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

    def folder_of_frames(self) -> Path:
        """Where the pictures of a sequence wait for their place."""
        return self._folder(FRAMES_FOLDER)

    def folder_of_layers(self) -> Path:
        """Where the pictures of layers wait for theirs."""
        return self._folder(LAYERS_FOLDER)

    def end_segment(self, facts: dict[str, Any], state: bytes) -> None:
        """The segment at hand is complete, and so is that of the layers. facts: what JSON holds,
        kept with it; `frames` is how many there are up to its end. state: by which a later run goes
        on after it. Raises OutputError."""
        self.result.end(facts)
        self.add_state(facts["frames"], state)

    def add_state(self, frames: int, state: bytes) -> None:
        """All of the next segment is there. See `end_segment`."""
        before = self.segments
        try:
            write_whole(_state(self.path, before + 1), state)
            self.state, self.segments, self.frames = state, before + 1, frames
            with suppress(FileNotFoundError):
                _state(self.path, before).unlink()
        except OSError as error:
            raise OutputError(not_written(self.path, error)) from error

    def place(self) -> None:
        """From now on the pictures get their place. Raises OutputError."""
        write_whole(self.path / _PLACED, b"")

    def abandon(self) -> None:
        """Throws the segment at hand away, which is not complete."""
        self.result.discard()
        self.layers.discard()

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

    @contextmanager
    def held(self) -> Iterator[None]:
        """Removes the folder where all was done, and else leaves it to a later run; one in which
        nobody was found needs none."""
        try:
            yield
        except NoFaceError:
            self.remove()
            raise
        except BaseException:
            self.close()
            raise
        self.remove()

    def _folder(self, name: str) -> Path:
        folder = self.path / name
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(not_written(folder, error)) from error
        return folder

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
            self.result.number = self.layers.number = count
            self.state = _state(self.path, count).read_bytes()
        else:
            write_whole(self.path / _JOB, json.dumps(job, indent=1))
            sync(self.path)

    def _clear(self, count: int) -> None:
        """Removes all that does not belong to the first `count` segments."""
        logs = {FRAMES_FOLDER: self.result, LAYERS_FOLDER: self.layers}
        kept = {_LOCK}
        if count:
            kept |= {_JOB, _PLACED, _state(self.path, count).name}
        for number in range(count):
            kept |= {log.path(number).name for log in logs.values()}
        for path in self.path.iterdir():
            if path.name in logs and path.is_dir():
                log = logs[path.name]
                mine = names_of(log.facts(number) for number in range(count))
                _unlink(one for one in path.iterdir() if one.name not in mine)
            elif path.name not in kept:
                _unlink([path])

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


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _segment(folder: Path, number: int) -> Path:
    return folder / f"{number:06}{SEGMENT}"


def _state(folder: Path, segments: int) -> Path:
    return folder / f"{segments:06}{_STATE}"
