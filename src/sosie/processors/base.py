"""The contract of a processor: a card that states facts, and `process`, which does the work.

A processor of the stage `face` acts on a swapped face before it is blended; one of the stage
`frame` acts on a frame in which faces were swapped. It is made once, from what the user asked for,
and keeps nothing between calls, so that threads may share it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sosie.errors import UsageError, nearest
from sosie.options import SwapOptions
from sosie.types import Crop, Face, Pixels, SwappedCrop

STAGES = ("face", "frame")

_SETTING = re.compile(r"(?:^|,)([a-z_]+)=([^,=]*)$")


@dataclass(frozen=True)
class Card:
    """What is to be known of a processor.

    stage: `face` or `frame`.
    template: for a face, the alignment template of its crops (a name in
        `sosie.geometry.alignment.TEMPLATES`), of which it changes the pixels alone; None for one
        that takes the face at the frame's own resolution or better, and may change the mask too.
    size_px: side of the square crop; with template None it has no meaning and is None.
    """

    name: str
    summary: str
    license: str
    stage: str
    template: str | None = None
    size_px: int | None = None


class FaceProcessor(Protocol):
    """A processor of the stage `face`."""

    card: Card

    @property
    def providers(self) -> Mapping[str, str]:
        """Of each network of the processor, by name, on which provider it runs."""

    def process(self, crops: Sequence[Crop], faces: Sequence[SwappedCrop]) -> list[SwappedCrop]:
        """A result for each swapped face, in the same order and of the same shape.

        crops: what was seen of the target, in the same crop coordinates. What is handed in is not
        written to.
        """


class FrameProcessor(Protocol):
    """A processor of the stage `frame`."""

    card: Card

    @property
    def providers(self) -> Mapping[str, str]:
        """Of each network of the processor, by name, on which provider it runs."""

    def process(self, frames: Sequence[Pixels], faces: Sequence[Sequence[Face]]) -> list[Pixels]:
        """A result for each frame, in the same order, of the same shape and type.

        frames: RGB, h x w x 3, uint8 or uint16, with their faces swapped; they are not written to.
        faces: those of each frame that were swapped, as the target has them.
        """


Processor = FaceProcessor | FrameProcessor


@dataclass(frozen=True)
class Request:
    """What a user asked for: `NAME`, `NAME:VALUE` or `NAME:VALUE,setting=value,...`.

    value: what follows the name, or None. settings: as texts.
    """

    name: str
    value: str | None
    settings: Mapping[str, str]

    @classmethod
    def parsed(cls, text: str) -> Request:
        """Settings are read from the end, so that a value may hold commas."""
        name, _, rest = text.partition(":")
        settings: dict[str, str] = {}
        while found := _SETTING.search(rest):
            settings[found[1]] = found[2]
            rest = rest[: found.start()]
        return cls(name, rest or None, settings)

    def require(self, *known: str) -> None:
        """Raises UsageError on a setting that is not among `known`."""
        for setting in self.settings:
            if setting not in known:
                hint = nearest(setting, known) if known else "it has none"
                raise UsageError(f"The processor {self.name} has no setting {setting!r}: {hint}.")

    def number(self, setting: str, default: float, low: float, high: float) -> float:
        """The value of a setting. Raises UsageError where it is no number from `low` to `high`."""
        return as_number(self.settings.get(setting), self.name, setting, default, low, high)


def as_number(
    text: str | None, name: str, what: str, default: float, low: float, high: float
) -> float:
    """A number that a user gave to the processor `name`, or the default where there is none."""
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not low <= number <= high:
        raise UsageError(
            f"The {what} of the processor {name} must be a number from {low:g} to {high:g}, not "
            f"{text!r}."
        )
    return number


Factory = Callable[[Request, SwapOptions], Processor]
"""What the table names: it makes a processor from what the user asked for."""
