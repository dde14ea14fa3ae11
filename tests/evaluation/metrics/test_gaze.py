from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sosie.evaluation.metric import MissingFigureError
from sosie.evaluation.metrics.attributes import gaze
from sosie.geometry import mesh

EYEBALL = 12 / 63 * 1.19
IRISES = [*mesh.RIGHT_IRIS, *mesh.LEFT_IRIS]


def moved(across=0.0, down=0.0):
    """A canonical change of the irises, in radii of the eyeball."""
    change = np.zeros((478, 3))
    change[IRISES, :2] = np.array([across, down]) * EYEBALL
    return change


def blinking(face):
    points = face.landmarks.copy()
    for ring in (mesh.RIGHT_EYE, mesh.LEFT_EYE):
        half = len(ring) // 2
        for low, high in zip(ring[1:half], reversed(ring[half + 1 :]), strict=True):
            points[low] = points[high] = (points[low] + points[high]) / 2
    return replace(face, landmarks=points)


def test_equal_gazes_are_perfect(untouched, measured):
    assert measured("gaze", untouched) == {"gaze_error": 0}


@pytest.mark.parametrize("axis", ["across", "down"])
@pytest.mark.parametrize("degrees", [-20, 10, 25])
def test_irises_moved_by_the_sine_of_an_angle(axis, degrees, model_face, faces, measured):
    shift = float(np.sin(np.radians(degrees)))
    start = gaze(model_face(), [0, 1])
    looking = model_face(change=moved(**{axis: shift}))
    found = measured("gaze", faces(looking))["gaze_error"]
    # The mean face does not look exactly ahead; the arcs are of slightly other lengths.
    assert found == pytest.approx(abs(degrees), rel=0.15)
    step = gaze(looking, [0, 1]) - start
    assert np.sign(step[0 if axis == "across" else 1]) == np.sign(degrees)


def test_a_turned_head_alone_is_no_change_of_gaze(model_face, faces, measured):
    found = measured("gaze", faces(model_face(yaw=25, pitch=-10, roll=15)))
    assert found["gaze_error"] == pytest.approx(0, abs=0.5)


def test_a_wider_look_aside_is_a_greater_error(model_face, faces, measured):
    found = [
        measured("gaze", faces(model_face(change=moved(across=a))))["gaze_error"]
        for a in np.linspace(0, 0.6, 7)
    ]
    assert np.all(np.diff(found) > 3)


def test_shut_eyes_and_profiles_are_said(model_face, faces, measured):
    with pytest.raises(MissingFigureError, match="eyes are shut in result"):
        measured("gaze", faces(blinking(model_face())))
    with pytest.raises(MissingFigureError, match="head of result is turned too far"):
        measured("gaze", faces(model_face(yaw=75)))
