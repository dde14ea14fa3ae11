"""One video on its way from file to file."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from sosie import records
from sosie.analysis.analyzer import Analyzer
from sosie.analysis.tracking import tracks
from sosie.analysis.tracking.tracks import FaceTracker, TrackedFace
from sosie.errors import InterruptedSwapError, NoFaceError
from sosie.media.base_writer import Writer
from sosie.media.masks import DrawnMasks, frame_number
from sosie.media.output_folder import PendingFolder
from sosie.media.picture_video import Pictures
from sosie.media.place import Place
from sosie.media.prefetch import Stage, prefetch, staged
from sosie.media.spool import Spool
from sosie.media.video import Video, VideoFrame
from sosie.media.video_write import VideoWriter
from sosie.media.watch_file import WatchFile
from sosie.options import SwapOptions
from sosie.output import PendingOutput
from sosie.stops import stops_held
from sosie.swapping import frame as frames_module
from sosie.swapping.assignment import Role, absent_notes
from sosie.swapping.face import Engine
from sosie.swapping.frame import Assigner, FrameSwapper
from sosie.swapping.layers import LayerWriter
from sosie.swapping.tally import SwappedTrack, Tally
from sosie.swapping.work import WorkFolder
from sosie.timing import Stopwatch
from sosie.types import FloatArray, Pixels, Progress, SwapReport

# Frames that may wait between two stages: fewer where they are large.
_QUEUE_FRAMES, _QUEUE_BYTES = 3, 32 << 20
# For a video that does not tell: only the tracker's sense of time depends on it.
_UNKNOWN_FPS = 25
# A segment ends at the first cut after the least of these, or else after the most; a video that is
# no longer than that is one.
_LEAST_S, _MOST_S = 2, 6

_Pending = PendingOutput | PendingFolder


@dataclass(frozen=True)
class _Analyzed:
    """A frame and its faces. tracker: the tracker's state before it, packed, where a segment starts
    with it."""

    frame: VideoFrame
    faces: tuple[TrackedFace, ...]
    tracker: bytes | None


@dataclass(frozen=True)
class _Start:
    """What is kept where a segment starts: of the one before it, the frames that were skipped;
    and the state of all by which a later run goes on from there, packed."""

    skipped: list[list[Any]]
    state: bytes


class VideoJob:
    """One video: decoded, analyzed, swapped and encoded at once, each in a thread.

    A long one is encoded in segments, each by an encoder of its own, and what was done is kept at
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
        open_work: Callable[[], WorkFolder],
        on_notes: Callable[[Sequence[str]], None] | None = None,
        layers: LayerWriter | None = None,
    ) -> None:
        """roles: as the people of `engine`, in the same order. cancel: stops the job as Ctrl-C
        does where it is set. open_work: gives the work folder, of a video that needs one. on_notes:
        called before the first frame with sentences on what of the video cannot be kept, where
        there are any. layers: gets what a compositor wants of each frame."""
        self._cancel = cancel or threading.Event()
        self._analyzer = analyzer
        self._video, self._options, self._on_progress = video, options, on_progress
        self._on_notes = on_notes
        self._layers = layers
        self._watched = None if options.watch is None else WatchFile(options.watch)
        self._masks = DrawnMasks(Path(options.masks)) if options.masks is not None else None
        self._assigner = Assigner([role.identity for role in roles], options.faces)
        self._swapper = FrameSwapper(engine)
        self._tally = Tally(roles, self._assigner)
        self._watch = Stopwatch()
        self._open_work = open_work
        self._work: WorkFolder | None = None
        self._began: Place | None = None
        self._tracker_state: Any = None
        self._earlier_s = 0.0
        fps = video.info.fps or _UNKNOWN_FPS
        self._least, self._most = max(1, round(_LEAST_S * fps)), max(1, round(_MOST_S * fps))

    def run(self, pending: _Pending, target: str, output: str) -> SwapReport:
        """Write the video to `pending`. What was done before Ctrl-C or an error is kept as a part,
        and the exception says so. `finish` or `close` it afterwards."""
        o = self._options
        with self._video.writer(
            pending.path, o.codec, o.crf, o.preset, o.threads, shown=pending.final
        ) as writer:
            if self._can_be_resumed(writer):
                self._work = self._open_work()
                self._restore()
            if self._on_notes is not None and writer.notes:
                self._on_notes(writer.notes)
            try:
                return self._run(pending, writer, target, output)
            except NoFaceError:
                self.finish()
                raise
            except KeyboardInterrupt:
                raise self._interrupted(writer, pending) from None
            except Exception as error:
                partial = self._kept(writer, pending)
                if partial is not None or self._goes_on:
                    error.add_note(self._where(writer, partial, pending))
                raise

    def _can_be_resumed(self, writer: Writer) -> bool:
        """Whether this is a long video whose writing can be resumed."""
        expected = self._video.expected_frames
        return (
            isinstance(self._video, Video)
            and isinstance(writer, VideoWriter)
            and self._layers is None
            and (expected is None or expected > self._most)
        )

    def finish(self) -> None:
        """The output is there: what was kept to go on with is removed."""
        if self._work is not None:
            self._work.remove()
            self._work = None

    def close(self) -> None:
        """Leaves what was kept to a later run."""
        if self._watched is not None:
            self._watched.close()
        if self._work is not None:
            self._work.close()

    def _run(self, pending: _Pending, writer: Writer, target: str, output: str) -> SwapReport:
        with Spool(pending.path) as spool:
            # Those that are analyzed are in the spool, however large.
            analyzed = prefetch(self._analyzed(spool), _QUEUE_FRAMES)
            swapped = staged(analyzed, self._swap, min(2, self._queue_frames))
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
        with swapped as frames:
            yield from (("resuming", done) for done in self._written_before(writer))
            for frame, start in frames:
                with self._watch("encode"):
                    if start is not None and self._work is not None:
                        assert isinstance(writer, VideoWriter), "others have no segments"
                        writer.end_segment()
                        facts = {"frames": writer.frames, "skipped": start.skipped}
                        self._work.end_segment(facts, start.state)
                    writer.write(frame)
                    pending.require()
                yield "swapping", writer.frames
        yield "finishing", writer.frames
        with self._watch("encode"):
            writer.close()

    def _written_before(self, writer: Writer) -> Iterator[int]:
        """Writes what an earlier run has encoded."""
        work = self._work
        if work is None:
            return
        assert isinstance(writer, VideoWriter), "others have no segments"
        for number in range(work.segments):
            with self._watch("encode"):
                writer.go_on(work.packets(number), work.facts(number)["frames"])
            yield writer.frames
        writer.on_packet = work.add

    def _restore(self) -> None:
        """Goes on from where an earlier run came to, if one did."""
        work = self._work
        if work is None or work.state is None:
            return
        state = records.unpack(work.state, (*frames_module.STATE_CLASSES, Place, SwappedTrack))
        facts = [work.facts(number) for number in range(work.segments)]
        self._tally.restore(state["tally"], [one for fact in facts for one in fact["skipped"]])
        self._began = state["place"]
        self._tracker_state = records.unpack(state["tracker"].tobytes(), tracks.STATE_CLASSES)
        self._assigner.restore(state["assigner"])
        self._swapper.restore(state["swapper"])
        self._earlier_s = state["seconds"].pop("total")
        for stage, seconds in state["seconds"].items():
            self._watch.add(stage, seconds)

    @property
    def _queue_frames(self) -> int:
        return max(1, min(_QUEUE_FRAMES, _QUEUE_BYTES // self._video.frame_bytes))

    def _analyzed(self, spool: Spool) -> Iterator[_Analyzed]:
        fps = float(self._video.info.fps or _UNKNOWN_FPS)
        video, began = self._video, self._began
        if began is None or not isinstance(video, Video):
            decoded = self._watch.timed("decode", video.frames())
        else:
            decoded = self._watch.timed("decode", video.frames_from(began))
        # Closed here: after an error its traceback would keep the thread and the file.
        with prefetch(decoded, self._queue_frames) as frames:
            waited = _put_away(self._watch.timed("waited", frames), spool)
            tracker: FaceTracker[VideoFrame] = FaceTracker(self._analyzer, fps)
            followed = self._marked(tracker, waited)
            yield from self._watch.timed("analysis", followed, without="waited")

    def _marked(
        self, tracker: FaceTracker[VideoFrame], frames: Iterator[VideoFrame]
    ) -> Iterator[_Analyzed]:
        """The frames with their faces, and the tracker's state where a segment starts."""
        first = 0
        if self._began is not None:
            first = self._began.index
            tracker.restore(self._tracker_state, frames)
            self._tracker_state = None
        followed, last_start = tracker.follow(frames), first
        for index in count(first):
            since, state = index - last_start, None
            cut = since >= self._least and tracker.starts_scene(index)
            if self._work is not None and (cut or since >= self._most):
                last_start, state = index, records.pack(tracker.state())
            try:
                # Without a name for it, the frame is kept by nobody here.
                yield _Analyzed(*next(followed), state)
            except StopIteration:
                return

    def _swap(self, item: _Analyzed) -> tuple[VideoFrame, _Start | None]:
        frame, faces = item.frame, item.faces
        start = None if item.tracker is None else self._start(frame, item.tracker)
        self._tally.see(faces)
        claims = self._assigner.assign(faces)
        if not claims:
            self._tally.skip(frame, faces)
            self._show(frame.to_rgb)
            if self._layers is not None:
                shown = frame.to_rgb()
                self._layers.write(frame, self._layers.plate_of(frame, shown), shown, None, faces)
            return frame, start
        assert frame.native is not None, "it is back in memory"
        frame.bring_back()
        boxes = None
        if self._layers is None:
            boxes = self._swapper.looked_at(claims, (frame.height, frame.width))
        shown = frame.to_rgb() if boxes is None else frame.parts_to_rgb(boxes)
        plate = None if self._layers is None else self._layers.plate_of(frame, shown)
        drawn = self._drawn(frame)
        swapped = self._swapper.swap(shown, claims, faces, self._watch, drawn)
        for patch in swapped.patches:
            frame.paste(patch)
        if self._layers is not None and plate is not None:
            self._layers.write(frame, plate, shown, swapped, faces)
        self._show(lambda: shown)
        for done in swapped.faces:
            self._tally.swapped(done, frame.time_s)
        return frame, start

    def _show(self, pixels: Callable[[], Pixels]) -> None:
        """Renews the picture to watch, where it is time to."""
        if self._watched is not None and self._watched.is_due:
            self._watched.show(pixels(), float(self._video.info.sample_aspect))

    def _drawn(self, frame: VideoFrame) -> FloatArray | None:
        """The mask of a frame that somebody drew."""
        if self._masks is None:
            return None
        number = frame_number(self._video.source, frame)
        return self._masks.read(number, frame.width, frame.height)

    def _start(self, frame: VideoFrame, tracker: bytes) -> _Start:
        """Before a frame is swapped with which a segment starts."""
        seconds = self._watch.report()
        seconds["total"] += self._earlier_s
        state = {
            "place": Place.of(frame, whole_way=bool(self._video.notes)),
            "tracker": np.frombuffer(tracker, np.uint8),
            "assigner": self._assigner.state(),
            "swapper": self._swapper.state(),
            "tally": self._tally.state(),
            "seconds": seconds,
        }
        return _Start(self._tally.newly_skipped(), records.pack(state))

    def _report_progress(self, stage: str, done: int) -> None:
        if self._on_progress is not None:
            before = 0 if self._began is None else self._began.index
            fps = max(0, done - before) / max(self._watch.elapsed_s, 1e-9)
            self._on_progress(Progress(done, self._video.expected_frames, fps, stage))

    def _own_notes(self) -> list[str]:
        notes = [] if self._watched is None else list(self._watched.notes)
        if self._began is not None:
            notes.append(f"The first {self._began.index} frames are from an earlier run.")
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


def _put_away(frames: Iterator[VideoFrame], spool: Spool) -> Iterator[VideoFrame]:
    """The same frames, each put away once it has been looked at: it waits for later ones."""
    for frame in frames:
        yield frame
        frame.put_away(spool)
