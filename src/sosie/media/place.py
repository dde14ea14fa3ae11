"""A frame of a video that a later run is to find again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from sosie.errors import InputError
from sosie.media.pixel_formats import plane_array


class HasPlace(Protocol):
    """A frame, as `sosie.media.video` gives it."""

    index: int
    pts: int
    time_base: Fraction

    @property
    def native(self) -> Any: ...


@dataclass(frozen=True)
class Place:
    """A frame that a later run is to find again.

    index, pts, time_base: as those of a `VideoFrame`. digest: of its samples. whole_way: whether
    the video must be read from its start to come to it: what is damaged may give other frames.
    """

    index: int
    pts: int
    time_base: Fraction
    digest: str
    whole_way: bool

    @classmethod
    def of(cls, frame: HasPlace, whole_way: bool) -> Self:
        """That of a frame which nobody has changed yet."""
        digest = _digest(frame.native)
        return cls(frame.index, frame.pts, frame.time_base, digest, whole_way)

    def is_here(self, frame: HasPlace) -> bool:
        """Whether a frame that nobody has changed is this one."""
        return Place.of(frame, self.whole_way) == self


def changed_since(path: Path) -> InputError:
    """The error for a target whose frame at that place is another one now."""
    return InputError(
        f"{path} is not as it was when its work was begun; begin anew with --restart."
    )


def _digest(native: Any) -> str:
    """Of a decoded frame's samples, without what pads its lines."""
    digest = hashlib.blake2b(digest_size=16)
    for index in range(len(native.planes)):
        digest.update(np.ascontiguousarray(plane_array(native, index)).data)
    return digest.hexdigest()
