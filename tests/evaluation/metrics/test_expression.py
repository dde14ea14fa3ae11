from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sosie.analysis.landmarker import EXPRESSIONS
from sosie.evaluation.metric import MissingFigureError


@pytest.fixture
def smiling(model_face):
    def make(**weights):
        values = np.zeros(len(EXPRESSIONS), np.float32)
        for name, value in weights.items():
            values[EXPRESSIONS.index(name)] = value
        return replace(model_face(), expression=values)

    return make


def test_the_distance_is_euclidean(smiling, faces, measured):
    found = measured("expression", faces(smiling(jawOpen=0.3, eyeBlinkLeft=0.4), smiling()))
    assert found == {"expression_error": pytest.approx(0.5)}


def test_equal_expressions_are_perfect(swapped, untouched, smiling, faces, measured):
    assert measured("expression", untouched) == {"expression_error": 0}
    # How neutral a face is follows from the rest, and is no movement.
    neutral = faces(smiling(jawOpen=1, _neutral=1), smiling(jawOpen=1))
    assert measured("expression", neutral) == {"expression_error": 0}


def test_more_change_is_more_error(smiling, faces, measured):
    found = [
        measured("expression", faces(smiling(jawOpen=w), smiling()))["expression_error"]
        for w in np.linspace(0, 1, 5)
    ]
    assert np.all(np.diff(found) > 0.2)


def test_another_expression_is_told_in_photos(astronaut_look, hopper_look, faces, measured):
    found = measured("expression", faces(hopper_look.face, astronaut_look.face))
    assert found["expression_error"] > 0.2


def test_an_expression_that_was_not_read_is_said(model_face, smiling, faces, measured):
    with pytest.raises(MissingFigureError, match="expression of result was not read"):
        measured("expression", faces(model_face(), smiling()))
