"""A video's faces as tracks: numbered, smoothed, without gaps, final when handed out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Generic

import numpy as np

from sosie.analysis.analyzer import Analyzer, make_face
from sosie.analysis.tracking.embeddings import TrackIdentities
from sosie.analysis.tracking.shots import FLASH_FRAMES, FrameT, HasPixels, SceneSplitter, Shot
from sosie.analysis.tracking.smoothing import REACH_FRAMES, smooth_at
from sosie.analysis.tracking.tracker import Follower, Pace, Trail
from sosie.types import Face, FloatArray, Pixels

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
        self._held: dict[int, HasPixels] = {}
        self._waiting: dict[int, FrameT] = {}
        self._index = 0
        self._outline: Pixels = np.zeros((0, 0, 3), np.uint8)

    def push(self, frame: FrameT) -> list[Tracked[FrameT]]:
        """Take the next frame, which has `to_rgb()`: it is called once as the frame comes in, and
        again only where a face found late is followed back. Returns the frames that are final now,
        in order, each with its faces sorted by track number."""
        return [done for shot in self._splitter.push(frame) for done in self._take(shot)]

    def finish(self) -> list[Tracked[FrameT]]:
        """The frames that are still held, when no more will come."""
        final = [done for shot in self._splitter.finish() for done in self._take(shot)]
        self._follower.end_scene(self._index)
        final += [(self._waiting[index], self._faces_at(index)) for index in sorted(self._waiting)]
        self._waiting.clear()
        self._held.clear()
        return final

    def _take(self, shot: Shot[FrameT]) -> list[Tracked[FrameT]]:
        index, self._index = self._index, self._index + 1
        # Of the frame's shape, and without its memory.
        self._outline = np.broadcast_to(np.uint8(0), shot.pixels.shape)
        self._follower.add(index, shot.pixels, shot.starts_scene, self._held)
        oldest = index - self._lookahead
        self._identities.look(index, shot.pixels, self._follower, oldest)
        self._held[index] = self._waiting[index] = shot.frame
        if oldest < 0:
            return []
        del self._held[oldest]
        final = (self._waiting.pop(oldest), self._faces_at(oldest))
        self._follower.forget(oldest + 1)
        self._identities.keep(trail.number for trail in self._follower.trails)
        return [final]

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
    for frame in frames:
        yield from _handed_out(tracker.push(frame))
    yield from _handed_out(tracker.finish())


def _handed_out(final: list[Tracked[FrameT]]) -> Iterator[Tracked[FrameT]]:
    """The same, of which nobody here keeps what was given."""
    final.reverse()
    while final:
        yield final.pop()


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
