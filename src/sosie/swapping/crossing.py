"""Faces that overlap in a frame: which one is in front, told by what each looked like alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sosie.analysis.tracking.tracks import TrackedFace
from sosie.geometry import alignment, head_pose, mesh
from sosie.geometry.morphable_model import silhouette
from sosie.types import Face, FloatArray, Pixels

# A look is an upright square of this many pixels, which holds so many sizes of the face.
_SIDE_PX, _MARGIN = 48, 1.05
# A look is renewed by this share with each frame in which the face is alone.
_RENEWED = 0.25
# Faces overlap where they share this much of the smaller one's surface.
_OVERLAP = 0.02
# From this much evidence on it is told who is in front: one frame in which a tenth of each face is
# shared, and one differs there by an eighth of the range more than the other.
_SURE = 0.0125
# Evidence of a frame counts this much in the next: a face stays in front while the two overlap.
_KEPT = 0.9
# A face is hidden where less is seen of its eyes, nose and mouth: a cheek alone is nobody's.
_LEAST_SEEN = 0.1
_TELLING = list(mesh.RIGHT_EYE + mesh.LEFT_EYE + mesh.NOSE + mesh.OUTER_LIPS)


class Crossings:
    """Remembers the faces of a shot, and says of two that overlap which one is in front.

    Where they overlap, a frame shows the one in front: there it resembles what was remembered of
    that face, and not what was remembered of the other.
    """

    def __init__(self) -> None:
        self._scene = 0
        self._looks: dict[int, FloatArray] = {}
        self._leads: dict[tuple[int, int], float] = {}

    def see(self, pixels: Pixels, faces: Sequence[TrackedFace]) -> None:
        """Learn from a frame (RGB, uint8 or uint16, as the camera saw it) and all of its faces."""
        if faces and faces[0].scene != self._scene:
            self._scene, self._looks, self._leads = faces[0].scene, {}, {}
        leads: dict[tuple[int, int], float] = {}
        together: set[int] = set()
        for k, one in enumerate(faces):
            for other in faces[k + 1 :]:
                if not _overlap(one.face, other.face):
                    continue
                key = (min(one.track, other.track), max(one.track, other.track))
                together.update(key)
                leads[key] = _KEPT * self._leads.get(key, 0.0)
                if one.track in self._looks and other.track in self._looks:
                    first, second = (one, other) if one.track == key[0] else (other, one)
                    # Positive where the first is in front: the second is not what it was there.
                    leads[key] += self._strangeness(pixels, second, first)
                    leads[key] -= self._strangeness(pixels, first, second)
        self._leads = leads
        for face in faces:
            if face.track not in together and not (face.bridged or face.hazy):
                now = _look(pixels, face.face)
                before = self._looks.get(face.track, now)
                self._looks[face.track] = before + np.float32(_RENEWED) * (now - before)

    def is_in_front(self, face: TrackedFace, other: TrackedFace) -> bool | None:
        """Whether the first of two faces of the last frame lies before the second; None where that
        cannot be told."""
        key = (min(face.track, other.track), max(face.track, other.track))
        lead = self._leads.get(key, 0.0) * (1 if face.track == key[0] else -1)
        return None if abs(lead) < _SURE else lead > 0

    def state(self) -> dict[str, Any]:
        """All that is remembered, as a record."""
        return {"scene": self._scene, "looks": self._looks, "leads": self._leads}

    def restore(self, state: dict[str, Any]) -> None:
        """Remember what `state` gave, in another run."""
        self._scene, self._looks, self._leads = state["scene"], state["looks"], state["leads"]

    def _strangeness(self, pixels: Pixels, face: TrackedFace, other: TrackedFace) -> float:
        """How far a face is not what it was where another one overlaps it: the mean difference,
        0..1, times the share of the face."""
        own = _surface(face.face, face.face)
        shared = own & _surface(other.face, face.face)
        apart = np.abs(_look(pixels, face.face) - self._looks[face.track]).mean(2)
        return float(apart[shared].sum()) / max(float(own.sum()), 1.0)


def hidden_behind(face: Face, before: Sequence[Face]) -> bool:
    """Whether hardly anything is seen of what tells a face, behind the faces that lie before it."""
    points = alignment.transform_points(face.landmarks[_TELLING], _square(face))
    x, y = np.clip(np.round(points[:, :2]).astype(int), 0, _SIDE_PX - 1).T
    seen = np.ones(len(points), bool)
    for other in before:
        seen &= ~_surface(other, face)[y, x]
    return float(seen.mean()) < _LEAST_SEEN


def are_near(one: Face, other: Face) -> bool:
    """Whether the boxes of two faces overlap."""
    low, high = np.maximum(one.box[:2], other.box[:2]), np.minimum(one.box[2:], other.box[2:])
    return bool((high > low).all())


def _overlap(one: Face, other: Face) -> bool:
    """Whether the surfaces of two faces do."""
    if not are_near(one, other):
        return False
    small, large = (one, other) if one.size_px < other.size_px else (other, one)
    own = _surface(small, small)
    shared = own & _surface(large, small)
    return float(shared.sum()) > _OVERLAP * float(own.sum())


def _square(face: Face) -> alignment.Matrix:
    """Frame -> the square of a face's look."""
    return head_pose.square_matrix(head_pose.region_of(face.landmarks), _MARGIN, _SIDE_PX)


def _look(pixels: Pixels, face: Face) -> FloatArray:
    """A face in the square of its look: RGB, float32, 0..1."""
    cut = alignment.crop(pixels, _square(face), _SIDE_PX)
    return np.asarray(cut * np.float32(1 / np.iinfo(pixels.dtype).max), np.float32)


def _surface(face: Face, at: Face) -> Any:
    """Where the surface of a face lies in the square of another one's look: booleans."""
    points = alignment.transform_points(face.landmarks, _square(at))
    return silhouette(points, _SIDE_PX, _SIDE_PX) > 127
