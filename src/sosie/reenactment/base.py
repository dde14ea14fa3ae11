"""The contract of a reenactor: a photo's face moves as the face of a driving video does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sosie.analysis.parser import FaceParts
from sosie.methods.base import Source
from sosie.types import Face, Pixels


@dataclass(frozen=True)
class DrivingFrame:
    """One frame of the driving video. pixels: RGB, h x w x 3, uint8. face: the one that drives.
    parts: what its square shows of it and before it, where that was told."""

    pixels: Pixels
    face: Face
    parts: FaceParts | None = None


@dataclass(frozen=True)
class Card:
    """What is to be known of a reenactor. license: of its weights, or of its code where it has
    none."""

    name: str
    summary: str
    license: str
    paper: str


class Reenactor(Protocol):
    """A reenactor at work. It is made with a `ReenactOptions`, and keeps nothing between calls."""

    card: Card

    @property
    def providers(self) -> Mapping[str, str]:
        """Of each network that was needed so far, by name, on which provider it runs."""

    def start(self, photo: Source, first: DrivingFrame) -> Any:
        """All that depends on the photo, and on the driver's first frame with a face."""

    def move(self, state: Any, frame: DrivingFrame) -> Pixels:
        """The whole photo with its face moved as in a frame of the driver: as the photo's pixels in
        shape and type. state: of `start`."""
