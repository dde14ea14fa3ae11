"""The processors of a swap at work: on a swapped face before it is blended, on the frame after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import cv2
import numpy as np

from sosie.errors import SosieError
from sosie.geometry.alignment import compose, invert, scale_of, warp
from sosie.methods.base import soft_edge
from sosie.options import SwapOptions
from sosie.processors import create_processor
from sosie.processors.base import STAGES, FaceProcessor, FrameProcessor
from sosie.types import Crop, Face, FloatArray, Patch, Pixels, ProcessorReport, SwappedCrop

Cut = Callable[[str | None, int | None], Crop]
"""The crop of one face for a template and a size, or at the frame's own resolution for None."""

# A crop of a scale below this shows less than the frame does.
_FINE = 0.999
# Towards its crop's edge a change gives way to what was there over this share of the side.
_EDGE = 0.06


class Processing:
    """The processors that the options name, in their order. Threads may share it."""

    def __init__(self, options: SwapOptions) -> None:
        """Raises UsageError on a name or a setting that is not known, and what the processors do on
        files that they cannot use."""
        made = [create_processor(text, options) for text in options.processors]
        for one in made:
            if one.card.stage not in STAGES:
                raise SosieError(
                    f"The processor {one.card.name} says that it acts on {one.card.stage!r}: it "
                    f"must be one of {', '.join(STAGES)}; tell its author."
                )
        self._faces = [cast(FaceProcessor, one) for one in made if one.card.stage == "face"]
        self._frames = [cast(FrameProcessor, one) for one in made if one.card.stage == "frame"]
        self.providers = {name: at for one in made for name, at in one.providers.items()}
        self.reports = tuple(
            ProcessorReport(text, one.card.stage, one.card.license)
            for text, one in zip(options.processors, made, strict=True)
        )

    @property
    def acts_on_faces(self) -> bool:
        """Whether one of them is of the stage `face`."""
        return bool(self._faces)

    @property
    def acts_on_frames(self) -> bool:
        """Whether one of them is of the stage `frame`."""
        return bool(self._frames)

    def face(self, crop: Crop, swapped: SwappedCrop, cut: Cut) -> tuple[Crop, SwappedCrop]:
        """A swapped face as the processors leave it, in a crop that shows as much as the frame."""
        if scale_of(crop.matrix) < _FINE:
            fine = cut(None, None)
            crop, swapped = fine, _moved(crop, swapped, fine)
        for one in self._faces:
            swapped = _processed(one, crop, swapped, cut)
        return crop, swapped

    def frame(self, pixels: Pixels, faces: Sequence[Face]) -> Patch:
        """What the processors change of a frame whose faces were swapped. It is not written to."""
        made = pixels
        for one in self._frames:
            given = made.view()
            given.setflags(write=False)
            made = one.process([given], [faces])[0]
            if made.shape != pixels.shape or made.dtype != pixels.dtype:
                raise SosieError(_unfit(one.card.name, "a frame"))
        return Patch(0, 0, made, np.asarray((made != pixels).any(2)))


def _processed(processor: FaceProcessor, crop: Crop, swapped: SwappedCrop, cut: Cut) -> SwappedCrop:
    """One processor's result in the crop of what it was given."""
    card = processor.card
    if card.template is None:
        return _checked(processor, crop, swapped)
    work = cut(card.template, card.size_px)
    given = _moved(crop, _complete(crop, swapped), work)
    made = _checked(processor, work, given)
    change = (made.pixels - given.pixels) * soft_edge(work.pixels.shape[0], _EDGE)[..., None]
    back = compose(crop.matrix, invert(work.matrix))
    height, width = crop.pixels.shape[:2]
    added = warp(change, back, width, height, border=cv2.BORDER_CONSTANT)
    pixels = np.clip(swapped.pixels + added, 0, 1)
    kept = np.where(swapped.mask[..., None] > 0, pixels, swapped.pixels)
    return replace(swapped, pixels=np.asarray(kept, np.float32))


def _checked(processor: FaceProcessor, crop: Crop, swapped: SwappedCrop) -> SwappedCrop:
    made = processor.process([crop], [swapped])[0]
    if made.pixels.shape != swapped.pixels.shape or made.mask.shape != swapped.mask.shape:
        raise SosieError(_unfit(processor.card.name, "a face"))
    return made


def _unfit(name: str, what: str) -> str:
    return f"The processor {name} gives {what} of another shape than it was given: tell its author."


def _complete(crop: Crop, swapped: SwappedCrop) -> SwappedCrop:
    """The face in the target's surroundings."""
    mask = swapped.mask[..., None]
    target = _unit(crop.pixels)
    mixed = target + (np.where(mask > 0, swapped.pixels, target) - target) * mask
    return replace(swapped, pixels=np.asarray(mixed, np.float32))


def _moved(crop: Crop, swapped: SwappedCrop, onto: Crop) -> SwappedCrop:
    """A swapped face in another crop; around it, the target."""
    change = compose(onto.matrix, invert(crop.matrix))
    height, width = onto.pixels.shape[:2]
    shown = np.where(swapped.mask[..., None] > 0, swapped.pixels, _unit(crop.pixels))
    mask, own = (
        np.clip(warp(one, change, width, height, border=cv2.BORDER_CONSTANT), 0, 1)
        for one in (swapped.mask, swapped.own)
    )
    pixels = np.clip(warp(shown.astype(np.float32), change, width, height), 0, 1)
    whole = np.asarray(pixels, np.float32)
    return SwappedCrop(whole, mask, own, outlined=swapped.outlined)


def _unit(pixels: Pixels) -> FloatArray:
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
