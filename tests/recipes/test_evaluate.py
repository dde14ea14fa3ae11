"""A row of the table knows whether it reaches its bound."""

from __future__ import annotations

import math

import pytest

from sosie.errors import UsageError
from sosie.models.cards import SHIPPED
from sosie.recipes.evaluate import TABLE, Row, measure


@pytest.mark.parametrize(
    ("value", "bound", "direction", "hit"),
    [
        (98.0, 98.0, ">=", True),
        (97.9, 98.0, ">=", False),
        (5.0, 5.0, "<=", True),
        (5.1, 5.0, "<=", False),
        (1.0, None, "<=", None),
        (math.nan, 5.0, "<=", False),
        (math.nan, 5.0, ">=", False),
        (math.nan, None, ">=", None),
        (0.0, 0.0, "<=", True),
    ],
)
def test_a_row_reaches_its_bound_or_misses_it(value, bound, direction, hit):
    assert Row("detector", "recall", value, None, bound, direction, "%").hit is hit


def test_every_network_of_the_analysis_is_measured():
    """How well the other swaps is judged by its results: see `docs/reports/default-model.md`. The
    linear models have their figures from the tools that fit them."""
    linear = {"beard", "face_shape", "face_texture"}
    assert set(SHIPPED) - {"swap", "expression"} - linear <= set(TABLE)


def test_an_unknown_measurement_names_the_nearest():
    with pytest.raises(UsageError, match=r"did you mean 'landmarks'\?"):
        measure("landmark", None)
