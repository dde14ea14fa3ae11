"""Which of the faces are to be swapped: `largest`, `all`, positions from the left, or people whom
reference photos show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.analysis.tracking.tracks import TrackedFace
from sosie.errors import NoFaceError
from sosie.options import SwapOptions
from sosie.types import Face, FloatArray, Pixels

MIN_FACE_PX = 24
"""Longer side of the landmarks' bounds below which a face has too little to swap."""

SAME_PERSON = 0.42
"""Cosine similarity from which on two identities are taken for one person's.

Of the pairs of validation people's photos (LFW, CelebA) 99 and 92 % of one person's lie above it,
and less than 1 % of two people's.
"""

_OUTGROWN = 2.0
# How much less alike a face of a video may become before it is no longer the person that it was
# taken for, and how much more alike another one must be to be taken for that person instead.
_HOLD = 0.05


def select_faces(faces: Sequence[Face], spec: str, pixels: Pixels) -> list[Face]:
    """The faces of a photo that `spec` names, in the order from left to right or as named.

    faces: sorted from left to right, as `Analyzer.analyze` returns them. spec: as
    `SwapOptions.faces`. pixels: the photo; of a face that its edge cuts, what it shows counts.
    `all` leaves out faces that are too small, unless all are.
    Raises NoFaceError where there is none, the position does not exist, or the face is too small,
    and UsageError for a spec that cannot be meant.
    """
    positions = SwapOptions(faces=spec).face_positions()
    if not faces:
        raise NoFaceError("No face was found: choose a picture that shows one larger and clearer.")
    if positions is not None:
        missing = [position for position in positions if position >= len(faces)]
        if missing:
            raise NoFaceError(_no_such_position(missing[0], len(faces)))
        chosen = [faces[position] for position in dict.fromkeys(positions)]
    elif spec == "all":
        chosen = [face for face in faces if face.size_px >= MIN_FACE_PX] or list(faces)
    else:
        chosen = [max(faces, key=lambda face: face.shown_area(pixels))]
    smallest = min(chosen, key=lambda face: face.size_px)
    if smallest.size_px < MIN_FACE_PX:
        raise NoFaceError(
            f"The face is too small: {smallest.size_px:.0f} px, and at least {MIN_FACE_PX} px are "
            f"needed; use a larger picture."
        )
    return chosen


class TrackSelector:
    """The same choice over the tracks of a video. Feed it every frame's faces in order.

    `all` takes every face. `largest` takes one person a scene: at first the one whose face is the
    largest over the frames known ahead. Another takes over only when its face covers more than
    twice the area, or when it comes into sight after the chosen one has gone. So nobody who stands
    by is swapped for the moment in which the chosen one turns away.
    A position counts from the left at the moment when the scene's first faces are seen, and stays
    with its person from then on, wherever they go. Who comes later takes the position of somebody
    who has gone, the one last seen nearest, or else the next number. Faces below MIN_FACE_PX keep
    their place in this but are not swapped.
    """

    def __init__(self, spec: str) -> None:
        self._positions = SwapOptions(faces=spec).face_positions()
        self._all = spec == "all"
        self._scene = -1
        self._chosen: TrackedFace | None = None
        self._known: set[int] = set()
        self._seats: list[TrackedFace] = []

    def choose(self, faces: Sequence[TrackedFace]) -> tuple[TrackedFace, ...]:
        """Those of a frame's faces that are to be swapped."""
        if faces and faces[0].scene != self._scene:
            self._scene = faces[0].scene
            self._chosen, self._known, self._seats = None, set(), []
        if self._all:
            chosen = list(faces)
        elif self._positions is None:
            chosen = self._largest(faces)
        else:
            self._take_seats(faces)
            present = {face.track: face for face in faces}
            seats = [self._seats[p] for p in self._positions if p < len(self._seats)]
            chosen = [present[seat.track] for seat in seats if seat.track in present]
        self._known.update(face.track for face in faces)
        return tuple(face for face in chosen if face.face.size_px >= MIN_FACE_PX)

    def state(self) -> dict[str, Any]:
        """All that it remembers, as a record."""
        names = ("_scene", "_chosen", "_known", "_seats")
        return {name: getattr(self, name) for name in names}

    def restore(self, state: dict[str, Any]) -> None:
        """Remember what `state` gave, in another run."""
        vars(self).update(state)

    def _largest(self, faces: Sequence[TrackedFace]) -> list[TrackedFace]:
        if not faces:
            return []
        held = self._chosen
        first = max(faces, key=lambda face: face.prominence)
        if held is None:
            self._chosen = first
        else:
            present = {face.track: face for face in faces}
            self._chosen = present.get(held.track, held)
            newcomers = [face for face in faces if face.track not in self._known]
            if held.track not in present and newcomers:
                self._chosen = max(newcomers, key=lambda face: face.prominence)
            elif first.prominence > _OUTGROWN * self._chosen.area:
                self._chosen = first
        return [face for face in faces if face.track == self._chosen.track]

    def _take_seats(self, faces: Sequence[TrackedFace]) -> None:
        present = {face.track: face for face in faces}
        taken = {seat.track for seat in self._seats}
        for face in sorted(faces, key=lambda face: face.face.center):
            if face.track in taken:
                continue
            free = [i for i, seat in enumerate(self._seats) if seat.track not in present]
            if free:
                nearest = min(free, key=lambda i: _apart(self._seats[i].face, face.face))
                self._seats[nearest] = face
            else:
                self._seats.append(face)
        self._seats = [present.get(seat.track, seat) for seat in self._seats]


@dataclass(frozen=True)
class Match:
    """A face that is taken for a person: positions among the faces and the people, and the cosine
    similarity of both."""

    face: int
    person: int
    similarity: float


def match_people(
    identities: Sequence[FloatArray], people: Sequence[FloatArray]
) -> tuple[list[Match], list[float | None]]:
    """Which face of a photo is whose, in the order of the faces.

    identities, people: of the faces and of those who are looked for, each float32, 512, unit
    length. The most alike pair is matched first, and nobody twice; below SAME_PERSON a face is
    nobody's. Also returns for each person the similarity of the face most alike, None where there
    is no face.
    """
    if not identities:
        return [], [None] * len(people)
    similarities = np.stack(identities) @ np.stack(people).T
    matches = [Match(f, p, float(similarities[f, p])) for f, p in _best_pairs(similarities)]
    best = [float(value) for value in similarities.max(0)]
    return sorted(matches, key=lambda match: match.face), list(best)


@dataclass(frozen=True)
class Claim:
    """A face of a frame that is to be swapped, and for which person: the person's position, and how
    alike they are; None where no identities were compared."""

    face: TrackedFace
    person: int
    similarity: float | None


class PeopleSelector:
    """The people whom references show, over the tracks of a video. Feed it every frame's faces in
    order; their identities must be known, see `track_video`.

    Whose a face is, is decided by its track's identity as in `match_people`, and kept: a track
    stays with its person until it has become less alike than SAME_PERSON by a margin, or another
    track in the same frame is more alike by that margin. A track that lost a person so does not
    become that person again. Faces below MIN_FACE_PX are not swapped.

    best: for each person, the similarity of the most alike track so far, None before the first.
    """

    def __init__(self, people: Sequence[FloatArray]) -> None:
        """people: identities, each float32, 512, unit length."""
        self.best: list[float | None] = [None] * len(people)
        self._people = np.stack(people)
        self._scene = -1
        self._held: dict[int, int] = {}
        self._lost: set[tuple[int, int]] = set()

    def choose(self, faces: Sequence[TrackedFace]) -> tuple[Claim, ...]:
        """Those of a frame's faces that are somebody's."""
        if faces and faces[0].scene != self._scene:
            self._scene = faces[0].scene
            self._held, self._lost = {}, set()
        known = [(face, face.identity) for face in faces if face.identity is not None]
        if not known:
            return ()
        similarities = np.stack([identity for _, identity in known]) @ self._people.T
        self._note_best(similarities)
        wanted = similarities.copy()
        for row, (face, _) in enumerate(known):
            if face.track in self._held:
                wanted[row, self._held[face.track]] += _HOLD
            for person in range(len(self._people)):
                if (face.track, person) in self._lost:
                    wanted[row, person] = -1
        pairs = dict(_best_pairs(wanted))
        for row, (face, _) in enumerate(known):
            held, now = self._held.pop(face.track, None), pairs.get(row)
            if held is not None and held != now:
                self._lost.add((face.track, held))
            if now is not None:
                self._held[face.track] = now
        return tuple(
            Claim(face, pairs[row], float(similarities[row, pairs[row]]))
            for row, (face, _) in enumerate(known)
            if row in pairs and face.face.size_px >= MIN_FACE_PX
        )

    def state(self) -> dict[str, Any]:
        """All that it remembers, as a record."""
        return {name: getattr(self, name) for name in ("best", "_scene", "_held", "_lost")}

    def restore(self, state: dict[str, Any]) -> None:
        """Remember what `state` gave, in another run."""
        vars(self).update(state)

    def _note_best(self, similarities: NDArray[np.float32]) -> None:
        for person, value in enumerate(similarities.max(0)):
            before = self.best[person]
            self.best[person] = float(value) if before is None else max(before, float(value))


def _best_pairs(similarities: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Pairs (row, column) of at least SAME_PERSON, the highest first, no row or column twice."""
    left = similarities.copy()
    pairs = []
    while left.size and left.max() >= SAME_PERSON:
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        pairs.append((int(row), int(column)))
        left[row, :] = left[:, column] = -1
    return pairs


def _no_such_position(position: int, count: int) -> str:
    found = "only 1 face was" if count == 1 else f"only {count} faces were"
    return (
        f"Position {position} was asked for, but {found} found; positions count from the left, "
        f"beginning with 0."
    )


def _apart(a: Face, b: Face) -> float:
    return float(np.hypot(a.center[0] - b.center[0], a.center[1] - b.center[1]))
