"""The whole way: media -> analysis -> method -> processors -> blending -> media."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import cv2
import numpy as np

from sosie import __version__
from sosie.analysis.analyzer import Analyzer, create_analyzer
from sosie.cluster import has_cluster, open_cluster
from sosie.errors import UsageError
from sosie.media.comparison import compare_photos, comparison_path
from sosie.media.image_write import save_photo
from sosie.media.photo import Photo
from sosie.media.sequence_names import sequence_name
from sosie.media.targets import open_target, pending_result
from sosie.media.watch_file import show_once
from sosie.methods import PERSONAL
from sosie.models import session
from sosie.options import OptionKeywords, SwapOptions
from sosie.output import check_output
from sosie.swapping.assignment import (
    People,
    Picture,
    Source,
    StrPath,
    absent_notes,
    cast,
    load,
    named,
    read_roles,
    read_sources,
)
from sosie.swapping.face import Engine
from sosie.swapping.frame import Assigner, FrameSwapper, faces_of_photo
from sosie.swapping.identity_file import SUFFIX, save_identity
from sosie.swapping.outputs import (
    check_photo,
    check_video,
    compare_result,
    layer_writer,
    require_paths,
)
from sosie.swapping.preview import Previewer, TargetFrames
from sosie.swapping.preview_sheet import draw_preview
from sosie.swapping.sameness import sameness
from sosie.swapping.segment_tasks import SwapSpec
from sosie.swapping.spread import Spread
from sosie.swapping.stage_pictures import write_stages
from sosie.swapping.still import assign_still, face_report
from sosie.swapping.stream import SwapStream
from sosie.swapping.video import VideoJob
from sosie.swapping.video_analysis import is_long
from sosie.swapping.work import WorkFolder
from sosie.timing import Stopwatch
from sosie.types import ImageResult, Preview, PreviewFrame, Progress, SwapReport


def swap_image(
    source: Source | None,
    target: Picture,
    options: SwapOptions | None = None,
    *,
    reference: Picture | None = None,
    people: People | None = None,
    **overrides: Unpack[OptionKeywords],
) -> ImageResult:
    """Put the source's face into a photo.

    source: one photo, or several of one person: the one nearest in pose is taken; None where the
    person is in the method's weights (`deepfacelab`, `deepfakes`, `dfm`). A photo is a
    path, an array (h x w, h x w x 3 or x 4, uint8 or uint16, RGB), a picture of Pillow's, or the
    content of a picture's file: bytes, or a file open in binary mode. overrides: single options.
    reference: a photo of the person who is to be replaced, told by identity; its largest face
    counts. Without it, `options.faces` says who is.
    people: instead of both, several people at once, each with a source of their own, as
    `{"anna.jpg": "me.jpg", "ben.jpg": ["you1.jpg", "you2.jpg"]}` or a list of such pairs; source
    is then None. Nobody is given two faces of the target, and who is nobody of them stays as is.
    Raises the errors of `sosie.errors`: NoFaceError (also where nobody like a reference is
    found), InputError, UsageError, UnavailableError.
    """
    options = _options(options, overrides)
    return FaceSwapper(source, options, reference=reference, people=people).image(target)


def swap_video(
    source: Source | None,
    target: StrPath,
    output: StrPath,
    options: SwapOptions | None = None,
    *,
    reference: Picture | None = None,
    people: People | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
    on_notes: Callable[[Sequence[str]], None] | None = None,
    **overrides: Unpack[OptionKeywords],
) -> SwapReport:
    """Put the source's face into a video, in one pass; all else of the video is kept.

    source, reference, people: as for `swap_image`; whose a face is, is decided once a track, from
    its clearest sights. on_progress: called after each frame. cancel: an event that any thread may
    set to stop. on_notes: called before the first frame with sentences on what of the video cannot
    be kept as it is, where there are any; the report has them too. Raises the errors of
    `sosie.errors`; after Ctrl-C, or where `cancel` was set, InterruptedSwapError names the part
    that was written.
    """
    options = _options(options, overrides)
    require_paths(target=target, output=output)
    check_video(target, output, [target], options)
    swapper = FaceSwapper(source, options, reference=reference, people=people)
    return swapper.video(target, output, on_progress, cancel, on_notes)


def preview(
    source: Source | None,
    target: Picture,
    options: SwapOptions | None = None,
    *,
    at_s: Sequence[float] | None = None,
    frames: int | None = None,
    crop: str = "face",
    reference: Picture | None = None,
    people: People | None = None,
    **overrides: Unpack[OptionKeywords],
) -> Preview:
    """Swap some frames of a video, each by itself, or a photo, to look at them before the work.

    source, target, reference, people: as for `swap_image`; a target may be a video's path too.
    at_s: times of the frames, seconds since the video's start: of each, the frame that a player
    shows then. frames: instead, how many, evenly over the part. With neither, it is one from the
    middle, or from elsewhere where that has nobody to swap. crop: what the sheet shows: `face`,
    each swapped face in a row of its own, or `frame`, the whole of each frame.

    Nothing is written; options of writing are not looked at. What a video knows of a face from
    other frames is not known here: landmarks are not smoothed, and whose a face is, is told by this
    frame alone. Raises the errors of `sosie.errors`; NoFaceError where nobody was swapped in any.
    """
    options = _options(options, overrides)
    with closing(TargetFrames(target, options, at_s, frames)) as reading:
        swapper = FaceSwapper(source, options, reference=reference, people=people)
        shown = tuple(swapper.preview_frames(reading))
    return Preview(draw_preview(shown, crop), shown)


class FaceSwapper:
    """A source, analyzed once, to be put into any number of photos, videos and streams.

    Threads may share it: it keeps nothing between calls but what the source is.
    """

    def __init__(
        self,
        source: Source | None,
        options: SwapOptions | None = None,
        *,
        reference: Picture | None = None,
        people: People | None = None,
        analyzer: Analyzer | None = None,
        **overrides: Unpack[OptionKeywords],
    ) -> None:
        """source, reference, people, overrides: as for `swap_image`; a source may also be the path
        of an identity file that `save` wrote. analyzer: one that several share, so that its
        networks are loaded once; None makes one. Raises the errors of `sosie.errors`; UsageError
        also where two references show one person."""
        self.options = _options(options, overrides)
        needs_source = self.options.method not in PERSONAL
        castings = cast(source, reference, people, self.options.faces, needs_source)
        session.require_provider(self.options.provider)
        if self.options.threads is not None:
            cv2.setNumThreads(self.options.threads)
        self._analyzer = analyzer or create_analyzer(self.options.threads, self.options.provider)
        self._castings = castings
        read = [read_sources(casting, self._analyzer) for casting in castings]
        self._sources = [sources for sources, _ in read]
        file = str(self.options.weights or self.options.model)
        self._roles, self._notes = read_roles(
            castings, [names or (file,) for _, names in read], self._analyzer
        )
        if not needs_source and any(self._sources):
            self._notes.append(f"Who is put in is in {file}: the photos of a source do not count.")
        self._engine = Engine(self._sources, self.options, self._analyzer)

    def save(self, path: StrPath) -> None:
        """Write the source into an identity file (`.sosie`), which is a source itself: its faces
        need not be found again. It holds the face's pixels, and no path.

        Raises UsageError for several people or another ending, OutputError where it cannot be
        written.
        """
        if len(self._sources) != 1 or not self._sources[0]:
            raise UsageError("An identity file holds one person; save the sources one by one.")
        require_paths(output=path)
        file = Path(path)
        if file.suffix.lower() != SUFFIX:
            raise UsageError(f"An identity file ends in {SUFFIX}: name it {file.stem}{SUFFIX}.")
        check_output(file, self._paths(), self.options.overwrite)
        save_identity(self._sources[0], self._roles[0].source_photos, file, self.options.overwrite)

    @property
    def license(self) -> str:
        """Of the weights that swap, as they were published."""
        return self._engine.license

    def image(self, target: Picture) -> ImageResult:
        """The swapped photo in memory: RGB, or RGBA where the target has transparency."""
        photo, result = self._photo(target)
        pixels = photo.pixels
        if photo.alpha is not None:
            pixels = np.dstack([pixels, photo.alpha])
        return dataclasses.replace(result, image=pixels)

    def photo(self, target: StrPath, output: StrPath) -> SwapReport:
        """Swap a photo file into another, which keeps the format's qualities."""
        options = self.options
        require_paths(target=target, output=output)
        check_photo(output, [target, *self._paths()], options)
        photo, result = self._photo(target)
        notes = save_photo(photo, output, overwrite=options.overwrite)
        if options.watch is not None:
            show_once(options.watch, photo.pixels)
        comparison = None
        if options.compare is not None:
            comparison = comparison_path(Path(output), is_photo=True)
            compare_photos(target, output, comparison, options.compare, options.overwrite)
        report = result.report
        return dataclasses.replace(
            report,
            output=str(output),
            notes=(*report.notes, *notes),
            comparison=None if comparison is None else str(comparison),
        )

    def _photo(self, target: Picture) -> tuple[Photo, ImageResult]:
        name, photo = load(target, "the picture")
        watch = Stopwatch()
        with watch("analysis"):
            found = self._analyzer.analyze(photo.pixels)
            faces = faces_of_photo(found, photo.pixels)
            roles, spec = self._roles, self.options.faces
            claims, people = named(
                name, lambda: assign_still(photo.pixels, faces, roles, spec, self._analyzer)
            )
        # What was read from a file is nobody else's: a large photo is not held twice.
        of_file = isinstance(target, str | os.PathLike)
        pixels = photo.pixels if of_file else photo.pixels.copy()
        swapped = FrameSwapper(self._engine).swap(pixels, claims, faces, watch)
        if self.options.stages is not None:
            folder = Path(self.options.stages) / Path(name).name
            write_stages(swapped, folder, self.options.overwrite)
        reports = [face_report(one, self._roles[one.claim.person]) for one in swapped.faces]
        report = SwapReport(
            target=name,
            output="",
            method=self.options.method,
            frames=1,
            swapped_frames=1,
            face_count=len(swapped.faces),
            faces=tuple(reports),
            people=people,
            notes=(*self._notes, *photo.notes, *absent_notes(people)),
            networks=self._providers(),
            license=self.license,
            processors=self._engine.processing.reports,
            seconds=watch.report(),
        )
        report = dataclasses.replace(report, fps=1 / max(report.seconds["total"], 1e-9))
        chosen = tuple(one.claim.face.face for one in swapped.faces)
        return dataclasses.replace(photo, pixels=pixels), ImageResult(pixels, chosen, report)

    def preview(
        self,
        target: Picture,
        *,
        at_s: Sequence[float] | None = None,
        frames: int | None = None,
        crop: str = "face",
    ) -> Preview:
        """Swap some frames of a target to look at them; see `sosie.preview`."""
        shown = tuple(self.preview_frames(target, at_s=at_s, frames=frames))
        return Preview(draw_preview(shown, crop), shown)

    def preview_frames(
        self,
        target: Picture | TargetFrames,
        *,
        at_s: Sequence[float] | None = None,
        frames: int | None = None,
    ) -> Iterator[PreviewFrame]:
        """The frames of a preview one by one, so that few are in memory; see `sosie.preview`.
        target: the frames themselves too, whose reading was begun before."""
        if not isinstance(target, TargetFrames):
            target = TargetFrames(target, self.options, at_s, frames)
        return Previewer(
            *(self._engine, self._analyzer, self._sources, self._roles, self.options.faces)
        ).frames(target)

    def stream(self, fps: float, lookahead: int = 0) -> SwapStream:
        """Swap frames as they come, from a camera or a program.

        fps: frames a second, at least roughly. lookahead: by how many frames the result comes
        later. With 0 each frame comes back at once; with more, faces are steadier, and seen before
        they are found; from about 0.9 s of frames on, the result is that of `video`.
        """
        assigner = Assigner([role.identity for role in self._roles], self.options.faces)
        return SwapStream(FrameSwapper(self._engine), assigner, self._analyzer, fps, lookahead)

    def video(
        self,
        target: StrPath,
        output: StrPath,
        on_progress: Callable[[Progress], None] | None = None,
        cancel: threading.Event | None = None,
        on_notes: Callable[[Sequence[str]], None] | None = None,
    ) -> SwapReport:
        """Swap a video file into another; see `swap_video`."""
        options = self.options
        require_paths(target=target, output=output)
        place = check_video(target, output, [target, *self._paths()], options)
        span = (options.start_s, options.end_s)

        cluster = open_cluster(options) if has_cluster(options) else None
        cancel = cancel or threading.Event()
        with open_target(Path(target), *span, options.threads, options.sequence) as video:
            work = self._open_work(target, place) if is_long(video) else None
            with (
                nullcontext() if work is None else work.held(),
                pending_result(place, options.overwrite) as pending,
                layer_writer(video.source, options, work) as layers,
            ):
                spread = None
                if cluster is not None and work is not None:
                    spec = SwapSpec(Path(target), place, options, self._sources, self._roles)
                    spread = partial(Spread, cluster, spec, video, work, cancel)
                with closing(
                    VideoJob(
                        *(self._engine, self._analyzer, video, self._roles, options),
                        *(on_progress, cancel, work, on_notes, layers),
                        spread=spread,
                    )
                ) as job:
                    report = job.run(pending, str(target), str(output))
        comparison, compared = compare_result(Path(target), place, options, on_progress, cancel)
        return dataclasses.replace(
            report,
            notes=(*self._notes, *report.notes, *compared),
            comparison=comparison,
            license=self.license,
            networks=self._providers(),
            processors=self._engine.processing.reports,
        )

    def _open_work(self, target: StrPath, place: Path) -> WorkFolder:
        options = self.options
        final = Path(os.path.realpath(place.parent)) / place.name
        if sequence_name(place) is None:
            final = Path(os.path.realpath(place))
        parent = None if options.work is None else Path(options.work)
        return WorkFolder(final, parent, self._described(target, final), options.restart)

    def _described(self, target: StrPath, output: Path) -> dict[str, Any]:
        """What the work folder of a video keeps of its swap."""
        identities = [role.identity for role in self._roles]
        same = sameness(Path(target), self._sources, identities, self.options, __version__)
        return {"output": str(output), "command": self.command(target), "same": same}

    def command(self, target: StrPath) -> dict[str, Any] | None:
        """The swap of a target as JSON keeps it; None where a source or a reference has no path."""
        people = [casting.paths() for casting in self._castings]
        if None in people:
            return None
        options = self.options.absolute().to_dict()
        return {"target": str(Path(target).absolute()), "people": people, "options": options}

    def _providers(self) -> dict[str, str]:
        return {**self._analyzer.providers, **self._engine.providers}

    def _paths(self) -> list[StrPath]:
        given = [picture for casting in self._castings for picture in casting.pictures]
        return [picture for picture in given if isinstance(picture, str | os.PathLike)]


def _options(options: SwapOptions | None, overrides: OptionKeywords) -> SwapOptions:
    known: dict[str, Any] = dataclasses.asdict(options or SwapOptions())
    return SwapOptions.from_dict(known | dict(overrides))
