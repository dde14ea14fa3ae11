"""Runs over lists of pairs: swap, or find the results of another tool; score them; keep all of it.

One bad pair does not stop the others: its line says what is wrong with it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from sosie.analysis.analyzer import Analyzer, create_analyzer
from sosie.errors import InterruptedSwapError, OutputError, SosieError
from sosie.evaluation import cost, metrics
from sosie.evaluation.cache import Cache
from sosie.evaluation.configuration import Plan, made_by_us, record_of
from sosie.evaluation.files import write_picture
from sosie.evaluation.generators import BOUNDS, Made, OutsideResults, create_maker, read_plain
from sosie.evaluation.image_store import Album
from sosie.evaluation.metric import Readings
from sosie.evaluation.metrics import Scored
from sosie.evaluation.pairs import Pair, PairList, read_pairs
from sosie.evaluation.recognition import open_judges
from sosie.evaluation.results import Line, RunFolder
from sosie.evaluation.score import Material, Score, Scorer, Shot
from sosie.options import SwapOptions
from sosie.types import Progress

OnProgress = Callable[[Progress], None]
Find = Callable[[Pair, Sequence[Path], Path], tuple[Path, Made]]
"""From a pair, its sources and its target to the file of its result and what is known of it."""

# So many pairs are scored together, so that the networks have something to do at once.
_TOGETHER = 8
_LIMIT_FIGURE = "identity_limit"


@dataclass(frozen=True)
class Summary:
    """What a run came to. lines: all of them, in order. whole: figures of the set, and the cost."""

    folder: Path
    name: str
    lines: tuple[Line, ...]
    whole: Scored

    @property
    def failed(self) -> list[Line]:
        """The pairs that could not be scored."""
        return [line for line in self.lines if line.error is not None]


def run_method(
    plan: Plan, method: str, options: SwapOptions, on_progress: OnProgress | None = None
) -> Summary:
    """Swap every pair by a method, or by one of those that bound it, and score the results.

    What an earlier run with the same configuration left in the folder is kept. Raises the errors of
    `sosie.errors` where nothing can be done at all, InterruptedSwapError where the user stops it;
    a pair that fails has its error in its line.
    """
    analyzer = create_analyzer(plan.threads)
    maker = create_maker(method, options, analyzer)
    job = _Job(plan, method, made_by_us(options), analyzer)

    def find(pair: Pair, sources: Sequence[Path], target: Path) -> tuple[Path, Made]:
        file = job.folder.result(pair.id)
        if file.is_file():
            return file, job.made_before(pair, sources, file)
        made = maker.make(sources, target)
        write_picture(file, made.pixels)
        return file, made

    def spend(lines: Sequence[Line]) -> Readings:
        if method in BOUNDS:
            return cost.unmeasured(f"{method} is no method, but what bounds them.")
        return {**cost.typical(lines), **job.measured_cost(lines, replace(options, method=method))}

    with job.album:
        return job.run(find, spend, on_progress)


def score_results(
    plan: Plan, results: Path, names: str = "{id}", on_progress: OnProgress | None = None
) -> Summary:
    """Score the results that another tool made.

    results: a folder of pictures, named as `names` says; see `OutsideResults`. Raises as
    `run_method`; a missing result is the error of its pair.
    """
    outside = OutsideResults(results, names)
    swap = {"results": str(results.resolve()), "names": names}
    # Files of others may have changed meanwhile: each is read anew, and the cache does the rest.
    job = _Job(plan, plan.name, swap, None, resume=False)
    with job.album:
        return job.run(
            outside.find,
            lambda _: cost.unmeasured("Another tool made the results."),
            on_progress,
        )


def score_pair(
    source: Path, target: Path, result: Path, other: Path | None, scorer: Scorer
) -> Score:
    """The figures of one swap. Raises InputError where a picture cannot be read."""

    def shot(path: Path) -> Shot:
        return Shot(str(path), read_plain(path))

    material = Material(
        pair="pair",
        source=shot(source),
        target=shot(target),
        result=shot(result),
        other=None if other is None else shot(other),
    )
    return scorer.score([material])[0]


@dataclass
class _Attempt:
    """A pair on its way: its line so far, and what is to be scored of it."""

    line: Line
    material: Material | None = None
    other_error: str | None = None


class _Job:
    """One run: where it reads, scores and writes."""

    def __init__(
        self,
        plan: Plan,
        method: str,
        swap: dict[str, Any],
        analyzer: Analyzer | None,
        resume: bool = True,
    ) -> None:
        self._plan = plan
        self._method = method
        self._pairs = _chosen(read_pairs(plan.pairs), plan)
        judges = open_judges(plan.embedders, plan.landmarker, plan.threads)
        self._scorer = Scorer(
            analyzer or create_analyzer(plan.threads),
            plan.settings,
            judges,
            Cache(plan.cache),
        )
        self.folder = RunFolder(plan.folder)
        config = record_of(plan, self._pairs, judges, method, swap)
        self.folder.begin(config, plan.overwrite, resume)
        pictures = [name for pair in self._pairs.pairs for name in pair.pictures]
        self.album = Album(self._pairs.root, self.folder.pictures, pictures, self._pairs.sha256)

    def run(
        self,
        find: Find,
        spend: Callable[[Sequence[Line]], Readings],
        on_progress: OnProgress | None,
    ) -> Summary:
        """Score all pairs that have no line yet, then the whole. Raises InterruptedSwapError where
        the user stops it."""
        kept = self.folder.kept
        lines = {pair.id: kept[pair.id] for pair in self._pairs.pairs if pair.id in kept}
        todo = [pair for pair in self._pairs.pairs if pair.id not in lines]
        total, before, start = len(self._pairs.pairs), len(lines), time.monotonic()
        try:
            for group in _groups(todo, _TOGETHER):
                attempts = [self._attempt(pair, find) for pair in group]
                lines |= {line.pair: line for line in self._score(attempts)}
                if on_progress is not None:
                    rate = (len(lines) - before) / max(time.monotonic() - start, 1e-9)
                    on_progress(Progress(len(lines), total, rate))
        except KeyboardInterrupt as stop:
            raise InterruptedSwapError(
                f"Interrupted after {len(lines)} of {total} pairs; run the same again to go on."
            ) from stop
        ordered = [lines[pair.id] for pair in self._pairs.pairs]
        bad = [Line(entry.id, self._method, error=entry.reason) for entry in self._pairs.bad]
        return self._finish([*ordered, *bad], spend)

    def made_before(self, pair: Pair, sources: Sequence[Path], file: Path) -> Made:
        """What is known of a result that an earlier run left."""
        line = self.folder.earlier.get(pair.id)
        named = [self.folder.named(source) for source in sources]
        taken = named.index(line.source) if line is not None and line.source in named else 0
        return Made(read_plain(file), taken, cost={} if line is None else dict(line.cost))

    def measured_cost(self, lines: Sequence[Line], options: SwapOptions) -> Readings:
        """Memory and operations, measured on the first pair that was swapped."""
        if not self._plan.cost:
            return cost.unmeasured_counts("The run was told not to measure this.")
        swapped = next((line.pair for line in lines if line.error is None), None)
        if swapped is None:
            return cost.unmeasured_counts("No pair could be swapped.")
        pair = next(pair for pair in self._pairs.pairs if pair.id == swapped)
        sources = [self.album.file(name) for name in pair.sources]
        return cost.measure_swap(options, sources, self.album.file(pair.target))

    def _attempt(self, pair: Pair, find: Find) -> _Attempt:
        """Read a pair's pictures and get its result; what goes wrong is in the line."""
        line = Line(
            pair=pair.id,
            method=self._method,
            source_person=pair.source_person,
            target_person=pair.target_person,
        )
        attempt = _Attempt(line)
        try:
            self._read(attempt, pair, find)
        except OutputError:
            raise
        except SosieError as error:
            attempt.line = replace(attempt.line, error=str(error))
        except Exception as error:  # one pair of many: the others are still worth having
            attempt.line = replace(attempt.line, error=_fault(error))
        return attempt

    def _read(self, attempt: _Attempt, pair: Pair, find: Find) -> None:
        sources = [self.album.file(name) for name in pair.sources]
        target = self.album.file(pair.target)
        start = time.perf_counter()
        material = Material(
            pair=pair.id,
            source=Shot(pair.sources[0], read_plain(sources[0])),
            target=Shot(pair.target, read_plain(target)),
            result=None,
            other=self._other(attempt, pair),
            source_person=pair.source_person,
            target_person=pair.target_person,
        )
        read_ms = 1000 * (time.perf_counter() - start)
        named = self.folder.named
        attempt.material = material
        attempt.line = replace(attempt.line, source=named(sources[0]), target=named(target))
        file, made = find(pair, sources, target)
        source = material.source
        if made.source:
            source = Shot(pair.sources[made.source], read_plain(sources[made.source]))
        attempt.material = replace(
            material,
            source=replace(source, face=made.source_face),
            target=replace(material.target, face=made.target_face),
            result=Shot(file.name, made.pixels),
        )
        attempt.line = replace(
            attempt.line,
            source=named(sources[made.source]),
            result=named(file),
            cost={**made.cost, "score_ms": read_ms},
        )

    def _other(self, attempt: _Attempt, pair: Pair) -> Shot | None:
        """The second photo of the source's person. Without it the rest is still scored."""
        if pair.other_source is None:
            return None
        try:
            path = self.album.file(pair.other_source)
            shot = Shot(pair.other_source, read_plain(path))
        except OutputError:
            raise
        except SosieError as error:
            attempt.other_error = str(error)
            return None
        attempt.line = replace(attempt.line, other_source=self.folder.named(path))
        return shot

    def _score(self, attempts: Sequence[_Attempt]) -> Iterator[Line]:
        """The finished lines; they are written."""
        materials = [one.material for one in attempts if one.material is not None]
        try:
            scores = iter(self._scorer.score(materials))
        except OutputError:
            raise
        except Exception as error:
            if len(attempts) == 1:
                line = attempts[0].line
                line = replace(line, error=line.error or _fault(error))
                self.folder.add(line)
                yield line
            else:
                # One of them is the fault, and each by itself tells which.
                for attempt in attempts:
                    yield from self._score([attempt])
            return
        for attempt in attempts:
            score = None if attempt.material is None else next(scores)
            line = attempt.line if score is None else _scored(attempt, score)
            self.folder.add(line, None if score is None else score.features)
            yield line

    def _finish(
        self, lines: Sequence[Line], spend: Callable[[Sequence[Line]], Readings]
    ) -> Summary:
        features = self.folder.features(line.pair for line in lines)
        readings = metrics.measure_set(features, self._plan.settings)
        whole = _finite(metrics.scored({**readings.values, **spend(lines)}))
        shares = {
            name: _finite(metrics.scored(by_pair)) for name, by_pair in readings.by_pair.items()
        }
        complete = [_with_shares(line, shares) for line in lines]
        self.folder.finish(complete, {"figures": whole.figures, "reasons": whole.reasons})
        return Summary(self._plan.folder, self._plan.name, tuple(complete), whole)


def _chosen(pairs: PairList, plan: Plan) -> PairList:
    """The list with the plan's root, and no more pairs than it allows."""
    if plan.limit is not None and plan.limit < len(pairs.pairs):
        pairs = replace(pairs, pairs=pairs.pairs[: plan.limit], bad=())
    return pairs if plan.root is None else replace(pairs, root=plan.root)


def _groups(pairs: Iterable[Pair], size: int) -> Iterator[list[Pair]]:
    iterator = iter(pairs)
    while group := list(islice(iterator, size)):
        yield group


def _scored(attempt: _Attempt, score: Score) -> Line:
    line = attempt.line
    if line.error is not None:
        return replace(line, no_face=score.no_face, boxes=score.boxes)
    told = _finite(score.scored)
    reasons = dict(told.reasons)
    if attempt.other_error is not None:
        for name in reasons:
            if name.startswith(_LIMIT_FIGURE):
                reasons[name] = attempt.other_error
    spent = line.cost.get("score_ms", 0.0) + score.milliseconds
    return replace(
        line,
        figures=told.figures,
        reasons=reasons,
        no_face=score.no_face,
        boxes=score.boxes,
        cost={stage: round(value, 2) for stage, value in {**line.cost, "score_ms": spent}.items()},
    )


def _with_shares(line: Line, shares: dict[str, Scored]) -> Line:
    """The line with the pair's share in figures of the set, such as its rank; that of a pair
    without a result too, which a method must not gain by."""
    own = dict(line.figures)
    reasons = dict(line.reasons)
    for name, scored in shares.items():
        if line.pair in scored.figures:
            own[name] = scored.figures[line.pair]
            reasons.pop(name, None)
            if own[name] is None:
                reasons[name] = scored.reasons[line.pair]
    return replace(line, figures=own, reasons=reasons)


def _finite(scored: Scored) -> Scored:
    """What is no finite number is no figure: JSON has no word for it."""
    wild = [n for n, v in scored.figures.items() if v is not None and not math.isfinite(v)]
    figures_ = {name: None if name in wild else v for name, v in scored.figures.items()}
    reasons = {**scored.reasons, **dict.fromkeys(wild, "It came out as no finite number.")}
    return Scored(figures_, reasons)


def _fault(error: Exception) -> str:
    text = " ".join(str(error).split()) or "no message"
    return f"Unexpected {type(error).__name__} ({text}); a fault in Sosie, please report it."
