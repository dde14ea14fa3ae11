"""The faces of one video, from where an earlier run left off to the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sosie.analysis.analyzer import Analyzer
from sosie.datasets.extract.candidates import Found, Look, look
from sosie.datasets.extract.options import ExtractOptions, thread_count
from sosie.datasets.extract.sampling import Place, Sample, Sampler, in_order
from sosie.datasets.extract.tracks import Linker, Thinner
from sosie.datasets.extract.writer import FaceWriter, Source
from sosie.errors import InputError
from sosie.media.prefetch import prefetch
from sosie.types import Progress

# What is found is put on disk for good so often: this much is done again after a stop.
COMMIT_S, COMMIT_ROWS = 5.0, 128
_QUEUE_FRAMES = 2

Commit = Callable[[dict[str, Any]], None]
"""Takes what is known of the video at that point: its `counts`, `resume` where it can be taken up
again there, `error` where it is damaged there."""


@dataclass(frozen=True)
class _Candidate:
    """A face that may be kept, with what it was found in."""

    found: Found
    at: Place

    @property
    def phash(self) -> int:
        return self.found.phash

    @property
    def rejected(self) -> str:
        return self.found.rejected

    @property
    def clarity(self) -> float:
        return self.found.clarity


class VideoExtraction:
    """One video. frames: those that this run passed."""

    def __init__(
        self, path: Path, source: Source, options: ExtractOptions, known: dict[str, Any]
    ) -> None:
        """known: what an earlier run committed last, {} where there is none.

        Raises InputError where the video cannot be read.
        """
        resume = known.get("resume") or {}
        self._start = int(resume.get("next", 0))
        self._source = source
        self._options = options
        self._thinner: Thinner[_Candidate] = Thinner(options.per_second, options.min_distance)
        self._linker = Linker()
        warm = None
        if resume:
            try:
                warm = Place(**resume["warm"])
                self._linker = Linker.restore(resume["linker"])
                self._thinner.restore(resume["thinner"])
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"What the set knows of {source.name}, which was half done, is damaged; run "
                    f"the command again to read it from its start."
                ) from error
        self._sampler = Sampler(path, options, warm, self._start)
        self._ahead = 1 + thread_count(options)
        self._counts: Counter[str] = Counter(known.get("counts", {}) if resume else {})

    @property
    def frames(self) -> int:
        return self._sampler.done - self._start

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what of the video could not be read."""
        return self._sampler.notes

    def run(
        self,
        analyzer: Analyzer,
        pool: Executor,
        writer: FaceWriter,
        commit: Commit,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        """Look at the video's frames, have its faces written, and commit now and then."""
        damage = {}
        try:
            self._run(analyzer, pool, writer, commit, on_progress)
        except InputError as error:
            # All that was read before the damage has been looked at.
            damage = {"error": str(error)}
        self._write_faces(writer)
        commit({"counts": self._told(), **damage})

    def _run(
        self,
        analyzer: Analyzer,
        pool: Executor,
        writer: FaceWriter,
        commit: Commit,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        started = committed = time.monotonic()
        window: int | None = None
        for sample, one in self._looks(analyzer, pool):
            at = sample.at
            now = self._thinner.window(at.index, at.time_s)
            if window is not None and now != window:
                self._write_faces(writer)
                clock = time.monotonic()
                if clock - committed > COMMIT_S or writer.waiting >= COMMIT_ROWS:
                    commit({"counts": self._told(), "resume": self._resume(sample)})
                    committed = clock
            window = now
            self._count(one)
            tracks = self._linker.link(at.scene, at.time_s, one.faces)
            for track, found in zip(tracks, one.faces, strict=True):
                self._thinner.offer(track, _Candidate(found, at))
            if on_progress is not None:
                fps = self.frames / max(time.monotonic() - started, 1e-9)
                on_progress(Progress(self._sampler.done, self._sampler.total, fps))

    def _looks(self, analyzer: Analyzer, pool: Executor) -> Iterator[tuple[Sample, Look]]:
        def seen(sample: Sample) -> Look:
            return look(sample.frame.to_rgb(), analyzer, self._options)

        # Closed here: after an error its traceback would keep the thread and the file.
        with (
            prefetch(self._sampler, _QUEUE_FRAMES) as samples,
            closing(in_order(pool, seen, samples, self._ahead)) as looks,
        ):
            yield from looks

    def _write_faces(self, writer: FaceWriter) -> None:
        for track, kept in self._thinner.flush():
            writer.add(self._source, kept.found, kept.at, track)
            self._counts[kept.rejected or "kept"] += 1
        self._thinner.keep(self._linker.alive)

    def _count(self, one: Look) -> None:
        self._counts["looked_at"] += 1
        self._counts["found"] += len(one.faces)
        self._counts["too_small"] += one.too_small

    def _told(self) -> dict[str, int]:
        return {**self._counts, "thinned": self._thinner.thinned, "frames": self._sampler.done}

    def _resume(self, sample: Sample) -> dict[str, Any]:
        return {
            "next": sample.at.index,
            "warm": asdict(sample.warm),
            "linker": self._linker.state(),
            "thinner": self._thinner.state(),
        }
