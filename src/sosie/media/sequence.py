"""Sequences of numbered pictures, read as a video is."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path

from sosie.errors import InputError
from sosie.media.dpx import read_dpx
from sosie.media.exr import read_exr
from sosie.media.image import load_photo
from sosie.media.linear import linear_frame
from sosie.media.picture_source import Picture, native_picture, timed
from sosie.media.picture_video import Pictures
from sosie.media.sequence_names import SequenceName

_SLACK = Fraction(1, 1_000_000)
_LONGEST = 1 << 31


class SequenceReader:
    """Reads the pictures of a sequence. Time is by their numbers: gaps stay gaps."""

    def __init__(self, name: SequenceName, fps: Fraction) -> None:
        self.kind = "sequence"
        self.loop: int | None = None
        self.first_number: int | None = None
        self.name, self.fps = name, fps
        self.path = Path(name.pattern)
        self.numbers = name.numbers()
        if not self.numbers:
            raise InputError(f"No file fits {name.pattern}; check the pattern.")
        first, last = self.numbers[0], self.numbers[-1]
        if last - first >= _LONGEST:
            raise InputError(
                f"{name.path(first)} and {name.path(last)} have numbers too far apart for one "
                f"sequence; check the names."
            )
        self.count, self.first_number = len(self.numbers), first
        self.codec = name.suffix.removeprefix(".")
        self.times_s = [Fraction(number - first) / fps for number in self.numbers]
        self.end_s = float((last - first + 1) / fps)

    def pictures(
        self, start_s: float | Fraction, end_s: float | None, skip: int = 0
    ) -> Iterator[Picture]:
        """The pictures of a part, but for so many at its start, which are not read."""
        for number in islice(self._part(start_s, end_s), skip, None):
            yield _read(self.name.path(number), number - self.numbers[0], 1 / self.fps)

    def _part(self, start_s: float | Fraction, end_s: float | None) -> Iterator[int]:
        """The numbers of a part."""
        for number in self.numbers:
            time = (number - self.numbers[0]) / self.fps + _SLACK
            if time >= Fraction(start_s) and (end_s is None or time < Fraction(end_s)):
                yield number


def open_sequence(
    name: SequenceName, fps: Fraction, start_s: float | None = None, end_s: float | None = None
) -> Pictures:
    """Opens numbered pictures as a video; see `sosie.media.video.open_video` for the part."""
    return Pictures(SequenceReader(name, fps), start_s, end_s)


def _read(path: Path, pts: int, time_base: Fraction) -> Picture:
    suffix = path.suffix.lower()
    if suffix == ".exr":
        return Picture(timed(linear_frame(read_exr(path)), pts, time_base, 1), None, path)
    if suffix == ".dpx":
        return Picture(timed(read_dpx(path), pts, time_base, 1), None, path)
    photo = load_photo(path)
    return Picture(native_picture(photo, pts, time_base, 1), photo, path)
