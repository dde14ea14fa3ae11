"""One face of one frame: cropped, swapped, composed; and aimed better from frame to frame."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sosie import aim, face_mesh, geometry
from sosie.analysis import occlusion
from sosie.analysis.analyser import Analyser
from sosie.analysis.parser import FaceParts
from sosie.analysis.topology import region_of
from sosie.compose import restore
from sosie.compose.composer import ComposeOptions, compose
from sosie.face_shape import Points
from sosie.geometry import align_matrix, transform_points, warp
from sosie.methods import load_method
from sosie.methods.base import Source
from sosie.options import SwapOptions
from sosie.tint import Tint, measure_tint, no_tint
from sosie.types import Crop, Face, FloatArray, Patch, Pixels, SwappedCrop

WINDOW_MARGIN = 0.04
"""What a window of the frame holds around the landmarks, as a share of the face's size."""

# What a draft needs there for the landmark network to see the head around the face.
_DRAFT_MARGIN = 0.5
# A draft is only read, by a network that looks at 192 px.
_DRAFT_FACE_PX = 144
# In a film the aim follows slowly, from every third frame: it depends on the source, not the frame.
_DRAFT_EVERY = 3
_FOLLOW = 0.4
_LEAK = 0.4
# What is in front of the face, and the tint of the picture around it, are looked for in every other
# frame, and averaged over about this many looks, so that they do not flicker.
_LOOKS = 3
# What is looked at around a face for the tint, as a share of its size.
_TINT_MARGIN = 0.3


@dataclass
class FaceMemory:
    """What is carried from frame to frame for one face of a film.

    person: whose face it gets: a position among the engine's people. parts: the mean of the last
    looks at what is on the face and before it. visible: what of it may be painted over.
    """

    person: int = 0
    correction: Points = field(default_factory=aim.no_correction)
    parts: FaceParts | None = None
    visible: FloatArray = field(default_factory=occlusion.all_visible)
    tint: Tint = field(default_factory=no_tint)
    source: int | None = None
    frames: int = 0


class Engine:
    """The swap of single faces with fixed people to put in, and options.

    seconds: busy time so far of the stages `aim` (what is in front of the face, and the drafts),
    `swap` and `compose`.
    """

    def __init__(
        self,
        people: Sequence[Sequence[tuple[Pixels, Face]]],
        options: SwapOptions,
        analyser: Analyser,
    ) -> None:
        """people: the source photos of each person who is put in: a photo's pixels (RGB, uint8 or
        uint16) and the face in it."""
        self._swapper = load_method(options.method)(options)
        self._compose = ComposeOptions(options.blend, options.colour, options.mask_feather)
        self._analyser = analyser
        self._prepared = [
            self._swapper.prepare([source_photo(analyser, pixels, face) for pixels, face in photos])
            for photos in people
        ]
        self.seconds = {"aim": 0.0, "swap": 0.0, "compose": 0.0}

    def patch(self, pixels: Pixels, face: Face, memory: FaceMemory, seen: bool = True) -> Patch:
        """The part of a frame (RGB, uint8 or uint16) that the swap of one face changes.

        memory: of this face; a new one for a photo. seen: False where the face's landmarks are
        bridged, so that nothing is learned from them.
        """
        times = [time.perf_counter()]
        self._look(pixels, face, memory)
        if seen and self._swapper.card.drafts:
            self._aim(pixels, face, memory)
        memory.frames += 1
        times.append(time.perf_counter())
        crop, swapped = self._swapped(pixels, face, memory)
        times.append(time.perf_counter())
        patch = compose(pixels, crop, swapped, self._compose, memory.tint)
        times.append(time.perf_counter())
        for stage, start, end in zip(self.seconds, times, times[1:], strict=False):
            self.seconds[stage] += end - start
        return patch

    def _swapped(self, pixels: Pixels, face: Face, memory: FaceMemory) -> tuple[Crop, SwappedCrop]:
        prepared = self._prepared[memory.person]
        crop = self._crop(pixels, face, memory)
        memory.source = self._swapper.choose(prepared, crop, memory.source)
        crop = replace(crop, source=memory.source)
        return crop, self._swapper.swap(prepared, [crop])[0]

    def _crop(self, pixels: Pixels, face: Face, memory: FaceMemory) -> Crop:
        card = self._swapper.card
        if card.template is None or card.size_px is None:
            x0, y0, x1, y1 = window(face.landmarks, WINDOW_MARGIN, pixels.shape)
            matrix = np.array([[1.0, 0, -x0], [0, 1.0, -y0]])
            part = pixels[y0:y1, x0:x1]
        else:
            matrix = align_matrix(face.points5, card.template, card.size_px)
            part = geometry.crop(pixels, matrix, card.size_px)
        landmarks = transform_points(face.landmarks, matrix)
        shown = occlusion.place_view(memory.visible, landmarks, part.shape[1], part.shape[0])
        aimed = aim.aim_at(landmarks, memory.correction)
        return Crop(part, matrix, landmarks, aimed, shown, face)

    def _look(self, pixels: Pixels, face: Face, memory: FaceMemory) -> None:
        """What of the face may be painted over, and in what tint the picture around it is."""
        if memory.frames % 2:
            return
        parts = self._analyser.parts(pixels, face.landmarks)
        x0, y0, x1, y1 = window(face.landmarks, _TINT_MARGIN, pixels.shape)
        tint = measure_tint(pixels[y0:y1, x0:x1])
        if memory.parts is not None:
            share = 1 / min(memory.frames, _LOOKS)
            parts = memory.parts.towards(parts, share)
            tint = memory.tint.towards(tint, share)
        memory.parts, memory.tint = parts, tint
        memory.visible = occlusion.paintable(parts, face.landmarks)

    def _aim(self, pixels: Pixels, face: Face, memory: FaceMemory) -> None:
        """Draft the swap in small, read it, and correct the aim."""
        first = memory.frames == 0
        if not first and memory.frames % _DRAFT_EVERY:
            return
        x0, y0, x1, y1 = window(face.landmarks, _DRAFT_MARGIN, pixels.shape)
        scale = min(1.0, _DRAFT_FACE_PX / face.size_px)
        matrix = np.array([[scale, 0, -x0 * scale], [0, scale, -y0 * scale]])
        width, height = round((x1 - x0) * scale), round((y1 - y0) * scale)
        small = warp(pixels, matrix, width, height)
        points = transform_points(face.landmarks, matrix)
        there = replace(
            face,
            landmarks=points,
            points5=transform_points(face.points5, matrix),
            box=np.concatenate([points[:, :2].min(0), points[:, :2].max(0)]),
        )
        for _ in range(self._swapper.card.drafts if first else 1):
            draft = small.copy()
            crop, swapped = self._swapped(small, there, memory)
            restore.paste(draft, compose(small, crop, swapped, self._compose, memory.tint))
            read = self._analyser.landmarks(draft, region_of(points))
            missing = None if read is None else aim.missed(points, read.landmarks)
            if missing is None:
                return
            if not first:
                # What cannot be corrected must not pile up: the longer the lean, the more it gives.
                missing = _FOLLOW * (missing - _LEAK * memory.correction)
            memory.correction = aim.bounded(memory.correction + missing)


def source_photo(analyser: Analyser, pixels: Pixels, face: Face) -> Source:
    """A source photo with what lies before the face in it."""
    parts = analyser.parts(pixels, face.landmarks)
    view = occlusion.visible(parts, face.landmarks)
    visible = occlusion.place_view(view, face.landmarks, pixels.shape[1], pixels.shape[0])
    return Source(pixels, face, visible, parts)


def window(
    landmarks: FloatArray, margin: float, shape: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 around a face's landmarks (478 x 3), whole pixels, inside a frame of `shape`
    (height, width, ...). margin: as a share of the face's size."""
    points = landmarks[: face_mesh.SURFACE_POINTS, :2]
    low, high = points.min(0), points.max(0)
    pad = margin * float((high - low).max()) + 4
    x0, y0 = np.clip(np.floor(low - pad), 0, (shape[1] - 1, shape[0] - 1)).astype(int)
    x1, y1 = np.clip(np.ceil(high + pad) + 1, (x0 + 1, y0 + 1), (shape[1], shape[0])).astype(int)
    return int(x0), int(y0), int(x1), int(y1)
