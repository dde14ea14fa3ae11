"""The jobs of a file, done one after the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sosie.app.error_messages import describe
from sosie.app.folder import Failure
from sosie.app.jobs.store import Job, JobStore
from sosie.app.requests import INTERRUPTED
from sosie.app.swap_command import SwapCommand
from sosie.errors import InputError, InterruptedSwapError, SosieError
from sosie.media.kinds import Kind, require_kind
from sosie.media.sequence_names import sequence_name
from sosie.output import make_folder
from sosie.swapping.work import work_path

if TYPE_CHECKING:
    from sosie.pipeline import FaceSwapper
    from sosie.types import SwapReport

SwapJob = Callable[["FaceSwapper", SwapCommand, Kind], "SwapReport"]
"""Does one swap."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one job: a report, a failure, or neither where it was done before."""

    job: Job
    result: SwapReport | Failure | None


def run_jobs(
    store: JobStore, swap: SwapJob, numbers: Sequence[int] | None = None
) -> Iterator[Outcome]:
    """What became of each job that was queued; the last is the one at which the user stopped.

    numbers: of the jobs that are done; None for all. One that fails does not stop the others. One
    that is stopped, or whose process is ended, stays in the queue, and its video goes on where it
    was.
    """
    last: tuple[object, FaceSwapper] | None = None
    while (job := store.take(numbers)) is not None:
        if _is_there(job):
            store.done(job, {})
            yield Outcome(job, None)
            continue
        try:
            command = job.command
            kept = command.people, command.options
            kind = require_kind(command.target)
            make_folder(command.output.parent)
            if last is None or last[0] != kept:
                last = None  # the networks of two methods need not be held at once
                last = kept, command.swapper()
            report = swap(last[1], command, kind)
        except (KeyboardInterrupt, InterruptedSwapError) as error:
            store.put_back(job)
            said = describe(error) if isinstance(error, SosieError) else INTERRUPTED
            code = InterruptedSwapError.exit_code
            yield Outcome(job, Failure(str(job.command.target), said, code))
            return
        except Exception as error:
            code = error.exit_code if isinstance(error, SosieError) else SosieError.exit_code
            store.failed(job, describe(error), code)
            yield Outcome(job, Failure(str(job.command.target), describe(error), code))
        else:
            store.done(job, dataclasses.asdict(report))
            yield Outcome(job, report)


def _is_there(job: Job) -> bool:
    """Whether a process was ended between the end of a job's work and the note of it: an output
    appears only when it is whole."""
    if job.started_s is None or job.command.options.overwrite:
        return False
    output, work = job.command.output, job.command.options.work
    sequence = sequence_name(output)
    try:
        if sequence is None:
            return output.stat().st_mtime >= job.started_s
        if work_path(output, None if work is None else Path(work)).is_dir():
            return False
        times = [sequence.path(number).stat().st_mtime for number in sequence.numbers()]
        return max(times, default=0.0) >= job.started_s
    except (OSError, InputError):
        return False
