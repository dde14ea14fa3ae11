"""A video's faces as tracks: numbered, smoothed, without gaps, final when handed out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Generic

import numpy as np

from sosie.analysis.analyzer import Analyzer, make_face
from sosie.analysis.tracking.embeddings import Known, Sight, TrackIdentities
from sosie.analysis.tracking.shots import FLASH_FRAMES, FrameT, HasPixels, SceneSplitter, Shot
from sosie.analysis.tracking.smoothing import REACH_FRAMES, smooth_at
from sosie.analysis.tracking.tracker import Follower, Pace, Trail
from sosie.types import Face, FloatArray, Pixels, Pose

STATE_CLASSES = (Face, Known, Pose, Sight, Trail)
"""What a tracker's state is made of, besides numbers and arrays: for `sosie.records.unpack`."""

# Whose a smaller face is, the recognition network cannot tell.
_IDENTIFY_PX = 24.0


@dataclass(frozen=True)
class TrackedFace:
    """One person's face in one frame of a video.

    track: number of the person's track, from 0, unique in the video; a track never spans a cut.
    scene: number of the shot, from 0.
    face: smoothed; its score is the network's on that frame.
    bridged: the face was not seen on this frame but before and after it: it lies between those.
    area: of the face's box, as far as the frame shows it, in square pixels.
    prominence: its mean over this frame and those known ahead, counting 0 for frames without it.
    hazy: the face did not look like itself on this frame: something may be in front of it.
    identity: of the track, from its clearest sights so far and in the frames known ahead: float32,
        512, unit length. None where the face has been too small.
    """

    track: int
    scene: int
    face: Face
    bridged: bool
    area: float
    prominence: float
    hazy: bool = False
    identity: FloatArray | None = None


Tracked = tuple[FrameT, tuple[TrackedFace, ...]]
"""A frame and its faces."""


class FaceTracker(Generic[FrameT]):
    """Takes the frames of a video one by one and hands them out again with their faces.

    Each comes out `lookahead` frames after it went in, or a few more where a cut is suspected. That
    many are held, without their pixels.
    """

    def __init__(self, analyzer: Analyzer, fps: float, lookahead: int | None = None) -> None:
        """fps: frames a second, at least roughly. lookahead: how many frames ahead a face is known;
        None takes what smoothing and bridging can use, about 0.8 s. With fewer, landmarks are
        smoothed and gaps bridged less; with 0 nothing is known ahead, cuts are decided at once
        and a face counts from its first frame on."""
        self._pace = Pace.of(fps)
        full = max(self._pace.detect_every, self._pace.max_gap + REACH_FRAMES)
        reach = FLASH_FRAMES
        if lookahead is not None and lookahead < full + FLASH_FRAMES:
            # Frames held for a suspected cut would come out late.
            reach, full = 0, min(lookahead, full)
            self._pace = replace(self._pace, min_length=min(self._pace.min_length, full + 1))
        self._lookahead = full
        self._splitter: SceneSplitter[FrameT] = SceneSplitter(reach)
        self._follower = Follower(analyzer, self._pace)
        self._identities = TrackIdentities(analyzer, fps, _IDENTIFY_PX)
        self._decided: deque[Shot[FrameT]] = deque()
        self._final: deque[Tracked[FrameT]] = deque()
        self._held: dict[int, HasPixels] = {}
        self._waiting: dict[int, FrameT] = {}
        self._cuts: set[int] = set()
        self._index = 0
        self._outline: Pixels = np.zeros((0, 0, 3), np.uint8)

    def push(self, frame: FrameT) -> list[Tracked[FrameT]]:
        """Take the next frame, which has `to_rgb()`: it is called once as the frame comes in, and
        again only where a face found late is followed back. Returns the frames that are final now,
        in order, each with its faces sorted by track number."""
        self._decided.extend(self._splitter.push(frame))
        return list(self._taken())

    def finish(self) -> list[Tracked[FrameT]]:
        """The frames that are still held, when no more will come."""
        return list(self._rest())

    def follow(self, frames: Iterable[FrameT]) -> Iterator[Tracked[FrameT]]:
        """All of `frames`, one by one as they become final. Between two of them, and before the
        first, `state` may be asked for."""
        yield from self._taken()
        for frame in frames:
            self._decided.extend(self._splitter.push(frame))
            yield from self._taken()
        yield from self._rest()

    def starts_scene(self, index: int) -> bool:
        """Whether a scene starts with a frame that went in and has not come out yet."""
        return index in self._cuts

    def state(self) -> dict[str, Any]:
        """All that it remembers between two frames, as a record of `STATE_CLASSES`. Frames
        are not in it: from the first that has not come out on they have to be read again."""
        return {
            "index": self._index,
            "waiting": sorted(self._waiting),
            "cuts": self._cuts,
            "decided": [shot.starts_scene for shot in self._decided],
            "held": self._splitter.held,
            "splitter": self._splitter.state(),
            "follower": self._follower.state(),
            "identities": self._identities.state(),
        }

    def restore(self, state: dict[str, Any], frames: Iterator[FrameT]) -> None:
        """Remember what `state` gave, in another run. frames: from the first on that had not come
        out; those that had gone in are taken, and `follow` goes on with the rest."""
        self._index, self._cuts = state["index"], state["cuts"]
        for index in state["waiting"]:
            self._held[index] = self._waiting[index] = next(frames)
        for starts in state["decided"]:
            frame = next(frames)
            self._decided.append(Shot(frame, frame.to_rgb(), starts))
        self._splitter.restore(state["splitter"], islice(frames, state["held"]))
        for held in self._held.values():
            self._outline = np.broadcast_to(np.uint8(0), held.to_rgb().shape)
            break
        self._follower.restore(state["follower"])
        self._identities.restore(state["identities"])

    def _taken(self) -> Iterator[Tracked[FrameT]]:
        while self._decided:
            self._take(self._decided.popleft())
            # Nobody here keeps what was given.
            while self._final:
                yield self._final.popleft()

    def _rest(self) -> Iterator[Tracked[FrameT]]:
        self._decided.extend(self._splitter.finish())
        yield from self._taken()
        self._follower.end_scene(self._index)
        for index in sorted(self._waiting):
            del self._held[index]
            self._cuts.discard(index)
            yield self._waiting.pop(index), self._faces_at(index)

    def _take(self, shot: Shot[FrameT]) -> None:
        index, self._index = self._index, self._index + 1
        # Of the frame's shape, and without its memory.
        self._outline = np.broadcast_to(np.uint8(0), shot.pixels.shape)
        if shot.starts_scene:
            self._cuts.add(index)
        self._follower.add(index, shot.pixels, shot.starts_scene, self._held)
        oldest = index - self._lookahead
        self._identities.look(index, shot.pixels, self._follower, oldest)
        self._held[index] = self._waiting[index] = shot.frame
        if oldest < 0:
            return
        del self._held[oldest]
        self._cuts.discard(oldest)
        self._final.append((self._waiting.pop(oldest), self._faces_at(oldest)))
        self._follower.forget(oldest + 1)
        self._identities.keep(trail.number for trail in self._follower.trails)

    def _faces_at(self, index: int) -> tuple[TrackedFace, ...]:
        return _faces_at(
            self._follower.trails,
            index,
            self._pace,
            self._lookahead,
            self._identities,
            self._outline,
        )


def track_video(
    frames: Iterable[FrameT], analyzer: Analyzer, fps: float
) -> Iterator[Tracked[FrameT]]:
    """Every frame of a video in order, each with its faces sorted by track number.

    See `FaceTracker`. Tracks start anew at cuts; a face that is out of sight for at most half a
    second is bridged, one that is away for longer starts a new track; one that goes over to
    another person, as their identities tell, is parted there.
    """
    tracker: FaceTracker[FrameT] = FaceTracker(analyzer, fps)
    return tracker.follow(frames)


def _faces_at(
    trails: list[Trail],
    index: int,
    pace: Pace,
    lookahead: int,
    identities: TrackIdentities,
    frame: Pixels,
) -> tuple[TrackedFace, ...]:
    """frame: of the size of all."""
    faces = []
    for trail in trails:
        if not trail.first <= index <= trail.last:
            continue
        if trail.last - trail.first + 1 < pace.min_length and not trail.cut_short:
            continue
        seen = trail.believed()
        first = max(trail.first, index - REACH_FRAMES)
        last = min(trail.last, index + REACH_FRAMES)
        window = np.stack([_landmarks_at(seen, i) for i in range(first, last + 1)])
        landmarks = smooth_at(window, index - first, trail.neighbors)
        here = seen.get(index)
        score = here.score if here else min(seen[i].score for i in _around(seen, index))
        ahead = range(index, min(trail.last, index + lookahead) + 1)
        area = sum(seen[i].shown_area(frame) for i in ahead if i in seen)
        face = make_face(landmarks, score, here.expression if here else None)
        faces.append(
            TrackedFace(
                track=trail.number,
                scene=trail.scene,
                face=face,
                bridged=here is None,
                area=face.shown_area(frame),
                prominence=area / (lookahead + 1),
                hazy=index in trail.hazy,
                identity=identities.of(trail.number),
            )
        )
    return tuple(sorted(faces, key=lambda face: face.track))


def _landmarks_at(seen: dict[int, Face], index: int) -> FloatArray:
    """Seen landmarks, or in a gap those on the straight way between its two sides."""
    if index in seen:
        return seen[index].landmarks
    before, after = _around(seen, index)
    share = np.float32((index - before) / (after - before))
    a, b = seen[before].landmarks, seen[after].landmarks
    return np.asarray(a + share * (b - a), np.float32)


def _around(seen: dict[int, Face], index: int) -> tuple[int, int]:
    """The frames on both sides of a gap on which the face was seen."""
    return max(i for i in seen if i < index), min(i for i in seen if i > index)
