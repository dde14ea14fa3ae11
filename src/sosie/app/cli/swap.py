"""`sosie swap`: a source's face into a photo, a video, or every one of a folder."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sosie.app.cli import swap_flags as flags
from sosie.app.cli.arguments import AsJson, parse_map
from sosie.app.cli.output import note_progress, print_json, video_progress
from sosie.app.folder import Failure, collect, folder_exit_code, swap_each
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
    report = swap_file(job, targets[0], kind, output)
    if as_json:
        print_json(dataclasses.asdict(report))
    else:
        print(summary(report))


def _tell_license(job: FaceSwapper) -> None:
    """The license of weights that the user brought: others' terms may hold for the results."""
    file = job.options.model or job.options.weights
    if file is not None:
        print(f"license of the weights in {file}: {job.license}", flush=True)


def swap_file(job: FaceSwapper, target: Path, kind: Kind, output: Path) -> SwapReport:
    """Swap one photo or video, with progress on a terminal."""
    if kind == "photo":
        return job.photo(target, output)
    with video_progress(target.name) as on_progress:
        return job.video(target, output, on_progress, on_notes=_tell_notes)


def _tell_notes(notes: Sequence[str]) -> None:
    """What cannot be kept of a video, while there is time to stop and choose another way."""
    for note in notes:
        print(f"note: {note}", file=sys.stderr, flush=True)


def summary(report: SwapReport) -> str:
    """What a report says, in one line and a line for its processors, its comparison, each person
    found by a reference and each of its notes."""
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
    return "\n".join([line, *(f"  {one}" for one in (*more, *people, *report.notes))])


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
    outcomes = swap_each(batch.media, output, functools.partial(swap_file, job))
    for number, outcome in enumerate(outcomes, 1):
        if isinstance(outcome, Failure):
            failures.append(outcome)
            print(f"sosie: {outcome.error}", file=sys.stderr)
        else:
            reports.append(outcome)
            if not as_json:
                print(summary(outcome))
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
