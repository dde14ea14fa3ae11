"""Cases in processes of their own, and what is judged of each.

A case may do its work, or end in one sentence of Sosie's. All else is a failure: another exception,
a process that dies, words of libraries on the terminal, more time or memory than there is a reason
for, and anything that is written, removed or started outside the case's own folder `out`.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import resource
import shutil
import signal
import stat
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CPU_S = 60
WALL_S = 600
"""A busy machine must not look like a file that takes for ever; one that waits must end."""

MEMORY_MB = 1500

STRICT = (
    *("compile", "exec", "import", "marshal.", "pickle.find_class", "code.__new__"),
    *("os.", "subprocess.", "socket.", "shutil.", "tempfile.", "ctypes.", "pty.", "urllib."),
)
"""Beginnings of Python's audit events that a reader of weights has no reason for."""

_NEVER = ("pickle.find_class", "socket.connect", "socket.bind", "os.system", "os.exec", "pty.")
_CHANGES = (
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink"),
    *("os.chmod", "os.chown", "os.truncate", "shutil.rmtree", "shutil.move"),
)
_HARMLESS = ("os.listdir", "os.scandir", "os.fwalk", "os.walk")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Case:
    """name: of its kind, for the report. prepare: makes its files in its folder. run: what is
    tried there; returns what is wrong, and raises what Sosie raises. strict: nothing at all may be
    written, imported or started while it runs. left: names that may be in the folder afterwards.
    """

    name: str
    run: Callable[[Path], Sequence[str]]
    prepare: Callable[[Path], object] = lambda _: None
    strict: bool = False
    left: frozenset[str] = frozenset({"out"})


@dataclass
class Verdict:
    """What became of one case. said: the sentence where it was refused."""

    wrong: list[str] = field(default_factory=list)
    said: str = ""
    cpu_s: float = 0.0
    peak_mb: int = 0


@dataclass
class Row:
    """A line of the table."""

    kinds: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    peak_mb: int = 0

    def add(self, verdict: Verdict) -> None:
        kind = "failed" if verdict.wrong else "refused" if verdict.said else "accepted"
        self.kinds[kind] += 1
        self.slowest_s = max(self.slowest_s, verdict.cpu_s)
        self.peak_mb = max(self.peak_mb, verdict.peak_mb)


class _Running:
    """Cases, one after another, in a child of this process, which has loaded all that they need."""

    def __init__(self, cases: Sequence[tuple[int, Case]], keep: Path | None) -> None:
        self.cases, self._keep = cases, keep
        self.root = Path(tempfile.mkdtemp(prefix="attack-")).resolve()
        for name in ("case", "home", "temporary", "mine"):
            (self.root / name).mkdir(parents=True)
        for name in ("mine.txt", "mine/mine.txt", "home/mine.txt"):
            (self.root / name).write_text(name)
        self._answers = self.root.with_name(f"{self.root.name}.json")
        sys.stdout.flush()
        self._since = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            _in_child(cases, self.root, self._answers, keep)

    def verdicts(self) -> list[Verdict] | None:
        """What became of them, up to the one at which the process ended; None while it runs."""
        pid, status, used = os.wait4(self.pid, os.WNOHANG)
        took = time.monotonic() - self._since
        if pid == 0 and took < WALL_S:
            return None
        if pid == 0:
            os.kill(self.pid, signal.SIGKILL)
            _, status, used = os.wait4(self.pid, 0)
        lines = self._answers.read_text().splitlines() if self._answers.exists() else []
        self._answers.unlink(missing_ok=True)
        found = [Verdict(**json.loads(line)) for line in lines]
        if len(found) < len(self.cases):
            code = os.waitstatus_to_exitcode(status)
            how = f"hangs for {took:.0f} s" if pid == 0 else f"died by {code}"
            found.append(Verdict([how], peak_mb=used.ru_maxrss // 1024))
            if self._keep is not None:
                _keep(self._keep, *self.cases[len(found) - 1], self.root)
        shutil.rmtree(self.root, ignore_errors=True)
        return found


def _in_child(
    cases: Sequence[tuple[int, Case]], root: Path, answers: Path, keep: Path | None
) -> None:
    """Runs cases, tells what became of each, and ends the process."""
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.environ["HOME"], os.environ["TMPDIR"] = str(root / "home"), str(root / "temporary")
        tempfile.tempdir = None
        noise = os.open(root, os.O_TMPFILE | os.O_RDWR | os.O_APPEND)
        os.dup2(noise, 1)
        os.dup2(noise, 2)
        watch = Watch(root)
        sys.addaudithook(watch.hook)
        with answers.open("w") as told:
            for number, case in cases:
                verdict = _try(case, root, watch, noise)
                told.write(json.dumps(dataclasses.asdict(verdict)) + "\n")
                told.flush()
                if verdict.wrong and keep is not None:
                    _keep(keep, number, case, root)
    except BaseException as error:
        os.write(2, f"the attack itself failed: {error!r}".encode())
    os._exit(0)


def _try(case: Case, root: Path, watch: Watch, noise: int) -> Verdict:
    """One case in a folder of its own."""
    folder = root / "case"
    os.chdir(root)
    shutil.rmtree(folder)
    (folder / "out").mkdir(parents=True)
    os.chdir(folder)
    case.prepare(folder)
    os.ftruncate(noise, 0)
    Path("/proc/self/clear_refs").write_text("5")
    before, used = _seen(root, case.left), _cpu_s()
    resource.setrlimit(resource.RLIMIT_CPU, (int(used) + CPU_S + 5, resource.RLIM_INFINITY))
    watch.strict = case.strict
    said, wrong = attempt(case, folder, watch)
    verdict = Verdict(wrong, said, _cpu_s() - used, _peak_mb())
    if words := os.pread(noise, 10_000, 0):
        wrong.append(f"words on the terminal: {words[:300]!r}")
    if verdict.peak_mb > MEMORY_MB:
        wrong.append(f"{verdict.peak_mb} MB")
    if verdict.cpu_s > CPU_S:
        wrong.append(f"{verdict.cpu_s:.0f} s")
    after = _seen(root, case.left)
    touched = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
    if touched:
        wrong.append(f"touched {sorted(touched)[:5]}")
    return verdict


def _keep(keep: Path, number: int, case: Case, root: Path) -> None:
    name = f"{number:05}-{case.name}".replace("/", " ")
    shutil.copytree(root / "case", keep / name, symlinks=True, dirs_exist_ok=True)


def _cpu_s() -> float:
    """Of this process and of those that it has waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _peak_mb() -> int:
    """The most memory since it was last asked to be counted anew, or of a process of its own."""
    rows = Path("/proc/self/status").read_text().splitlines()
    own = next(int(row.split()[1]) for row in rows if row.startswith("VmHWM"))
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) // 1024


def _seen(root: Path, left: frozenset[str]) -> dict[str, tuple[int, bytes]]:
    """All that must stay as it is: everything but what the case may change."""
    seen = {}
    top = str(root / "case")
    for folder, folders, files in os.walk(root):
        if folder == top:
            folders[:] = [name for name in folders if name not in left]
            files = [name for name in files if name not in left]
        for name in (*folders, *files):
            if name.startswith("torchinductor_"):
                continue  # an empty folder that PyTorch makes when a part of it is imported
            path = Path(folder, name)
            about = path.lstat()
            plain = stat.S_ISREG(about.st_mode) and about.st_size < 1 << 24
            content = path.read_bytes() if plain else b""
            seen[path.relative_to(root).as_posix()] = (about.st_mode, content)
    return seen


def attempt(case: Case, folder: Path, watch: Watch) -> tuple[str, list[str]]:
    """What Sosie said, and what was wrong with it."""
    from sosie.errors import SosieError

    said, wrong = "", []
    try:
        watch.on = True
        wrong = list(case.run(folder))
    except SosieError as error:
        watch.on = False
        said = str(error) or "nothing"
        wrong = not_a_sentence(said)
    except BaseException as error:  # whatever it is, it is what is looked for
        watch.on = False
        places = traceback.extract_tb(error.__traceback__)
        ours = [place for place in places if "sosie" in place.filename] or list(places)
        where = " < ".join(f"{Path(p.filename).name}:{p.lineno}" for p in ours[:-4:-1])
        wrong = [f"{type(error).__name__} at {where}: {str(error)[:300]}"]
    finally:
        watch.on = False
    seen = watch.seen[:3]
    watch.seen.clear()
    return said, [*wrong, *seen]


def not_a_sentence(text: str) -> list[str]:
    """What is wrong with what Sosie says, or nothing."""
    whole = text.endswith((".", "?", "!")) and text.isprintable() and len(text) < 1500
    inner = any(part in text for part in (".tmp", "fault in Sosie", "Traceback"))
    return [] if whole and not inner else [f"no sentence: {text[:400]!r}"]


@dataclass
class Watch:
    """What an audit hook saw that should not be; it looks only while `on`."""

    root: Path
    strict: bool = False
    on: bool = False
    seen: list[str] = field(default_factory=list)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and self._is_wrong(event, arguments):
            self.seen.append(f"{event} {arguments!r:.200}")

    def _is_wrong(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "open":
            path, mode, flags = arguments
            writes = bool((flags or 0) & _WRITES) or any(sign in (mode or "") for sign in "wxa+")
            return writes and (self.strict or self._is_outside(path))
        if self.strict:
            return event.startswith(STRICT) and event not in _HARMLESS
        # A link changes the place where it lies, not the one where it leads.
        places = arguments[1:] if event == "os.symlink" else arguments
        changes = event.startswith(_CHANGES) and any(map(self._is_outside, places))
        return changes or event.startswith(_NEVER)

    def _is_outside(self, path: object) -> bool:
        if not isinstance(path, str | os.PathLike):
            return False
        real = os.path.realpath(Path(os.fsdecode(path)).parent)
        return not real.startswith((str(self.root), "/dev", "/proc"))


def judge(
    cases: Iterable[tuple[int, Case]],
    jobs: int,
    keep: Path | None,
    say: Callable[[str], object],
    batch: int = 1,
) -> dict[str, Row]:
    """Runs the cases, `jobs` at once, and counts what became of them, a row for each kind's name
    and one for all. say: is told what failed. batch: how many share a process, where starting one
    would take longer than they do."""
    rows: dict[str, Row] = {"all": Row()}
    for number, case, verdict in _judged(iter(cases), jobs, keep, batch):
        for name in (case.name, "all"):
            rows.setdefault(name, Row()).add(verdict)
        if verdict.wrong:
            say(f"case {number}, {case.name}: {'; '.join(verdict.wrong)}")
    return rows


def _judged(
    cases: Iterator[tuple[int, Case]], jobs: int, keep: Path | None, batch: int
) -> Iterator[tuple[int, Case, Verdict]]:
    running: list[_Running] = []
    again: list[tuple[int, Case]] = []
    while True:
        while len(running) < jobs and (part := again or list(itertools.islice(cases, batch))):
            running.append(_Running(part, keep))
            again = []
        if not running:
            return
        for one in list(running):
            verdicts = one.verdicts()
            if verdicts is not None:
                running.remove(one)
                again += one.cases[len(verdicts) :]
                for (number, case), verdict in zip(one.cases, verdicts, strict=False):
                    yield number, case, verdict
        time.sleep(0.005)
