"""Scene-linear frames: shown to the networks as on a screen, changed by a difference in linear
light.

A frame is float32, without an upper end. The curve to the screen is that of sRGB up to a knee and
bends above it, so that highlights of any brightness keep an order and come back.
"""

from __future__ import annotations

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from sosie.media.pixel_formats import Box, Colors, Converter, plane_array
from sosie.types import FloatArray, Patch, Pixels

LINEAR_FORMAT = "gbrpf32le"
_TOP = 65535
# Light from here on is bent towards 1, which none reaches; what is told of it ends 4095 times the
# room above the knee.
_KNEE, _MOST = 0.8, 4095 / 4096


def to_screen(linear: FloatArray) -> Pixels:
    """Linear light, any shape, as a screen shows it: uint16. Below 0 and what is no number is 0."""
    light = np.maximum(np.nan_to_num(linear, nan=0.0, posinf=3e38, neginf=0.0), 0)
    above = light - _KNEE
    room = 1 - _KNEE
    bent = np.where(above > 0, _KNEE + room * (above / (above + room)), light)
    shown = np.where(bent <= 0.0031308, 12.92 * bent, 1.055 * bent ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(np.clip(shown, 0, 1) * _TOP), np.uint16)


def to_linear(shown: Pixels) -> NDArray[np.float64]:
    """What `to_screen` shows so, in linear light."""
    value = shown.astype(np.float64) / _TOP
    bent = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    share = np.clip((bent - _KNEE) / (1 - _KNEE), 0, _MOST)
    return np.where(bent > _KNEE, _KNEE + (1 - _KNEE) * share / (1 - share), bent)


class LinearConverter(Converter):
    """Conversions of a video of linear frames (`LINEAR_FORMAT`)."""

    def __init__(self) -> None:
        super().__init__(Colors(None, 2))

    def reformat(self, frame: VideoFrame, format_name: str, threads: int = 0) -> VideoFrame:
        """The frame in another pixel format, as a screen shows it where that is one of integers."""
        if frame.format.name == LINEAR_FORMAT and format_name != LINEAR_FORMAT:
            shown = VideoFrame.from_ndarray(self.to_rgb(frame), "rgb48le")
            shown.pts, shown.time_base, shown.duration = frame.pts, frame.time_base, frame.duration
            frame = shown
        return super().reformat(frame, format_name, threads)

    def to_rgb(self, frame: VideoFrame) -> Pixels:
        """RGB as a screen shows it, h x w x 3, uint16."""
        return to_screen(linear_rgb(frame))

    def part_to_rgb(self, frame: VideoFrame, box: Box) -> Pixels:
        """As `to_rgb`, of a part of the frame alone."""
        x0, y0, x1, y1 = box
        return to_screen(linear_rgb(frame)[y0:y1, x0:x1])

    def paste(self, frame: VideoFrame, patch: Patch) -> None:
        """Adds the patch's difference to what the frame shows there, in linear light, under its
        mask alone."""
        frame.make_writable()
        height, width = patch.mask.shape
        where = (slice(patch.y, patch.y + height), slice(patch.x, patch.x + width))
        for plane, channel in ((2, 0), (0, 1), (1, 2)):
            window = plane_array(frame, plane)[where]
            before, after = to_screen(window), patch.pixels[..., channel]
            changed = patch.mask & (before != after)
            window[changed] = _moved(window[changed], to_linear(before[changed]), after[changed])


def _moved(light: FloatArray, shown: NDArray[np.float64], after: Pixels) -> FloatArray:
    """Light that a screen showed as `shown`, with the difference to what it is to show.

    What the screen did not tell of the light, below its steps or out of its bounds, stays as far as
    what is shown does: nothing of a lamp is left where a face takes its place.
    """
    new = to_linear(after)
    untold = np.nan_to_num(light - shown, nan=0.0, posinf=0.0, neginf=0.0)
    share = np.divide(new, shown, out=np.zeros_like(new), where=shown > 0)
    return np.asarray(new + untold * np.minimum(share, 1), np.float32)


def linear_frame(rgb: FloatArray) -> VideoFrame:
    """A frame of linear light: h x w x 3, float32."""
    height, width = rgb.shape[:2]
    frame = VideoFrame(width, height, LINEAR_FORMAT)
    for plane, channel in ((2, 0), (0, 1), (1, 2)):
        plane_array(frame, plane)[...] = rgb[..., channel]
    return frame


def linear_rgb(frame: VideoFrame) -> FloatArray:
    """The linear light of a frame: h x w x 3, float32."""
    return np.stack([plane_array(frame, plane) for plane in (2, 0, 1)], axis=-1)


def is_linear(format_name: str) -> bool:
    """Whether a pixel format is that of linear frames."""
    return VideoFormat(format_name).name == LINEAR_FORMAT
