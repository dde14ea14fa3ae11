"""A film's faces as tracks: numbered, smoothed, without gaps, final when handed out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from sosie.analysis.analyser import Analyser, make_face
from sosie.analysis.follow import Follower, Pace, Trail
from sosie.analysis.scenes import FrameT, HasPixels, split_scenes
from sosie.analysis.sights import TrackIdentities
from sosie.analysis.smooth import REACH_FRAMES, smooth_at
from sosie.types import Face, FloatArray, Pixels

# Whose a smaller face is, the recognition network cannot tell.
_IDENTIFY_PX = 24.0


@dataclass(frozen=True)
class TrackedFace:
    """One person's face in one frame of a film.

    track: number of the person's track, from 0, unique in the film; a track never spans a cut.
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


def track_film(
    frames: Iterable[FrameT], analyser: Analyser, fps: float
) -> Iterator[tuple[FrameT, tuple[TrackedFace, ...]]]:
    """Every frame of a film in order, each with its faces sorted by track number.

    frames: whatever has `to_rgb()`; it is called once a frame as the frame comes in, and again
    only where a face found late is followed back. Frames are handed out about 0.8 s after they
    are taken in; that many are held, and of their pixels only the newest. fps: frames a second,
    at least roughly. Tracks start anew at cuts; a face that is out of sight for at most half a
    second is bridged, one that is away for longer starts a new track; one that goes over to
    another person, as their identities tell, is parted there.
    """
    pace = Pace.of(fps)
    lookahead = max(pace.detect_every, pace.max_gap + REACH_FRAMES)
    follower = Follower(analyser, pace)
    identities = TrackIdentities(analyser, fps, _IDENTIFY_PX)
    held: dict[int, HasPixels] = {}
    waiting: dict[int, FrameT] = {}
    last = -1

    def faces_at(index: int) -> tuple[TrackedFace, ...]:
        return _faces_at(follower.trails, index, pace, lookahead, identities, shot.pixels)

    for index, shot in enumerate(split_scenes(frames)):
        follower.add(index, shot.pixels, shot.starts_scene, held)
        identities.look(index, shot.pixels, follower, index - lookahead)
        held[index] = waiting[index] = shot.frame
        if (oldest := index - lookahead) >= 0:
            del held[oldest]
            yield waiting.pop(oldest), faces_at(oldest)
            follower.forget(oldest + 1)
            identities.keep(trail.number for trail in follower.trails)
        last = index
    follower.end_scene(last + 1)
    for index in sorted(waiting):
        yield waiting.pop(index), faces_at(index)


def _faces_at(
    trails: list[Trail],
    index: int,
    pace: Pace,
    lookahead: int,
    identities: TrackIdentities,
    frame: Pixels,
) -> tuple[TrackedFace, ...]:
    """frame: any of the film, which are of one size."""
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
        landmarks = smooth_at(window, index - first, trail.neighbours)
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
