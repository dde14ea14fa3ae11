"""What was done to a video, counted frame by frame, and the reports that come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sosie.analysis.tracking.tracks import TrackedFace
from sosie.media.video import VideoFrame
from sosie.swapping.assignment import Role, nobody_alike, person_reports
from sosie.swapping.frame import Assigner, SwappedFace
from sosie.types import PersonReport, SkippedFrame, TrackReport


@dataclass
class SwappedTrack:
    """What was swapped of one track for one role."""

    scene: int
    first_s: float
    last_s: float = 0.0
    frames: int = 0
    photos: dict[str, None] = field(default_factory=dict)
    similarity: float | None = None


class Tally:
    """Counts what was swapped of a video. skipped: the frames in which nothing was."""

    def __init__(self, roles: Sequence[Role], assigner: Assigner) -> None:
        """assigner: the one that says who is swapped."""
        self._roles, self._assigner = roles, assigner
        self._tracks: dict[tuple[int, int], SwappedTrack] = {}
        self._seen_faces = False
        self._told = 0
        self.skipped: list[SkippedFrame] = []

    @property
    def face_count(self) -> int:
        """Faces swapped, over all frames."""
        return sum(track.frames for track in self._tracks.values())

    @property
    def track_count(self) -> int:
        """Tracks of which something was swapped."""
        return len({track for track, _ in self._tracks})

    def see(self, faces: Sequence[TrackedFace]) -> None:
        """Counts the faces of a frame, swapped or not."""
        self._seen_faces = self._seen_faces or bool(faces)

    def skip(self, frame: VideoFrame, faces: Sequence[TrackedFace]) -> None:
        """Counts a frame in which nobody is swapped."""
        if not faces:
            reason = "no face was found"
        elif not self._assigner.by_identity:
            reason = "the chosen face is not in sight"
        else:
            reason = "nobody whom a reference shows is in sight"
        self.skipped.append(SkippedFrame(frame.index, round(frame.time_s, 3), reason))

    def hide(self, frame: VideoFrame) -> None:
        """Counts a frame in which all who were to be swapped are hidden behind other faces."""
        reason = "the face to swap is hidden behind another one"
        self.skipped.append(SkippedFrame(frame.index, round(frame.time_s, 3), reason))

    def swapped(self, done: SwappedFace, time_s: float) -> None:
        """Counts a face that was swapped."""
        claim, tracked = done.claim, done.claim.face
        track = self._tracks.setdefault(
            (tracked.track, claim.person), SwappedTrack(tracked.scene, time_s)
        )
        track.last_s = time_s
        track.frames += 1
        track.photos[self._roles[claim.person].source_photos[done.source]] = None
        if claim.similarity is not None:
            track.similarity = max(claim.similarity, track.similarity or -1.0)

    def newly_skipped(self) -> list[list[Any]]:
        """The frames that were skipped since this was asked last, as JSON keeps them."""
        new = self.skipped[self._told :]
        self._told = len(self.skipped)
        return [[frame.index, frame.time_s, frame.reason] for frame in new]

    def state(self) -> dict[str, Any]:
        """All that was counted but the skipped frames, as a record with SwappedTrack."""
        return {"tracks": self._tracks, "seen_faces": self._seen_faces}

    def restore(self, state: dict[str, Any], skipped: Sequence[Sequence[Any]]) -> None:
        """Goes on from what `state` and `newly_skipped` gave in another run."""
        self._tracks, self._seen_faces = state["tracks"], state["seen_faces"]
        self.skipped = [SkippedFrame(*frame) for frame in skipped]
        self._told = len(self.skipped)

    def add(self, state: dict[str, Any], skipped: Sequence[Sequence[Any]]) -> None:
        """Counts what another one has counted of the frames that come next: see `state` and
        `newly_skipped`."""
        for key, more in state["tracks"].items():
            track = self._tracks.setdefault(key, SwappedTrack(more.scene, more.first_s))
            track.last_s = more.last_s
            track.frames += more.frames
            track.photos |= more.photos
            if more.similarity is not None:
                track.similarity = max(more.similarity, track.similarity or -1.0)
        self._seen_faces = self._seen_faces or state["seen_faces"]
        self.skipped += [SkippedFrame(*frame) for frame in skipped]
        self._told = len(self.skipped)

    def why_nothing(self) -> str:
        """The sentence for a video in which nothing was swapped."""
        if not (self._assigner.by_identity and self._seen_faces):
            return f"{self.skipped[0].reason}; nothing was written."
        return nobody_alike(self.people())

    def tracks(self) -> tuple[TrackReport, ...]:
        """Of each track that was swapped, by number."""
        return tuple(
            TrackReport(
                track=number,
                scene=track.scene,
                first_s=round(track.first_s, 3),
                last_s=round(track.last_s, 3),
                frames=track.frames,
                source_photos=tuple(track.photos),
                reference=self._roles[person].reference,
                similarity=None if track.similarity is None else round(track.similarity, 4),
            )
            for (number, person), track in sorted(self._tracks.items())
        )

    def people(self) -> tuple[PersonReport, ...]:
        """Of each person whom a reference shows."""
        if not self._assigner.by_identity:
            return ()
        counts = [
            sum(track.frames for (_, who), track in self._tracks.items() if who == person)
            for person in range(len(self._roles))
        ]
        return person_reports(self._roles, counts, self._assigner.best)
