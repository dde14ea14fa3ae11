"""One video on its way from file to file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sosie.analysis.analyzer import Analyzer
from sosie.analysis.tracking.tracks import TrackedFace, track_video
from sosie.errors import InterruptedSwapError, NoFaceError
from sosie.media.masks import DrawnMasks, frame_number
from sosie.media.output_folder import PendingFolder
from sosie.media.picture_video import Pictures
from sosie.media.prefetch import Stage, prefetch, staged
from sosie.media.spool import Spool
from sosie.media.video import Video, VideoFrame
from sosie.media.writers import Writer
from sosie.options import SwapOptions
from sosie.output import PendingOutput
from sosie.stops import stops_held
from sosie.swapping.assignment import Role, absent_notes, nobody_alike, person_reports
from sosie.swapping.face import Engine
from sosie.swapping.frame import Assigner, FrameSwapper, SwappedFace
from sosie.swapping.layers import LayerWriter
from sosie.timing import Stopwatch
from sosie.types import FloatArray, PersonReport, Progress, SkippedFrame, SwapReport, TrackReport

# Frames that may wait between two stages: fewer where they are large.
_QUEUE_FRAMES, _QUEUE_BYTES = 3, 32 << 20
# For a video that does not tell: only the tracker's sense of time depends on it.
_UNKNOWN_FPS = 25

_Analyzed = tuple[VideoFrame, tuple[TrackedFace, ...]]


@dataclass
class _Swapped:
    """What was swapped of one track for one role."""

    scene: int
    first_s: float
    last_s: float = 0.0
    frames: int = 0
    photos: dict[str, None] = field(default_factory=dict)
    similarity: float | None = None


class VideoJob:
    """One video: decoded, analyzed, swapped and encoded at once, each in a thread."""

    def __init__(
        self,
        engine: Engine,
        analyzer: Analyzer,
        video: Video | Pictures,
        roles: Sequence[Role],
        options: SwapOptions,
        on_progress: Callable[[Progress], None] | None,
        cancel: threading.Event | None,
        on_notes: Callable[[Sequence[str]], None] | None = None,
        layers: LayerWriter | None = None,
    ) -> None:
        """roles: as the people of `engine`, in the same order. cancel: stops the job as Ctrl-C
        does where it is set. on_notes: called before the first frame with sentences on what of the
        video cannot be kept, where there are any. layers: gets what a compositor wants of each
        frame."""
        self._cancel = cancel or threading.Event()
        self._analyzer = analyzer
        self._video, self._options, self._on_progress = video, options, on_progress
        self._on_notes = on_notes
        self._layers = layers
        self._masks = DrawnMasks(Path(options.masks)) if options.masks is not None else None
        self._roles = roles
        self._assigner = Assigner([role.identity for role in roles], options.faces)
        self._swapper = FrameSwapper(engine)
        self._skipped: list[SkippedFrame] = []
        self._swapped: dict[tuple[int, int], _Swapped] = {}
        self._seen_faces = False
        self._watch = Stopwatch()

    def run(self, pending: PendingOutput | PendingFolder, target: str, output: str) -> SwapReport:
        """Write the video to `pending`. What was done before Ctrl-C or an error is kept as a part,
        and the exception says so."""
        o = self._options
        with self._video.writer(
            pending.path, o.codec, o.crf, o.preset, o.threads, shown=pending.final
        ) as writer:
            if self._on_notes is not None and writer.notes:
                self._on_notes(writer.notes)
            try:
                return self._run(pending, writer, target, output)
            except NoFaceError:
                raise
            except KeyboardInterrupt:
                raise _interrupted(writer, _kept(writer, pending)) from None
            except Exception as error:
                partial = _kept(writer, pending)
                if partial is not None:
                    error.add_note(_where(writer, partial))
                raise

    def _run(
        self, pending: PendingOutput | PendingFolder, writer: Writer, target: str, output: str
    ) -> SwapReport:
        with Spool(pending.path) as spool:
            # Those that are analyzed are in the spool, however large.
            analyzed = prefetch(self._analyzed(spool), _QUEUE_FRAMES)
            swapped = staged(analyzed, self._swap, min(2, self._queue_frames))
            # Written in a thread too: Ctrl-C breaks in on the main one, wherever that is, and would
            # lose a packet between the encoder and the file.
            with prefetch(self._written(swapped, writer, pending), 1) as counts:
                for done in counts:
                    self._report_progress(done)
                    if self._cancel.is_set():
                        raise KeyboardInterrupt
        if not self._swapped:
            raise NoFaceError(f"{target}: {self._why_nothing()}")
        seconds = self._watch.report()
        people = self._person_reports()
        return SwapReport(
            target=target,
            output=output,
            method=self._options.method,
            frames=writer.frames,
            swapped_frames=writer.frames - len(self._skipped),
            face_count=sum(swapped.frames for swapped in self._swapped.values()),
            tracks=len({track for track, _ in self._swapped}),
            followed=self._track_reports(),
            people=people,
            skipped=tuple(self._skipped),
            notes=(*self._video.notes, *writer.notes, *absent_notes(people)),
            seconds=seconds,
            fps=writer.frames / max(seconds["total"], 1e-9),
        )

    def _written(
        self, swapped: Stage[VideoFrame], writer: Writer, pending: PendingOutput | PendingFolder
    ) -> Iterator[int]:
        """Writes the video. Yields how many frames are written, after each."""
        with swapped as frames:
            for frame in frames:
                with self._watch("encode"):
                    writer.write(frame)
                    pending.require()
                yield writer.frames
        with self._watch("encode"):
            writer.close()

    @property
    def _queue_frames(self) -> int:
        return max(1, min(_QUEUE_FRAMES, _QUEUE_BYTES // self._video.frame_bytes))

    def _analyzed(self, spool: Spool) -> Iterator[_Analyzed]:
        fps = float(self._video.info.fps or _UNKNOWN_FPS)
        decoded = self._watch.timed("decode", self._video.frames())
        # Closed here: after an error its traceback would keep the thread and the file.
        with prefetch(decoded, self._queue_frames) as frames:
            waited = self._watch.timed("waited", frames)
            tracked = track_video(_put_away(waited, spool), self._analyzer, fps)
            yield from self._watch.timed("analysis", tracked, without="waited")

    def _swap(self, item: _Analyzed) -> VideoFrame:
        frame, faces = item
        self._seen_faces = self._seen_faces or bool(faces)
        claims = self._assigner.assign(faces)
        if not claims:
            self._skip(frame, faces)
            if self._layers is not None:
                shown = frame.to_rgb()
                self._layers.write(frame, self._layers.plate_of(frame, shown), shown, None, faces)
            return frame
        assert frame.native is not None, "it is back in memory"
        frame.bring_back()
        shown = frame.to_rgb()
        plate = None if self._layers is None else self._layers.plate_of(frame, shown)
        drawn = self._drawn(frame)
        swapped = self._swapper.swap(shown, claims, faces, self._watch, drawn)
        for patch in swapped.patches:
            frame.paste(patch)
        if self._layers is not None and plate is not None:
            self._layers.write(frame, plate, shown, swapped, faces)
        for done in swapped.faces:
            self._note(done, frame.time_s)
        return frame

    def _drawn(self, frame: VideoFrame) -> FloatArray | None:
        """The mask of a frame that somebody drew."""
        if self._masks is None:
            return None
        number = frame_number(self._video.source, frame)
        return self._masks.read(number, frame.width, frame.height)

    def _skip(self, frame: VideoFrame, faces: Sequence[TrackedFace]) -> None:
        if not faces:
            reason = "no face was found"
        elif not self._assigner.by_identity:
            reason = "the chosen face is not in sight"
        else:
            reason = "nobody whom a reference shows is in sight"
        self._skipped.append(SkippedFrame(frame.index, round(frame.time_s, 3), reason))

    def _note(self, done: SwappedFace, time_s: float) -> None:
        claim, tracked = done.claim, done.claim.face
        swapped = self._swapped.setdefault(
            (tracked.track, claim.person), _Swapped(tracked.scene, time_s)
        )
        swapped.last_s = time_s
        swapped.frames += 1
        swapped.photos[self._roles[claim.person].source_photos[done.source]] = None
        if claim.similarity is not None:
            swapped.similarity = max(claim.similarity, swapped.similarity or -1.0)

    def _why_nothing(self) -> str:
        if not (self._assigner.by_identity and self._seen_faces):
            return f"{self._skipped[0].reason}; nothing was written."
        return nobody_alike(self._person_reports())

    def _track_reports(self) -> tuple[TrackReport, ...]:
        return tuple(
            TrackReport(
                track=track,
                scene=swapped.scene,
                first_s=round(swapped.first_s, 3),
                last_s=round(swapped.last_s, 3),
                frames=swapped.frames,
                source_photos=tuple(swapped.photos),
                reference=self._roles[person].reference,
                similarity=None if swapped.similarity is None else round(swapped.similarity, 4),
            )
            for (track, person), swapped in sorted(self._swapped.items())
        )

    def _person_reports(self) -> tuple[PersonReport, ...]:
        if not self._assigner.by_identity:
            return ()
        counts = [
            sum(done.frames for (_, who), done in self._swapped.items() if who == person)
            for person in range(len(self._roles))
        ]
        return person_reports(self._roles, counts, self._assigner.best)

    def _report_progress(self, done: int) -> None:
        if self._on_progress is not None:
            fps = done / max(self._watch.elapsed_s, 1e-9)
            self._on_progress(Progress(done, self._video.expected_frames, fps))


def _put_away(frames: Iterator[VideoFrame], spool: Spool) -> Iterator[VideoFrame]:
    """The same frames, each put away once it has been looked at: it waits for later ones."""
    for frame in frames:
        yield frame
        frame.put_away(spool)


def _kept(writer: Writer, pending: PendingOutput | PendingFolder) -> Path | None:
    """Ends the video after what was written, and keeps that. None where there is nothing to
    keep."""
    with stops_held():
        try:
            writer.close_partial()
        except Exception:  # the one that ended the video is what matters
            return None
        return pending.keep_partial() if writer.is_whole and writer.frames else None


def _where(writer: Writer, partial: Path) -> str:
    count = f"first {writer.frames} frames are" if writer.frames > 1 else "first frame is"
    return f"The {count} in {partial}."


def _interrupted(writer: Writer, partial: Path | None) -> InterruptedSwapError:
    if partial is None:
        return InterruptedSwapError("Stopped before the first frame was written; nothing is kept.")
    return InterruptedSwapError(f"Stopped. {_where(writer, partial)}", str(partial))
