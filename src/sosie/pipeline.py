"""The whole way from files to files: media -> analysis -> method -> compose -> media."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from sosie import runtime
from sosie.analysis.analyser import Analyser, create_analyser
from sosie.analysis.select import match_people, select_faces
from sosie.compose.restore import paste
from sosie.compose.spare import spare
from sosie.engine import Engine, FaceMemory
from sosie.errors import NoFaceError
from sosie.film_job import FilmJob
from sosie.media.image_write import save_photo
from sosie.media.output import atomic_output, check_output
from sosie.media.photo import Photo
from sosie.media.video import open_film
from sosie.options import SwapOptions
from sosie.people import (
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
from sosie.stopwatch import Stopwatch
from sosie.types import (
    Face,
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
    **overrides: Any,
) -> ImageResult:
    """Put the source's face into a photo.

    source: one photo, or several of one person: the one nearest in pose is taken. Photos are
    paths or arrays (h x w, h x w x 3 or x 4, uint8 or uint16, RGB). overrides: single options.
    reference: a photo of the person who is to be replaced, told by identity; its largest face
    counts. Without it, `options.faces` says who is.
    people: instead of both, several people at once, each with a source of their own, as
    `{"anna.jpg": "me.jpg", "ben.jpg": ["you1.jpg", "you2.jpg"]}` or a list of such pairs; source
    is then None. Nobody is given two faces of the target, and who is nobody of them stays as is.
    Raises the errors of `sosie.errors`: NoFaceError (also where nobody like a reference is
    found), InputError, UsageError, UnavailableError.
    """
    options = _options(options, overrides)
    return Swap(source, options, reference=reference, people=people).image(target)


def swap_video(
    source: Source | None,
    target: StrPath,
    output: StrPath,
    options: SwapOptions | None = None,
    *,
    reference: Picture | None = None,
    people: People | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    **overrides: Any,
) -> SwapReport:
    """Put the source's face into a film, in one pass; all else of the film is kept.

    source, reference, people: as for `swap_image`; whose a face is, is decided once a track, from
    its clearest sights. on_progress: called after each frame. Raises the errors of
    `sosie.errors`; after Ctrl-C, InterruptedSwapError names the part that was written.
    """
    options = _options(options, overrides)
    check_output(output, [target], options.overwrite)
    job = Swap(source, options, reference=reference, people=people)
    return job.film(target, output, on_progress)


class Swap:
    """Sources, analysed once, to be put into any number of photos and films."""

    def __init__(
        self,
        source: Source | None,
        options: SwapOptions | None = None,
        *,
        reference: Picture | None = None,
        people: People | None = None,
        analyser: Analyser | None = None,
    ) -> None:
        """source, reference, people: as for `swap_image`. analyser: one that several jobs share, so
        that its networks are loaded once; None makes one. Raises the errors of `sosie.errors`;
        UsageError also where two references show one person."""
        self.options = options or SwapOptions()
        castings = cast(source, reference, people, self.options.faces)
        runtime.require_provider(self.options.provider)
        if self.options.threads is not None:
            cv2.setNumThreads(self.options.threads)
        self._analyser = analyser or create_analyser(self.options.threads)
        self._inputs = [picture for casting in castings for picture in casting.pictures]
        self._roles, self._notes = read_roles(castings, self._analyser)
        photos = [read_sources(casting, self._analyser) for casting in castings]
        self._engine = Engine(photos, self.options, self._analyser)

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
        name, photo = load(target, "the picture")
        watch = Stopwatch()
        with watch("analysis"):
            found = self._analyser.analyse(photo.pixels)
            chosen, people = self._choose(name, photo.pixels, found)
        others = [one for one in found if all(one is not face for face, _, _ in chosen)]
        # What was read from a file is nobody else's: a large photo is not held twice.
        pixels = photo.pixels.copy() if isinstance(target, np.ndarray) else photo.pixels
        before = dict(self._engine.seconds)
        reports = []
        for face, person, similarity in chosen:
            memory = FaceMemory(person)
            patch = self._engine.patch(pixels, face, memory)
            for other in others:
                patch = spare(patch, pixels, other)
            paste(pixels, patch)
            reports.append(_face_report(face, self._roles[person], memory.source or 0, similarity))
        for stage, until_now in before.items():
            watch.add(stage, self._engine.seconds[stage] - until_now)
        report = SwapReport(
            target=name,
            output="",
            method=self.options.method,
            frames=1,
            swapped_frames=1,
            face_count=len(chosen),
            faces=tuple(reports),
            people=people,
            notes=(*self._notes, *photo.notes, *absent_notes(people)),
            seconds=watch.report(),
        )
        report = dataclasses.replace(report, fps=1 / max(report.seconds["total"], 1e-9))
        faces = tuple(face for face, _, _ in chosen)
        return dataclasses.replace(photo, pixels=pixels), ImageResult(pixels, faces, report)

    def _choose(
        self, name: str, pixels: Pixels, found: list[Face]
    ) -> tuple[list[tuple[Face, int, float | None]], tuple[PersonReport, ...]]:
        """The faces to swap, each with the position of its role and its similarity to that
        reference, and what is to be said of the references' people."""
        wanted = [role.identity for role in self._roles if role.identity is not None]
        if not wanted:
            faces = named(name, lambda: select_faces(found, self.options.faces, pixels))
            return [(face, 0, None) for face in faces], ()
        faces = named(name, lambda: select_faces(found, "all", pixels))
        identities = [self._analyser.identify(pixels, face) for face in faces]
        matches, best = match_people(identities, wanted)
        matched = [match.person for match in matches]
        people = person_reports(self._roles, [matched.count(p) for p in range(len(wanted))], best)
        if not matches:
            raise NoFaceError(f"{name}: {nobody_alike(people)}")
        return [(faces[m.face], m.person, m.similarity) for m in matches], people

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
            job = FilmJob(self._engine, self._analyser, film, self._roles, options, on_progress)
            report = job.run(pending, str(target), str(output))
        return dataclasses.replace(report, notes=(*self._notes, *report.notes))

    def _paths(self) -> list[StrPath]:
        return [item for item in self._inputs if not isinstance(item, np.ndarray)]


def _options(options: SwapOptions | None, overrides: dict[str, Any]) -> SwapOptions:
    known = dataclasses.asdict(options or SwapOptions())
    return SwapOptions.from_dict(known | overrides)


def _face_report(face: Face, role: Role, source: int, similarity: float | None) -> FaceReport:
    x0, y0, x1, y1 = (round(float(v), 2) for v in face.box)
    return FaceReport(
        box=(x0, y0, x1, y1),
        score=face.score,
        pose=face.pose,
        source=source,
        source_photo=role.source_photos[source],
        reference=role.reference,
        similarity=None if similarity is None else round(similarity, 4),
    )
