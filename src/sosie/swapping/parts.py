"""A video in parts that are swapped apart from one another, and come together as one run's.

A part starts with a shot, at which nothing is remembered of what was before it. Where the shots
start is found first, by what is seen in small copies of the frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sosie import records
from sosie.analysis.tracking import tracks
from sosie.analysis.tracking.shots import SceneSplitter
from sosie.media.place import Place
from sosie.media.segments import SegmentWriter
from sosie.media.video import Video, VideoFrame
from sosie.swapping import frame as frames_module
from sosie.swapping.tally import SwappedTrack

STATE_CLASSES = (*frames_module.STATE_CLASSES, Place, SwappedTrack)
"""What the state of a run is made of, besides numbers and arrays."""

# Shorter parts are joined: each costs the start of a pipeline.
_PART_S = 20


@dataclass(frozen=True)
class Part:
    """A part of a video: from where a state is on, None for its start, up to, without, the frame
    `end`, with which a shot starts; None for the video's end. is_fresh: whether the part starts
    with a shot, so that the numbers of its tracks are its own. next_place, next_scene: of the frame
    `end`."""

    state: bytes | None
    end: int | None
    is_fresh: bool
    next_place: Place | None
    next_scene: int


Spread = Callable[[Iterator[Part]], Iterator[dict[str, Any]]]
"""Has parts swapped (`VideoJob.run_part`), wherever that is, and gives what comes of each, in
order."""


class PartFolder:
    """Where the segments of a part are written: as a `WorkFolder`, but for this part alone."""

    def __init__(self, folder: Path, state: bytes | None) -> None:
        """folder: that is there and empty. state: with which the part starts."""
        self.state, self.segments, self.frames = state, 0, 0
        self.files: list[Path] = []
        self.facts_of: list[dict[str, Any]] = []
        self._folder = folder
        self._writer: SegmentWriter | None = None

    def add(self, packet: Any) -> Any:
        """As that of a `WorkFolder`."""
        if self._writer is None:
            self._writer = SegmentWriter(self._folder / f"{len(self.files):06}.segment")
        return self._writer.add(packet)

    def end_segment(self, facts: dict[str, Any], _state: bytes) -> None:
        """As that of a `WorkFolder`; what is between the segments of a part is not needed."""
        assert self._writer is not None, "a segment has packets"
        self._writer.finish(facts)
        self.files.append(self._writer.path)
        self.facts_of.append(facts)
        self._writer = None

    def abandon(self) -> None:
        """As that of a `WorkFolder`."""
        if self._writer is not None:
            self._writer.discard()
            self._writer = None


def plan_parts(
    video: Video,
    pace: tuple[int, int, float],
    begun: bytes | None,
    fresh: Callable[[Place, int], bytes],
) -> Iterator[Part]:
    """The parts of a video, as its frames are read.

    pace: frames of a segment that a cut may end, those after which it ends in any case, and frames
    a second. begun: the state of an earlier run, with which the first part starts. fresh: makes the
    state of a part that starts with a shot, from the place of its first frame and the number of its
    scene.
    """
    least, most, fps = pace
    tracker, place = None, None
    if begun is not None:
        kept = records.unpack(begun, STATE_CLASSES)
        place = kept["place"]
        tracker = records.unpack(kept["tracker"].tobytes(), tracks.STATE_CLASSES)
    state, is_fresh = begun, False
    start = since = 0 if place is None else place.index
    # Up to the first frame of the part, of which the tracker is some ahead.
    scene = -1 if tracker is None else tracker["follower"]["scene"] - len(tracker["cuts"])
    for frame, starts_scene in _shots(video, place, tracker):
        scene += starts_scene
        # A part begins where a run of all of it begins a segment.
        length = frame.index - since
        if length >= most or (starts_scene and length >= least):
            since = frame.index
            if starts_scene and since - start >= _PART_S * fps:
                first = Place.of(frame, whole_way=bool(video.notes))
                yield Part(state, since, is_fresh, first, scene)
                state, is_fresh, start = fresh(first, scene), True, since
    yield Part(state, None, is_fresh, None, scene)


def _shots(
    video: Video, place: Place | None, tracker: dict[str, Any] | None
) -> Iterator[tuple[VideoFrame, bool]]:
    """Each frame, and whether a scene starts with it, as a tracker decides it."""
    splitter: SceneSplitter[VideoFrame] = SceneSplitter()
    if place is None or tracker is None:
        frames = video.frames()
    else:
        frames = video.frames_from(place)
        for index in tracker["waiting"]:
            yield next(frames), index in tracker["cuts"]
        for starts_scene in tracker["decided"]:
            yield next(frames), starts_scene
        splitter.restore(tracker["splitter"], islice(frames, tracker["held"]))
    for frame in frames:
        for shot in splitter.push(frame):
            yield shot.frame, shot.starts_scene
    for shot in splitter.finish():
        yield shot.frame, shot.starts_scene
