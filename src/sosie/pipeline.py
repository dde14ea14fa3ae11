"""The whole way from files to files: media -> analysis -> method -> compose -> media."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie import runtime
from sosie.analysis.analyser import Analyser, create_analyser
from sosie.analysis.select import TrackSelector, select_faces
from sosie.analysis.track import TrackedFace, track_film
from sosie.compose.restore import paste
from sosie.engine import Engine, FaceMemory
from sosie.errors import InterruptedSwapError, NoFaceError, UsageError
from sosie.media.image import load_photo
from sosie.media.image_write import save_photo
from sosie.media.output import PendingOutput, atomic_output, check_output
from sosie.media.photo import Photo, array_photo
from sosie.media.prefetch import prefetch, staged
from sosie.media.video import Film, FilmFrame, open_film
from sosie.options import SwapOptions
from sosie.stopwatch import Stopwatch
from sosie.types import (
    Face,
    FaceReport,
    ImageResult,
    Pixels,
    Progress,
    SkippedFrame,
    SwapReport,
)

StrPath = str | os.PathLike[str]
Picture = StrPath | NDArray[Any]
"""A path, or an array as `sosie.media.photo.array_photo` takes it."""

# Frames that may wait between two stages.
_QUEUE_FRAMES = 3
# For a film that does not tell: only the tracker's sense of time depends on it.
_UNKNOWN_FPS = 25


def swap_image(
    source: Picture | Sequence[Picture],
    target: Picture,
    options: SwapOptions | None = None,
    **overrides: Any,
) -> ImageResult:
    """Put the source's face into a photo.

    source: one photo, or several of one person: the one nearest in pose is taken. Photos are
    paths or arrays (h x w, h x w x 3 or x 4, uint8 or uint16, RGB). overrides: single options.
    Raises the errors of `sosie.errors`: NoFaceError, InputError, UsageError, UnavailableError.
    """
    return Swap(source, _options(options, overrides)).image(target)


def swap_video(
    source: Picture | Sequence[Picture],
    target: StrPath,
    output: StrPath,
    options: SwapOptions | None = None,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    **overrides: Any,
) -> SwapReport:
    """Put the source's face into a film, in one pass; all else of the film is kept.

    source: as for `swap_image`. on_progress: called after each frame. Raises the errors of
    `sosie.errors`; after Ctrl-C, InterruptedSwapError names the part that was written.
    """
    check_output(output, [target], _options(options, overrides).overwrite)
    return Swap(source, _options(options, overrides)).film(target, output, on_progress)


class Swap:
    """Sources, analysed once, to be put into any number of photos and films."""

    def __init__(
        self, source: Picture | Sequence[Picture], options: SwapOptions | None = None
    ) -> None:
        """source: as for `swap_image`. Raises the errors of `sosie.errors`."""
        self.options = options or SwapOptions()
        runtime.require_provider(self.options.provider)
        if self.options.threads is not None:
            cv2.setNumThreads(self.options.threads)
        self._started = time.perf_counter()
        self._analyser = create_analyser(self.options.threads)
        if isinstance(source, str | os.PathLike | np.ndarray):
            source = [source]
        self._inputs: list[Picture] = list(source)
        if not self._inputs:
            raise UsageError("No source was given; name at least one photo.")
        faces = [_source_face(item, self._analyser) for item in self._inputs]
        self._engine = Engine(faces, self.options, self._analyser)
        self._source_s = time.perf_counter() - self._started

    def image(self, target: Picture) -> ImageResult:
        """The swapped photo in memory: RGB, or RGBA where the target has transparency."""
        photo, result = self._photo(target)
        pixels = photo.pixels
        if photo.alpha is not None:
            pixels = np.dstack([pixels, photo.alpha])
        return dataclasses.replace(result, image=pixels)

    def photo(self, target: StrPath, output: StrPath) -> SwapReport:
        """Swap a photo file into another, which keeps the format's qualities."""
        check_output(output, [target, *self._paths()], self.options.overwrite)
        photo, result = self._photo(target)
        notes = save_photo(photo, output, overwrite=self.options.overwrite)
        report = result.report
        return dataclasses.replace(report, output=str(output), notes=(*report.notes, *notes))

    def _photo(self, target: Picture) -> tuple[Photo, ImageResult]:
        name, photo = _load(target)
        watch = Stopwatch()
        with watch("analysis"):
            found = self._analyser.analyse(photo.pixels)
        faces = _named(name, lambda: select_faces(found, self.options.faces))
        pixels = photo.pixels.copy()
        before = dict(self._engine.seconds)
        reports = []
        for face in faces:
            memory = FaceMemory()
            paste(pixels, self._engine.patch(pixels, face, memory))
            x0, y0, x1, y1 = (round(float(v), 2) for v in face.box)
            reports.append(FaceReport((x0, y0, x1, y1), face.score, face.pose, memory.source or 0))
        for stage, until_now in before.items():
            watch.add(stage, self._engine.seconds[stage] - until_now)
        report = SwapReport(
            target=name,
            output="",
            method=self.options.method,
            frames=1,
            swapped_frames=1,
            face_count=len(faces),
            faces=tuple(reports),
            notes=photo.notes,
            seconds=watch.report(),
        )
        report = dataclasses.replace(report, fps=1 / max(report.seconds["total"], 1e-9))
        return dataclasses.replace(photo, pixels=pixels), ImageResult(pixels, tuple(faces), report)

    def film(
        self,
        target: StrPath,
        output: StrPath,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> SwapReport:
        """Swap a film file into another; see `swap_video`."""
        options = self.options
        check_output(output, [target, *self._paths()], options.overwrite)
        with (
            open_film(target, options.start_s, options.end_s, options.threads) as film,
            atomic_output(output, options.overwrite) as pending,
        ):
            job = _FilmJob(self._engine, self._analyser, film, options, on_progress)
            return job.run(pending, str(target), str(output))

    def _paths(self) -> list[StrPath]:
        return [item for item in self._inputs if not isinstance(item, np.ndarray)]


class _FilmJob:
    """One film on its way: decoded, analysed, swapped and encoded at once, each in a thread."""

    def __init__(
        self,
        engine: Engine,
        analyser: Analyser,
        film: Film,
        options: SwapOptions,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self._engine, self._analyser = engine, analyser
        self._film, self._options, self._on_progress = film, options, on_progress
        self._selector = TrackSelector(options.faces)
        self._memories: dict[int, FaceMemory] = {}
        self._scene = 0
        self._skipped: list[SkippedFrame] = []
        self._tracks: set[int] = set()
        self._faces = 0
        self._watch = Stopwatch()

    def run(self, pending: PendingOutput, target: str, output: str) -> SwapReport:
        """Write the film to `pending`."""
        o, done = self._options, 0
        before = dict(self._engine.seconds)
        with self._film.writer(pending.path, o.codec, o.crf, o.preset, o.threads) as writer:
            try:
                with staged(prefetch(self._analysed(), _QUEUE_FRAMES), self._swap, 2) as frames:
                    for frame in frames:
                        with self._watch("encode"):
                            writer.write(frame)
                        done += 1
                        self._report_progress(done)
                with self._watch("encode"):
                    writer.close()
            except KeyboardInterrupt:
                writer.close_partial()
                partial = pending.keep_partial() if done else None
                raise _interrupted(done, partial) from None
        if not self._faces:
            raise NoFaceError(f"{target}: {self._skipped[0].reason}; nothing was written.")
        for stage, until_now in before.items():
            self._watch.add(stage, self._engine.seconds[stage] - until_now)
        seconds = self._watch.report()
        return SwapReport(
            target=target,
            output=output,
            method=o.method,
            frames=done,
            swapped_frames=done - len(self._skipped),
            face_count=self._faces,
            tracks=len(self._tracks),
            skipped=tuple(self._skipped),
            notes=writer.notes,
            seconds=seconds,
            fps=done / max(seconds["total"], 1e-9),
        )

    def _analysed(self) -> Iterator[tuple[FilmFrame, tuple[TrackedFace, ...]]]:
        fps = float(self._film.info.fps or _UNKNOWN_FPS)
        decoded = self._watch.timed("decode", self._film.frames())
        # Closed here: after an error its traceback would keep the thread and the file.
        with prefetch(decoded, _QUEUE_FRAMES) as frames:
            waited = self._watch.timed("waited", frames)
            tracked = track_film(waited, self._analyser, fps)
            yield from self._watch.timed("analysis", tracked, without="waited")

    def _swap(self, item: tuple[FilmFrame, tuple[TrackedFace, ...]]) -> FilmFrame:
        frame, faces = item
        chosen = self._selector.choose(faces)
        if not chosen:
            reason = "the chosen face is not in sight" if faces else "no face was found"
            self._skipped.append(SkippedFrame(frame.index, round(frame.time_s, 3), reason))
            return frame
        if chosen[0].scene != self._scene:
            self._scene, self._memories = chosen[0].scene, {}
        pixels = frame.to_rgb()
        for tracked in chosen:
            memory = self._memories.setdefault(tracked.track, FaceMemory())
            patch = self._engine.patch(pixels, tracked.face, memory, seen=not tracked.bridged)
            frame.paste(patch)
            if len(chosen) > 1:
                paste(pixels, patch)
            self._tracks.add(tracked.track)
            self._faces += 1
        return frame

    def _report_progress(self, done: int) -> None:
        if self._on_progress is not None:
            fps = done / max(self._watch.elapsed_s, 1e-9)
            self._on_progress(Progress(done, self._film.expected_frames, fps))


def _interrupted(done: int, partial: Path | None) -> InterruptedSwapError:
    if partial is None:
        return InterruptedSwapError("Stopped before the first frame was written; nothing is kept.")
    return InterruptedSwapError(f"Stopped: the first {done} frames are in {partial}.", str(partial))


def _options(options: SwapOptions | None, overrides: dict[str, Any]) -> SwapOptions:
    known = dataclasses.asdict(options or SwapOptions())
    return SwapOptions.from_dict(known | overrides)


def _load(picture: Picture) -> tuple[str, Photo]:
    """The name for messages, and the photo."""
    if isinstance(picture, np.ndarray):
        return "the picture", array_photo(picture)
    return str(picture), load_photo(picture)


def _source_face(picture: Picture, analyser: Analyser) -> tuple[Pixels, Face]:
    name, photo = _load(picture)
    found = analyser.analyse(photo.pixels)
    return photo.pixels, _named(name, lambda: select_faces(found, "largest"))[0]


def _named(name: str, choose: Callable[[], list[Face]]) -> list[Face]:
    """What `choose` returns; a NoFaceError of it says which picture is meant."""
    try:
        return choose()
    except NoFaceError as error:
        raise NoFaceError(f"{name}: {error}") from None
