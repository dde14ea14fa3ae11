"""The table of metrics. To add one, write it in a file of this folder and its line here.

Another package brings a metric by an entry point in the group `sosie.metrics`, which names a metric
as the table does. A module is imported when its metric is first asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, TypeVar

from sosie.errors import UnavailableError, UsageError, nearest
from sosie.evaluation.metric import (
    Figure,
    Missing,
    MissingFigureError,
    Readings,
    SampleFeatures,
    SetReadings,
    Settings,
    split_name,
)
from sosie.evaluation.metrics.base import Metric, PairMetric, SetMetric
from sosie.types import FloatArray

if TYPE_CHECKING:
    from sosie.evaluation.sample import Sample

_M = TypeVar("_M", bound=Metric)

GROUP = "sosie.metrics"
"""The group of entry points by which other packages bring metrics."""

_HERE = "sosie.evaluation.metrics"

TABLE = {
    "identity": f"{_HERE}.identity:IDENTITY",
    "pose": f"{_HERE}.attributes:POSE",
    "expression": f"{_HERE}.attributes:EXPRESSION",
    "gaze": f"{_HERE}.attributes:GAZE",
    "openness": f"{_HERE}.attributes:OPENNESS",
    "outline": f"{_HERE}.attributes:OUTLINE",
    "light": f"{_HERE}.appearance:LIGHT",
    "sharpness": f"{_HERE}.appearance:SHARPNESS",
    "texture": f"{_HERE}.appearance:TEXTURE",
    "things": f"{_HERE}.things:THINGS",
    "seam": f"{_HERE}.seam:SEAM",
    "fidelity": f"{_HERE}.fidelity:FIDELITY",
    "perceptual": f"{_HERE}.perceptual:PERCEPTUAL",
    "retrieval": f"{_HERE}.retrieval:RETRIEVAL",
    "frechet": f"{_HERE}.frechet:FRECHET",
    "video_identity": f"{_HERE}.identity:VIDEO_IDENTITY",
    "fallback": f"{_HERE}.temporal:FALLBACK",
    "flicker": f"{_HERE}.temporal:FLICKER",
    "jitter": f"{_HERE}.temporal:JITTER",
    "timing": f"{_HERE}.timing:TIMING",
    "shift": f"{_HERE}.timing:SHIFT",
    "cost": "sosie.evaluation.cost:COST",
}
"""Metric's name -> its module and its name there, in the order of reports."""


@dataclass(frozen=True)
class Scored:
    """The figures of one pair or set, as files keep them.

    figures: name -> value; None where it cannot be told. reasons: name -> why, for each None.
    """

    figures: dict[str, float | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


@cache
def load_metrics() -> dict[str, Metric]:
    """All metrics by name, those of other packages last.

    Raises UnavailableError where a package's metric cannot be loaded.
    """
    found: dict[str, Metric] = {}
    for name, place in TABLE.items():
        module, attribute = place.split(":")
        found[name] = getattr(import_module(module), attribute)
    for entry in entry_points(group=GROUP):
        try:
            found.setdefault(entry.name, entry.load())
        except (ImportError, AttributeError) as error:
            raise UnavailableError(
                f"The metric {entry.name} cannot be loaded ({error}): install the package that has "
                f"it again, or remove it."
            ) from error
    return found


def load_metric(name: str) -> Metric:
    """The metric of that name. Raises UsageError for a name that no metric has."""
    known = load_metrics()
    if name not in known:
        raise UsageError(f"Unknown metric {name!r}: {nearest(name, known)}.")
    return known[name]


def metrics_of(kind: type[_M]) -> dict[str, _M]:
    """The metrics of pairs, of sets or along videos, by name."""
    return {name: one for name, one in load_metrics().items() if isinstance(one, kind)}


def all_figures(kind: type[Metric] = Metric) -> dict[str, Figure]:
    """Descriptions of the figures of these metrics, by name, in order."""
    return {name: f for one in metrics_of(kind).values() for name, f in one.figures.items()}


def describe_figure(name: str) -> Figure:
    """The description of a figure or of one network's variant of it.

    Raises UsageError for an unknown name.
    """
    base, variant = split_name(name)
    known = all_figures()
    if base not in known:
        raise UsageError(f"Unknown figure {name!r}: {nearest(base, known)}.")
    return known[base].of(variant)


def versions() -> dict[str, int]:
    """Metric's name -> its version."""
    return {name: metric.version for name, metric in load_metrics().items()}


def measure_pair(sample: Sample, settings: Settings, names: Iterable[str] | None = None) -> Scored:
    """All figures of one pair, or those of these metrics; whatever cannot be told is there with its
    reason."""
    known = metrics_of(PairMetric)
    found: Readings = {}
    for name in known if names is None else names:
        try:
            found |= known[name].measure(sample, settings)
        except (MissingFigureError, UnavailableError) as error:
            found |= dict.fromkeys(known[name].figures, Missing(str(error)))
    return scored(found)


def describe_pair(sample: Sample, settings: Settings) -> dict[str, FloatArray]:
    """What the figures of sets need of one pair, by name."""
    vectors: dict[str, FloatArray] = {}
    for metric in metrics_of(SetMetric).values():
        vectors |= metric.describe(sample, settings)
    return vectors


def measure_set(samples: Sequence[SampleFeatures], settings: Settings) -> SetReadings:
    """All figures of a set; whatever cannot be told is there as Missing."""
    values: Readings = {}
    by_pair: dict[str, Readings] = {}
    for metric in metrics_of(SetMetric).values():
        try:
            found = metric.measure(samples, settings)
        except (MissingFigureError, UnavailableError) as error:
            sets = (name for name, figure in metric.figures.items() if figure.kind == "set")
            values |= dict.fromkeys(sets, Missing(str(error)))
            continue
        values |= found.values
        by_pair |= found.by_pair
    return SetReadings(values, by_pair)


def scored(readings: Readings) -> Scored:
    """Readings as they are written to files."""
    reasons = {name: value.reason for name, value in readings.items() if isinstance(value, Missing)}
    figures = {
        name: None if isinstance(value, Missing) else float(value)
        for name, value in readings.items()
    }
    return Scored(figures, reasons)
