"""The processor `expression` without files: the target's expression comes back."""

from __future__ import annotations

import numpy as np
import pytest

import sosie
from sosie.analysis.analyzer import create_analyzer
from sosie.analysis.landmarker import EXPRESSIONS
from sosie.errors import UsageError
from sosie.options import SwapOptions
from sosie.processors import create_processor


@pytest.fixture(scope="module")
def analyzer():
    return create_analyzer(threads=1)


def smile(analyzer, pixels) -> float:
    weights = analyzer.analyze(pixels)[0].expression
    at = [EXPRESSIONS.index(f"mouthSmile{side}") for side in ("Left", "Right")]
    return float(np.mean(weights[at]))


@pytest.fixture(scope="module")
def swapped(hopper, astronaut):
    """The admiral's earnest face on the smiling astronaut, before and after."""
    return {
        processors: sosie.swap_image(
            hopper, astronaut, expression="source", method="mesh", processors=processors
        ).image
        for processors in ((), ("expression",), ("expression:factor=0.5",))
    }


def test_the_targets_smile_comes_back(swapped, analyzer, astronaut):
    lost, half, whole = (
        smile(analyzer, swapped[key]) for key in ((), ("expression:factor=0.5",), ("expression",))
    )
    there = smile(analyzer, astronaut)
    assert lost < there - 0.3
    assert lost < half < whole
    assert abs(whole - there) < 0.5 * abs(lost - there)


def test_a_face_that_has_its_targets_expression_stays_whose_it_is(analyzer, hopper, astronaut):
    plain, moved = (
        sosie.swap_image(hopper, astronaut, method="mesh", processors=processors).image
        for processors in ((), ("expression",))
    )
    before, after = (analyzer.identify(one, analyzer.analyze(one)[0]) for one in (plain, moved))
    assert float(before @ after) > 0.97
    assert np.abs(moved.astype(int) - plain).max() > 10


def test_a_factor_of_0_leaves_the_new_face_as_it_is(hopper, astronaut):
    plain, same = (
        sosie.swap_image(hopper, astronaut, method="mesh", processors=processors).image
        for processors in ((), ("expression:factor=0",))
    )
    assert np.abs(same.astype(int) - plain).max() <= 1


def test_nothing_beyond_the_face_changes(swapped, astronaut):
    changed = (swapped[("expression",)] != astronaut).any(2)
    rows, columns = np.nonzero(changed)
    assert rows.min() > 20
    assert rows.max() < 260
    assert columns.min() > 120
    assert columns.max() < 330


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("expression:area=middle", "Unknown area 'middle': choose one of all, upper, lower"),
        ("expression:factor=2", "factor"),
        ("expression:power=1", "no setting 'power'"),
    ],
)
def test_settings_that_cannot_be_meant(text, message):
    with pytest.raises(UsageError, match=message):
        create_processor(text, SwapOptions())
