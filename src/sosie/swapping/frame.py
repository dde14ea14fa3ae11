"""The swap of the faces of one frame: photos, videos and streams all call it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sosie.analysis.beard import Beard
from sosie.analysis.parser import FaceParts
from sosie.analysis.selection import Claim, PeopleSelector, TrackSelector
from sosie.analysis.tracking.tracks import TrackedFace
from sosie.blending.paste import paste, spare
from sosie.blending.tint import Tint
from sosie.swapping.crossing import Crossings, are_near, hidden_behind
from sosie.swapping.face import Engine, FaceMemory
from sosie.swapping.refinement import Refinement
from sosie.timing import Stopwatch
from sosie.types import Face, FloatArray, Patch, Pixels, Pose, Spectacles

STATE_CLASSES = (
    *(Beard, Face, FaceMemory, FaceParts, Pose, Refinement),
    *(Spectacles, Tint, TrackedFace),
)
"""What the states of this module are made of, besides numbers and arrays."""


def blank_state() -> dict[str, Any]:
    """What a `FrameSwapper` remembers before its first frame, as `FrameSwapper.state`."""
    return {"scene": 0, "memories": {}, "crossings": Crossings().state()}


@dataclass(frozen=True)
class SwappedFace:
    """What was done to one face of a frame. claim: whose face it got. source: position of the
    source photo that was taken."""

    claim: Claim
    source: int


@dataclass(frozen=True)
class SwappedFrame:
    """What was done to a frame. patches: all that changed of it, in the order of pasting: one of
    each face, and one of the processors that act on the frame, where there are any."""

    faces: tuple[SwappedFace, ...]
    patches: tuple[Patch, ...]


class FrameSwapper:
    """Swaps faces frame by frame and remembers each face of the shot. A photo takes a new one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._scene = 0
        self._memories: dict[tuple[int, int], FaceMemory] = {}
        self._crossings = Crossings()

    def looked_at(
        self, faces: Sequence[TrackedFace], shape: tuple[int, ...]
    ) -> list[tuple[int, int, int, int]] | None:
        """x0, y0, x1, y1 of the parts of a frame of `shape` (height, width, ...) that `swap` looks
        at; None where that may be all of it. faces: all of the frame."""
        boxes = [self._engine.looked_at(tracked.face, shape) for tracked in faces]
        known = [box for box in boxes if box is not None]
        return known if len(known) == len(boxes) else None

    def swap(
        self,
        pixels: Pixels,
        claims: Sequence[Claim],
        faces: Sequence[TrackedFace],
        watch: Stopwatch,
        drawn: FloatArray | None = None,
    ) -> SwappedFrame:
        """Swap the claimed faces, one after the other, in `pixels` themselves.

        pixels: the frame, RGB, uint8 or uint16. faces: all of the frame, those in `claims` too.
        drawn: a mask of the frame that somebody drew, float32, h x w, 0..1, in place of the faces'
        own.
        Each face is pasted before the next one is looked at; then the processors act on the frame,
        where one of its faces was swapped. A face that is hidden behind others is left out.
        """
        done, patches = [], []
        for claim, before in self._in_sight(pixels, claims, faces, watch):
            memory = self._memory(claim)
            patches.append(self._pasted(pixels, claim, memory, before, watch, drawn))
            done.append(SwappedFace(claim, memory.source or 0))
        if done and self._engine.processing.acts_on_frames:
            with watch("process"):
                shown = [one.claim.face.face for one in done]
                whole = self._engine.processing.frame(pixels, shown)
            paste(pixels, whole)
            patches.append(whole)
        return SwappedFrame(tuple(done), tuple(patches))

    def follow(
        self,
        pixels: Pixels,
        claims: Sequence[Claim],
        faces: Sequence[TrackedFace],
        watch: Stopwatch,
        drawn: FloatArray | None = None,
    ) -> None:
        """Remember of a frame what `swap` does, without swapping more than that needs: each face is
        looked at with those before it pasted."""
        shown = self._in_sight(pixels, claims, faces, watch)
        for claim, before in shown[:-1]:
            self._pasted(pixels, claim, self._memory(claim), before, watch, drawn)
        for claim, before in shown[-1:]:
            tracked = claim.face
            seen = not tracked.bridged
            memory = self._memory(claim)
            self._engine.follow_face(pixels, tracked.face, memory, watch, seen, drawn, before)

    def _in_sight(
        self,
        pixels: Pixels,
        claims: Sequence[Claim],
        faces: Sequence[TrackedFace],
        watch: Stopwatch,
    ) -> list[tuple[Claim, list[Face]]]:
        """The claims whose faces are not hidden behind others, with the faces in front of each."""
        with watch("aim"):
            self._crossings.see(pixels, faces)
            shown = []
            for claim in claims:
                before = self._before(claim.face, claims, faces)
                if not self._is_hidden(claim.face, before):
                    shown.append((claim, [other.face for other in before]))
            return shown

    def _is_hidden(self, face: TrackedFace, before: Sequence[TrackedFace]) -> bool:
        """Whether a face is hidden behind others. One that was seen is not, unless it is known what
        lies before it: a guess may be wrong, and that of a photo is one."""
        sure = [one for one in before if face.bridged or self._crossings.is_in_front(one, face)]
        return hidden_behind(face.face, [one.face for one in sure])

    def _before(
        self, face: TrackedFace, claims: Sequence[Claim], faces: Sequence[TrackedFace]
    ) -> list[TrackedFace]:
        """The other faces of a frame that overlap one and lie before it."""
        likely = {other.track for other in _in_front(face, claims, faces)}
        before = []
        for other in faces:
            if other.track == face.track or not are_near(other.face, face.face):
                continue
            told = self._crossings.is_in_front(other, face)
            if other.track in likely if told is None else told:
                before.append(other)
        return before

    def _memory(self, claim: Claim) -> FaceMemory:
        """Of a face; those of another shot are forgotten."""
        if claim.face.scene != self._scene:
            self._scene, self._memories = claim.face.scene, {}
        return self._memories.setdefault((claim.face.track, claim.person), FaceMemory(claim.person))

    def _pasted(
        self,
        pixels: Pixels,
        claim: Claim,
        memory: FaceMemory,
        before: Sequence[Face],
        watch: Stopwatch,
        drawn: FloatArray | None,
    ) -> Patch:
        tracked = claim.face
        seen = not tracked.bridged
        patch = self._engine.swap_face(pixels, tracked.face, memory, watch, seen, drawn, before)
        for other in before:
            patch = spare(patch, pixels, other)
        paste(pixels, patch)
        return patch

    def state(self) -> dict[str, Any]:
        """All that is remembered of the shot, as a record of `STATE_CLASSES`."""
        crossings = self._crossings.state()
        return {"scene": self._scene, "memories": self._memories, "crossings": crossings}

    def restore(self, state: dict[str, Any]) -> None:
        """Remember what `state` gave, in another run."""
        self._scene, self._memories = state["scene"], state["memories"]
        self._crossings.restore(state["crossings"])


class Assigner:
    """Says of every frame of a video which faces are swapped, and whose each becomes."""

    def __init__(self, identities: Sequence[FloatArray | None], faces: str) -> None:
        """identities: of the people to be replaced, float32, 512, unit length; None, alone, where
        `faces` (as `SwapOptions.faces`) says who is."""
        known = [identity for identity in identities if identity is not None]
        self._people = PeopleSelector(known) if known else None
        self._selector = TrackSelector(faces)

    @property
    def best(self) -> list[float | None]:
        """For each person, the similarity of the most alike track so far."""
        return [] if self._people is None else self._people.best

    @property
    def by_identity(self) -> bool:
        """Whether references say whom to swap."""
        return self._people is not None

    def assign(self, faces: Sequence[TrackedFace]) -> Sequence[Claim]:
        """Feed it every frame's faces, in order."""
        if self._people is not None:
            return self._people.choose(faces)
        return [Claim(face, 0, None) for face in self._selector.choose(faces)]

    def state(self) -> dict[str, Any]:
        """All that is remembered, as a record of `STATE_CLASSES`."""
        return (self._people or self._selector).state()

    def restore(self, state: dict[str, Any]) -> None:
        """Remember what `state` gave, in another run."""
        (self._people or self._selector).restore(state)


def faces_of_photo(found: Sequence[Face], pixels: Pixels) -> list[TrackedFace]:
    """A photo's faces as those of a video of one frame, in the same order.

    pixels: the photo. The larger a face, the lower its number: where two overlap, the larger one is
    nearer to the camera and stays in front, as does the older track in a video.
    """
    areas = [face.shown_area(pixels) for face in found]
    numbers = {k: n for n, k in enumerate(sorted(range(len(found)), key=lambda k: -areas[k]))}
    return [
        TrackedFace(numbers[k], 0, face, False, area, area)
        for k, (face, area) in enumerate(zip(found, areas, strict=True))
    ]


def matte_of(swapped: SwappedFrame | None, width: int, height: int) -> FloatArray:
    """How much of the swapped faces shows in a frame: float32, height x width, 0..1."""
    rest = np.ones((height, width), np.float32)
    for patch in swapped.patches if swapped is not None else ():
        if patch.matte is not None:
            rows, columns = patch.matte.shape
            rest[patch.y : patch.y + rows, patch.x : patch.x + columns] *= 1 - patch.matte
    return 1 - rest


def _in_front(
    face: TrackedFace, claims: Sequence[Claim], faces: Sequence[TrackedFace]
) -> list[TrackedFace]:
    """The other faces of a frame that most likely lie before one, where nothing better is known.

    Of two, the one that is out of sight, or does not look like itself, is behind. Where that does
    not tell, a face that is not to be swapped is spared, and of two that are, the one whose track
    is older: a face that comes into sight comes out from behind.
    """
    chosen = {claim.face.track for claim in claims}
    spared = []
    for other in faces:
        mine, theirs = (2 * one.bridged + one.hazy for one in (face, other))
        older = other.track < face.track
        is_spared = theirs < mine or (
            theirs == mine and not other.bridged and (other.track not in chosen or older)
        )
        if other.track != face.track and is_spared:
            spared.append(other)
    return spared
