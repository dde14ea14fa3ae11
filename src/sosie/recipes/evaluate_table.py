"""The table of the analysis models: what was measured, the teacher's figure, the bound."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


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
