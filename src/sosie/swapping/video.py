"""One video on its way from file to file."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from sosie import records
from sosie.analysis.analyzer import Analyzer
from sosie.errors import InterruptedSwapError, NoFaceError
from sosie.media.base_writer import Writer
from sosie.media.output_folder import PendingFolder
from sosie.media.picture_source import PictureSource
from sosie.media.picture_video import Pictures
from sosie.media.place import Place
from sosie.media.prefetch import Stage, prefetch, staged
from sosie.media.spool import Spool
from sosie.media.video import Video, VideoFrame
from sosie.media.watch_file import WatchFile
from sosie.options import SwapOptions
from sosie.output import PendingOutput
from sosie.stops import stops_held
from sosie.swapping.assignment import Role, absent_notes
from sosie.swapping.face import Engine
from sosie.swapping.frame import Assigner
from sosie.swapping.layers import LayerWriter
from sosie.swapping.spread import STATE_CLASSES, Spread
from sosie.swapping.tally import Tally
from sosie.swapping.video_analysis import Analyzed, SegmentStart, VideoAnalysis, queue_frames
from sosie.swapping.video_frames import VideoFrames
from sosie.swapping.work import WorkFolder
from sosie.timing import Stopwatch
from sosie.types import Pixels, Progress, SwapReport

# Analyzed frames that may wait to be swapped.
_AHEAD = 3

_Pending = PendingOutput | PendingFolder


@dataclass(frozen=True)
class _Start:
    """What is kept where a segment starts: of the one before it, the frames that were skipped;
    and the state of all by which a later run goes on from there, packed."""

    skipped: list[list[Any]]
    state: bytes


class VideoJob:
    """One video: decoded, analyzed, swapped and encoded at once, each in a thread.

    A long one is written in segments, each by an encoder of its own, and what was done is kept at
    the end of each: see `WorkFolder`. Whether that is written or read, the video is the same.
    """

    def __init__(
        self,
        engine: Engine,
        analyzer: Analyzer,
        video: Video | Pictures,
        roles: Sequence[Role],
        options: SwapOptions,
        on_progress: Callable[[Progress], None] | None,
        cancel: threading.Event | None,
        work: WorkFolder | None,
        on_notes: Callable[[Sequence[str]], None] | None = None,
        layers: LayerWriter | None = None,
        spread: Callable[[VideoAnalysis, Callable[[int], None]], Spread] | None = None,
    ) -> None:
        """roles: as the people of `engine`, in the same order. cancel: stops the job as Ctrl-C
        does where it is set. work: where what was done is kept, of a video that needs it. on_notes:
        called before the first frame with sentences on what of the video cannot be kept, where
        there are any. layers: gets what a compositor wants of each frame. spread: has workers make
        the segments, of a video that has a work folder."""
        self._cancel = cancel or threading.Event()
        self._video, self._options, self._on_progress = video, options, on_progress
        self._on_notes = on_notes
        self._layers = layers
        self._watched = None if options.watch is None else WatchFile(options.watch)
        self._assigner = Assigner([role.identity for role in roles], options.faces)
        self._tally = Tally(roles, self._assigner)
        self._spread = spread
        self._watch = Stopwatch()
        self._frames = VideoFrames(
            video.source, engine, options, self._tally, layers, self._watch, self._show
        )
        self._work = work
        self._analysis = VideoAnalysis(video, analyzer, in_segments=work is not None)
        self._earlier_s = 0.0
        self._told = 0
        self._earlier_frames = 0 if work is None else work.frames

    def run(self, pending: _Pending, target: str, output: str) -> SwapReport:
        """Write the video to `pending`. What was done before Ctrl-C or an error is kept as a part,
        and the exception says so."""
        o = self._options
        with self._video.writer(
            self._path_for(pending), o.codec, o.crf, o.preset, o.threads, shown=pending.final
        ) as writer:
            if self._on_notes is not None and writer.notes:
                self._on_notes(writer.notes)
            try:
                self._have_made(pending)
                self._restore(writer)
                report = self._run(pending, writer, target, output)
                self._hand_over(pending)
                return report
            except NoFaceError:  # nothing of it is to be kept
                raise
            except KeyboardInterrupt:
                raise self._interrupted(writer, pending) from None
            except Exception as error:
                partial = self._kept(writer, pending)
                if partial is not None or self._goes_on:
                    error.add_note(self._where(writer, partial, pending))
                raise

    def _have_made(self, pending: _Pending) -> None:
        """Has workers make what can be made at once."""
        if self._spread is None or self._work is None:
            return
        self._spread(self._analysis, partial(self._report_progress, "swapping")).run(pending.path)
        # The time until now is in the state.
        self._watch.restart()

    def _path_for(self, pending: _Pending) -> Path:
        """What is written to: pictures wait in the work folder."""
        if self._work is None or not isinstance(pending, PendingFolder):
            return pending.path
        return self._work.folder_of_frames() / pending.path.name

    def _hand_over(self, pending: _Pending) -> None:
        """All is written: pictures go where they get their place from."""
        if self._work is None:
            return
        if isinstance(pending, PendingFolder):
            pending.take(self._work.folder_of_frames())
        if isinstance(pending, PendingFolder) or self._layers is not None:
            self._work.place()

    def close(self) -> None:
        """Closes the picture to watch."""
        if self._watched is not None:
            self._watched.close()

    def _run(self, pending: _Pending, writer: Writer, target: str, output: str) -> SwapReport:
        with Spool(pending.path) as spool:
            # Those that are analyzed are in the spool, however large.
            analyzed = prefetch(self._analysis.frames(spool, self._watch), _AHEAD)
            swapped = staged(analyzed, self._swap, min(2, queue_frames(self._video)))
            # Written in a thread too: Ctrl-C breaks in on the main one, wherever that is, and would
            # lose a packet between the encoder and the file.
            with prefetch(self._written(swapped, writer, pending), 1) as counts:
                for stage, done in counts:
                    self._report_progress(stage, done)
                    if self._cancel.is_set():
                        raise KeyboardInterrupt
        tally = self._tally
        if not tally.track_count:
            raise NoFaceError(f"{target}: {tally.why_nothing()}")
        seconds = self._watch.report()
        seconds["total"] = round(seconds["total"] + self._earlier_s, 6)
        people = tally.people()
        return SwapReport(
            target=target,
            output=output,
            method=self._options.method,
            frames=writer.frames,
            swapped_frames=writer.frames - len(tally.skipped),
            face_count=tally.face_count,
            tracks=tally.track_count,
            followed=tally.tracks(),
            people=people,
            skipped=tuple(tally.skipped),
            notes=(*self._video.notes, *writer.notes, *absent_notes(people), *self._own_notes()),
            seconds=seconds,
            fps=writer.frames / max(seconds["total"], 1e-9),
        )

    def _written(
        self,
        swapped: Stage[tuple[VideoFrame, _Start | None]],
        writer: Writer,
        pending: _Pending,
    ) -> Iterator[tuple[str, int]]:
        """Writes the video. Yields the stage and how many frames are written, after each."""
        source = self._video.source
        with swapped as frames:
            yield from (("resuming", done) for done in self._written_before(writer))
            for frame, start in frames:
                with self._watch("encode"):
                    if start is not None and self._work is not None:
                        kept = writer.end_segment()
                        facts = {"frames": writer.frames, "skipped": start.skipped}
                        facts |= {"notes": list(writer.notes), **kept}
                        self._work.end_segment(facts, start.state)
                    writer.write(frame)
                    if isinstance(source, PictureSource):
                        source.kept.pop(frame.pts, None)
                    pending.require()
                yield "swapping", writer.frames
        yield "finishing", writer.frames
        with self._watch("encode"):
            writer.close()

    def _written_before(self, writer: Writer) -> Iterator[int]:
        """Writes what an earlier run has done."""
        work = self._work
        if work is None:
            return
        for number in range(0 if not writer.needs_plates else work.segments, work.segments):
            with self._watch("encode"):
                writer.go_on(work.result, number)
            yield writer.frames
        writer.begin_segments(work.result)

    def _restore(self, writer: Writer) -> None:
        """Goes on from where an earlier run came to, if one did."""
        work = self._work
        if work is None:
            return
        if self._layers is not None:
            for number in range(work.segments):
                self._layers.go_on(work.layers, number, work.folder_of_layers())
            self._layers.begin_segments(work.layers, work.folder_of_layers())
        if work.state is None:
            return
        state = records.unpack(work.state, STATE_CLASSES)
        facts = [work.result.facts(number) for number in range(work.segments)]
        self._tally.restore(state["tally"], [one for fact in facts for one in fact["skipped"]])
        self._analysis.began = state["place"]
        self._analysis.tracker = state["tracker"].tobytes()
        self._assigner.restore(state["assigner"])
        self._frames.swapper.restore(state["swapper"])
        self._earlier_s = state["seconds"].pop("total")
        for stage, seconds in state["seconds"].items():
            self._watch.add(stage, seconds)
        if writer.needs_plates:
            plates = self._video.frames()
            for number in range(work.segments):
                frames = facts[number]["frames"] - writer.frames
                writer.go_on(work.result, number, islice(plates, frames))
            plates.close()  # type: ignore[attr-defined]

    def _swap(self, item: Analyzed) -> tuple[VideoFrame, _Start | None]:
        frame, faces = item.frame, item.faces
        start = None if item.start is None else self._start(frame, item.start)
        self._frames.swap(frame, faces, self._assigner.assign(faces))
        return frame, start

    def _show(self, pixels: Callable[[], Pixels]) -> None:
        """Renews the picture to watch, where it is time to."""
        if self._watched is not None and self._watched.is_due:
            self._watched.show(pixels(), float(self._video.info.sample_aspect))

    def _start(self, frame: VideoFrame, start: SegmentStart) -> _Start:
        """Before a frame is swapped with which a segment starts."""
        seconds = self._watch.report()
        seconds["total"] += self._earlier_s
        state = {
            "place": Place.of(frame, whole_way=bool(self._video.notes)),
            "tracker": np.frombuffer(start.tracker, np.uint8),
            "assigner": self._assigner.state(),
            "swapper": self._frames.swapper.state(),
            "tally": self._tally.state(),
            "seconds": seconds,
        }
        if self._layers is not None and self._work is not None:
            self._work.layers.end(self._layers.end_segment())
        return _Start(self._tally.newly_skipped(), records.pack(state))

    def _report_progress(self, stage: str, done: int) -> None:
        # What workers have made is told once, and not again when it is written.
        if self._on_progress is not None and (done > self._told or stage == "finishing"):
            self._told = done
            before = self._analysis.began.index if self._analysis.began else 0
            fps = max(0, done - before) / max(self._watch.elapsed_s, 1e-9)
            self._on_progress(Progress(done, self._video.expected_frames, fps, stage))

    def _own_notes(self) -> list[str]:
        notes = [] if self._watched is None else list(self._watched.notes)
        if self._earlier_frames:
            notes.append(f"The first {self._earlier_frames} frames are from an earlier run.")
        return notes

    @property
    def _goes_on(self) -> bool:
        """Whether a later run can go on with what was done."""
        return self._work is not None and self._work.segments > 0

    def _kept(self, writer: Writer, pending: _Pending) -> Path | None:
        """Ends the video after what was written, and keeps that. None where there is nothing to
        keep."""
        with stops_held():
            if self._work is not None:
                self._work.abandon()
            try:
                writer.close_partial()
                if self._work is not None and isinstance(pending, PendingFolder):
                    pending.take(self._work.folder_of_frames())
            except Exception:  # the one that ended the video is what matters
                return None
            return pending.keep_partial() if writer.is_whole and writer.frames else None

    def _interrupted(self, writer: Writer, pending: _Pending) -> InterruptedSwapError:
        partial = self._kept(writer, pending)
        if partial is None and not self._goes_on:
            return InterruptedSwapError(
                "Stopped before the first frame was written; nothing is kept."
            )
        kept = None if partial is None else str(partial)
        return InterruptedSwapError(f"Stopped. {self._where(writer, partial, pending)}", kept)

    def _where(self, writer: Writer, partial: Path | None, pending: _Pending) -> str:
        """What is kept, and how to go on with it."""
        said = []
        if partial is not None:
            some = f"first {writer.frames} frames are" if writer.frames > 1 else "first frame is"
            said.append(f"The {some} in {partial}.")
        if self._work is not None and self._goes_on:
            words = ["sosie", "resume", str(pending.final)]
            if self._options.work is not None:
                words += ["--work", self._options.work]
            said.append(
                f"The same again, or `{shlex.join(words)}`, goes on after frame "
                f"{self._work.frames}."
            )
        return " ".join(said)
