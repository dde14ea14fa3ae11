"""Frames written as an animation: GIF, APNG, WebP or AVIF."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from sosie.errors import OutputError
from sosie.files import StrPath
from sosie.media.base_writer import Writer
from sosie.media.input_info import NativeFrame, VideoSource
from sosie.media.picture_source import PictureSource, photo_of
from sosie.output import not_written

ANIMATION_FORMATS = {".gif": "GIF", ".apng": "PNG", ".webp": "WEBP"} | (
    {".avif": "AVIF"} if features.check("avif") else {}
)
"""Extension of an animation -> Pillow's name of its format."""

# GIF counts in 1/100 s, the others in 1/1000; their writers hold all pictures at once.
_TICKS = {"GIF": 100}
_MOST_BYTES = 1 << 30
_OPTIONS: dict[str, dict[str, Any]] = {
    "GIF": {"disposal": 2, "optimize": False},
    "PNG": {},
    "WEBP": {"quality": 95, "method": 2, "exact": True},
    "AVIF": {"quality": 90, "subsampling": "4:4:4"},
}


class AnimationWriter(Writer):
    """Collects frames and writes them as an animation with their times."""

    def __init__(self, source: VideoSource, path: Path, shown: StrPath | None = None) -> None:
        """Raises OutputError where the frames would take too much memory."""
        super().__init__(source, path, shown)
        self._format = ANIMATION_FORMATS[path.suffix.lower()]
        self._images: list[Any] = []
        self._starts: list[Fraction] = []
        self._end = Fraction(0)
        self._require_room(source.info.frame_count or 0)
        if not isinstance(source, PictureSource) and source.info.tracks:
            self.add_notes(["An animation holds no sound and no other tracks."])
        if source.info.bit_depth > 8:
            self.add_notes(["An animation has 8 bits a color: the video has more."])
        if self._format == "GIF":
            self.add_notes(["GIF shows 256 colors a picture, and counts time in 1/100 s."])

    def write(self, frame: NativeFrame) -> None:
        """Takes a frame. Raises OutputError where there are too many."""
        native = frame.native
        self._require_room(self.frames + 1)
        photo = photo_of(self._video, native, None)
        bands = [_8_bit(photo.pixels)]
        if photo.alpha is not None:
            bands.append(_8_bit(photo.alpha))
        self._images.append(Image.fromarray(np.ascontiguousarray(np.dstack(bands))))
        start = native.pts * native.time_base
        self._starts.append(start)
        length = (native.duration or 0) * native.time_base
        step = start - self._starts[-2] if len(self._starts) > 1 else Fraction(1, 25)
        self._end = start + (length or step)
        self.frames += 1

    def close(self) -> None:
        """Writes the file."""
        if self.frames:
            self._save()
        self.is_whole = True

    def _save(self) -> None:
        options = {**_OPTIONS[self._format], "duration": self._durations()}
        loop = self._video.loop if isinstance(self._video, PictureSource) else 0
        if loop is not None and self._format != "AVIF":
            options["loop"] = loop
        first, *rest = self._images
        try:
            first.save(self.path, self._format, save_all=True, append_images=rest, **options)
        except OSError as error:
            raise OutputError(not_written(self._shown, error)) from error
        except (
            Exception
        ) as error:  # whatever Pillow meets: a side, or a time, too long to be stored
            raise OutputError(
                f"{self.path.suffix} does not hold these pictures or times ({error}): write a "
                f".mp4 or a .webm."
            ) from error

    def _durations(self) -> list[int]:
        """Of each picture in milliseconds, rounded so that no error adds up."""
        ticks = _TICKS.get(self._format, 1000)
        times = [*self._starts, self._end]
        rounded = [round((time - times[0]) * ticks) * (1000 // ticks) for time in times]
        return [max(1, after - before) for before, after in pairwise(rounded)]

    def _require_room(self, count: int) -> None:
        size = self._video.info.width * self._video.info.height * 4
        if count * size > _MOST_BYTES:
            raise OutputError(
                f"An animation is made in memory, and {count} frames of "
                f"{self._video.info.width} x {self._video.info.height} pixels are too many for "
                f"that: write a .mp4 or a .webm."
            )


def _8_bit(array: Any) -> Any:
    if array.dtype == np.uint8:
        return array
    return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
