"""Pictures kept of a video while it is scored: some of each track evenly in time, and its worst."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np

from sosie.evaluation.frame_measurement import Seen, Square

WORST = {
    "identity_source": "lower",
    "untouched": "higher",
    "flicker": "higher",
    "jitter": "higher",
    "drift": "higher",
}
"""Name of a moment's value -> which way is worse. Of each the worst frames are kept."""

_EVENLY, _WORST = 8, 4
# Two of the worst are at least so far apart: one bad second is one picture.
_APART_S = 0.5
_QUALITY = 88


@dataclass(frozen=True)
class Snapshot:
    """One face on one frame. picture: JPEG, the target's square and the result's side by side.
    value: of the figure that it is kept for; NaN for those that are kept evenly."""

    frame: int
    time_s: float
    picture: bytes
    value: float = math.nan


@dataclass
class _TrackAlbum:
    evenly: list[Snapshot] = field(default_factory=list)
    step: int = 1
    count: int = 0
    worst: dict[str, list[Snapshot]] = field(default_factory=dict)

    def wants_evenly(self) -> bool:
        """Whether the next frame is one of those that are kept evenly; counts it."""
        wanted = self.count % self.step == 0
        self.count += 1
        return wanted

    def add_evenly(self, snapshot: Snapshot) -> None:
        self.evenly.append(snapshot)
        if len(self.evenly) > 2 * _EVENLY:
            self.evenly = self.evenly[::2]
            self.step *= 2

    def rival(self, name: str, time_s: float, value: float) -> bool:
        """Whether a frame is among the worst so far."""
        kept = self.worst.get(name, [])
        near = [one for one in kept if abs(one.time_s - time_s) < _APART_S]
        if near:
            return all(_is_worse(name, value, one.value) for one in near)
        return len(kept) < _WORST or _is_worse(name, value, kept[-1].value)

    def add_worst(self, name: str, snapshot: Snapshot) -> None:
        kept = self.worst.get(name, [])
        kept = [one for one in kept if abs(one.time_s - snapshot.time_s) >= _APART_S]
        sign = -1 if WORST[name] == "higher" else 1
        kept = sorted([*kept, snapshot], key=lambda one: (sign * one.value, one.frame))
        self.worst[name] = kept[:_WORST]


class VideoAlbum:
    """Keeps pictures, by track; memory grows with the number of tracks only."""

    def __init__(self) -> None:
        self._tracks: dict[int, _TrackAlbum] = {}

    def add(self, track: int, seen: Seen, told: Mapping[str, float]) -> None:
        """Look at one face on one frame, and keep its picture where it is wanted."""
        if seen.frame.result is None:
            return
        album = self._tracks.setdefault(track, _TrackAlbum())
        frame = seen.frame
        rivals = [
            name
            for name in WORST
            if _counts(name, told) and album.rival(name, frame.time_s, told[name])
        ]
        evenly = album.wants_evenly()
        if not (rivals or evenly):
            return
        picture = _picture(seen)
        if evenly:
            album.add_evenly(Snapshot(frame.index, frame.time_s, picture))
        for name in rivals:
            album.add_worst(name, Snapshot(frame.index, frame.time_s, picture, told[name]))

    def evenly(self, tracks: Iterable[int]) -> list[tuple[int, Snapshot]]:
        """Track and picture, about eight of each of these tracks, in order of time."""
        chosen = []
        for track in tracks:
            kept = self._tracks[track].evenly if track in self._tracks else []
            places = np.unique(np.linspace(0, len(kept) - 1, min(_EVENLY, len(kept))).astype(int))
            chosen += [(track, kept[place]) for place in places]
        return chosen

    def worst(self, name: str, tracks: Iterable[int]) -> list[tuple[int, Snapshot]]:
        """Track and picture of the worst frames by one value, worst first."""
        sign = -1 if WORST[name] == "higher" else 1
        found = [
            (track, one)
            for track in tracks
            if track in self._tracks
            for one in self._tracks[track].worst.get(name, [])
        ]
        return sorted(found, key=lambda pair: (sign * pair[1].value, pair[1].frame))[:_WORST]


def _counts(name: str, told: Mapping[str, float]) -> bool:
    """Whether a value is told and, of those that are 0 or 1, is a bad one at all."""
    value = told.get(name, math.nan)
    return value > 0 if name == "untouched" else not math.isnan(value)


def _is_worse(name: str, value: float, other: float) -> bool:
    return value > other if WORST[name] == "higher" else value < other


def _picture(seen: Seen) -> bytes:
    frame = seen.frame
    assert frame.result is not None
    square = Square.of(seen.place, frame)
    both = np.concatenate([square.cut(frame.target), square.cut(frame.result)], axis=1)
    encoded = cv2.imencode(".jpg", both[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return np.asarray(encoded[1]).tobytes()
