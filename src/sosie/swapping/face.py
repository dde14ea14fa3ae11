"""One face of one frame: cropped, swapped, composed; and its target landmarks refined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.analysis import occlusion
from sosie.analysis.analyzer import Analyzer
from sosie.analysis.beard import LOOKS, Beard
from sosie.analysis.parser import FaceParts
from sosie.blending import paste
from sosie.blending.composer import ComposeOptions, compose
from sosie.blending.tint import Tint, measure_tint, no_tint
from sosie.errors import UsageError
from sosie.geometry import alignment
from sosie.geometry import close_up as near
from sosie.geometry.alignment import transform_points, warp
from sosie.geometry.face_types import face_matrix
from sosie.geometry.head_pose import region_of
from sosie.methods import load_method
from sosie.methods.base import WINDOW_MARGIN, Source
from sosie.options import SwapOptions
from sosie.swapping.processing import Processing
from sosie.swapping.refinement import Refinement
from sosie.timing import Stopwatch
from sosie.types import Crop, Face, FloatArray, Patch, Pixels, Spectacles, SwappedCrop

LARGE_FACE_PX = 1600
"""A larger face is swapped in a copy of its surroundings that is reduced to this, since memory and
time grow with its pixels; at the swap's edge the frame's own detail comes back."""

# What a reduced copy, or what is kept of a source photo, holds around the face: more than any
# alignment template shows.
_CLOSE_UP_MARGIN = 1.5
# What is around a face for the parser's square, at any tilt, and what filters see beyond that.
_LOOKED_AT_MARGIN = 1.1
# What a window holds there for a chin that comes down further than the target's.
_JAW_MARGIN = 0.3
# What a draft needs there for the landmark network to see the head around the face.
_DRAFT_MARGIN = 0.5
# A draft is only read, by a network that looks at 192 px.
_DRAFT_FACE_PX = 144
# What is in front of the face, and the tint of the picture around it, are looked for in every other
# frame. Of the tint about so many looks are averaged, so that it does not flicker.
_LOOK_EVERY, _TINTS = 2, 3
# What is looked at around a face for the tint, as a share of its size.
_TINT_MARGIN = 0.3


@dataclass
class FaceMemory:
    """What a video remembers of one face from frame to frame; a photo begins with a new one.

    person: whose face it gets: a position among the engine's people. refinement: of its target
    landmarks. parts: what is on the face and before it, over the last looks; beard: its own,
    if it has one. visible: what of it
    may be painted over (`occlusion.paintable`). spectacles: what lies over that
    (`occlusion.clear_spectacles`). skin_beyond: where skin goes on beyond it. covered: where other
    faces lie before it in this frame (`occlusion.covered`). source: the source photo that was taken
    last. carried: what the method left of the frame before. frames: swapped so far.
    """

    person: int = 0
    refinement: Refinement = field(default_factory=Refinement)
    parts: FaceParts | None = None
    beard: Beard | None = None
    visible: FloatArray = field(default_factory=occlusion.all_visible)
    spectacles: Spectacles | None = None
    skin_beyond: FloatArray | None = None
    covered: FloatArray | None = None
    tint: Tint = field(default_factory=no_tint)
    source: int | None = None
    carried: dict[str, NDArray[Any]] = field(default_factory=dict)
    frames: int = 0


class Engine:
    """The swap of single faces with fixed people to put in, and options.

    It holds no state between calls, so that threads may share it: what a video remembers is in a
    `FaceMemory`, and times are counted to the stopwatch that is handed in.
    """

    def __init__(
        self, people: Sequence[Sequence[Source]], options: SwapOptions, analyzer: Analyzer
    ) -> None:
        """people: the source photos of each person who is put in."""
        self._swapper = load_method(options.method)(options)
        if options.stages is not None and not self._swapper.card.stages:
            raise UsageError(
                f"The method {options.method} has no stages to look at: leave stages out, or "
                f"choose the method fsgan."
            )
        self.processing = Processing(options)
        self._compose = ComposeOptions(
            options.blend,
            options.color,
            options.texture,
            options.mask_feather,
            remove_spectacles="spectacles" in options.removed(),
            erode=options.mask_erode,
            kept=options.kept_parts(),
        )
        # A face that has the source's expression is not to be brought nearer to the target's.
        self._keeps_beard = "beard" not in options.removed()
        self._margin = _JAW_MARGIN if options.expression_share() else WINDOW_MARGIN
        self._drafts = 0 if options.expression_share() else self._swapper.card.drafts
        self._analyzer = analyzer
        self._prepared = [self._swapper.prepare(photos) for photos in people]

    @property
    def license(self) -> str:
        """Of the weights of the method, as its card states it."""
        return self._swapper.card.license

    @property
    def providers(self) -> Mapping[str, str]:
        """Of the networks of the method and the processors that were needed so far, on which
        provider each runs."""
        return {**self._swapper.providers, **self.processing.providers}

    def looked_at(self, face: Face, shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
        """x0, y0, x1, y1 of the part of a frame of `shape` (height, width, ...) that the swap of a
        face looks at; None where that may be all of it."""
        own = self.processing.acts_on_faces or self.processing.acts_on_frames
        if own or self._swapper.card.template is not None or face.size_px > LARGE_FACE_PX:
            return None
        return alignment.face_window(face.landmarks, _LOOKED_AT_MARGIN, shape)

    def swap_face(
        self,
        pixels: Pixels,
        face: Face,
        memory: FaceMemory,
        watch: Stopwatch,
        seen: bool = True,
        drawn: FloatArray | None = None,
        before: Sequence[Face] = (),
    ) -> Patch:
        """The part of a frame (RGB, uint8 or uint16) that the swap of one face changes.

        memory: of this face; it is updated. watch: gets the time of the stages `aim` (what is in
        front of the face, and the refinement), `swap`, `process` where there are processors, and
        `compose`. seen: False where the face's
        landmarks are bridged, so that nothing is learned from them. drawn: a mask of the frame
        that somebody drew, in place of the face's own; see `blending.composer.compose`. before:
        other faces of the frame, which lie in front of it where they overlap.
        """
        memory.covered = _covered(face, before)
        if face.size_px <= LARGE_FACE_PX:
            return self._swap_face(pixels, face, memory, watch, seen, drawn)
        small, there, matrix = close_up(pixels, face)
        if drawn is not None:
            drawn = np.asarray(warp(drawn, matrix, small.shape[1], small.shape[0]), np.float32)
        made = self._swap_face(small, there, memory, watch, seen, drawn)
        with watch("compose"):
            soft_px = self._compose.feather * there.size_px
            return paste.enlarged(made, small, pixels, matrix, soft_px)

    def follow_face(
        self,
        pixels: Pixels,
        face: Face,
        memory: FaceMemory,
        watch: Stopwatch,
        seen: bool,
        drawn: FloatArray | None = None,
        before: Sequence[Face] = (),
    ) -> None:
        """Update `memory` as `swap_face` does, and swap no more than that needs: every third frame
        of a face, of which the result is read, or all where a swap builds on the one before."""
        due, first = self._is_due(memory, seen), memory.frames == 0
        if self._swapper.card.carries or (due and not first):
            self.swap_face(pixels, face, memory, watch, seen, drawn, before)
            return
        memory.covered = _covered(face, before)
        if face.size_px > LARGE_FACE_PX:
            pixels, face, _ = close_up(pixels, face)
        self._look(pixels, face, memory, watch)
        if due:
            with watch("aim"):
                self._draft(pixels, face, memory, first)
        memory.frames += 1
        self._chosen(pixels, face, memory)

    def _swap_face(
        self,
        pixels: Pixels,
        face: Face,
        memory: FaceMemory,
        watch: Stopwatch,
        seen: bool,
        drawn: FloatArray | None,
    ) -> Patch:
        self._look(pixels, face, memory, watch)
        due, first = self._is_due(memory, seen), memory.frames == 0
        if due and first:
            with watch("aim"):
                self._draft(pixels, face, memory, first)
        memory.frames += 1
        with watch("swap"):
            crop, swapped = self._swapped(pixels, face, memory)
            memory.carried = dict(swapped.carried)
            stages = swapped.stages
        if self.processing.acts_on_faces:
            with watch("process"):
                cut = partial(self._crop, pixels, face, memory)
                crop, swapped = self.processing.face(crop, swapped, cut)
        with watch("compose"):
            patch = compose(pixels, crop, swapped, self._compose, memory.tint, drawn)
            patch = replace(patch, stages=stages)
        if due and not first:
            with watch("aim"):
                if drawn is None:
                    self._read(pixels, face, memory, patch)
                else:
                    # A drawn mask may leave most of the face out of the result.
                    self._draft(pixels, face, memory, first)
        return patch

    def _is_due(self, memory: FaceMemory, seen: bool) -> bool:
        """Whether what is made of this frame is read, to correct the target landmarks."""
        return seen and self._drafts > 0 and memory.refinement.is_due(memory.frames)

    def _look(self, pixels: Pixels, face: Face, memory: FaceMemory, watch: Stopwatch) -> None:
        """What is on the face and before it, in every other frame."""
        with watch("aim"):
            if memory.frames % _LOOK_EVERY == 0:
                parts = self._analyzer.parts(pixels, face.landmarks)
                memory.parts = occlusion.averaged(memory.parts, parts, memory.frames)
                memory.visible = occlusion.paintable(memory.parts, face.landmarks)
                memory.beard = self._beard(pixels, face, memory, parts)
                if self._keeps_beard and memory.beard.seen:
                    memory.visible *= 1 - memory.beard.covers()
                memory.spectacles = occlusion.clear_spectacles(memory.parts)
                memory.skin_beyond = occlusion.skin_beyond(memory.parts, face.landmarks)
                memory.tint = _tint(pixels, face, memory)

    def _beard(self, pixels: Pixels, face: Face, memory: FaceMemory, parts: FaceParts) -> Beard:
        """The target's beard over time, after a new look."""
        before = memory.beard
        if before is not None and before.looks >= LOOKS and not before.seen:
            return before
        found = self._analyzer.beard(pixels, face, parts, before is None or before.looks < LOOKS)
        return found if before is None else before.towards(found)

    def _swapped(self, pixels: Pixels, face: Face, memory: FaceMemory) -> tuple[Crop, SwappedCrop]:
        crop = self._chosen(pixels, face, memory)
        return crop, self._swapper.swap(self._prepared[memory.person], [crop])[0]

    def _chosen(self, pixels: Pixels, face: Face, memory: FaceMemory) -> Crop:
        """The crop of a face, and which source photo is taken for it."""
        card = self._swapper.card
        crop = self._crop(pixels, face, memory, card.template, card.size_px)
        prepared = self._prepared[memory.person]
        before = memory.source
        memory.source = self._swapper.choose(prepared, crop, before)
        if memory.source != before:
            memory.carried = {}
        return replace(crop, source=memory.source, carried=memory.carried)

    def _crop(
        self,
        pixels: Pixels,
        face: Face,
        memory: FaceMemory,
        template: str | None,
        size_px: int | None,
    ) -> Crop:
        """The face as a template shows it, or in a window of the frame where there is none."""
        if template is None or size_px is None:
            window = alignment.face_window(face.landmarks, self._margin, pixels.shape)
            x0, y0, x1, y1 = window
            matrix = np.array([[1.0, 0, -x0], [0, 1.0, -y0]])
            part = pixels[y0:y1, x0:x1]
        else:
            matrix = face_matrix(face, template, size_px)
            part = alignment.crop(pixels, matrix, size_px)
        landmarks = transform_points(face.landmarks, matrix)
        height, width = part.shape[:2]
        seen = memory.visible if memory.covered is None else memory.visible * (1 - memory.covered)
        shown = occlusion.place_view(seen, landmarks, width, height)
        worn = memory.spectacles
        if worn is not None:
            worn = Spectacles(
                occlusion.place_view(worn.cover, landmarks, width, height, beyond=0),
                occlusion.place_view(worn.lenses, landmarks, width, height, beyond=0),
            )
        beyond = memory.skin_beyond
        if beyond is not None:
            beyond = occlusion.place_view(beyond, landmarks, width, height, beyond=0)
        beard = None
        if not self._keeps_beard and memory.beard is not None and memory.beard.seen:
            covers = memory.beard.covers()
            beard = occlusion.place_view(covers, landmarks, width, height, beyond=0)
        aimed = memory.refinement.applied(landmarks)
        return Crop(part, matrix, landmarks, aimed, shown, face, None, worn, beyond, beard)

    def _draft(self, pixels: Pixels, face: Face, memory: FaceMemory, first: bool) -> None:
        """Draft the swap in small, read it, and correct the target landmarks. first: whether this
        is the face's first frame."""
        x0, y0, x1, y1 = alignment.face_window(face.landmarks, _DRAFT_MARGIN, pixels.shape)
        scale = min(1.0, _DRAFT_FACE_PX / face.size_px)
        matrix = np.array([[scale, 0, -x0 * scale], [0, scale, -y0 * scale]])
        width, height = round((x1 - x0) * scale), round((y1 - y0) * scale)
        small = warp(pixels, matrix, width, height)
        there = near.moved_face(face, matrix)

        def drafted() -> FloatArray | None:
            draft = small.copy()
            crop, swapped = self._swapped(small, there, memory)
            paste.paste(draft, compose(small, crop, swapped, self._compose, memory.tint))
            return self._landmarks(draft, there)

        memory.refinement.update(there.landmarks, drafted, self._drafts, first)

    def _read(self, pixels: Pixels, face: Face, memory: FaceMemory, patch: Patch) -> None:
        """Read what the swap of a frame came to, and correct the target landmarks of the next."""
        x0, y0, x1, y1 = alignment.face_window(face.landmarks, _DRAFT_MARGIN, pixels.shape)
        height, width = patch.mask.shape
        x0, y0 = min(x0, patch.x), min(y0, patch.y)
        result = pixels[y0 : max(y1, patch.y + height), x0 : max(x1, patch.x + width)].copy()
        paste.paste(result, replace(patch, x=patch.x - x0, y=patch.y - y0))
        there = near.moved_face(face, np.array([[1.0, 0, -x0], [0, 1.0, -y0]]))
        memory.refinement.update(
            there.landmarks, lambda: self._landmarks(result, there), 1, first=False
        )

    def _landmarks(self, pixels: Pixels, face: Face) -> FloatArray | None:
        """The landmarks that are read where a face is, 478 x 3; None where none is seen."""
        read = self._analyzer.landmarks(pixels, region_of(face.landmarks))
        return None if read is None else read.landmarks


def source_of(pixels: Pixels, face: Face, analyzer: Analyzer) -> Source:
    """A source photo (RGB, uint8 or uint16) with the face in it, and what lies before that."""
    parts = analyzer.parts(pixels, face.landmarks)
    view = occlusion.visible(parts, face.landmarks)
    visible = occlusion.place_view(view, face.landmarks, pixels.shape[1], pixels.shape[0])
    return Source(pixels, face, visible, parts)


def _covered(face: Face, before: Sequence[Face]) -> FloatArray | None:
    """Where other faces lie before a face; None where there are none."""
    if not before:
        return None
    return occlusion.covered(face.landmarks, [other.landmarks for other in before])


def _tint(pixels: Pixels, face: Face, memory: FaceMemory) -> Tint:
    """The tint of the picture around a face over time, after a new look."""
    x0, y0, x1, y1 = alignment.face_window(face.landmarks, _TINT_MARGIN, pixels.shape)
    now = measure_tint(pixels[y0:y1, x0:x1])
    return now if memory.frames == 0 else memory.tint.towards(now, 1 / min(memory.frames, _TINTS))


def close_up(pixels: Pixels, face: Face) -> tuple[Pixels, Face, alignment.Matrix]:
    """The surroundings of a face, reduced where it is larger than `LARGE_FACE_PX`: their pixels,
    the face in them, and the transform from the picture to them."""
    return near.close_up(pixels, face, _CLOSE_UP_MARGIN, LARGE_FACE_PX)
