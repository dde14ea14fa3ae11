"""The faces of photos, several looked at at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from sosie.analysis.analyzer import Analyzer
from sosie.datasets.extract.candidates import Look, look
from sosie.datasets.extract.inputs import Input
from sosie.datasets.extract.options import ExtractOptions, thread_count
from sosie.datasets.extract.sampling import Place, in_order
from sosie.datasets.extract.videos import COMMIT_ROWS, COMMIT_S
from sosie.datasets.extract.writer import Shelf, Source
from sosie.errors import InputError
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
    shelf: Shelf,
    commit: Commit,
    options: ExtractOptions,
    on_progress: Callable[[Progress], None] | None,
) -> None:
    """Look at photos, put their faces on the shelf, and commit now and then."""

    def seen(job: PhotoJob) -> Look | InputError:
        try:
            with job.photo.opened() as path:
                try:
                    pixels = load_photo(path).pixels
                except InputError as error:
                    return InputError(str(error).replace(str(path), str(job.photo.name)))
            return look(pixels, analyzer, options)
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
                    shelf.add(job.source, found, _NOT_A_FRAME, _NO_TRACK)
                told.append((job, {"counts": _counts(one)}))
            clock = time.monotonic()
            if clock - committed > COMMIT_S or shelf.waiting >= COMMIT_ROWS:
                commit(told)
                told, committed = [], clock
            if on_progress is not None:
                on_progress(Progress(done, len(photos), done / max(clock - started, 1e-9)))
    commit(told)


def _counts(one: Look) -> dict[str, int]:
    counts = {"looked_at": 1, "found": len(one.faces), "too_small": one.too_small}
    for found in one.faces:
        reason = found.rejected or "kept"
        counts[reason] = counts.get(reason, 0) + 1
    return counts
