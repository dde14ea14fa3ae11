"""Animated GIF, PNG, WebP and AVIF, read as a video is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sosie.errors import InputError
from sosie.files import require_file
from sosie.media.image import READABLE
from sosie.media.image_decoding import decoding, quiet
from sosie.media.photo import Photo, check_size
from sosie.media.picture_source import Picture, native_picture
from sosie.media.picture_video import Pictures

_ANIMATED = tuple(name for name in ("GIF", "PNG", "WEBP", "AVIF") if name in READABLE)
_TIME_BASE = Fraction(1, 1000)
# Players show a picture that is to be shown for no time, or next to none, for this long.
_USUAL_MS, _LEAST_MS = 100, 11
_MOST_FRAMES = 20_000


class AnimationReader:
    """Reads the pictures of an animation. It is gone through once beforehand, for its times and to
    see whether anything of it is transparent."""

    def __init__(self, path: Path) -> None:
        self.kind = "animation"
        self.first_number: int | None = None
        self.path = path
        self._times: list[tuple[int, int]] = []
        self._has_alpha = False
        with _opened(path) as image:
            self.codec = str(image.format).lower()
            loop = image.info.get("loop")
            self.loop: int | None = loop if isinstance(loop, int) else None
            start = 0
            for picture in _shown(image, path):
                length = _duration_ms(picture)
                self._times.append((start, length))
                start += length
                self._has_alpha = self._has_alpha or _is_transparent(picture)
        self.count, self.end_s = len(self._times), start / 1000
        self.times_s = [Fraction(begin, 1000) for begin, _ in self._times]
        self.fps = Fraction(self.count * 1000, max(start, 1))

    def pictures(
        self, start_s: float | Fraction, end_s: float | None, skip: int = 0
    ) -> Iterator[Picture]:
        """The pictures of a part, but for so many at its start. Each is drawn over those before it,
        so that all are read."""
        with _opened(self.path) as image:
            for picture, (start, length) in zip(
                _shown(image, self.path), self._times, strict=False
            ):
                if end_s is not None and start >= end_s * 1000:
                    return
                if start < start_s * 1000:
                    continue
                if skip:
                    skip -= 1
                    continue
                with decoding(self.path):
                    array = np.asarray(picture.convert("RGBA" if self._has_alpha else "RGB"))
                photo = Photo(
                    np.ascontiguousarray(array[..., :3]),
                    np.ascontiguousarray(array[..., 3]) if self._has_alpha else None,
                )
                yield Picture(native_picture(photo, start, _TIME_BASE, length))


def open_animation(
    path: Path, start_s: float | None = None, end_s: float | None = None
) -> Pictures:
    """Opens an animation as a video; see `sosie.media.video.open_video` for the part."""
    return Pictures(AnimationReader(require_file(path, "animation")), start_s, end_s)


def is_animation(path: Path) -> bool:
    """Whether a file is a picture with more than one frame; False where it cannot be read."""
    with suppress(Exception), quiet(), Image.open(path, formats=_ANIMATED) as image:
        if image.format == "GIF":
            image.seek(1)
            return True
        return int(getattr(image, "n_frames", 1)) > 1
    return False


def _opened(path: Path) -> Any:
    with quiet(), decoding(path):
        image = Image.open(path, formats=_ANIMATED)
    check_size(image.width, image.height, str(path), image.format)
    return image


def _shown(image: Any, path: Path) -> Iterator[Any]:
    """The pictures as they are shown, one after the other."""
    for number in range(_MOST_FRAMES):
        try:
            with quiet(), decoding(path):
                image.seek(number)
                image.load()
        except InputError as error:
            if isinstance(error.__cause__, EOFError) and number:
                return
            raise
        yield image
    raise InputError(f"{path} has more than {_MOST_FRAMES} frames; convert it to a video first.")


def _duration_ms(image: Any) -> int:
    duration = image.info.get("duration")
    if not isinstance(duration, int | float) or not duration >= _LEAST_MS:
        return _USUAL_MS
    return round(duration)


def _is_transparent(image: Any) -> bool:
    if image.mode not in ("RGBA", "LA", "PA") and "transparency" not in image.info:
        return False
    return int(np.asarray(image.convert("RGBA"))[..., 3].min()) < 255
