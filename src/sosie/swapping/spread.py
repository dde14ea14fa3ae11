"""A video whose segments are made by workers: see `sosie.swapping.segment_tasks`.

The work folder is filled up to the last segment as a run in one process fills it; such a run then
goes on from there. So the result is the same, and a run with workers and one without can go on
where the other was stopped.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sosie import records
from sosie.cluster import Cluster
from sosie.media.picture_video import Pictures
from sosie.media.place import Place
from sosie.media.prefetch import prefetch
from sosie.media.spool import Spool
from sosie.media.video import Video
from sosie.swapping import frame as frames_module
from sosie.swapping.frame import Assigner
from sosie.swapping.segment_tasks import (
    SwapSpec,
    follow_segment,
    memory_path,
    plan_path,
    swap_segment,
    write_plan,
)
from sosie.swapping.tally import SwappedTrack, Tally
from sosie.swapping.video_analysis import VideoAnalysis
from sosie.swapping.work import WorkFolder
from sosie.timing import Stopwatch

STATE_CLASSES = (*frames_module.STATE_CLASSES, Place, SwappedTrack)
"""What the state at the end of a segment is made of."""


@dataclass(frozen=True)
class _Planned:
    """A segment whose plan is written. end: the state of what is analyzed where it ends (`place`,
    `tracker`, `assigner`), packed. cut: whether a shot starts there."""

    number: int
    end: bytes
    is_cut: bool


@dataclass(frozen=True)
class _HandedOut:
    """A segment that workers make. memory: found by another piece of work, None where a shot starts
    after it."""

    plan: _Planned
    result: Any
    memory: Any | None


class Spread:
    """Fills the work folder of a video with segments that workers make."""

    def __init__(
        self,
        cluster: Cluster,
        spec: SwapSpec,
        video: Video | Pictures,
        work: WorkFolder,
        cancel: threading.Event,
        analysis: VideoAnalysis,
        on_frames: Callable[[int], None],
    ) -> None:
        """analysis: marks the segments. cancel: stops the work where it is set. on_frames: told how
        many frames are done, after each segment."""
        self._cluster, self._spec, self._video, self._work = cluster, spec, video, work
        self._analysis, self._cancel, self._on_frames = analysis, cancel, on_frames
        self._assigner = Assigner([role.identity for role in spec.roles], spec.options.faces)
        self._tally = Tally(spec.roles, self._assigner)
        self._watch = Stopwatch()
        self._seconds: dict[str, float] = {}

    def run(self, pending: Path) -> None:
        """Has all segments but the last made. pending: beside which frames may wait.

        Raises KeyboardInterrupt where it is stopped, and what the workers raise.
        """
        work = self._work
        digest = self._spec.write(work.path)
        self._restore()
        on_gpu = self._spec.options.provider != "cpu"
        handed: deque[_HandedOut] = deque()
        memory: Any = None
        try:
            with Spool(pending) as spool, prefetch(self._plans(spool), 1) as plans:
                for plan in plans:
                    while len(handed) >= self._cluster.ahead:
                        self._collect(handed)
                    task = (str(work.path), digest, plan.number, memory)
                    result = self._cluster.submit(swap_segment, *task, on_gpu=on_gpu)
                    memory = None
                    if not plan.is_cut:
                        memory = self._cluster.submit(follow_segment, *task, on_gpu=on_gpu)
                    handed.append(_HandedOut(plan, result, memory))
                while handed:
                    self._collect(handed)
        finally:
            self._cluster.cancel([one.result for one in handed])
        for log in (work.result, work.layers):
            log.number = work.segments

    def _restore(self) -> None:
        """Goes on from where an earlier run came to, if one did."""
        work = self._work
        if work.state is None:
            return
        state = records.unpack(work.state, STATE_CLASSES)
        facts = [work.result.facts(number) for number in range(work.segments)]
        self._tally.restore(state["tally"], [one for fact in facts for one in fact["skipped"]])
        self._assigner.restore(state["assigner"])
        self._analysis.began = state["place"]
        self._analysis.tracker = state["tracker"].tobytes()
        self._seconds = state["seconds"]
        memory_path(work.path, work.segments).write_bytes(records.pack(state["swapper"]))

    def _plans(self, spool: Spool) -> Iterator[_Planned]:
        """Writes the plan of each segment but the last."""
        number, place = self._work.segments, self._analysis.began
        frames: list[Any] = []
        for item in self._analysis.frames(spool, self._watch):
            if item.start is not None and frames:
                write_plan(self._work.path, number, place, frames)
                place = Place.of(item.frame, whole_way=bool(self._video.notes))
                end = {
                    "place": place,
                    "tracker": np.frombuffer(item.start.tracker, np.uint8),
                    "assigner": self._assigner.state(),
                }
                yield _Planned(number, records.pack(end), item.start.is_cut)
                number, frames = number + 1, []
            faces = item.faces
            frames.append((faces, self._assigner.assign(faces)))
            # Nobody needs its pixels any more.
            del item

    def _collect(self, handed: deque[_HandedOut]) -> None:
        """Waits for the oldest segment, and adds it to those that are whole."""
        one, work = handed[0], self._work
        made = self._cluster.result(one.result, self._look)
        remembered = frames_module.blank_state()
        if one.memory is not None:
            self._cluster.result(one.memory, self._look)
            kept = memory_path(work.path, one.plan.number + 1).read_bytes()
            remembered = records.unpack(kept, frames_module.STATE_CLASSES)
        handed.popleft()
        self._tally.add(records.unpack(made["tally"], (SwappedTrack,)), made["skipped"])
        for stage, seconds in made["seconds"].items():
            self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds
        state = records.unpack(one.plan.end, STATE_CLASSES)
        state |= {"swapper": remembered, "tally": self._tally.state(), "seconds": self._all()}
        work.add_state(made["frames"], records.pack(state))
        for path in (
            plan_path(work.path, one.plan.number),
            memory_path(work.path, one.plan.number),
        ):
            with suppress(FileNotFoundError):
                path.unlink()
        self._on_frames(made["frames"])

    def _all(self) -> dict[str, float]:
        """Seconds by stage, of the workers and of the analysis here, and the total."""
        here = self._watch.report()
        names = {*self._seconds, *here}
        return {name: self._seconds.get(name, 0.0) + here.get(name, 0.0) for name in names}

    def _look(self) -> None:
        if self._cancel.is_set():
            raise KeyboardInterrupt
