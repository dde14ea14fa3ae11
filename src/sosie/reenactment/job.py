"""A photo and a driver on their way to a video, or to a photo where the driver is one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sosie.analysis.analyzer import Analyzer, create_analyzer, to_8_bit
from sosie.analysis.selection import select_faces
from sosie.errors import InterruptedSwapError, NoFaceError, UsageError
from sosie.files import StrPath
from sosie.media.base_writer import Writer
from sosie.media.image import load_photo
from sosie.media.image_write import photo_format, save_photo
from sosie.media.kinds import kind_of
from sosie.media.new_frames import NewFrame, NewFrames
from sosie.media.output_folder import PendingFolder
from sosie.media.photo import Photo
from sosie.media.picture_video import Pictures
from sosie.media.prefetch import prefetch
from sosie.media.spool import Spool
from sosie.media.targets import open_target, pending_result, result_path, target_sequence
from sosie.media.video import Video, VideoFrame
from sosie.media.writers import check_written, open_writer
from sosie.methods.base import Source
from sosie.output import PendingOutput, check_output
from sosie.reenactment import load_reenactor
from sosie.reenactment.base import DrivingFrame, Reenactor
from sosie.reenactment.options import ReenactOptions
from sosie.stops import stops_held
from sosie.swapping.face import source_of
from sosie.swapping.frame import Assigner
from sosie.swapping.outputs import check_place
from sosie.swapping.video_analysis import VideoAnalysis
from sosie.timing import Stopwatch
from sosie.types import Face, Pixels, Progress

MOST_PX = 1920
"""The longer side of a video that is made of a larger photo."""

# Frames that may wait for the next stage.
_AHEAD = 3


@dataclass(frozen=True)
class ReenactReport:
    """What became of a reenactment, as `--json` has it.

    moved: frames in which the driver moved the photo. notes: sentences on what could not be kept.
    networks: of each network, on which provider it ran. license: of the method's weights. seconds:
    busy time by stage, and `total`.
    """

    source: str
    driver: str
    output: str
    method: str
    frames: int
    moved: int
    width: int
    height: int
    license: str
    fps: float
    seconds: dict[str, float]
    networks: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def reenact(
    source: StrPath,
    driver: StrPath,
    output: StrPath,
    options: ReenactOptions | None = None,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
) -> ReenactReport:
    """Move the largest face of a photo as the face of a driving video moves.

    source: the photo. driver: a video, numbered images or an animation; the output has its length
    and its sound. Or a photo, whose pose and expression the source gets, into a photo. on_progress:
    called after each frame. cancel: an event that any thread may set to stop.

    Raises the errors of `sosie.errors`; after Ctrl-C, or where `cancel` was set,
    InterruptedSwapError names the part that was written.
    """
    options = options or ReenactOptions()
    if target_sequence(Path(driver)) is None and kind_of(Path(driver)) == "photo":
        return _into_photo(Path(source), Path(driver), Path(output), options)
    place = result_path(Path(driver), Path(output))
    check_written(place, options.codec, options.crf, options.preset, options.overwrite)
    check_place(place, Path(driver), [source, driver], options.overwrite)
    span = (options.start_s, options.end_s)
    with open_target(Path(driver), *span, options.threads, options.sequence) as video:
        job = _Job(Path(source), video, options, on_progress, cancel or threading.Event())
        with pending_result(place, options.overwrite) as pending:
            return job.run(pending, str(source), str(driver), str(output))


class _Actor:
    """The photo, made ready, and what moves it."""

    def __init__(self, source: Path, options: ReenactOptions, size_px: int | None) -> None:
        """size_px: the photo is made smaller where a side of it is longer."""
        self.photo = load_photo(source)
        self.reenactor: Reenactor = load_reenactor(options.method)(options)
        self.analyzer: Analyzer = create_analyzer(options.threads, options.provider)
        pixels = self.photo.pixels
        if size_px is not None:
            pixels = _with_even_sides(_at_most(to_8_bit(pixels), size_px))
        found = self.analyzer.analyze(pixels)
        try:
            face = select_faces(found, "largest", pixels)[0]
        except NoFaceError as error:
            raise NoFaceError(f"{source}: {error}") from None
        self.source: Source = source_of(pixels, face, self.analyzer)
        self._state: Any = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what of the photo is not kept."""
        lost = () if self.photo.alpha is None else ("The photo's transparency was left out.",)
        return (*self.photo.notes, *lost)

    @property
    def providers(self) -> dict[str, str]:
        """Of each network, on which provider it ran."""
        return {**self.analyzer.providers, **self.reenactor.providers}

    def moved(self, pixels: Pixels, face: Face) -> Pixels:
        """The photo, moved as a face in a frame of the driver (RGB, uint8); the first one is where
        motion begins."""
        frame = DrivingFrame(pixels, face, self.analyzer.parts(pixels, face.landmarks))
        if self._state is None:
            self._state = self.reenactor.start(self.source, frame)
        return self.reenactor.move(self._state, frame)


class _Job:
    """One driving video: analyzed, its motion painted, and encoded at once, each in a thread."""

    def __init__(
        self,
        source: Path,
        video: Video | Pictures,
        options: ReenactOptions,
        on_progress: Callable[[Progress], None] | None,
        cancel: threading.Event,
    ) -> None:
        self._options, self._video = options, video
        self._on_progress, self._cancel = on_progress, cancel
        self._actor = _Actor(source, options, MOST_PX)
        self._watch = Stopwatch()
        self._moved = 0

    def run(
        self, pending: PendingOutput | PendingFolder, source: str, driver: str, output: str
    ) -> ReenactReport:
        """Write the video to `pending`. What was done before a stop is kept as a part."""
        o = self._options
        frames = NewFrames(self._video.source, keeps_colors=False)
        still = frames.source(self._actor.source.pixels)
        with open_writer(
            still, pending.path, o.codec, o.crf, o.preset, o.threads, pending.final
        ) as writer:
            try:
                self._run(writer, frames, pending)
            except KeyboardInterrupt:
                raise _interrupted(writer, pending) from None
            except Exception as error:
                kept = _kept(writer, pending)
                if kept is not None:
                    error.add_note(f"The first {writer.frames} frames are in {kept}.")
                raise
        if not self._moved:
            raise NoFaceError(
                f"{driver}: no face was found in it that could move the photo: choose a video that "
                f"shows one larger and clearer."
            )
        return self._report(writer, source, driver, output)

    def _run(
        self, writer: Writer, frames: NewFrames, pending: PendingOutput | PendingFolder
    ) -> None:
        with Spool(pending.path) as spool:
            analysis = VideoAnalysis(self._video, self._actor.analyzer, in_segments=False)
            driven = prefetch(self._driven(analysis, spool), _AHEAD)
            painted = prefetch(self._painted(driven, frames), _AHEAD)
            with prefetch(_written(painted, writer, pending, self._watch), 1) as counts:
                started = time.perf_counter()
                for done in counts:
                    if self._on_progress is not None:
                        fps = done / max(time.perf_counter() - started, 1e-9)
                        total = self._video.expected_frames
                        self._on_progress(Progress(done, total, fps, "reenacting"))
                    if self._cancel.is_set():
                        raise KeyboardInterrupt

    def _driven(
        self, analysis: VideoAnalysis, spool: Spool
    ) -> Iterator[tuple[VideoFrame, Face | None]]:
        """The driver's frames with the face that drives, where it is seen."""
        assigner = Assigner([None], self._options.faces)
        for analyzed in analysis.frames(spool, self._watch):
            claims = assigner.assign(analyzed.faces)
            yield analyzed.frame, claims[0].face.face if claims else None

    def _painted(
        self, driven: Iterator[tuple[VideoFrame, Face | None]], frames: NewFrames
    ) -> Iterator[NewFrame]:
        """The frames of the result. Where nobody is seen, the photo stays as it was last."""
        pixels = self._actor.source.pixels
        for frame, face in driven:
            if face is not None:
                seen = to_8_bit(frame.to_rgb())
                with self._watch("motion"):
                    pixels = self._actor.moved(seen, face)
                self._moved += 1
            yield frames.made(pixels, frame)

    def _report(self, writer: Writer, source: str, driver: str, output: str) -> ReenactReport:
        seconds = self._watch.report()
        height, width = self._actor.source.pixels.shape[:2]
        own = self._actor.photo
        notes = [*self._actor.notes, *self._video.notes, *writer.notes]
        if max(own.width, own.height) > MOST_PX:
            notes.append(
                f"The photo, {own.width} x {own.height}, was made smaller for a video: {width} x "
                f"{height}."
            )
        return ReenactReport(
            source,
            driver,
            output,
            self._options.method,
            writer.frames,
            self._moved,
            width,
            height,
            self._actor.reenactor.card.license,
            writer.frames / max(seconds["total"], 1e-9),
            seconds,
            self._actor.providers,
            tuple(notes),
        )


def _written(
    painted: Iterator[NewFrame],
    writer: Writer,
    pending: PendingOutput | PendingFolder,
    watch: Stopwatch,
) -> Iterator[int]:
    """Writes the frames. Yields how many are written, after each and after the end."""
    for frame in painted:
        with watch("encode"):
            writer.write(frame)
            pending.require()
        yield writer.frames
    with watch("encode"):
        writer.close()
    yield writer.frames


def _kept(writer: Writer, pending: PendingOutput | PendingFolder) -> Path | None:
    """Ends the video after what was written, and keeps that. None where there is nothing."""
    with stops_held():
        try:
            writer.close_partial()
        except Exception:  # the one that ended the video is what matters
            return None
        return pending.keep_partial() if writer.is_whole and writer.frames else None


def _interrupted(writer: Writer, pending: PendingOutput | PendingFolder) -> InterruptedSwapError:
    kept = _kept(writer, pending)
    if kept is None:
        return InterruptedSwapError("Stopped before the first frame was written; nothing is kept.")
    return InterruptedSwapError(
        f"Stopped. The first {writer.frames} frames are in {kept}.", str(kept)
    )


def _into_photo(source: Path, driver: Path, output: Path, options: ReenactOptions) -> ReenactReport:
    """The photo with the pose and expression of another photo."""
    if options.motion == "relative":
        raise UsageError(
            f"{driver} is a photo: it has no motion that could be added. Give --motion absolute "
            f"for its pose and expression, or a video."
        )
    check_output(output, [source, driver], options.overwrite)
    photo_format(output)
    watch = Stopwatch()
    with watch("analysis"):
        actor = _Actor(source, options, None)
        pixels = to_8_bit(load_photo(driver).pixels)
        try:
            face = select_faces(actor.analyzer.analyze(pixels), options.faces, pixels)[0]
        except NoFaceError as error:
            raise NoFaceError(f"{driver}: {error}") from None
    with watch("motion"):
        made = actor.moved(pixels, face)
    result: Photo = replace(actor.photo, pixels=made, alpha=None)
    notes = save_photo(result, output, overwrite=options.overwrite)
    seconds = watch.report()
    return ReenactReport(
        str(source),
        str(driver),
        str(output),
        options.method,
        1,
        1,
        result.width,
        result.height,
        actor.reenactor.card.license,
        1 / max(seconds["total"], 1e-9),
        seconds,
        actor.providers,
        (*actor.notes, *notes),
    )


def _at_most(pixels: Pixels, side_px: int) -> Pixels:
    height, width = pixels.shape[:2]
    scale = min(1.0, side_px / max(height, width))
    if scale == 1:
        return pixels
    size = (round(width * scale), round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))


def _with_even_sides(pixels: Pixels) -> Pixels:
    """Without a last row or column that most encoders do not take."""
    height, width = pixels.shape[:2]
    return np.ascontiguousarray(pixels[: height // 2 * 2, : width // 2 * 2])
