"""The table of figures' files. To add figures, write their file and its line here.

A file is imported when its figures are first asked for. All about pairs have `measure`, all about
sets `describe` and `measure_set` (see `PairModule` and `SetModule`); those about videos are called
by `sosie.evaluation.video_score`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from sosie.errors import UnavailableError, UsageError
from sosie.evaluation.metric import (
    Figure,
    Missing,
    MissingFigureError,
    Readings,
    SetReadings,
    Settings,
    Traits,
    split_name,
)
from sosie.options import nearest
from sosie.types import FloatArray

if TYPE_CHECKING:
    from sosie.evaluation.sample import Triple

_HERE = "sosie.evaluation.metrics"

PAIR_TABLE = {
    "identity": f"{_HERE}.identity",
    "pose": f"{_HERE}.pose",
    "expression": f"{_HERE}.expression",
    "gaze": f"{_HERE}.gaze",
    "openings": f"{_HERE}.openness",
    "contour": f"{_HERE}.jaw_outline",
    "light": f"{_HERE}.light",
    "sharpness": f"{_HERE}.sharpness",
    "texture": f"{_HERE}.texture",
    "things": f"{_HERE}.things",
    "seam": f"{_HERE}.seam",
    "fidelity": f"{_HERE}.fidelity",
    "perceptual": f"{_HERE}.perceptual",
}
SET_TABLE = {
    "retrieval": f"{_HERE}.retrieval",
    "frechet": f"{_HERE}.frechet",
}
VIDEO_TABLE = {
    "film_identity": f"{_HERE}.video_identity",
    "film_fallback": f"{_HERE}.untouched_frames",
    "film_flicker": f"{_HERE}.video_flicker",
    "film_jitter": f"{_HERE}.video_jitter",
    "film_timing": f"{_HERE}.video_timing",
    "film_shift": f"{_HERE}.video_shift",
}
COST_TABLE = {"cost": "sosie.evaluation.cost"}
TABLE = {**PAIR_TABLE, **SET_TABLE, **VIDEO_TABLE, **COST_TABLE}
"""File's name -> its module, in the order of the report."""


class PairModule(Protocol):
    """A file of this folder about pairs."""

    FIGURES: tuple[Figure, ...]

    def measure(self, triple: Triple, settings: Settings) -> Readings:
        """All figures of FIGURES, or variants of them. Raises MissingFigureError where the pair
        lets none be told, and UnavailableError where weights or a package are absent."""


class SetModule(Protocol):
    """A file of this folder about sets of pairs."""

    FIGURES: tuple[Figure, ...]

    def describe(self, triple: Triple, settings: Settings) -> dict[str, FloatArray]:
        """What must be kept of a pair; names start with `source.`, `target.`, `result.` or
        `other.`. Empty where the pair has nothing to give."""

    def measure_set(self, traits: Sequence[Traits], settings: Settings) -> SetReadings:
        """All figures of FIGURES, or variants of them. Raises as `PairModule.measure`."""


@dataclass(frozen=True)
class Scored:
    """The figures of one pair or set, as files keep them.

    figures: name -> value; None where it cannot be told. reasons: name -> why, for each None.
    """

    figures: dict[str, float | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def load_figures(file: str) -> Any:
    """The module of that file of TABLE. Raises UsageError for a name that is not in it."""
    if file not in TABLE:
        raise UsageError(f"Unknown figures {file!r}: {nearest(file, TABLE)}.")
    return import_module(TABLE[file])


def all_figures(files: Iterable[str] = tuple(TABLE)) -> dict[str, Figure]:
    """Descriptions of the figures of these files, by name, in order."""
    return {figure.name: figure for file in files for figure in load_figures(file).FIGURES}


def describe_figure(name: str) -> Figure:
    """The description of a figure or of one network's variant of it.

    Raises UsageError for an unknown name.
    """
    base, variant = split_name(name)
    known = all_figures()
    if base not in known:
        raise UsageError(f"Unknown figure {name!r}: {nearest(base, known)}.")
    return known[base].of(variant)


def measure_pair(
    triple: Triple, settings: Settings, files: Iterable[str] = tuple(PAIR_TABLE)
) -> Scored:
    """All figures of these files for one pair; whatever cannot be told is there with its reason."""
    found: Readings = {}
    for file in files:
        module = cast(PairModule, load_figures(file))
        try:
            found |= module.measure(triple, settings)
        except (MissingFigureError, UnavailableError) as error:
            found |= {figure.name: Missing(str(error)) for figure in module.FIGURES}
    return scored(found)


def describe_pair(
    triple: Triple, settings: Settings, pair: str, files: Iterable[str] = tuple(SET_TABLE)
) -> Traits:
    """What the figures of sets in these files need of one pair."""
    vectors: dict[str, FloatArray] = {}
    for file in files:
        vectors |= cast(SetModule, load_figures(file)).describe(triple, settings)
    return Traits(
        pair=pair,
        source=triple.source.name,
        target=triple.target.name,
        source_person=triple.source_person or triple.source.name,
        target_person=triple.target_person or triple.target.name,
        other=triple.other.name if triple.other else "",
        vectors=vectors,
    )


def measure_set(
    traits: Sequence[Traits], settings: Settings, files: Iterable[str] = tuple(SET_TABLE)
) -> SetReadings:
    """All figures of these files for a set; whatever cannot be told is there as Missing."""
    values: Readings = {}
    by_pair: dict[str, Readings] = {}
    for file in files:
        module = cast(SetModule, load_figures(file))
        try:
            found = module.measure_set(traits, settings)
        except (MissingFigureError, UnavailableError) as error:
            sets = (figure.name for figure in module.FIGURES if figure.kind == "set")
            values |= {name: Missing(str(error)) for name in sets}
            continue
        values |= found.values
        by_pair |= found.by_pair
    return SetReadings(values, by_pair)


def scored(readings: Readings) -> Scored:
    """Readings as they are written to files."""
    figures: dict[str, float | None] = {}
    reasons = {}
    for name, value in readings.items():
        if isinstance(value, Missing):
            figures[name], reasons[name] = None, value.reason
        else:
            figures[name] = float(value)
    return Scored(figures, reasons)
