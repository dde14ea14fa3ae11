"""The measurements of the analysis models. To add one, write its module and its line here.

Each module has `measure(materials, limit)`, which gives rows of the table: what was measured, the
teacher's figure, the bound. limit: pictures, pairs or frames to look at, at most, for a trial; None
looks at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal

from sosie.errors import UsageError, nearest

if TYPE_CHECKING:
    from sosie.training.recipe import Materials


@dataclass(frozen=True)
class Row:
    """One figure of one model.

    model: name of the model, as `detector`. figure: what was measured, with its conditions, as
    `recall of YuNet's faces of 32 px and more`. value, teacher: ours, and the teacher's by the same
    measure; None where the teacher has none. bound: what the value must reach; None where there is
    none. direction: on which side of the bound it must lie. unit: as `%`, `ms`, `MB`; empty for a
    plain number.
    """

    model: str
    figure: str
    value: float
    teacher: float | None
    bound: float | None
    direction: Literal[">=", "<="]
    unit: str

    @property
    def hit(self) -> bool | None:
        """Whether the value reaches its bound; None where there is none. Not a number misses."""
        if self.bound is None:
            return None
        if math.isnan(self.value):
            return False
        return self.value >= self.bound if self.direction == ">=" else self.value <= self.bound


TABLE = {
    "detector": "sosie.recipes.detector.evaluate",
    "landmarks": "sosie.recipes.landmarks.evaluate",
    "identity": "sosie.recipes.identity.evaluate",
    "parser": "sosie.recipes.parser.evaluate",
    "video": "sosie.recipes.evaluate_tracking",
    "cost": "sosie.recipes.evaluate_cost",
}
"""Name of a measurement -> its module. The first four are those of the models."""


def require_measurement(name: str) -> None:
    """Raises UsageError on a name that is not in TABLE."""
    if name not in TABLE:
        raise UsageError(f"Unknown measurement {name!r}: {nearest(name, TABLE)}.")


def measure(name: str, materials: Materials, limit: int | None = None) -> list[Row]:
    """The rows of one measurement. Only its module is imported.

    Raises UsageError on an unknown name, and InputError where a model, a teacher or data is absent.
    """
    require_measurement(name)
    rows: list[Row] = import_module(TABLE[name]).measure(materials, limit)
    return rows
