"""A swap as it was asked for, in a form that can be kept: of a job, or of a work folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sosie.errors import InputError
from sosie.foreign import check
from sosie.options import SwapOptions

if TYPE_CHECKING:
    from sosie.pipeline import FaceSwapper

COMMAND = {
    "target": str,
    "output": str,
    "people": [{"reference": (str, None), "sources": [str]}],
    "options": {str: object},
}
"""The form of a swap in JSON; see `sosie.foreign.check`."""


@dataclass(frozen=True)
class Person:
    """Whom a reference photo shows, None where the options say whose face it is, and the photos of
    the one who is put in."""

    reference: str | None
    sources: tuple[str, ...]


@dataclass(frozen=True)
class SwapCommand:
    """One target into one output. All paths are absolute."""

    target: Path
    output: Path
    people: tuple[Person, ...]
    options: SwapOptions

    def to_dict(self) -> dict[str, Any]:
        """As JSON keeps it."""
        people = [{"reference": one.reference, "sources": list(one.sources)} for one in self.people]
        return {
            "target": str(self.target),
            "output": str(self.output),
            "people": people,
            "options": self.options.to_dict(),
        }

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> SwapCommand:
        """Raises InputError on what is no command, and UsageError on options that are none."""
        try:
            check(kept, COMMAND)
        except ValueError as error:
            raise InputError(f"This is no swap that Sosie has kept: {error}.") from error
        people = tuple(Person(one["reference"], tuple(one["sources"])) for one in kept["people"])
        if not people:
            raise InputError("This is no swap that Sosie has kept: it puts nobody in.")
        options = SwapOptions.from_dict(kept["options"])
        return cls(Path(kept["target"]), Path(kept["output"]), people, options)

    def swapper(self) -> FaceSwapper:
        """What does it: the sources are read. Raises the errors of `FaceSwapper`."""
        from sosie.pipeline import FaceSwapper

        if len(self.people) == 1:
            one = self.people[0]
            return FaceSwapper(list(one.sources), self.options, reference=one.reference)
        pairs = [(str(one.reference), list(one.sources)) for one in self.people]
        return FaceSwapper(None, self.options, people=pairs)


def people_of(
    sources: Sequence[Path] | None,
    reference: Path | None,
    maps: Sequence[tuple[Path, Sequence[Path]]],
) -> tuple[Person, ...]:
    """The people of a command line, with absolute paths."""
    if maps:
        return tuple(Person(_absolute(whom), tuple(map(_absolute, by))) for whom, by in maps)
    whom = None if reference is None else _absolute(reference)
    return (Person(whom, tuple(map(_absolute, sources or ()))),)


def _absolute(path: Path) -> str:
    return str(path.absolute())
