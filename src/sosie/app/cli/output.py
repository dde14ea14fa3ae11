"""What the commands write: JSON and sentences on stdout, progress on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sosie.types import Progress


class OnProgress(Protocol):
    def __call__(self, progress: Progress, /) -> None: ...


def print_json(value: Any) -> None:
    """One JSON document on stdout. A number that JSON has no word for is an error."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False), flush=True)


@contextmanager
def film_progress(label: str, rate: str = "fps") -> Iterator[OnProgress | None]:
    """A function that draws the progress of a film on stderr: frames, fps and time left.

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
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{{task.fields[fps]:.1f}} {rate}"),
        TextColumn("{task.fields[left]}"),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(label, total=None, fps=0.0, left="")

        def show(progress: Progress) -> None:
            bar.update(
                task,
                completed=progress.done,
                total=progress.total,
                fps=progress.fps,
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
