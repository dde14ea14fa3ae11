"""`sosie jobs`: swaps that are listed first and done later, one after the other."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sosie.app.cli import swap_flags as flags
from sosie.app.cli.arguments import AsJson, Overwrite, parse_map
from sosie.app.cli.output import note_progress, print_json
from sosie.app.cli.swap import summary, swap_file
from sosie.app.folder import Failure, folder_exit_code
from sosie.app.jobs.store import STATES, Job, JobStore, usual_file
from sosie.app.swap_command import COMMAND, SwapCommand
from sosie.errors import InputError, UsageError
from sosie.foreign import read_json
from sosie.options import SwapOptions

_EXPORT = {"sosie_jobs": int, "jobs": [{"state": str, "command": COMMAND}]}

app = typer.Typer(no_args_is_help=True)

File = Annotated[
    Path | None,
    typer.Option("--file", help="File of the jobs; left out, it lies in your folder of data."),
]
Numbers = Annotated[list[int] | None, typer.Argument(help="Numbers of jobs; left out, all.")]
Output = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        help="File or folder to write; or a name for each result, with {target}, {source}, {index} "
        "and {extension}. With {source}, each source makes a job of its own.",
    ),
]


@app.command()
@flags.takes_options
def add(
    *,
    source: flags.Source = None,
    reference: flags.Reference = None,
    people: flags.People = None,
    target: flags.Target,
    output: Output,
    options: SwapOptions,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be added.")
    ] = False,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Add a swap for each target to the list; options are those of `sosie swap`."""
    from sosie.app.jobs.plan import plan_jobs

    maps = [parse_map(text) for text in people or ()]
    commands = plan_jobs(target, output, source, reference, maps, options)
    numbers: list[int] = []
    if not dry_run:
        with JobStore(file or usual_file()) as store:
            numbers = store.add(commands)
    if as_json:
        print_json({"added": numbers, "jobs": [command.to_dict() for command in commands]})
        return
    for count, command in enumerate(commands):
        print(f"{f'{numbers[count]:>5}' if numbers else 'would add'}  {_line(command)}")


@app.command("list")
def list_(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders to look for videos that can be resumed.")
    ] = None,
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """List the jobs, and videos that can be resumed.

    Their work folders are looked for beside the jobs' outputs and in the folders that you give, or
    in this one.
    """
    from sosie.app.jobs.leftover import leftovers

    with JobStore(file or usual_file()) as store:
        jobs = store.all()
    left = leftovers([*(folders or [Path()]), *_work_folders(jobs)])
    if as_json:
        print_json(
            {
                "jobs": [_shown(job) for job in jobs],
                "resumable": [
                    {
                        "folder": str(one.folder),
                        "output": str(one.output),
                        "frames": one.frames,
                        "size_bytes": one.size_bytes,
                    }
                    for one in left
                ],
            }
        )
        return
    for job in jobs:
        print(f"{job.number:>5}  {job.state:<7}  {_line(job.command)}")
        if job.error:
            print(f"       {job.error}")
    counts = {state: sum(job.state == state for job in jobs) for state in STATES}
    print(", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no jobs")
    for one in left:
        print(
            f"can be resumed: {one.output}, after frame {one.frames} ({one.folder}, "
            f"{one.size_bytes / 1e6:.1f} MB)"
        )


@app.command()
def run(numbers: Numbers = None, file: File = None, as_json: AsJson = False) -> None:
    """Do the jobs that are queued, in their order. What fails is listed at the end.

    A job whose process was killed is done too, and its video is resumed. Several processes may run
    jobs of one file at once.
    """
    with JobStore(file or usual_file()) as store:
        raise typer.Exit(_run(store, numbers or None, as_json))


@app.command()
def retry(numbers: Numbers = None, file: File = None, as_json: AsJson = False) -> None:
    """Run the jobs that failed once more, and no others."""
    with JobStore(file or usual_file()) as store:
        failed = store.retry(numbers or None)
        raise typer.Exit(_run(store, failed, as_json))


@app.command()
def remove(
    which: Annotated[list[str], typer.Argument(help="Numbers of jobs, `done`, or work folders.")],
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Take jobs off the list, with the work folders of their videos; or remove a work folder."""
    from sosie.app.jobs.leftover import leftovers, remove_leftover

    folders = [Path(one) for one in which if not one.isdecimal() and one != "done"]
    with JobStore(file or usual_file()) as store:
        numbers = [int(one) for one in which if one.isdecimal()]
        if "done" in which:
            numbers += [job.number for job in store.all() if job.state == "done"]
        for folder in folders:
            remove_leftover(folder)
        removed = store.remove(list(dict.fromkeys(numbers)))
    outputs = {str(job.command.output) for job in removed}
    for one in leftovers(_work_folders(removed)):
        if str(one.output) in outputs:
            remove_leftover(one.folder)
            folders.append(one.folder)
    if as_json:
        gone = [job.number for job in removed]
        print_json({"removed": gone, "folders": [str(folder) for folder in folders]})
    else:
        print(f"{len(removed)} jobs and {len(folders)} work folders removed")


@app.command()
def export(
    to: Annotated[Path, typer.Argument(help="File to write, JSON.")],
    file: File = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write the jobs to a JSON file."""
    from sosie.output import atomic_output

    with JobStore(file or usual_file()) as store:
        jobs = [_shown(job) for job in store.all()]
    with atomic_output(to, overwrite) as pending:
        pending.path.write_text(json.dumps({"sosie_jobs": 1, "jobs": jobs}, indent=2), "utf-8")
    if as_json:
        print_json({"output": str(to), "jobs": len(jobs)})
    else:
        print(f"{len(jobs)} jobs in {to}")


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="File that `sosie jobs export` wrote.")],
    file: File = None,
    as_json: AsJson = False,
) -> None:
    """Add the jobs of a JSON file that are not done to the list."""
    remedy = "give a file of `sosie jobs export`"
    try:
        kept = read_json(source, _EXPORT, remedy)
    except FileNotFoundError as error:
        raise InputError(f"{source} does not exist; {remedy}.") from error
    commands = [
        SwapCommand.from_dict(job["command"]) for job in kept["jobs"] if job["state"] != "done"
    ]
    with JobStore(file or usual_file()) as store:
        numbers = store.add(commands)
    if as_json:
        print_json({"added": numbers})
    else:
        print(f"{len(numbers)} jobs added")


def _run(store: JobStore, numbers: Sequence[int] | None, as_json: bool) -> int:
    from sosie.app.jobs.run import run_jobs

    wanted = [
        job
        for job in store.all()
        if job.state == "queued" and (numbers is None or job.number in numbers)
    ]
    if numbers is not None and (odd := set(numbers) - {job.number for job in wanted}):
        raise UsageError(f"Job {min(odd)} is not queued; `sosie jobs list` shows the jobs.")
    failures: list[tuple[Job, Failure]] = []
    done: list[Any] = []
    told: set[str] = set()
    count = 0
    for outcome in run_jobs(
        store,
        lambda job, command, kind: swap_file(job, command.target, kind, command.output, told),
        numbers,
    ):
        count += 1
        if isinstance(outcome.result, Failure):
            failures.append((outcome.job, outcome.result))
        else:
            done.append(outcome.job.number)
            if not as_json:
                said = None if outcome.result is None else summary(outcome.result, told)
                print(said or f"{outcome.job.command.output}: was done already", flush=True)
        note_progress(f"{count} of {max(count, len(wanted))} jobs, {len(failures)} failed")
    code = folder_exit_code([failure for _, failure in failures])
    if as_json:
        failed = [{"job": job.number, **dataclasses.asdict(failure)} for job, failure in failures]
        print_json({"done": done, "failed": failed, "exit_code": code})
    else:
        print(f"{len(done)} of {max(count, len(wanted))} jobs done")
        for job, failure in failures:
            print(f"sosie: job {job.number}: {failure.error}", file=sys.stderr)
    return code


def _line(command: SwapCommand) -> str:
    people = "; ".join(
        ", ".join(Path(source).name for source in one.sources)
        + (f" for {Path(one.reference).name}" if one.reference else "")
        for one in command.people
    )
    return f"{command.target} -> {command.output} ({people})"


def _shown(job: Job) -> dict[str, Any]:
    return {**dataclasses.asdict(job), "command": job.command.to_dict()}


def _work_folders(jobs: Sequence[Job]) -> list[Path]:
    """The folders in which work folders of these jobs may lie."""
    from sosie.swapping.work import work_path

    folders = []
    for job in jobs:
        work, output = job.command.options.work, job.command.output
        folders.append(work_path(output, None if work is None else Path(work)).parent)
    return folders
