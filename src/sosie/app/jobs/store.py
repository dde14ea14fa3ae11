"""The file of jobs: one SQLite database, which any number of processes may use at once.

A job that a process works on is marked with a file that this process holds. Where nobody holds it
any more the process was ended, and whoever runs jobs next takes the job up again.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sosie.app.swap_command import SwapCommand
from sosie.errors import InputError, UsageError
from sosie.output import locked, make_folder

State = Literal["queued", "running", "done", "failed"]
STATES: tuple[State, ...] = ("queued", "running", "done", "failed")

_FORMAT = 1
_WAIT_S = 30.0
_TABLE = """
CREATE TABLE IF NOT EXISTS job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    command TEXT NOT NULL,
    output TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    runner TEXT,
    added_s REAL NOT NULL,
    started_s REAL,
    ended_s REAL,
    error TEXT,
    exit_code INTEGER,
    report TEXT
)
"""


@dataclass(frozen=True)
class Job:
    """One swap of the list.

    state: `queued`, `running`, `done` or `failed`. added_s, started_s, ended_s: seconds since 1970,
    None before it was so. error, exit_code: of one that failed. report: of one that is done.
    """

    number: int
    command: SwapCommand
    state: State
    added_s: float
    started_s: float | None = None
    ended_s: float | None = None
    error: str | None = None
    exit_code: int | None = None
    report: dict[str, Any] | None = None


def usual_file() -> Path:
    """Where jobs are kept unless the user names another file: in the user's folder of data."""
    if sys.platform == "win32":
        folder = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":
        folder = Path.home() / "Library/Application Support"
    else:
        folder = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    return folder / "sosie" / "jobs.sqlite"


class JobStore:
    """The jobs of one file. As a context manager it lets go of what it holds at the end."""

    def __init__(self, file: Path) -> None:
        """Raises OutputError where the file cannot be used, InputError where it is another one."""
        self.file = file
        self._mark = f"{file.name}.{uuid.uuid4().hex[:12]}.runner"
        self._held: int | None = None
        make_folder(file.parent, "name another file with --file")
        with self._open() as base:
            base.execute("PRAGMA journal_mode = WAL")
            (version,) = base.execute("PRAGMA user_version").fetchone()
            if version not in (0, _FORMAT):
                raise InputError(f"{file} was written by a newer Sosie; use that one.")
            base.execute(_TABLE)
            base.execute(f"PRAGMA user_version = {_FORMAT}")

    def add(self, commands: Sequence[SwapCommand]) -> list[int]:
        """Puts swaps at the end of the queue, all or none. Returns their numbers.

        Raises UsageError where one has the output of another job that is not done.
        """
        with self._changing() as base:
            open_jobs = base.execute("SELECT id, output FROM job WHERE state != 'done'")
            taken = {output: f"job {number}" for number, output in open_jobs}
            numbers = []
            for command in commands:
                output = str(command.output)
                if output in taken:
                    raise UsageError(
                        f"{output} is the output of {taken[output]} too; give another name, or "
                        f"remove that job."
                    )
                taken[output] = f"the job for {command.target}"
                cursor = base.execute(
                    "INSERT INTO job (command, output, added_s) VALUES (?, ?, ?)",
                    (json.dumps(command.to_dict()), output, time.time()),
                )
                numbers.append(int(cursor.lastrowid or 0))
        return numbers

    def all(self) -> list[Job]:
        """Every job, in the order in which they were added. One whose process was ended counts as
        queued."""
        with self._open() as base:
            rows = base.execute("SELECT * FROM job ORDER BY id").fetchall()
        return [self._job(row) for row in rows]

    def take(self, numbers: Sequence[int] | None = None) -> Job | None:
        """The next job that is to be done, which now is this process's; None where there is none.

        numbers: of the jobs that come into question; None for all.
        """
        self._hold()
        with self._changing() as base:
            rows = base.execute(
                "SELECT * FROM job WHERE state IN ('queued', 'running') ORDER BY id"
            ).fetchall()
            for row in rows:
                job = self._job(row)
                if job.state != "queued" or (numbers is not None and job.number not in numbers):
                    continue
                base.execute(
                    "UPDATE job SET state = 'running', runner = ?, started_s = ?, ended_s = NULL, "
                    "error = NULL, exit_code = NULL WHERE id = ?",
                    (self._mark, row["started_s"] or time.time(), job.number),
                )
                return job
        return None

    def done(self, job: Job, report: dict[str, Any]) -> None:
        """Notes that a job is done."""
        self._end(job, "done", None, None, json.dumps(report))

    def failed(self, job: Job, error: str, exit_code: int) -> None:
        """Notes that a job failed."""
        self._end(job, "failed", error, exit_code, None)

    def put_back(self, job: Job) -> None:
        """Leaves a job that was taken to whoever takes it next."""
        with self._changing() as base:
            base.execute(
                "UPDATE job SET state = 'queued', runner = NULL WHERE id = ?", (job.number,)
            )

    def retry(self, numbers: Sequence[int] | None = None) -> list[int]:
        """Queues jobs that failed again; None for all of them. Returns their numbers.

        Raises UsageError on a number of no job, or of one that did not fail.
        """
        jobs = self._chosen(numbers)
        wrong = [job.number for job in jobs if job.state != "failed"]
        if numbers is not None and wrong:
            raise UsageError(f"Job {wrong[0]} has not failed; `sosie jobs list` tells which have.")
        failed = [job.number for job in jobs if job.state == "failed"]
        with self._changing() as base:
            base.executemany(
                "UPDATE job SET state = 'queued', started_s = NULL WHERE id = ?",
                [(number,) for number in failed],
            )
        return failed

    def remove(self, numbers: Sequence[int]) -> list[Job]:
        """Removes jobs from the list, and returns them.

        Raises UsageError on a number of no job, or of one that is being worked on.
        """
        jobs = self._chosen(numbers)
        busy = [job.number for job in jobs if job.state == "running"]
        if busy:
            raise UsageError(f"Job {busy[0]} is being worked on; stop that first.")
        with self._changing() as base:
            base.executemany("DELETE FROM job WHERE id = ?", [(job.number,) for job in jobs])
        return jobs

    def close(self) -> None:
        """Lets go of the jobs that were taken and are not done."""
        if self._held is not None:
            os.close(self._held)
            self._held = None
            with suppress(OSError):
                self._runner(self._mark).unlink()

    def __enter__(self) -> JobStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _chosen(self, numbers: Sequence[int] | None) -> list[Job]:
        jobs = self.all()
        if numbers is None:
            return jobs
        known = {job.number: job for job in jobs}
        for number in numbers:
            if number not in known:
                raise UsageError(f"There is no job {number}; `sosie jobs list` shows all.")
        return [known[number] for number in numbers]

    def _end(
        self, job: Job, state: State, error: str | None, code: int | None, report: str | None
    ) -> None:
        with self._changing() as base:
            base.execute(
                "UPDATE job SET state = ?, runner = NULL, ended_s = ?, error = ?, exit_code = ?, "
                "report = ? WHERE id = ?",
                (state, time.time(), error, code, report, job.number),
            )

    def _job(self, row: sqlite3.Row) -> Job:
        state: State = row["state"]
        if state == "running" and not self._is_alive(row["runner"]):
            state = "queued"
        return Job(
            number=row["id"],
            command=SwapCommand.from_dict(json.loads(row["command"])),
            state=state,
            added_s=row["added_s"],
            started_s=row["started_s"],
            ended_s=row["ended_s"],
            error=row["error"],
            exit_code=row["exit_code"],
            report=None if row["report"] is None else json.loads(row["report"]),
        )

    def _runner(self, mark: str) -> Path:
        return self.file.with_name(mark)

    def _hold(self) -> None:
        if self._held is None:
            self._held = os.open(self._runner(self._mark), os.O_CREAT | os.O_RDWR, 0o666)
            locked(self._held, wait=False)

    def _is_alive(self, mark: str | None) -> bool:
        """Whether the process that made this mark is still there."""
        if mark is None:
            return False
        if mark == self._mark:
            return True
        path = self._runner(mark)
        if sys.platform == "win32":
            # There a file cannot be removed that a process has open.
            with suppress(FileNotFoundError):
                try:
                    path.unlink()
                except PermissionError:
                    return True
            return False
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError:
            return False
        with closing(os.fdopen(descriptor)):
            if not locked(descriptor, wait=False):
                return True
            with suppress(OSError):
                path.unlink()
        return False

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            base = sqlite3.connect(self.file, timeout=_WAIT_S, isolation_level=None)
            with closing(base):
                base.row_factory = sqlite3.Row
                yield base
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"The jobs in {self.file} cannot be used ({error}); name another file with --file."
            ) from error

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """What is done within is done whole or not at all, and by one process at a time."""
        with self._open() as base:
            base.execute("BEGIN IMMEDIATE")
            try:
                yield base
            except BaseException:
                base.execute("ROLLBACK")
                raise
            base.execute("COMMIT")
