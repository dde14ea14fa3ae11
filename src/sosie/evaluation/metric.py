"""What a figure is: one number about a swap, and all that must be said beside it.

What cannot be told is a `Missing` with the reason in its place: never a number that stands for
nothing, never left out. What measures figures is a metric: see `sosie.evaluation.metrics.base`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from sosie.errors import SosieError
from sosie.types import FloatArray

Direction = Literal["higher", "lower", "nearer to 1"]
Kind = Literal["pair", "set", "video", "cost"]

OWN = "sosie"
"""Name of the networks of this package, whose variant of a figure has the figure's bare name."""


class MissingFigureError(SosieError):
    """None of a file's figures can be told of this pair or set; the message says why."""


@dataclass(frozen=True)
class Missing:
    """Stands where a figure cannot be told. reason: one sentence, for the report."""

    reason: str


Readings = dict[str, "float | Missing"]
"""Figure's name -> its value, or why there is none."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """The description of one figure.

    name: key in files, such as `pose_error`. title: for tables. unit: "" where it has none.
    better: which way is better; None where neither is, by itself. range: lowest and highest value,
    either may be infinite. summary: what it means, in one sentence for the user.
    formula: how it is computed. source: the paper, or "Sosie". limits: what it cannot tell.
    also: limits of its own, beside those of its metric. The metric fills in the name, and source,
    limits and kind where they are left out.
    """

    title: str
    unit: str = ""
    better: Direction | None = "lower"
    range: tuple[float, float] = (0, math.inf)
    summary: str
    formula: str
    source: str = ""
    limits: str = ""
    also: str = ""
    kind: Kind | None = None
    name: str = ""

    def of(self, variant: str) -> Figure:
        """The same figure by another network."""
        if variant == OWN:
            return self
        title = f"{self.title} [{variant}]"
        return replace(self, name=variant_name(self.name, variant), title=title)


def variant_name(name: str, variant: str) -> str:
    """The name of a figure that several networks can measure: `identity_source[arcface]`."""
    return name if variant == OWN else f"{name}[{variant}]"


def split_name(name: str) -> tuple[str, str]:
    """The figure's bare name and the variant's: the inverse of `variant_name`."""
    base, bracket, variant = name.partition("[")
    return (base, variant.removesuffix("]")) if bracket else (base, OWN)


@dataclass(frozen=True)
class Settings:
    """What measuring depends on beside the pictures.

    weights: the folder of weight files that Sosie does not ship; None takes $SOSIE_WEIGHTS.
    perceptual: which LPIPS network; `auto` takes the first of `perceptual.CARDS` that is there.
    inception: whether to describe pictures for FID, which takes about a second a pair.
    threads: for the networks; None takes all.
    """

    weights: Path | None = None
    perceptual: str = "auto"
    inception: bool = False
    threads: int | None = None


@dataclass(frozen=True)
class SampleFeatures:
    """What figures of a whole set need of one pair: small, so that thousands can be kept.

    pair: its id. source, target, other: names of the pictures, the last "" where there is none.
    source_person, target_person: who is on them, as far as it is known; the picture's name
    otherwise.
    vectors: name -> float32, 1-D; made by the `describe` functions of `figures`.
    """

    pair: str
    source: str
    target: str
    source_person: str
    target_person: str
    other: str = ""
    vectors: Mapping[str, FloatArray] = field(default_factory=dict)


@dataclass(frozen=True)
class SetReadings:
    """What was measured of a set.

    values: figure's name -> value. by_pair: figure's name -> pair's id -> that pair's share in it,
    for figures that have one (such as the rank behind a retrieval rate).
    """

    values: Readings
    by_pair: dict[str, Readings] = field(default_factory=dict)
