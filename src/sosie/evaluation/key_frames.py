"""Pictures kept of a video while it is scored: some of each track evenly in time, and its worst."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np

from sosie.evaluation.metrics.base import FrameValue
from sosie.evaluation.video_frames import Sight

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

    def is_rival(self, value: FrameValue, time_s: float, told: float) -> bool:
        """Whether a frame is among the worst so far."""
        if math.isnan(told) or (value.flag and not told):
            return False
        kept = self.worst.get(value.name, [])
        near = [one for one in kept if abs(one.time_s - time_s) < _APART_S]
        rivals = near or kept[_WORST - 1 :]
        return all(_badness(value, told) > _badness(value, one.value) for one in rivals)

    def add_worst(self, value: FrameValue, snapshot: Snapshot) -> None:
        kept = self.worst.get(value.name, [])
        kept = [one for one in kept if abs(one.time_s - snapshot.time_s) >= _APART_S]
        self.worst[value.name] = _worst_first(value, [*kept, snapshot])[:_WORST]


class VideoAlbum:
    """Keeps pictures, by track; memory grows with the number of tracks only.

    values: those of which the worst frames are kept.
    """

    def __init__(self, values: Iterable[FrameValue] = ()) -> None:
        self.values = tuple(value for value in values if value.worst)
        self._tracks: dict[int, _TrackAlbum] = {}

    def add(self, track: int, sight: Sight, told: Mapping[str, float]) -> None:
        """Look at one face on one frame of both videos, and keep its picture where it is wanted."""
        album = self._tracks.setdefault(track, _TrackAlbum())
        frame = sight.frame
        rivals = [
            value
            for value in self.values
            if album.is_rival(value, frame.time_s, told.get(value.name, math.nan))
        ]
        evenly = album.wants_evenly()
        if not (rivals or evenly):
            return
        picture = _picture(sight)
        if evenly:
            album.add_evenly(Snapshot(frame.index, frame.time_s, picture))
        for value in rivals:
            shot = Snapshot(frame.index, frame.time_s, picture, told[value.name])
            album.add_worst(value, shot)

    def evenly(self, tracks: Iterable[int]) -> list[tuple[int, Snapshot]]:
        """Track and picture, about eight of each of these tracks, in order of time."""
        chosen = []
        for track in tracks:
            kept = self._tracks[track].evenly if track in self._tracks else []
            places = np.unique(np.linspace(0, len(kept) - 1, min(_EVENLY, len(kept))).astype(int))
            chosen += [(track, kept[place]) for place in places]
        return chosen

    def worst(self, value: FrameValue, tracks: Iterable[int]) -> list[tuple[int, Snapshot]]:
        """Track and picture of the worst frames by one value, worst first."""
        owners = [track for track in tracks if track in self._tracks]
        found = [(k, one) for k in owners for one in self._tracks[k].worst.get(value.name, [])]
        found.sort(key=lambda pair: (-_badness(value, pair[1].value), pair[1].frame))
        return found[:_WORST]


def _badness(value: FrameValue, told: float) -> float:
    return told if value.worse == "higher" else -told


def _worst_first(value: FrameValue, kept: Iterable[Snapshot]) -> list[Snapshot]:
    return sorted(kept, key=lambda one: (-_badness(value, one.value), one.frame))


def _picture(sight: Sight) -> bytes:
    both = np.concatenate([sight.target, sight.result], axis=1)
    encoded = cv2.imencode(".jpg", both[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return np.asarray(encoded[1]).tobytes()
