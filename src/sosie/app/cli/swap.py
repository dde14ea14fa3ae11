"""`sosie swap`: a source's face into a photo, a video, or every one of a folder."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sosie.app.cli import swap_flags as flags
from sosie.app.cli.arguments import AsJson, parse_map
from sosie.app.cli.output import note_progress, print_json, video_progress
from sosie.app.folder import Failure, SwapFile, collect, folder_exit_code, swap_each
from sosie.app.input_kinds import check_result, expand, is_pattern, result_of
from sosie.media.kinds import Kind, require_kind
from sosie.options import SwapOptions

if TYPE_CHECKING:
    from sosie.pipeline import FaceSwapper
    from sosie.types import SwapReport


@flags.takes_options
def swap(
    *,
    source: flags.Source = None,
    reference: flags.Reference = None,
    people: flags.People = None,
    target: flags.Target,
    output: flags.Output,
    options: SwapOptions,
    as_json: AsJson = False,
) -> None:
    """Put a face into a photo, a video, or all of a folder or a list.

    Times are seconds (90.5) or timecodes (1:30, 00:01:30.5).
    """
    _swap_targets(_job_of(options, source, reference, people), target, output, options, as_json)


def _job_of(
    options: SwapOptions,
    source: list[Path] | None,
    reference: Path | None,
    people: list[str] | None,
) -> Callable[[], FaceSwapper]:
    """What prepares the swap, once the target is known to be one."""
    maps = [parse_map(text) for text in people or ()]

    def job() -> FaceSwapper:
        from sosie.pipeline import FaceSwapper

        sources = expand(source) if source else None
        pairs = [(person, expand(by)) for person, by in maps]
        return FaceSwapper(sources, options, reference=reference, people=pairs or None)

    return job


def _swap_targets(
    make_job: Callable[[], FaceSwapper],
    given: list[Path],
    output: Path,
    options: SwapOptions,
    as_json: bool,
) -> None:
    targets = expand(given)
    is_folder = targets[0].is_dir() and options.sequence is None
    if len(targets) > 1 or is_pattern(given[0]) or is_folder:
        raise typer.Exit(_swap_several(make_job, targets, output, as_json))
    kind = "video" if targets[0].is_dir() else require_kind(targets[0])
    output = result_of(targets[0], output)
    check_result(output, kind, options)
    job = make_job()
    if not as_json:
        _tell_license(job)
    told: set[str] = set()
    report = swap_file(job, targets[0], kind, output, told)
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        print(summary(report, told))


def _tell_license(job: FaceSwapper) -> None:
    """The license of weights that the user brought: others' terms may hold for the results."""
    file = job.options.model or job.options.weights
    if file is not None:
        print(f"license of the weights in {file}: {job.license}", flush=True)


def swap_file(
    job: FaceSwapper, target: Path, kind: Kind, output: Path, told: set[str]
) -> SwapReport:
    """Swap one photo or video, with progress on a terminal. told: becomes the notes that the user
    was told before the work began."""
    told.clear()
    if kind == "photo":
        return job.photo(target, output)

    def tell(notes: Sequence[str]) -> None:
        """What cannot be kept of a video, while there is time to stop and choose another way."""
        told.update(notes)
        for note in notes:
            print(f"note: {note}", file=sys.stderr, flush=True)

    with video_progress(target.name) as on_progress:
        return job.video(target, output, on_progress, on_notes=tell)


def summary(report: SwapReport, told: Collection[str]) -> str:
    """What a report says, in one line and a line for its processors, its comparison, each person
    found by a reference and each of its notes but those that were told already."""
    total_s = report.seconds.get("total", 0.0)
    if report.frames == 1:
        faces = "1 face" if report.face_count == 1 else f"{report.face_count} faces"
        line = f"{report.output}: {faces} swapped in {total_s:.1f} s"
    else:
        line = (
            f"{report.output}: {report.swapped_frames} of {report.frames} frames swapped "
            f"in {total_s:.1f} s ({report.fps:.1f} fps)"
        )
    people = [
        f"{person.reference}: {', '.join(person.source_photos)} in {person.face_count} "
        f"{'face' if person.face_count == 1 else 'faces'}, similarity {person.similarity:.2f}"
        for person in report.people
        if person.face_count
    ]
    ran = ", ".join(f"{one.name} (license: {one.license})" for one in report.processors)
    more = [f"processed by {ran}"] if ran else []
    more += [f"compared in {report.comparison}"] if report.comparison else []
    notes = [note for note in report.notes if note not in told]
    return "\n".join([line, *(f"  {one}" for one in (*more, *people, *notes))])


def _each_by(
    job: FaceSwapper, media: Sequence[tuple[Path, Kind]], output: Path, told: set[str]
) -> SwapFile:
    """What swaps each of several targets: photos by workers, where the options ask for these."""
    from sosie.cluster import has_cluster, open_cluster

    here = functools.partial(swap_file, job, told=told)
    command = job.command(media[0][0]) if has_cluster(job.options) else None
    if command is None:
        return here
    from sosie.app.worker_photos import WorkerPhotos

    photos = WorkerPhotos(open_cluster(job.options), command, media, output)
    return lambda path, kind, to: photos.swap(path) if kind == "photo" else here(path, kind, to)


def _swap_several(
    make_job: Callable[[], FaceSwapper], targets: list[Path], output: Path, as_json: bool
) -> int:
    batch = collect(targets, output)
    job = make_job()
    if not as_json:
        _tell_license(job)
        print("".join(f"{note}\n" for note in batch.notes), end="", flush=True)
    reports: list[SwapReport] = []
    failures: list[Failure] = []
    told: set[str] = set()
    outcomes = swap_each(batch.media, output, _each_by(job, batch.media, output, told))
    for number, outcome in enumerate(outcomes, 1):
        if isinstance(outcome, Failure):
            failures.append(outcome)
            print(f"sosie: {outcome.error}", file=sys.stderr)
        else:
            reports.append(outcome)
            if not as_json:
                print(summary(outcome, told))
        note_progress(f"{number} of {len(batch.media)} done")
    code = folder_exit_code(failures)
    if as_json:
        print_json(
            {
                "swapped": [dataclasses.asdict(report) for report in reports],
                "failed": [dataclasses.asdict(failure) for failure in failures],
                "ignored": [str(path) for path in batch.ignored],
                "skipped_folders": [str(path) for path in batch.folders],
                "notes": list(batch.notes),
                "exit_code": code,
            }
        )
    else:
        for what, paths in (
            ("ignored, neither photo nor video", batch.ignored),
            ("folders inside, not looked into (give them as targets too)", batch.folders),
        ):
            if paths:
                print(f"{what}: {', '.join(path.name for path in paths)}")
        print(f"{len(reports)} of {len(batch.media)} swapped into {output}")
    return code
