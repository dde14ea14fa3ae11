"""What a writer has to know of pictures that are shown one after the other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from av.video.frame import VideoFrame

from sosie.media.input_info import VideoSource
from sosie.media.photo import Photo
from sosie.media.pixel_formats import plane_array

_FULL_RANGE = 2


@dataclass(frozen=True)
class PictureSource(VideoSource):
    """A sequence or an animation.

    first_number: of a sequence's first picture, whose timestamp is 0. files: by timestamp, the file
    of each picture. kept: by timestamp, what goes along with a picture that was read and not yet
    written. loop: how often an animation is played, 0 without end, None where it does not say.
    """

    first_number: int | None = None
    files: dict[int, Path] = field(default_factory=dict)
    kept: dict[int, Photo] = field(default_factory=dict)
    loop: int | None = None

    def open(self) -> Any:
        """A container without tracks, words or chapters."""
        stream = SimpleNamespace(
            index=0, type="video", time_base=self.first.time_base, base_rate=None,
            sample_aspect_ratio=None, metadata={}, disposition=0, discard=None,
        )  # fmt: skip
        return SimpleNamespace(
            streams=[stream], metadata={}, chapters=list, close=lambda: None,
            format=SimpleNamespace(name="pictures"),
        )  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """One picture: its native frame with its time, what goes along with it, and its file."""

    native: Any
    photo: Photo | None = None
    file: Path | None = None


def native_picture(photo: Photo, pts: int, time_base: Fraction, duration: int) -> Any:
    """A photo as a frame in planes of green, blue and red, and alpha where it has that."""
    deep = photo.pixels.dtype == np.uint16
    name = ("gbrap" if photo.alpha is not None else "gbrp") + ("16le" if deep else "")
    frame = VideoFrame(photo.width, photo.height, name)
    for plane, channel in ((2, 0), (0, 1), (1, 2)):
        plane_array(frame, plane)[...] = photo.pixels[..., channel]
    if photo.alpha is not None:
        plane_array(frame, 3)[...] = photo.alpha
    frame.color_range = _FULL_RANGE
    return timed(frame, pts, time_base, duration)


def timed(frame: Any, pts: int, time_base: Fraction, duration: int) -> Any:
    """The frame with its time."""
    frame.pts, frame.time_base, frame.duration = pts, time_base, duration
    return frame


def photo_of(source: VideoSource, native: Any, like: Photo | None) -> Photo:
    """A frame of any format as a photo, with what goes along with `like`."""
    alpha = next((c.plane for c in native.format.components if c.is_alpha), None)
    pixels = source.orientation.upright(source.converter.to_rgb(native))
    opacity = None
    if alpha is not None:
        opacity = _scaled_to(plane_array(native, alpha), native, pixels.dtype)
        opacity = source.orientation.upright(opacity)
    if like is None:
        return Photo(pixels, opacity)
    return replace(like, pixels=pixels, alpha=opacity)


def _scaled_to(plane: Any, native: Any, dtype: Any) -> Any:
    bits = max(c.bits for c in native.format.components if c.is_alpha)
    if bits in (8, 16) and plane.dtype == dtype:
        return plane.copy()
    return np.rint(plane.astype(np.float64) * (np.iinfo(dtype).max / (2**bits - 1))).astype(dtype)
