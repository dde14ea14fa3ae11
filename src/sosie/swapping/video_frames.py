"""The frames of a video or of a segment, swapped one after the other with what goes along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sosie.analysis.selection import Claim
from sosie.analysis.tracking.tracks import TrackedFace
from sosie.media.input_info import VideoSource
from sosie.media.masks import DrawnMasks, frame_number
from sosie.media.video import VideoFrame
from sosie.options import SwapOptions
from sosie.swapping.face import Engine
from sosie.swapping.frame import FrameSwapper
from sosie.swapping.layers import LayerWriter
from sosie.swapping.tally import Tally
from sosie.timing import Stopwatch
from sosie.types import FloatArray, Pixels


class VideoFrames:
    """Swaps frames in their order. swapper: what is remembered from frame to frame."""

    def __init__(
        self,
        source: VideoSource,
        engine: Engine,
        options: SwapOptions,
        tally: Tally,
        layers: LayerWriter | None,
        watch: Stopwatch,
        show: Callable[[Callable[[], Pixels]], None] | None = None,
    ) -> None:
        """tally: counts what is done. layers: gets what a compositor wants of each frame. show: is
        called with what gives the pixels of each frame that is done."""
        self._show, self._options = show, options
        self.swapper = FrameSwapper(engine)
        self._source, self._tally, self._layers, self._watch = source, tally, layers, watch
        self._masks = DrawnMasks(Path(options.masks)) if options.masks is not None else None

    def swap(
        self, frame: VideoFrame, faces: Sequence[TrackedFace], claims: Sequence[Claim]
    ) -> None:
        """Swaps the claimed faces of a frame in the frame itself. faces: all of it."""
        self._tally.see(faces)
        if not claims:
            self._tally.skip(frame, faces)
            if self._layers is not None:
                shown = frame.to_rgb()
                self._layers.write(frame, self._layers.plate_of(frame, shown), shown, None, faces)
            if self._show is not None:
                self._show(frame.to_rgb)
            return
        shown = self._pixels(frame, faces)
        plate = None if self._layers is None else self._layers.plate_of(frame, shown)
        swapped = self.swapper.swap(shown, claims, faces, self._watch, self._drawn(frame))
        if not swapped.faces:
            self._tally.hide(frame)
        for patch in swapped.patches:
            frame.paste(patch)
        if self._layers is not None and plate is not None:
            self._layers.write(frame, plate, shown, swapped, faces)
        if self._show is not None:
            self._show(lambda: shown)
        for done in swapped.faces:
            self._tally.swapped(done, frame.time_s)

    def follow(
        self, frame: VideoFrame, faces: Sequence[TrackedFace], claims: Sequence[Claim]
    ) -> None:
        """Remembers of a frame what `swap` does, and changes nothing."""
        if claims:
            pixels = self._pixels(frame, faces)
            self.swapper.follow(pixels, claims, faces, self._watch, self._drawn(frame))

    def _pixels(self, frame: VideoFrame, faces: Sequence[TrackedFace]) -> Pixels:
        """What the swap of a frame looks at, or all of it where layers are made."""
        frame.bring_back()
        boxes = None
        if self._options.layers is None:
            boxes = self.swapper.looked_at(faces, (frame.height, frame.width))
        return frame.to_rgb() if boxes is None else frame.parts_to_rgb(boxes)

    def _drawn(self, frame: VideoFrame) -> FloatArray | None:
        """The mask of a frame that somebody drew."""
        if self._masks is None:
            return None
        return self._masks.read(frame_number(self._source, frame), frame.width, frame.height)
