"""What all writers of a video's frames have in common, whatever they write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sosie.files import StrPath
from sosie.media.input_info import NativeFrame, VideoSource
from sosie.media.segments import SegmentLog


class Writer(ABC):
    """Takes the frames of a video in order and writes them.

    As a context manager it closes at a normal end, and lets go of what it holds at an exception.
    frames: how many were written. is_whole: whether what was written was ended so that it plays.

    Where `begin_segments` was called, what is written is kept in segments too, by which a later
    writer of the same goes on: `end_segment` ends one, and `go_on`, once for each, takes them.
    """

    needs_plates = False
    """Whether `go_on` needs the frames of a segment as they were read."""

    def __init__(self, video: VideoSource, path: Path, shown: StrPath | None) -> None:
        """path: where to write. shown: what messages call that, where it is not `path`."""
        self.path = path
        self.frames = 0
        self.is_whole = False
        self._video = video
        self._shown = Path(shown or path)
        self._notes: dict[str, None] = {}
        self._log: SegmentLog | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what could not be kept as it was."""
        return tuple(self._notes)

    def add_notes(self, notes: Iterable[str]) -> None:
        """Adds to the notes those that are not among them."""
        self._notes |= dict.fromkeys(notes)

    @abstractmethod
    def write(self, frame: NativeFrame) -> None:
        """Takes a frame. It must not be changed afterwards. Raises OutputError."""

    def begin_segments(self, log: SegmentLog) -> None:
        """What is written from now on is kept in `log`."""
        self._log = log

    def end_segment(self) -> dict[str, Any]:
        """All that was written is kept and needs nothing of what comes. Returns what JSON keeps
        of the segment for `go_on`. Raises OutputError."""
        return {}

    @abstractmethod
    def go_on(self, log: SegmentLog, number: int, plates: Iterable[NativeFrame] = ()) -> None:
        """Takes a segment of an earlier run, in order, before any frame of this one.

        plates: the frames of the segment as they were read, where `needs_plates` says so. Raises
        InputError where what was kept is damaged.
        """

    @abstractmethod
    def close(self) -> None:
        """Writes what is still held, and ends what is written."""

    def close_partial(self) -> None:
        """Ends what is written after the last frame, so that it plays."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._let_go()

    def _take_facts(self, facts: dict[str, Any]) -> None:
        """Of a segment that an earlier run kept."""
        self.frames = facts["frames"]
        self.add_notes(facts.get("notes", ()))

    def _let_go(self) -> None:  # noqa: B027 (most hold nothing)
        """Lets go of what is held, at an exception."""
