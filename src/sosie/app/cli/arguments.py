"""What the command line's parser does not do by itself: several values after one flag, people with
their sources, times; and flags that many commands have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sosie.errors import UsageError

AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON report.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]

_TIME = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d*)?|\.\d+)")

_SEVERAL = {("swap",): ("-s", "--source"), ("eval", "run"): ("-m", "--method")}
"""Command -> its flag that several values may follow, short and long."""


def spread_values(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command of _SEVERAL with its flag repeated before each of several values.

    `-s me1.jpg me2.jpg -t film.mp4` becomes `-s me1.jpg -s me2.jpg -t film.mp4`. The first value
    is taken as it stands; those after it end at the next argument that starts with a dash, so that
    a further photo with such a name is given as `./-me.jpg`.
    """
    for command, (short, long) in _SEVERAL.items():
        if tuple(arguments[: len(command)]) == command:
            return _spread(arguments, short, long)
    return list(arguments)


def _spread(arguments: Sequence[str], short: str, long: str) -> list[str]:
    spread: list[str] = []
    flag: str | None = None
    awaits_value = False
    for position, argument in enumerate(arguments):
        if awaits_value:
            awaits_value = False
        elif argument == "--":
            return spread + list(arguments[position:])
        elif argument in (short, long):
            flag, awaits_value = argument, True
        elif argument.startswith(f"{long}=") or re.match(rf"{short}[^-]", argument):
            flag = long
        elif argument.startswith("-") and argument != "-":
            flag = None
        elif flag:
            spread.append(flag)
        spread.append(argument)
    return spread


def parse_map(text: str) -> tuple[Path, list[Path]]:
    """Reference and source photos from `person.jpg=source.jpg` or `person.jpg=a.jpg,b.jpg`.

    What stands before the first `=` is the reference, and commas part the sources, so that names
    that hold either cannot be written so. Raises UsageError on anything else.
    """
    person, sign, sources = text.partition("=")
    names = [name.strip() for name in (person, *sources.split(","))]
    if not sign or not all(names):
        raise UsageError(
            f"{text!r} maps no person to a source; write person.jpg=source.jpg, or for several "
            f"photos of the source person.jpg=a.jpg,b.jpg."
        )
    return Path(names[0]), [Path(name) for name in names[1:]]


def parse_time(text: str) -> float:
    """Seconds from `90`, `90.5`, `1:30` or `00:01:30.5`. Raises UsageError on anything else."""
    match = _TIME.fullmatch(text.strip())
    if match:
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        within = (seconds < 60 or not match[2]) and (minutes < 60 or not match[1])
        if within:
            return hours * 3600 + minutes * 60 + seconds
    raise UsageError(
        f"{text!r} is no time; give seconds such as 90.5, or a timecode such as 1:30 or 00:01:30.5."
    )
