"""Who the face of a track is: its identity, from a few of its clearest sights.

A recognition network is too slow for every frame, and one look may be the wrong one: a face half
turned away, or behind a hand. So a track is looked at when it is new, some more times soon after,
and later only when it is clearer to see, or when it may have been mistaken for another.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from sosie.analysis.analyzer import Analyzer
from sosie.analysis.tracking.tracker import Follower
from sosie.types import Face, FloatArray, Pixels

# So many sights of a track are kept, so far apart: the first ones fit into what a video's tracks
# are known ahead.
_KEPT = 5
_SPACING_S = 0.18
# A recognition network sees a face of about this size; a larger one tells it no more.
_FULL_PX = 112.0
# What a sight counts for that may show something else in front of the face.
_DOUBTFUL = 0.5
# Boxes that share more than this part of the smaller one: one face may hide the other.
_CROWDED = 0.1
# A face that is further from where it was, in sizes, or that has changed its size by more than this
# factor, may be another one.
_LEAP, _LEAP_GROWTH = 0.5, 1.25
# A further sight must be at least so clear, as a share of the clearest; one that is to replace
# another, clearer by this factor.
_CLEAR_ENOUGH, _CLEARER = 0.5, 1.25
# Where a track may have gone over to another person, so many looks decide that are so clear, each
# below this similarity to what is known of the track.
_TELLING, _STRANGER, _STRANGE_LOOKS = 0.35, 0.3, 2
_ROUNDS = 3


@dataclass(frozen=True)
class Sight:
    """One look at a face: how clearly it was seen, 0..1, and its identity, float32, 512, unit."""

    clarity: float
    identity: FloatArray


@dataclass
class Known:
    """What is known of one track.

    looked: index of the frame of the last look. last: index and face of the last frame that showed
    it. doubted: index of the frame from which on it may be another person. strange: the looks since
    then, as long as they are unlike the ones before.
    """

    looked: int
    last: tuple[int, Face]
    sights: list[Sight] = field(default_factory=list)
    mean: FloatArray | None = None
    doubted: int | None = None
    strange: list[Sight] = field(default_factory=list)

    def add(self, sights: Iterable[Sight]) -> None:
        clearest = sorted([*self.sights, *sights], key=lambda one: one.clarity, reverse=True)
        self.sights = clearest[:_KEPT]
        self.mean = mean_identity(self.sights)


class TrackIdentities:
    """The identities of a video's tracks. Feed it every frame in order."""

    def __init__(self, analyzer: Analyzer, fps: float, least_px: float) -> None:
        """fps: frames a second. least_px: faces below this size are not looked at."""
        self._analyzer = analyzer
        self._spacing = max(1, round(_SPACING_S * fps))
        self._least_px = least_px
        self._known: dict[int, Known] = {}

    def look(self, index: int, pixels: Pixels, follower: Follower, oldest: int) -> None:
        """Take in the newest frame: its pixels (RGB, uint8 or uint16) and the trails so far.

        A trail that has gone over to another person is parted there, but not before the frame
        `oldest`.
        """
        seen = [(trail, trail.seen[index]) for trail in follower.trails if index in trail.seen]
        for trail, face in seen:
            if face.size_px < self._least_px:
                continue
            crowded = any(_overlap(face, other) for _, other in seen if other is not face)
            clear = clarity(face)
            weight = clear * (_DOUBTFUL if crowded or index in trail.hazy else 1.0)
            known = self._known.get(trail.number)
            if known is None:
                known = self._known[trail.number] = Known(index, (index, face))
            else:
                if crowded or (known.doubted is None and _leaps(known.last, index, face)):
                    known.doubted = index
                known.last = (index, face)
                if not self._worth_it(known, index, clear, weight, crowded):
                    continue
            known.looked = index
            sight = Sight(weight, self._analyzer.identify(pixels, face))
            if known.doubted is None or crowded:
                known.add([sight])
            elif _is_stranger(known, sight):
                other = follower.part(trail, max(known.doubted, oldest), pixels)
                self._known[other.number] = Known(index, known.last)
                self._known[other.number].add(known.strange)

    def of(self, track: int) -> FloatArray | None:
        """The identity of a track, float32, 512, unit length; None before its first look."""
        known = self._known.get(track)
        return None if known is None else known.mean

    def keep(self, tracks: Iterable[int]) -> None:
        """Forget all but these tracks."""
        wanted = set(tracks)
        self._known = {number: known for number, known in self._known.items() if number in wanted}

    def state(self) -> dict[int, Known]:
        """All that it remembers, as a record."""
        return self._known

    def restore(self, state: dict[int, Known]) -> None:
        """Remember what `state` gave, in another run."""
        self._known = state

    def _worth_it(
        self, known: Known, index: int, clear: float, weight: float, crowded: bool
    ) -> bool:
        waits = index - known.looked < self._spacing
        if known.doubted is not None and not crowded:
            return clear >= _TELLING and not (known.strange and waits)
        if waits:
            return False
        if len(known.sights) < _KEPT:
            return weight >= _CLEAR_ENOUGH * max(sight.clarity for sight in known.sights)
        return weight >= _CLEARER * min(sight.clarity for sight in known.sights)


def clarity(face: Face) -> float:
    """How well a face can be recognized as it is seen, 0..1: large, frontal, and surely a face."""
    size = min(1.0, face.size_px / _FULL_PX)
    turned_deg = min(90.0, float(np.hypot(face.pose.yaw, face.pose.pitch)))
    return float(size * np.cos(np.radians(turned_deg)) ** 2 * np.clip(face.score, 0, 1))


def mean_identity(sights: Iterable[Sight]) -> FloatArray:
    """The mean of identities, float32, 512, unit length: clear sights count for more, and those
    unlike the others, such as a first look at a face behind a hand, for almost nothing."""
    sights = list(sights)
    identities = np.stack([sight.identity for sight in sights]).astype(np.float64)
    trust = np.array([max(sight.clarity, 1e-3) for sight in sights])
    mean = trust @ identities
    for _ in range(_ROUNDS):
        alike = identities @ mean / max(float(np.linalg.norm(mean)), 1e-9)
        mean = (trust * np.clip(alike, 0.01, None) ** 2) @ identities
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)


def _is_stranger(known: Known, sight: Sight) -> bool:
    """Whether the looks since a track was doubted, this one included, are of somebody else. If it
    is the same person after all, the doubt ends."""
    if known.mean is not None and float(known.mean @ sight.identity) >= _STRANGER:
        known.doubted, known.strange = None, []
        known.add([sight])
        return False
    known.strange.append(sight)
    return len(known.strange) >= _STRANGE_LOOKS


def _leaps(before: tuple[int, Face], index: int, face: Face) -> bool:
    """Whether a face was out of sight for a moment, or has moved or grown at once."""
    last, old = before
    apart = np.hypot(face.center[0] - old.center[0], face.center[1] - old.center[1])
    growth = face.size_px / old.size_px
    return bool(
        index - last > 1
        or apart > _LEAP * old.size_px
        or not 1 / _LEAP_GROWTH < growth < _LEAP_GROWTH
    )


def _overlap(a: Face, b: Face) -> bool:
    low, high = np.maximum(a.box[:2], b.box[:2]), np.minimum(a.box[2:], b.box[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    return shared > _CROWDED * min(float(np.prod(f.box[2:] - f.box[:2])) for f in (a, b))
