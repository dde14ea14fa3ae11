"""Two videos, before and after a swap, read side by side once -> figures over time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sosie.analysis.analyzer import Analyzer, create_analyzer, to_8_bit
from sosie.analysis.tracking.tracks import TrackedFace, track_video
from sosie.errors import InputError, NoFaceError
from sosie.evaluation import metrics
from sosie.evaluation.metric import OWN, Readings
from sosie.evaluation.metrics import Scored
from sosie.evaluation.metrics.base import FrameMetric, FrameValue
from sosie.evaluation.recognition import IdentityNetwork
from sosie.evaluation.video_frames import (
    Frame,
    FramePair,
    Pairing,
    Picture,
    Sight,
    Sights,
    TrackSeries,
    VideoSeries,
)
from sosie.geometry import head_pose
from sosie.media.image import load_photo
from sosie.media.packet_list import Inventory, take_inventory
from sosie.media.video import Video, open_video
from sosie.types import Face, FloatArray, Progress

_UNKNOWN_FPS = 25.0
# Whose a smaller face is, the recognition networks cannot tell.
_IDENTIFY_PX = 24.0
IDENTITY_FPS = 5.0
"""How often a second a face is described by the recognition networks."""


@dataclass(frozen=True)
class VideoScore:
    """What was found of two videos.

    scored: the figures. series: what they are made of. album: pictures. notes: sentences on what
    the user should know, such as that the videos are of different sizes.
    """

    scored: Scored
    series: VideoSeries
    album: VideoAlbum
    notes: tuple[str, ...]


def score_video(
    target: Path,
    result: Path,
    sources: Sequence[Path] = (),
    *,
    analyzer: Analyzer | None = None,
    networks: Sequence[IdentityNetwork] = (),
    start_s: float | None = None,
    end_s: float | None = None,
    threads: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> VideoScore:
    """Score a swapped video against the one that it was made from.

    sources: photos of the person who was put in; without them similarity to the source is not
    told. start_s, end_s: the part of the target that the result shows, where it was swapped with
    `--start` and `--end`: seconds since the target's start. networks: recognition networks beside
    Sosie's. Whatever cannot be told is there with its
    reason. A result of another size is brought to the target's.
    Raises InputError where a video or photo cannot be read, NoFaceError for a source without a
    face.
    """
    analyzer = analyzer or create_analyzer(threads)
    described = _describe_sources(sources, analyzer, networks)
    files = take_inventory(target, start_s, end_s), take_inventory(result)
    series = VideoSeries(*files, networks=tuple(described))
    scorer = _Scorer(series, analyzer, networks, described)
    with (
        open_video(target, start_s, end_s, threads=threads) as before,
        open_video(result, threads=threads) as after,
    ):
        notes = _notes(before, after, files)
        fps = float(before.info.fps or _UNKNOWN_FPS)
        scorer.identify_every = max(1, round(fps / IDENTITY_FPS))
        counts = [len(file.frame_times_s) for file in files]
        begins_s = _first_time_s(before) if start_s is not None else 0.0
        pairing = Pairing(counts[0] == counts[1], 1 / fps, begins_s)
        pairs = pairing.pairs(before.frames(), after.frames())
        total = before.expected_frames
        for pair, faces in _reported(track_video(pairs, analyzer, fps), total, on_progress):
            scorer.add(pair, faces)
    series.missing, series.added = pairing.missing, pairing.added
    series.apart_ms = pairing.apart_ms
    return VideoScore(measure(series), series, scorer.album, notes)


def _first_time_s(video: Video) -> float:
    """When the first frame of a video's part is shown, since the video's start."""
    return float(video.source.first_time - video.source.origin)


def measure(series: VideoSeries) -> Scored:
    """All figures of videos, from what was kept of one."""
    found: Readings = {}
    for metric in metrics.metrics_of(FrameMetric).values():
        found |= metric.measure(series)
    return metrics.scored(found)


class _Scorer:
    """Takes in frames and keeps numbers and pictures."""

    def __init__(
        self,
        series: VideoSeries,
        analyzer: Analyzer,
        networks: Sequence[IdentityNetwork],
        sources: dict[str, FloatArray],
    ) -> None:
        self.identify_every = 1
        self._metrics = metrics.metrics_of(FrameMetric)
        self.album = VideoAlbum(v for metric in self._metrics.values() for v in metric.values)
        self._series, self._analyzer = series, analyzer
        self._networks, self._sources = networks, sources
        self._before: dict[int, Sight] = {}

    def add(self, pair: FramePair, faces: Sequence[TrackedFace]) -> None:
        """One frame of both videos, and the target's faces on it."""
        self._series.frames += 1
        frame = _frame(pair)
        if frame.result is not None:
            for name, metric in self._metrics.items():
                if metric.keep is not None:
                    self._series.kept.setdefault(name, []).append(metric.keep(frame))
        # What is hidden in the target tells nothing of a swap.
        shown = [tracked for tracked in faces if not tracked.bridged]
        self._before = {tracked.track: self._look(frame, tracked) for tracked in shown}

    def _look(self, frame: Frame, tracked: TrackedFace) -> Sight:
        """Read one tracked face in both videos, and keep what metrics tell of it."""
        number, place = tracked.track, tracked.face
        track = self._series.tracks.setdefault(number, TrackSeries(number, tracked.scene))
        told: dict[str, float] = {}
        region = head_pose.region_of(place.landmarks)
        sight = Sight(frame, place, self._analyzer.landmarks(frame.target, region))
        if frame.result is not None:
            before = self._before.get(number)
            sight = replace(
                sight,
                result_face=self._analyzer.landmarks(frame.result, region),
                # The frame before alone: a chain of them would hold the whole video.
                before=None if before is None else replace(before, before=None),
                sources=self._sources,
            )
            if len(track.frames) % self.identify_every == 0:
                sight = replace(sight, identities=self._identities(track, sight))
            for metric in self._metrics.values():
                if metric.look is not None:
                    told |= metric.look(sight)
        track.add(frame.index, frame.time_s, told, float(place.size_px**2))
        if frame.result is not None:
            self.album.add(number, sight, told)
        return sight

    def _identities(
        self, track: TrackSeries, sight: Sight
    ) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Vectors of one sight; they are added to the track's."""
        target, result = sight.target_face, sight.result_face
        if target is None or result is None or sight.frame.result is None:
            return {}
        if min(target.size_px, result.size_px) < _IDENTIFY_PX:
            return {}
        shown = [(sight.frame.target, target), (sight.frame.result, result)]
        found = {}
        for name, (before, after) in _vectors(shown, self._analyzer, self._networks).items():
            track.sights.setdefault(name, Sights()).add(after)
            track.sights_target.setdefault(name, Sights()).add(before)
            found[name] = before, after
        return found


def _vectors(
    shown: Sequence[tuple[Picture, Face]],
    analyzer: Analyzer,
    networks: Sequence[IdentityNetwork],
) -> dict[str, list[FloatArray]]:
    """Network's name -> a vector of unit length for each face."""
    found = {OWN: [analyzer.identify(pixels, face) for pixels, face in shown]}
    return found | {network.name: list(network.embed(shown)) for network in networks}


def _describe_sources(
    sources: Sequence[Path], analyzer: Analyzer, networks: Sequence[IdentityNetwork]
) -> dict[str, FloatArray]:
    """Network's name -> mean vector of the sources, of unit length; empty without sources."""
    shown = []
    for path in sources:
        pixels = to_8_bit(load_photo(path).pixels)
        faces = analyzer.analyze(pixels)
        if not faces:
            raise NoFaceError(f"No face was found in {path}; give another photo of the source.")
        shown.append((pixels, max(faces, key=lambda face: face.size_px)))
    if not shown:
        return {}
    means = {}
    for name, vectors in _vectors(shown, analyzer, networks).items():
        mean = np.mean(vectors, axis=0)
        means[name] = np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-6), np.float32)
    return means


def _frame(pair: FramePair) -> Frame:
    target = np.ascontiguousarray(to_8_bit(pair.target.to_rgb()))
    if pair.result is None:
        return Frame(pair.target.index, pair.target.time_s, target, None)
    result = np.ascontiguousarray(to_8_bit(pair.result.to_rgb()))
    if result.shape != target.shape:
        height, width = target.shape[:2]
        shrinks = result.shape[0] > height
        method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        result = np.asarray(cv2.resize(result, (width, height), interpolation=method), np.uint8)
    return Frame(pair.target.index, pair.target.time_s, target, result)


def _notes(before: Video, after: Video, files: tuple[Inventory, Inventory]) -> tuple[str, ...]:
    """What differs about the videos as a whole. Raises InputError where one is the other turned."""
    sizes = [(video.info.width, video.info.height) for video in (before, after)]
    notes = []
    if sizes[0] != sizes[1]:
        (width, height), (other_width, other_height) = sizes
        said = f"The target is of {width} x {height} px and the result of "
        said += f"{other_width} x {other_height}"
        if abs(np.log(width / height * other_height / other_width)) > 0.05:
            raise InputError(f"{said}: give a result of the same shape.")
        notes.append(f"{said}; it was brought to the target's size, which costs sharpness.")
    frames = [len(file.frame_times_s) for file in files]
    if frames[0] != frames[1]:
        notes.append(
            f"The target has {frames[0]} frames and the result {frames[1]}; they were paired by "
            f"their times."
        )
    return tuple(notes)


def _reported(
    frames: Iterator[tuple[Any, tuple[TrackedFace, ...]]],
    total: int | None,
    on_progress: Callable[[Progress], None] | None,
) -> Iterator[tuple[FramePair, tuple[TrackedFace, ...]]]:
    start = time.monotonic()
    for done, item in enumerate(frames, 1):
        yield item
        if on_progress is not None:
            on_progress(Progress(done, total, done / max(time.monotonic() - start, 1e-9)))


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
