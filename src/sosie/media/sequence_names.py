"""The names of numbered frames: `shot.%04d.exr`, `shot.####.exr`, or a folder of them."""

from __future__ import annotations

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

_PATTERN = re.compile(r"(?P<head>.*?)(?:%(?:0(?P<width>\d+))?d|(?P<marks>#+))(?P<tail>[^%#]*)")
_NUMBERED = re.compile(r"(?P<head>.*?)(?P<number>\d+)(?P<tail>\.\w+)")


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
        return str(self.folder / f"{self.head}%0{self.digits}d{self.tail}")

    def numbers(self) -> list[int]:
        """The numbers of the files that are there, in order. Raises InputError without a folder."""
        if not self.folder.is_dir():
            raise InputError(f"The folder {self.folder} does not exist; check the name.")
        name = re.compile(re.escape(self.head) + r"(\d+)" + re.escape(self.tail))
        found = {}
        for path in self.folder.iterdir():
            match = name.fullmatch(path.name)
            # One frame may not be there twice, as `1` and `01`.
            if match and self.path(int(match[1])).name == path.name:
                found[int(match[1])] = path
        return sorted(found)


def sequence_name(path: Path) -> SequenceName | None:
    """The frames that a name with a place for a number stands for: `%d`, `%06d` or `####`. None
    where it has none, or a file has that very name."""
    match = _PATTERN.fullmatch(path.name)
    if match is None or path.exists():
        return None
    digits = len(match["marks"]) if match["marks"] else int(match["width"] or 1)
    name = SequenceName(path.parent, match["head"], digits, match["tail"])
    return name if name.suffix in SEQUENCE_SUFFIXES else None


def folder_sequence(folder: Path) -> SequenceName:
    """The frames that lie in a folder. Raises InputError where they are none, or of two names."""
    matches = [_NUMBERED.fullmatch(path.name) for path in folder.iterdir() if path.is_file()]
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
    if not 0 < rate <= 1000:
        raise UsageError(f"A frame rate lies above 0 and at most at 1000, not at {text}.")
    exact = Fraction(round(rate) * 1000, 1001)
    return exact if rate.denominator > 1 and abs(rate - exact) < Fraction(1, 200) else rate
