"""What a run is told to do, and the exact record of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sosie.errors import UsageError
from sosie.evaluation import metrics
from sosie.evaluation.environment import machine, made_by, packages, weight_digests
from sosie.evaluation.metric import Settings
from sosie.evaluation.pairs import PairList
from sosie.evaluation.recognition import Judges
from sosie.options import SwapOptions

# Options of a swap that are the run's own, or mean nothing for photos.
_FIXED = ("method", "faces", "overwrite", "threads", "start_s", "end_s", "codec", "crf", "preset")


@dataclass(frozen=True)
class Plan:
    """A run over a list of pairs.

    folder: of the run. name: for tables. root: folder of the pictures, in place of the list's own.
    limit: pairs at most, the first of the list. settings: how results are scored. embedders,
    landmarker: judges beside Sosie's networks, see `open_judges`. threads: for networks; None takes
    all.
    cache: folder for what is analyzed and scored once; None keeps nothing.
    overwrite: replace another run that the folder holds. cost: measure memory and operations too.
    """

    pairs: Path
    folder: Path
    name: str
    root: Path | None = None
    limit: int | None = None
    settings: Settings = field(default_factory=Settings)
    embedders: tuple[str, ...] = ()
    landmarker: Path | None = None
    threads: int | None = None
    cache: Path | None = None
    overwrite: bool = False
    cost: bool = True


def swap_options(
    changes: Mapping[str, str], threads: int | None = None, method: str | None = None
) -> SwapOptions:
    """The options of a swap by a method, or by the default, with some of them changed, as texts.

    Raises UsageError on an unknown option, one that a run does not leave open, or a bad value.
    """
    values: dict[str, Any] = {"threads": threads} | ({} if method is None else {"method": method})
    for key, text in changes.items():
        if key in _FIXED:
            raise UsageError(f"The option {key} cannot be set for a run over photos; leave it out.")
        values[key] = SwapOptions.value_of(key, text)
    return SwapOptions.from_dict(values)


def record(
    name: str,
    method: str,
    pairs: Mapping[str, Any],
    swap: Mapping[str, Any],
    score: Mapping[str, Any],
    judges: Judges,
) -> dict[str, Any]:
    """The content of config.json. swap: what decides about the results beside method and pairs."""
    return {
        "format": 1,
        "name": name,
        "method": method,
        "pairs": dict(pairs),
        "swap": dict(swap),
        "score": {**score, **judges.record()},
        "weights": weight_digests(),
        "versions": {**packages(), "metrics": metrics.versions()},
        "machine": machine(),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def record_of(
    plan: Plan, pairs: PairList, judges: Judges, method: str, swap: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of config.json of a run over pairs."""
    settings = plan.settings
    drawn = {
        "file": plan.pairs.name,
        "name": pairs.name,
        "seed": pairs.seed,
        "protocol": dict(pairs.protocol),
        "sha256": pairs.digest,
        "count": len(pairs.pairs) + len(pairs.bad),
    }
    score = {
        "perceptual": settings.perceptual,
        "inception": settings.inception,
        "weights": None if settings.weights is None else str(settings.weights),
    }
    return record(plan.name, method, drawn, swap, score, judges)


def made_by_us(options: SwapOptions) -> dict[str, Any]:
    """The part `swap` of a record, for a method of Sosie's."""
    kept = {key: value for key, value in options.to_dict().items() if key not in _FIXED}
    return {"options": kept, "code": made_by(), "weights": weight_digests()}
