"""Where one shot ends and the next begins."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import cv2
import numpy as np

from sosie.types import FloatArray, Pixels

_THUMB_WIDTH, _THUMB_HEIGHT = 64, 36
# Share of the picture that must be found again in the next frame, at whatever shift.
_PART = 0.6
# Between neighboring frames of one shot at most 0.26, between different pictures 0.45 and more
# (of 150 photos and 9 clips).
_MIN_CHANGE = 0.4
# A cut stands out from the changes before and after it; a fast pan does not.
_MIN_PROMINENCE = 2.0
FLASH_FRAMES = 4
"""A flash is over, and the old picture back, within so many frames."""


class HasPixels(Protocol):
    """A frame of a video, as `sosie.media.video` reads it."""

    def to_rgb(self) -> Pixels:
        """Its pixels, RGB, H x W x 3, uint8 or uint16."""


FrameT = TypeVar("FrameT", bound=HasPixels)


@dataclass(frozen=True)
class Shot(Generic[FrameT]):
    """A frame, its pixels, and whether a new scene starts with it."""

    frame: FrameT
    pixels: Pixels
    starts_scene: bool


@dataclass(frozen=True)
class _Seen(Generic[FrameT]):
    frame: FrameT
    pixels: Pixels
    thumb: FloatArray


class SceneSplitter(Generic[FrameT]):
    """Frames in, frames out: each converted to RGB once, and told whether a scene starts there.

    Where a cut is suspected, a frame is held until up to `reach` later ones tell it from a flash.
    """

    def __init__(self, reach: int = FLASH_FRAMES) -> None:
        """reach: at most FLASH_FRAMES; with 0 every frame comes out at once, and a flash is taken
        for two cuts."""
        self._reach = reach
        self._ahead: deque[_Seen[FrameT]] = deque()
        self._before: FloatArray | None = None
        self._change_before = 0.0

    def push(self, frame: FrameT) -> list[Shot[FrameT]]:
        """Take the next frame. Returns those that are decided now, in order."""
        pixels = frame.to_rgb()
        self._ahead.append(_Seen(frame, pixels, thumbnail(pixels)))
        return self._decided(at_end=False)

    def finish(self) -> list[Shot[FrameT]]:
        """The frames that are still held, when no more will come."""
        return self._decided(at_end=True)

    @property
    def held(self) -> int:
        """How many frames are held."""
        return len(self._ahead)

    def state(self) -> dict[str, Any]:
        """All that it remembers, as a record, but for the frames that it holds."""
        return {"before": self._before, "change_before": self._change_before}

    def restore(self, state: dict[str, Any], ahead: Iterable[FrameT]) -> None:
        """Remember what `state` gave, in another run. ahead: the frames that were held."""
        self._before, self._change_before = state["before"], state["change_before"]
        for frame in ahead:
            pixels = frame.to_rgb()
            self._ahead.append(_Seen(frame, pixels, thumbnail(pixels)))

    def _decided(self, at_end: bool) -> list[Shot[FrameT]]:
        shots = []
        while self._ahead:
            current = self._ahead[0]
            change = 1.0 if self._before is None else difference(self._before, current.thumb)
            starts = self._before is None
            if self._before is not None and (
                change > _MIN_CHANGE and change > _MIN_PROMINENCE * self._change_before
            ):
                if len(self._ahead) <= self._reach and not at_end:
                    break
                following = [seen.thumb for seen in self._ahead][1 : 1 + self._reach]
                starts = _is_cut(self._before, current.thumb, change, following)
            self._change_before = 0.0 if starts else change
            self._before = current.thumb
            self._ahead.popleft()
            shots.append(Shot(current.frame, current.pixels, starts))
        return shots


def split_scenes(frames: Iterable[FrameT]) -> Iterator[Shot[FrameT]]:
    """The same frames in the same order; see `SceneSplitter`."""
    splitter: SceneSplitter[FrameT] = SceneSplitter()
    for frame in frames:
        yield from splitter.push(frame)
    yield from splitter.finish()


def thumbnail(pixels: Pixels) -> FloatArray:
    """A small copy, float32, 36 x 64 x 3, in 0..1."""
    height, width = pixels.shape[:2]
    step = max(1, min(height // (2 * _THUMB_HEIGHT), width // (2 * _THUMB_WIDTH)))
    few = np.ascontiguousarray(pixels[::step, ::step])
    small = cv2.resize(few, (_THUMB_WIDTH, _THUMB_HEIGHT), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def difference(a: FloatArray, b: FloatArray) -> float:
    """How little two thumbnails share, 0..1: 1 minus the product of the best correlation of the
    middle of one with any place of the other (blind to brightness, and to shifts by a fifth of
    the frame) and of the share of colors that both have."""
    return 1 - _structure_shared(a, b) * _colors_shared(a, b)


def _structure_shared(a: FloatArray, b: FloatArray) -> float:
    y0, x0 = round(_THUMB_HEIGHT * (1 - _PART) / 2), round(_THUMB_WIDTH * (1 - _PART) / 2)
    best = 0.0
    for one, other in ((a, b), (b, a)):
        middle = one[y0:-y0, x0:-x0]
        if middle.std() < 0.01:
            # Nothing to correlate in a black or white frame: compare the levels.
            best = max(best, 1 - 4 * float(np.abs(one - other).mean()))
        else:
            match = cv2.matchTemplate(other, middle, cv2.TM_CCOEFF_NORMED)
            best = max(best, float(np.nan_to_num(match).max()))
    return min(best, 1.0)


def _colors_shared(a: FloatArray, b: FloatArray) -> float:
    return float(np.minimum(_colors(a), _colors(b)).sum())


def _colors(thumb: FloatArray) -> FloatArray:
    """Histogram over 8 x 8 x 8 colors, blurred so that a slight change of light moves little."""
    counts = cv2.calcHist([thumb], [0, 1, 2], None, [8, 8, 8], [0, 1.001] * 3)
    for axis in range(3):
        rows = np.moveaxis(np.pad(counts, 1, mode="edge"), axis, 0)
        mixed = np.moveaxis((rows[:-2] + 2 * rows[1:-1] + rows[2:]) / 4, 0, axis)
        counts = mixed[tuple(slice(None) if i == axis else slice(1, -1) for i in range(3))]
    return np.asarray(counts / counts.sum(), np.float32)


def _is_cut(
    before: FloatArray, current: FloatArray, change: float, following: list[FloatArray]
) -> bool:
    if any(difference(before, later) < change / 2 for later in following):
        return False
    return not following or change > _MIN_PROMINENCE * difference(current, following[0])
