"""Frames made anew in place of a video's, of another size, at the times of its own."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from av.video.frame import VideoFrame as NativeVideoFrame

from sosie.media.input_info import VideoSource
from sosie.media.linear import is_linear
from sosie.media.picture_source import timed
from sosie.media.pixel_formats import Colors, Converter, is_rgb
from sosie.media.probe import Orientation
from sosie.media.video import VideoFrame
from sosie.types import Pixels

_BT709, _LIMITED = 1, 1


class NewFrame:
    """A frame for a writer, of which nothing is as it was read."""

    changed = None

    def __init__(self, native: Any) -> None:
        self.native = native


class NewFrames:
    """Makes native frames of RGB pixels, for a writer of `video`.

    keeps_colors: whether the pixels are in the video's own colors; else they are those of a photo
    (sRGB), and the frames are tagged BT.709 with square pixels.
    """

    def __init__(self, video: VideoSource, keeps_colors: bool) -> None:
        self._video, self._keeps_colors = video, keeps_colors
        first = video.first
        from_rgb = is_rgb(video.native_format) or is_linear(video.native_format)
        own = keeps_colors and not from_rgb
        self._converter = video.converter if own else Converter(Colors(None, 2))
        self._tags = (
            int(first.color_primaries) if keeps_colors else _BT709,
            int(first.color_trc) if keeps_colors else _BT709,
            int(first.colorspace) if own else _BT709,
            int(first.color_range) if own else _LIMITED,
        )

    def source(self, pixels: Pixels) -> VideoSource:
        """What a writer has to know: all of the video but its pictures. pixels: of one of those
        that will come."""
        first = self._video.first
        native = timed(self._native(pixels), first.pts, first.time_base, int(first.duration or 0))
        info = replace(self._video.info, width=native.width, height=native.height)
        if not self._keeps_colors:
            info = replace(info, sample_aspect=Fraction(1))
        return replace(
            self._video,
            info=info,
            first=native,
            orientation=Orientation(),
            display_matrix=None,
            native_format=native.format.name,
            converter=self._converter,
        )

    def made(self, pixels: Pixels, like: VideoFrame) -> NewFrame:
        """A frame with even sides (RGB, uint8 or uint16), at the time of another one."""
        native = self._native(pixels)
        return NewFrame(timed(native, like.pts, like.time_base, like.native.duration or 0))

    def _native(self, pixels: Pixels) -> Any:
        deep = pixels.dtype == np.uint16
        rgb = NativeVideoFrame.from_ndarray(pixels, "rgb48le" if deep else "rgb24")
        native = self._converter.reformat(rgb, "yuv420p10le" if deep else "yuv420p")
        primaries, transfer, matrix, value_range = self._tags
        native.color_primaries, native.color_trc = primaries, transfer
        native.colorspace, native.color_range = matrix, value_range
        return native
