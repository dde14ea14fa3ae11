"""Small copies of a video's frames, for what needs no detail: many times faster than `to_rgb`."""

from __future__ import annotations

import numpy as np
from av.video.reformatter import VideoReformatter

from sosie.media.video import VideoFrame
from sosie.types import Pixels

_LONGER_PX = 128


class Shrinker:
    """Shrinks the frames of one video. Not for several threads at once."""

    def __init__(self) -> None:
        self._scaler = VideoReformatter()

    def small_rgb(self, frame: VideoFrame) -> Pixels:
        """The frame as stored, not turned upright: RGB uint8, the longer side 128 pixels or, of a
        smaller frame, its own."""
        native = frame.native
        scale = min(1.0, _LONGER_PX / max(native.width, native.height))
        small = self._scaler.reformat(
            native,
            width=max(2, round(native.width * scale)),
            height=max(2, round(native.height * scale)),
            format="rgb24",
            interpolation="AREA",
        )
        return np.asarray(small.to_ndarray(), np.uint8)
