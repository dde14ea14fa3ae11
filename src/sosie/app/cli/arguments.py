"""What the command line's parser does not do by itself: several values after one flag, people with
their sources, times; and flags that many commands have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from sosie.errors import UsageError

AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON report.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]

_TIME = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d*)?|\.\d+)")

# In a map: what parts names or surrounds them, and the backslashes before it.
_SIGNS = re.compile(r"(\\*)([=, ])")
_SPACE = "\0"

_SEVERAL = {
    ("swap",): (("-s", "--source"), ("-t", "--target")),
    ("preview",): (("-s", "--source"), ("-t", "--target")),
    ("jobs", "add"): (("-s", "--source"), ("-t", "--target")),
    ("eval", "run"): (("-m", "--method"),),
}
"""Command -> its flags that several values may follow, short and long."""


def offering(values: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """What a shell offers for a value that was begun: those of `values`, which are asked for only
    then."""

    def complete(incomplete: str) -> list[str]:
        return [value for value in values() if value.startswith(incomplete)]

    return complete


def spread_values(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command of _SEVERAL with its flags repeated before each of their values.

    `-s me1.jpg me2.jpg -t video.mp4` becomes `-s me1.jpg -s me2.jpg -t video.mp4`. The first value
    is taken as it stands; those after it end at the next argument that starts with a dash, so that
    a further photo with such a name is given as `./-me.jpg`.
    """
    for command, flags in _SEVERAL.items():
        if tuple(arguments[: len(command)]) == command:
            return _spread(arguments, flags)
    return list(arguments)


def _spread(arguments: Sequence[str], flags: Sequence[tuple[str, str]]) -> list[str]:
    names = {name for flag in flags for name in flag}
    spread: list[str] = []
    flag: str | None = None
    awaits_value = False
    for position, argument in enumerate(arguments):
        if awaits_value:
            awaits_value = False
        elif argument == "--":
            return spread + list(arguments[position:])
        elif argument in names:
            flag, awaits_value = argument, True
        elif joined := [long for short, long in flags if _is_joined(argument, short, long)]:
            flag = joined[0]
        elif argument.startswith("-") and argument != "-":
            flag = None
        elif flag:
            spread.append(flag)
        spread.append(argument)
    return spread


def _is_joined(argument: str, short: str, long: str) -> bool:
    """Whether a flag and its value are one argument."""
    return argument.startswith(f"{long}=") or re.match(rf"{short}[^-]", argument) is not None


def parse_map(text: str) -> tuple[Path, list[Path]]:
    """Reference and source photos from `person.jpg=source.jpg` or `person.jpg=a.jpg,b.jpg`.

    The first `=` ends the reference, commas part the sources, and spaces around a name are left
    out. A backslash before one of these makes it a part of the name, and two stand for one there;
    backslashes anywhere else are as they are. Raises UsageError on anything else.
    """
    names = [name.strip(_SPACE).replace(_SPACE, " ") for name in _parted(text)]
    if len(names) < 2 or not all(names):
        raise UsageError(
            f"{text!r} maps no person to a source; write person.jpg=source.jpg, or for several "
            f"photos of the source person.jpg=a.jpg,b.jpg (with a backslash before an = or a comma "
            f"that belongs to a name)."
        )
    return Path(names[0]), [Path(name) for name in names[1:]]


def _parted(text: str) -> list[str]:
    """The names of a map, with _SPACE for each space that no backslash makes part of a name."""
    names = [""]
    end = 0
    for sign in _SIGNS.finditer(text):
        slashes, character = len(sign[1]), sign[2]
        names[-1] += text[end : sign.start()] + "\\" * (slashes // 2)
        end = sign.end()
        separator = "=" if len(names) == 1 else ","
        if slashes % 2 or character not in (separator, " "):
            names[-1] += character
        elif character == separator:
            names.append("")
        else:
            names[-1] += _SPACE
    names[-1] += text[end:]
    return names


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
