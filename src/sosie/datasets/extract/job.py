"""One run of `sosie dataset extract`: inputs one after another into a set of faces."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sosie.analysis.analyzer import Analyzer, create_analyzer
from sosie.datasets.extract.candidates import REASONS, Look, look
from sosie.datasets.extract.inputs import DONE, FAILED, PARTIAL, Input, Ledger
from sosie.datasets.extract.options import ExtractOptions, thread_count
from sosie.datasets.extract.sampling import Place, in_order
from sosie.datasets.extract.videos import COMMIT_ROWS, COMMIT_S, VideoExtraction
from sosie.datasets.extract.writer import FaceWriter, Source, safe_name
from sosie.datasets.markers import SETTINGS
from sosie.datasets.store import FaceStore, Synced
from sosie.datasets.transactions import held
from sosie.errors import InputError, InterruptedDatasetError, UsageError
from sosie.media.image import load_photo
from sosie.types import Progress

_NO_TRACK = -1
_NOT_A_FRAME = Place(index=-1, time_s=math.nan, scene=0)


@dataclass(frozen=True)
class PhotoJob:
    """A photo to look at, and as what its faces are stored."""

    photo: Input
    source: Source


Commit = Callable[[Sequence[tuple[PhotoJob, Mapping[str, Any]]]], None]
"""Takes photos that are done, each with its `counts`, or with the `error` that it gave."""


def extract_photos(
    photos: Sequence[PhotoJob],
    analyzer: Analyzer,
    pool: Executor,
    writer: FaceWriter,
    commit: Commit,
    options: ExtractOptions,
    on_progress: Callable[[Progress], None] | None,
) -> None:
    """Look at photos, have their faces written, and commit now and then."""

    def seen(job: PhotoJob) -> Look | InputError:
        try:
            with job.photo.opened() as path:
                try:
                    pixels = load_photo(path).pixels
                except InputError as error:
                    return InputError(str(error).replace(str(path), str(job.photo.name)))
            return look(pixels, analyzer, options, job.photo.hint)
        except InputError as error:
            return error

    started = committed = time.monotonic()
    told: list[tuple[PhotoJob, Mapping[str, Any]]] = []
    jobs: Iterator[PhotoJob] = iter(photos)
    with closing(in_order(pool, seen, jobs, 1 + thread_count(options))) as looks:
        for done, (job, one) in enumerate(looks, 1):
            if isinstance(one, InputError):
                told.append((job, {"error": str(one)}))
            else:
                for found in one.faces:
                    writer.add(job.source, found, _NOT_A_FRAME, _NO_TRACK)
                told.append((job, {"counts": _counts(one)}))
            clock = time.monotonic()
            if clock - committed > COMMIT_S or writer.waiting >= COMMIT_ROWS:
                commit(told)
                told, committed = [], clock
            if on_progress is not None:
                on_progress(Progress(done, len(photos), done / max(clock - started, 1e-9)))
    commit(told)


def _counts(one: Look) -> dict[str, int]:
    counts = {"looked_at": 1, "found": len(one.faces), "too_small": one.too_small}
    if one.unconfirmed:
        counts["unconfirmed"] = one.unconfirmed
    for found in one.faces:
        reason = found.rejected or "kept"
        counts[reason] = counts.get(reason, 0) + 1
    return counts


ProgressOf = Callable[[str], AbstractContextManager[Callable[[Progress], None] | None]]
"""A progress display for what is named."""


@dataclass(frozen=True)
class Failure:
    """An input that could not be read, or not to its end, and why: one sentence."""

    path: str
    error: str


@dataclass(frozen=True)
class ExtractReport:
    """What a run did.

    folder: of the set. inputs: how many were read by this run; skipped: done by an earlier one, or
    of the same content as another. frames: of videos, that this run passed. faces, rejected: that
    were stored by this run, and by reason; thinned, too_small, unconfirmed: that were left out, the
    last since another tool told of them and they were not found. total: faces in the set now,
    rejected ones too. synced: what was found moved by hand before. seconds: wall-clock time; fps:
    frames over it.
    """

    folder: str
    inputs: int
    skipped: int
    frames: int
    faces: int
    rejected: dict[str, int]
    thinned: int
    too_small: int
    total: int
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]
    synced: Synced
    seconds: float
    fps: float
    unconfirmed: int = 0


def extract(
    inputs: Iterable[Input],
    folder: Path,
    options: ExtractOptions,
    progress_of: ProgressOf = lambda _: nullcontext(),
) -> ExtractReport:
    """Extract the faces of videos and photos into the set in `folder`, which is made if need be.

    An input that the set has in full is not read again; one that an earlier run left is taken up
    where that run stopped. One that cannot be read does not stop the others. Raises UsageError
    where the set was made with other pictures, or an input is half done with other options;
    OutputError where the set cannot be written; InterruptedDatasetError after Ctrl-C. What was done
    until then is kept. A new set in which there would be no face is not left behind.
    """
    started = time.monotonic()
    is_new = not FaceStore.is_set(folder)
    if is_new:
        FaceStore.create(folder, {**options.common(), "options": [], "inputs": []})
    with held(folder):
        store = _open(folder, options)
        report = _extract(store, inputs, options, progress_of, started)
    if is_new and not report.total:
        store.discard()
    return report


def _extract(
    store: FaceStore,
    inputs: Iterable[Input],
    options: ExtractOptions,
    progress_of: ProgressOf,
    started: float,
) -> ExtractReport:
    store.tidy()
    synced = store.sync()
    with ThreadPoolExecutor(thread_count(options), "sosie-extract") as pool:
        run = _Run(store, options, pool, progress_of)
        try:
            run.read(inputs)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise InterruptedDatasetError(
                f"Stopped; what was done is in {store.folder}: run the same command to go on."
            ) from None
    store.merge()
    return run.report(synced, time.monotonic() - started)


def _open(folder: Path, options: ExtractOptions) -> FaceStore:
    store = FaceStore.open(folder)
    for name, value in options.common().items():
        if store.settings.get(name) != value:
            raise UsageError(
                f"The set {folder} was made with {name} {store.settings.get(name)}, not {value}: "
                f"give the same, or another folder."
            )
    return store


@dataclass
class _Run:
    """What one run has seen so far."""

    store: FaceStore
    options: ExtractOptions
    pool: Executor
    progress_of: ProgressOf
    read_inputs: int = 0
    skipped: int = 0
    frames: int = 0
    notes: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._ledger = Ledger(self.store)
        self._analyzer: Analyzer = create_analyzer(1)
        self._writer = FaceWriter(self.store, self.pool, self.options)
        self._seen: set[str] = set()
        known = self.store.settings.setdefault("options", [])
        if self.options.of_input() not in known:
            known.append(self.options.of_input())
            self.store.save_settings()
        self._options_number: int = known.index(self.options.of_input())

    def read(self, inputs: Iterable[Input]) -> None:
        """Photos that follow one another are looked at together, videos one at a time."""
        photos: list[tuple[PhotoJob, dict[str, Any]]] = []
        # All are looked up first: what cannot be meant is said before any work.
        for one, entry in [(one, entry) for one in inputs if (entry := self._take(one))]:
            if one.kind == "photo":
                stem = safe_name(one.name.stem)
                name = one.hint.source if one.hint and one.hint.source else one.name.name
                source = Source(name, entry["sha256"], entry["folder"], stem, one.person)
                photos.append((PhotoJob(one, source), entry))
                continue
            self._read_photos(photos)
            photos = []
            self._read_video(one, entry)
        self._read_photos(photos)

    def report(self, synced: Synced, seconds: float) -> ExtractReport:
        """What the run did, once its faces are merged into the table."""
        return ExtractReport(
            folder=str(self.store.folder),
            inputs=self.read_inputs,
            skipped=self.skipped,
            frames=self.frames,
            faces=self.counts["kept"] + sum(self.counts[reason] for reason in REASONS),
            rejected={reason: self.counts[reason] for reason in REASONS if self.counts[reason]},
            thinned=self.counts["thinned"],
            too_small=self.counts["too_small"],
            total=len(self.store),
            failures=tuple(self.failures),
            notes=tuple(self.notes),
            synced=synced,
            seconds=round(seconds, 3),
            fps=round(self.frames / max(seconds, 1e-9), 2),
            unconfirmed=self.counts["unconfirmed"],
        )

    def _take(self, one: Input) -> dict[str, Any] | None:
        """What is known of an input; None where there is nothing to do for it."""
        try:
            entry = self._ledger.entry_of(one)
        except InputError as error:
            self.failures.append(Failure(str(one.name), str(error)))
            return None
        is_done = entry["sha256"] in self._seen or entry["state"] == DONE
        self._seen.add(entry["sha256"])
        number = entry.get("options", self._options_number)
        options = self.store.settings["options"]
        if not 0 <= number < len(options):
            raise InputError(
                f"The set {self.store.folder} does not say how {one.name} was read; restore its "
                f"{SETTINGS} from a copy."
            )
        used = options[number]
        changed = [k for k, v in self.options.of_input().items() if used.get(k) != v]
        how = ", ".join(f"{name} {used.get(name)}" for name in changed)
        if is_done:
            self.skipped += 1
            if changed:
                self.notes.append(f"{one.name} was done before with {how}; it is not read again.")
            return None
        if "resume" in entry and changed:
            raise UsageError(
                f"{one.name} is half done with {how}: give the same, or another folder."
            )
        return entry

    def _read_video(self, one: Input, entry: dict[str, Any]) -> None:
        self.read_inputs += 1
        before = Counter(entry.get("counts", {})) if "resume" in entry else Counter()
        known, place = entry, one.name

        def commit(facts: Mapping[str, Any]) -> None:
            nonlocal known
            if "error" in facts:
                # What lies in an archive is read elsewhere, under a name that says nothing.
                facts = {**facts, "error": facts["error"].replace(str(place), str(one.name))}
            state = PARTIAL if "resume" in facts else FAILED if "error" in facts else DONE
            known = self._ledger.told(known, **facts, state=state, options=self._options_number)
            self._writer.commit([known])

        source = Source(one.name.name, entry["sha256"], entry["folder"])
        try:
            with one.opened() as place:
                video = VideoExtraction(place, source, self.options, entry)
                with self.progress_of(one.name.name) as on_progress:
                    video.run(self._analyzer, self.pool, self._writer, commit, on_progress)
        except InputError as error:
            commit({"error": str(error)})
        else:
            self.frames += video.frames
            self.notes += [f"{one.name}: {note}" for note in video.notes]
            self.counts += Counter(known["counts"])
            self.counts.subtract(before)
        if "error" in known:
            self.failures.append(Failure(str(one.name), known["error"]))

    def _read_photos(self, photos: Sequence[tuple[PhotoJob, dict[str, Any]]]) -> None:
        if not photos:
            return
        self.read_inputs += len(photos)
        entries = {job.source.sha256: entry for job, entry in photos}

        def commit(told: Sequence[tuple[PhotoJob, Mapping[str, Any]]]) -> None:
            lines = []
            for job, facts in told:
                self.counts += Counter(facts.get("counts", {}))
                failed = "error" in facts
                if failed:
                    self.failures.append(Failure(str(job.photo.name), facts["error"]))
                known = entries[job.source.sha256]
                state = FAILED if failed else DONE
                lines.append(
                    self._ledger.told(known, **facts, state=state, options=self._options_number)
                )
            self._writer.commit(lines)

        with self.progress_of(f"{len(photos)} photos") as on_progress:
            extract_photos(
                [job for job, _ in photos],
                self._analyzer,
                self.pool,
                self._writer,
                commit,
                self.options,
                on_progress,
            )
