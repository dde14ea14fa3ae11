"""The measurements of the analysis models. To add one, write its module and its line here.

Each module has `measure(materials, limit)`, which gives rows of the table. limit: pictures, pairs
or frames to look at, at most, for a trial; None looks at all.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from sosie.errors import UsageError
from sosie.options import nearest

if TYPE_CHECKING:
    from sosie.recipes.evaluate_table import Row
    from sosie.training.recipe import Materials

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
