"""The names of numbered frames: `shot.%04d.exr`, `shot.####.exr`, or a folder of them."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from sosie.errors import InputError, UsageError

SEQUENCE_SUFFIXES = (".png", ".tif", ".tiff", ".exr", ".dpx", ".jpg", ".jpeg", ".webp", ".bmp")
"""Extensions of the frames of a sequence."""

USUAL_FPS = "24"
"""The frame rate of a sequence where none is given."""

# No name of a file has more than 255 letters.
_PATTERN = re.compile(
    r"(?P<head>.*?)(?:%(?:0(?P<width>[0-9]{1,2}))?d|(?P<marks>#+))(?P<tail>[^%#]*)"
)
_NUMBERED = re.compile(r"(?P<head>.*?)(?P<number>[0-9]+)(?P<tail>\.\w+)")
# Frames a second. FFmpeg counts in fractions of two numbers of 32 bits.
_LOWEST_FPS, _HIGHEST_FPS, _FINEST_FPS = Fraction(1, 1000), 1000, 1_000_000


@dataclass(frozen=True)
class SequenceName:
    """Files `head`, a number of at least `digits` digits, `tail`, in a folder."""

    folder: Path
    head: str
    digits: int
    tail: str

    def path(self, number: int) -> Path:
        """The file of a frame."""
        return self.folder / f"{self.head}{number:0{self.digits}d}{self.tail}"

    @property
    def suffix(self) -> str:
        """The extension, in small letters."""
        return self.tail[self.tail.rfind(".") :].lower() if "." in self.tail else ""

    @property
    def pattern(self) -> str:
        """The name as printf would write it."""
        place = "%d" if self.digits == 1 else f"%0{self.digits}d"
        return str(self.folder / f"{self.head}{place}{self.tail}")

    def numbers(self) -> list[int]:
        """The numbers of the files that are there, in order. Raises InputError where the folder is
        not there or cannot be read."""
        name = re.compile(re.escape(self.head) + "([0-9]+)" + re.escape(self.tail))
        matches = [name.fullmatch(path.name) for path in _entries(self.folder)]
        # One frame may not be there twice, as `1` and `01`.
        return sorted(
            int(match[1]) for match in matches if match and self._is_own(match[0], int(match[1]))
        )

    def _is_own(self, name: str, number: int) -> bool:
        return self.path(number).name == name


def sequence_name(path: Path) -> SequenceName | None:
    """The frames that a name with a place for a number stands for: `%d`, `%06d` or `####`. None
    where it has none, or a file has that very name."""
    match = _PATTERN.fullmatch(path.name)
    if match is None or os.path.exists(path):  # noqa: PTH110 (Path.exists raises at a long name)
        return None
    digits = len(match["marks"]) if match["marks"] else int(match["width"] or 1)
    name = SequenceName(path.parent, match["head"], digits, match["tail"])
    return name if name.suffix in SEQUENCE_SUFFIXES else None


def folder_sequence(folder: Path) -> SequenceName:
    """The frames that lie in a folder. Raises InputError where they are none, or of two names, or
    the folder cannot be read."""
    matches = [_NUMBERED.fullmatch(path.name) for path in _entries(folder) if path.is_file()]
    found = [m for m in matches if m and m["tail"].lower() in SEQUENCE_SUFFIXES]
    names = Counter((m["head"], m["tail"]) for m in found)
    if not names:
        kinds = ", ".join(SEQUENCE_SUFFIXES)
        raise InputError(f"The folder {folder} holds no numbered frames ({kinds}).")
    if len(names) > 1:
        one, two = (f"{head}%d{tail}" for (head, tail), _ in names.most_common(2))
        raise InputError(
            f"The folder {folder} holds frames of more than one name, {one} and {two}; give one of "
            f"these as the target."
        )
    ((head, tail),) = names
    widths = {len(m["number"]) for m in found}
    digits = min(widths) if any(m["number"][0] == "0" for m in found) or len(widths) == 1 else 1
    return SequenceName(folder, head, digits, tail)


def parse_fps(text: str) -> Fraction:
    """A frame rate from `24`, `23.976`, `24000/1001`. Raises UsageError.

    The usual short forms of NTSC's rates mean these rates.
    """
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(
            f"{text!r} is no frame rate; give frames a second such as 24, 23.976 or 24000/1001."
        ) from error
    if not _LOWEST_FPS <= rate <= _HIGHEST_FPS:
        raise UsageError(
            f"A frame rate lies between {_LOWEST_FPS} and {_HIGHEST_FPS} frames a second, not at "
            f"{text}."
        )
    exact = Fraction(round(rate) * 1000, 1001)
    if exact and rate.denominator > 1 and abs(rate - exact) < Fraction(1, 200):
        return exact
    return rate.limit_denominator(_FINEST_FPS)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"The folder {folder} does not exist; check the name.") from error
    except OSError as error:
        raise InputError(
            f"The folder {folder} cannot be read ({error.strerror}); check its permissions."
        ) from error
