"""The whole way: media -> analysis -> method -> processors -> blending -> media."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import Any, Unpack

import cv2
import numpy as np

from sosie import __version__
from sosie.analysis.analyzer import Analyzer, create_analyzer
from sosie.analysis.selection import Claim, match_people, select_faces
from sosie.analysis.tracking.tracks import TrackedFace
from sosie.errors import NoFaceError, UsageError
from sosie.media.image_write import photo_format, save_photo
from sosie.media.input_info import VideoSource
from sosie.media.photo import Photo
from sosie.media.sequence_names import sequence_name
from sosie.media.targets import open_target, pending_result, result_path, target_sequence
from sosie.media.writers import check_written
from sosie.models import session
from sosie.options import OptionKeywords, SwapOptions
from sosie.output import check_output
from sosie.swapping.assignment import (
    People,
    Picture,
    Role,
    Source,
    StrPath,
    absent_notes,
    cast,
    load,
    named,
    nobody_alike,
    person_reports,
    read_roles,
    read_sources,
)
from sosie.swapping.face import Engine
from sosie.swapping.frame import Assigner, FrameSwapper, SwappedFace, faces_of_photo
from sosie.swapping.identity_file import SUFFIX, save_identity
from sosie.swapping.layers import LayerWriter, check_layers, open_layers
from sosie.swapping.sameness import sameness
from sosie.swapping.stream import SwapStream
from sosie.swapping.video import VideoJob
from sosie.swapping.work import WorkFolder
from sosie.timing import Stopwatch
from sosie.types import (
    FaceReport,
    ImageResult,
    PersonReport,
    Pixels,
    Progress,
    SwapReport,
)


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

    source: one photo, or several of one person: the one nearest in pose is taken. A photo is a
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
    _require_paths(target=target, output=output)
    _check_video(target, output, [target], options)
    swapper = FaceSwapper(source, options, reference=reference, people=people)
    return swapper.video(target, output, on_progress, cancel, on_notes)


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
        castings = cast(source, reference, people, self.options.faces)
        session.require_provider(self.options.provider)
        if self.options.threads is not None:
            cv2.setNumThreads(self.options.threads)
        self._analyzer = analyzer or create_analyzer(self.options.threads, self.options.provider)
        self._castings = castings
        self._inputs = [picture for casting in castings for picture in casting.pictures]
        read = [read_sources(casting, self._analyzer) for casting in castings]
        self._sources = [sources for sources, _ in read]
        self._roles, self._notes = read_roles(
            castings, [names for _, names in read], self._analyzer
        )
        self._engine = Engine(self._sources, self.options, self._analyzer)

    def save(self, path: StrPath) -> None:
        """Write the source into an identity file (`.sosie`), which is a source itself: its faces
        need not be found again. It holds the face's pixels, and no path.

        Raises UsageError for several people or another ending, OutputError where it cannot be
        written.
        """
        if len(self._sources) != 1:
            raise UsageError("An identity file holds one person; save the sources one by one.")
        _require_paths(output=path)
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
        _require_paths(output=output)
        check_output(output, [target, *self._paths()], self.options.overwrite)
        photo_format(output)
        if self.options.layers is not None or self.options.masks is not None:
            raise UsageError("Layers and masks belong to videos and sequences: leave them out.")
        photo, result = self._photo(target)
        notes = save_photo(photo, output, overwrite=self.options.overwrite)
        report = result.report
        return dataclasses.replace(report, output=str(output), notes=(*report.notes, *notes))

    def _photo(self, target: Picture) -> tuple[Photo, ImageResult]:
        name, photo = load(target, "the picture")
        watch = Stopwatch()
        with watch("analysis"):
            found = self._analyzer.analyze(photo.pixels)
            faces = faces_of_photo(found, photo.pixels)
            claims, people = self._assign(name, photo.pixels, faces)
        # What was read from a file is nobody else's: a large photo is not held twice.
        of_file = isinstance(target, str | os.PathLike)
        pixels = photo.pixels if of_file else photo.pixels.copy()
        swapped = FrameSwapper(self._engine).swap(pixels, claims, faces, watch)
        reports = [_face_report(one, self._roles[one.claim.person]) for one in swapped.faces]
        report = SwapReport(
            target=name,
            output="",
            method=self.options.method,
            frames=1,
            swapped_frames=1,
            face_count=len(claims),
            faces=tuple(reports),
            people=people,
            notes=(*self._notes, *photo.notes, *absent_notes(people)),
            networks=self._providers(),
            license=self.license,
            processors=self._engine.processing.reports,
            seconds=watch.report(),
        )
        report = dataclasses.replace(report, fps=1 / max(report.seconds["total"], 1e-9))
        chosen = tuple(claim.face.face for claim in claims)
        return dataclasses.replace(photo, pixels=pixels), ImageResult(pixels, chosen, report)

    def _assign(
        self, name: str, pixels: Pixels, faces: Sequence[TrackedFace]
    ) -> tuple[list[Claim], tuple[PersonReport, ...]]:
        """The faces of a photo to swap, and what is to be said of the references' people."""
        wanted = [role.identity for role in self._roles if role.identity is not None]
        spec = "all" if wanted else self.options.faces
        found = [one.face for one in faces]
        chosen = named(name, lambda: select_faces(found, spec, pixels))
        of_face = {id(one.face): one for one in faces}
        if not wanted:
            return [Claim(of_face[id(face)], 0, None) for face in chosen], ()
        identities = [self._analyzer.identify(pixels, face) for face in chosen]
        matches, best = match_people(identities, wanted)
        matched = [match.person for match in matches]
        people = person_reports(self._roles, [matched.count(p) for p in range(len(wanted))], best)
        if not matches:
            raise NoFaceError(f"{name}: {nobody_alike(people)}")
        claims = [Claim(of_face[id(chosen[m.face])], m.person, m.similarity) for m in matches]
        return claims, people

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
        _require_paths(target=target, output=output)
        place = _check_video(target, output, [target, *self._paths()], options)
        span = (options.start_s, options.end_s)

        def open_work() -> WorkFolder:
            parent = None if options.work is None else Path(options.work)
            final = Path(os.path.realpath(place))
            return WorkFolder(final, parent, self._described(target, final), options.restart)

        with open_target(Path(target), *span, options.threads, options.sequence) as video:
            with (
                pending_result(place, options.overwrite) as pending,
                _layers(video.source, options) as layers,
                closing(
                    VideoJob(
                        *(self._engine, self._analyzer, video, self._roles, options),
                        *(on_progress, cancel, open_work, on_notes, layers),
                    )
                ) as job,
            ):
                report = job.run(pending, str(target), str(output))
            job.finish()
        notes = (*self._notes, *report.notes)
        return dataclasses.replace(
            report,
            notes=notes,
            license=self.license,
            networks=self._providers(),
            processors=self._engine.processing.reports,
        )

    def _described(self, target: StrPath, output: Path) -> dict[str, Any]:
        """What the work folder of a video keeps of its swap."""
        identities = [role.identity for role in self._roles]
        same = sameness(Path(target), self._sources, identities, self.options, __version__)
        command = None
        if len(self._paths()) == len(self._inputs):
            command = {
                "target": _absolute(target),
                "people": [
                    {
                        "reference": _absolute(one.reference),
                        "sources": [_absolute(source) for source in one.sources],
                    }
                    for one in self._castings
                ],
                "options": self.options.to_dict(),
            }
        return {"output": str(output), "command": command, "same": same}

    def _providers(self) -> dict[str, str]:
        return {**self._analyzer.providers, **self._engine.providers}

    def _paths(self) -> list[StrPath]:
        return [item for item in self._inputs if isinstance(item, str | os.PathLike)]


def _check_video(
    target: StrPath, output: StrPath, inputs: Sequence[StrPath], options: SwapOptions
) -> Path:
    """The path of a video's result, checked before any work is done."""
    place = result_path(Path(target), Path(output))
    check_written(place, options.codec, options.crf, options.preset, options.overwrite)
    if options.layers is not None:
        check_layers(Path(options.layers), options.overwrite)
    if sequence_name(place) is None:
        check_output(place, inputs, options.overwrite)
    elif place.parent.resolve() in {Path(one).resolve() for one in _folders(Path(target))}:
        raise UsageError(
            f"The frames of the result would lie among those of the target, in {place.parent}; "
            f"give another folder."
        )
    return place


def _layers(
    source: VideoSource, options: SwapOptions
) -> AbstractContextManager[LayerWriter | None]:
    if options.layers is None:
        return nullcontext()
    return open_layers(source, Path(options.layers), options.overwrite)


def _folders(target: Path) -> tuple[Path, ...]:
    sequence = target_sequence(target)
    return () if sequence is None else (sequence.folder,)


def _require_paths(**paths: object) -> None:
    """Raises UsageError on what only a photo in memory may be."""
    for name, path in paths.items():
        if not isinstance(path, str | os.PathLike):
            raise UsageError(
                f"The {name} must be a path, not a {type(path).__name__}; give the name of a file."
            )


def _absolute(path: Any) -> str | None:
    return None if path is None else str(Path(path).absolute())


def _options(options: SwapOptions | None, overrides: OptionKeywords) -> SwapOptions:
    known: dict[str, Any] = dataclasses.asdict(options or SwapOptions())
    return SwapOptions.from_dict(known | dict(overrides))


def _face_report(done: SwappedFace, role: Role) -> FaceReport:
    face, similarity = done.claim.face.face, done.claim.similarity
    x0, y0, x1, y1 = (round(float(v), 2) for v in face.box)
    return FaceReport(
        box=(x0, y0, x1, y1),
        score=face.score,
        pose=face.pose,
        source=done.source,
        source_photo=role.source_photos[done.source],
        reference=role.reference,
        similarity=None if similarity is None else round(similarity, 4),
    )
