"""The contract of a swapping method: a card that states facts, and a swapper that does the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np

from sosie.analysis.parser import FaceParts
from sosie.types import Crop, Face, FloatArray, Pixels, Pose, SwappedCrop

WINDOW_MARGIN = 0.04
"""What a window of the frame holds around the landmarks, as a share of the face's size."""

# Another source photo takes over when it is nearer to the target's pose by this much.
_SWITCH_DEG = 8.0


@dataclass(frozen=True)
class Source:
    """One source photo: its pixels (RGB uint8 or uint16), the face chosen in it, what of that face
    is visible (float32, h x w, 0..1, 0 where something lies in front of it), and what it is that
    does, where that was told."""

    pixels: Pixels
    face: Face
    visible: FloatArray
    parts: FaceParts | None = None


@dataclass(frozen=True)
class Card:
    """What is to be known of a method.

    template: alignment template of its crops (a name in `sosie.geometry.alignment.TEMPLATES` or
        `sosie.geometry.face_types.TEMPLATES_OF_TYPES`), or None for an axis-aligned window of the
        frame at the frame's own resolution.
    size_px: side of the square crop; with template None it has no meaning and is None.
    stages: names of what can be looked at on the way to a swap, in order; empty where there is
        nothing.
    drafts: how many drafts of a face are read and aimed again at first; 0 for a method that does
        not go where `Crop.aim` says. Each brings expression and pose nearer to the target's, and
        takes some of the likeness.
    carries: whether the swap of a frame builds on that of the frame before (`Crop.carried`), so
        that all frames of a track are swapped, one after the other.
    """

    name: str
    summary: str
    license: str
    paper: str
    template: str | None
    size_px: int | None
    drafts: int = 2
    stages: tuple[str, ...] = ()
    carries: bool = False


class Swapper(Protocol):
    """A method at work. It holds no state between calls but what its constructor was given."""

    card: Card

    @property
    def providers(self) -> Mapping[str, str]:
        """Of each network of the method that was needed so far, by name, on which provider it
        runs; empty for a method without."""

    def prepare(self, sources: Sequence[Source]) -> Any:
        """Everything that depends on the source photos alone, computed once."""

    def choose(self, prepared: Any, crop: Crop, before: int | None = None) -> int:
        """Which of the source photos suits a crop best: its position among them.

        before: the choice for this face in the frame before; it is kept unless another is clearly
        better, so that a video does not waver between two.
        """

    def swap(self, prepared: Any, crops: Sequence[Crop]) -> list[SwappedCrop]:
        """One result a crop, in the same order."""


def nearest_pose(poses: Sequence[Pose], target: Pose, before: int | None = None) -> int:
    """Which of several source photos is nearest to the target's head pose: its position.

    before: the choice in the frame before; it is kept until another is nearer by 8 degrees.
    """
    turns = [np.hypot(pose.yaw - target.yaw, pose.pitch - target.pitch) for pose in poses]
    nearest = int(np.argmin(turns))
    if before is not None and turns[before] - turns[nearest] < _SWITCH_DEG:
        return before
    return nearest


def soft_edge(size_px: int, share: float) -> FloatArray:
    """1 inside a square crop, falling smoothly to 0 at its edge over `share` of its side: float32,
    size_px x size_px."""
    from_edge = np.minimum(np.arange(size_px), np.arange(size_px)[::-1]) + 0.5
    rise = np.clip(from_edge / (share * size_px), 0, 1)
    rise = rise * rise * (3 - 2 * rise)
    return np.asarray(np.minimum.outer(rise, rise), np.float32)


def grown_mask(shares: FloatArray, grown: float, soft: float) -> FloatArray:
    """Where shares, S x S, are above a half, a little larger and softer: float32, 0..1. grown,
    soft: by how much, as shares of the side."""
    side = shares.shape[0]
    reach = 2 * max(1, round(grown * side)) + 1
    wide = cv2.dilate(np.asarray(shares > 0.5, np.float32), np.ones((reach, reach), np.uint8))
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), max(0.5, soft * side)), np.float32)


def as_signed(pixels: Pixels) -> FloatArray:
    """RGB, S x S x 3, uint8 or uint16 -> 3 x S x S, -1..1."""
    unit = pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    return np.ascontiguousarray(unit.transpose(2, 0, 1) * 2 - 1, np.float32)


def as_unit(picture: FloatArray) -> FloatArray:
    """3 x S x S, -1..1 -> RGB, S x S x 3, 0..1."""
    return np.ascontiguousarray(np.clip((picture.transpose(1, 2, 0) + 1) / 2, 0, 1), np.float32)
