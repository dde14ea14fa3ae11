"""Which face of one sampled frame is which of the one before: tracks, by place and identity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sosie.datasets.extract.candidates import Found
from sosie.types import FloatArray

# For so long a face may be out of sight.
_MAX_GAP_S = 1.0
# A face near its place (in sizes of the face) must not look like a stranger, one further away must
# look like the same person, and no face leaps further or grows by more. Of the validation people's
# pairs 98 % are above the second similarity; within a shot a face changes less than between photos.
_NEAR, _NEAR_ALIKE, _FAR, _FAR_ALIKE, _MAX_GROWTH = 0.6, 0.2, 3.0, 0.45, 2.0
# What a size's distance counts for against similarity, and what a new look adds to the identity.
_DISTANCE_WEIGHT, _NEW_SHARE = 0.2, 0.3


@dataclass
class _Track:
    number: int
    seen_s: float
    x: float
    y: float
    size_px: float
    identity: FloatArray


class Linker:
    """Numbers the tracks of a video from its sampled frames, in order."""

    def __init__(self) -> None:
        self._scene = -1
        self._next = 0
        self._tracks: list[_Track] = []

    def link(self, scene: int, time_s: float, faces: Sequence[Found]) -> list[int]:
        """The track of each face. No track spans two scenes."""
        if scene != self._scene:
            self._scene, self._tracks = scene, []
        self._tracks = [t for t in self._tracks if time_s - t.seen_s <= _MAX_GAP_S]
        pairs = sorted(
            (
                (alike, -track.number, row)
                for row, found in enumerate(faces)
                for track in self._tracks
                if (alike := _likeness(track, found)) is not None
            ),
            reverse=True,
        )
        tracks = {track.number: track for track in self._tracks}
        given: dict[int, _Track] = {}
        for _, number, row in pairs:
            if row not in given and -number in tracks:
                given[row] = tracks.pop(-number)
        return [self._see(given.get(row), time_s, found) for row, found in enumerate(faces)]

    @property
    def alive(self) -> set[int]:
        """Numbers of the tracks that may go on."""
        return {track.number for track in self._tracks}

    def state(self) -> dict[str, Any]:
        """All that is known, as JSON that is read back to the bit."""
        tracks = [{**vars(t), "identity": t.identity.tolist()} for t in self._tracks]
        return {"scene": self._scene, "next": self._next, "tracks": tracks}

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Linker:
        """From what `state` gave."""
        linker = cls()
        linker._scene, linker._next = state["scene"], state["next"]
        linker._tracks = [
            _Track(**{**track, "identity": np.array(track["identity"], np.float32)})
            for track in state["tracks"]
        ]
        return linker

    def _see(self, track: _Track | None, time_s: float, found: Found) -> int:
        if track is None:
            track = _Track(self._next, time_s, 0, 0, 0, found.identity)
            self._next += 1
            self._tracks.append(track)
        mixed = (1 - _NEW_SHARE) * track.identity + _NEW_SHARE * found.identity
        norm = max(float(np.linalg.norm(mixed)), 1e-6)
        track.identity = np.asarray(mixed / norm, np.float32)
        track.seen_s = time_s
        track.x, track.y = found.face.center
        track.size_px = found.face.size_px
        return track.number


def _likeness(track: _Track, found: Found) -> float | None:
    """How likely a face goes on with a track; None where it cannot."""
    face = found.face
    growth = face.size_px / max(track.size_px, 1e-6)
    apart = float(np.hypot(face.center[0] - track.x, face.center[1] - track.y))
    apart /= max(face.size_px, track.size_px, 1e-6)
    alike = float(track.identity @ found.identity)
    least = _NEAR_ALIKE if apart <= _NEAR else _FAR_ALIKE
    if alike < least or apart > _FAR or not 1 / _MAX_GROWTH < growth < _MAX_GROWTH:
        return None
    return alike - _DISTANCE_WEIGHT * apart
