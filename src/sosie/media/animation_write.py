"""Frames written as an animation: GIF, APNG, WebP or AVIF.

Their encoders want all pictures at once. So what is kept of a segment is not encoded yet: it is the
part of each picture that was changed, without loss, which a later run puts into the frames that it
reads again.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
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
from sosie.media.segments import SegmentLog
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


# Frames of 4:2:0 share colors with pixels beside the patch.
_CHROMA_REACH_PX = 16
_OUTER, _DATED = (b"moov", b"trak", b"mdia"), (b"mvhd", b"tkhd", b"mdhd")
_LARGEST_WEBP_PX = 16383
_CORNER = struct.Struct("<ii")


class AnimationWriter(Writer):
    """Collects frames and writes them as an animation with their times."""

    needs_plates = True

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
        self._require_room(self.frames + 1)
        image = image_of(self._video, frame)
        if self._log is not None:
            self._log.add_piece(changed_part(frame, image))
        self._add(frame, image)

    def go_on(self, log: SegmentLog, number: int, plates: Iterable[NativeFrame] = ()) -> None:
        """Puts what was kept into the frames as they were read."""
        for frame, part in zip(plates, log.pieces(number), strict=True):
            image = image_of(self._video, frame)
            self._add(frame, with_part(image, part))
        self._take_facts(log.facts(number))

    def _add(self, frame: NativeFrame, image: Any) -> None:
        native = frame.native
        self._images.append(image)
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
        if self._format == "AVIF":
            _remove_dates(self.path)

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


class AnimationPartWriter(Writer):
    """Keeps what changed of the frames of one segment, as `AnimationWriter` does. There is no file
    but that of the segment."""

    def write(self, frame: NativeFrame) -> None:
        """Takes a frame."""
        assert self._log is not None, "the parts go nowhere else"
        self._log.add_piece(changed_part(frame, image_of(self._video, frame)))
        self.frames += 1

    def go_on(self, log: SegmentLog, number: int, plates: Iterable[NativeFrame] = ()) -> None:
        """A part needs nothing of what is before it."""

    def close(self) -> None:
        """All are kept."""
        self.is_whole = True


def _remove_dates(path: Path) -> None:
    """Sets the dates of an AVIF to none: else the same animation twice is not the same file."""
    data = bytearray(path.read_bytes())

    def walk(start: int, end: int) -> None:
        while start + 8 <= end:
            size, name = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8]
            if size < 8:  # one that goes on to the end, as that of the pictures may
                return
            if bytes(name) in _DATED:
                # Of 8 bytes each or of 4, by the version; before them are flags.
                length = 16 if data[start + 8] else 8
                data[start + 12 : start + 12 + length] = bytes(length)
            elif bytes(name) in _OUTER:
                walk(start + 8, start + size)
            start += size

    walk(0, len(data))
    path.write_bytes(data)


def image_of(source: VideoSource, frame: NativeFrame) -> Any:
    """A frame as Pillow's image, upright, RGB or RGBA of 8 bits."""
    photo = photo_of(source, frame.native, None)
    bands = [_8_bit(photo.pixels)]
    if photo.alpha is not None:
        bands.append(_8_bit(photo.alpha))
    return Image.fromarray(np.ascontiguousarray(np.dstack(bands)))


def changed_part(frame: NativeFrame, image: Any) -> bytes:
    """What `with_part` needs to make a frame's image of that of the frame as it was read."""
    if frame.changed is None:
        return b""
    x0, y0, x1, y1 = frame.changed
    reach = _CHROMA_REACH_PX
    x0, y0 = max(0, x0 - reach), max(0, y0 - reach)
    part = image.crop((x0, y0, min(image.width, x1 + reach), min(image.height, y1 + reach)))
    file = io.BytesIO()
    if max(part.size) <= _LARGEST_WEBP_PX:
        part.save(file, "WEBP", lossless=True, exact=True, quality=50, method=3)
    else:
        part.save(file, "PNG")
    return _CORNER.pack(x0, y0) + file.getvalue()


def with_part(image: Any, part: bytes) -> Any:
    """The image with a part that `changed_part` took of another."""
    if part:
        x, y = _CORNER.unpack_from(part)
        with Image.open(io.BytesIO(part[_CORNER.size :])) as changed:
            image.paste(changed.convert(image.mode), (x, y))
    return image


def _8_bit(array: Any) -> Any:
    if array.dtype == np.uint8:
        return array
    return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
