"""What the commands write: JSON and sentences on stdout, progress on stderr."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from sosie.types import Progress


class OnProgress(Protocol):
    def __call__(self, progress: Progress, /) -> None: ...


class _Guarded:
    """A text stream that swallows what cannot be written to it, and remembers why.

    error: of the first write that failed; None where none did, or only the reader has gone.
    """

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream = stream
        self._is_gone = stream is None
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        if self._stream is not None and not self._is_gone:
            try:
                return self._stream.write(text)
            except OSError as error:
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        if self._stream is not None and not self._is_gone:
            try:
                self._stream.flush()
            except OSError as error:
                self._give_up(error)

    def isatty(self) -> bool:
        return self._stream is not None and not self._is_gone and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _give_up(self, error: OSError) -> None:
        self._is_gone = True
        # A reader that goes away, as `head` does, has read what it wanted; a terminal that was
        # closed (EIO) has nobody before it.
        if error.errno not in (errno.EPIPE, errno.EIO):
            self.error = error
        # What the stream still holds would be written once more when Python ends.
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), cast("IO[str]", self._stream).fileno())


@contextmanager
def guarded_output() -> Iterator[_Guarded]:
    """Within, nothing that is written to stdout or stderr raises an error of the system: what a
    command does is not lost for want of somebody who hears of it. Yields what stands for stdout.
    """
    usual = sys.stdout, sys.stderr
    output, errors = _Guarded(sys.stdout), _Guarded(sys.stderr)
    sys.stdout, sys.stderr = cast("Any", output), cast("Any", errors)
    try:
        yield output
        errors.flush()
    finally:
        sys.stdout, sys.stderr = usual


def print_json(value: Any) -> None:
    """One JSON document on stdout. A number that JSON has no word for is an error."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False), flush=True)


@contextmanager
def video_progress(label: str, rate: str = "fps") -> Iterator[OnProgress | None]:
    """A function that draws the progress of a video on stderr: stage, frames, fps and time left.

    rate: what is counted a second, where it is not frames. None where stderr is no terminal, so
    that logs stay quiet.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[stage]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{{task.fields[fps]:.1f}} {rate}"),
        TextColumn("{task.fields[left]}"),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=None, fps=0.0, left="", stage="")

        def show(progress: Progress) -> None:
            bar.update(
                task,
                completed=progress.done,
                total=progress.total,
                fps=progress.fps,
                stage=progress.stage,
                left=_time_left(progress.remaining_s),
            )

        yield show


def note_progress(message: str) -> None:
    """A line on stderr, where stderr is a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        console.print(message, markup=False, highlight=False)


def _time_left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
    return f"{clock} left"
