from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb2lab

from sosie.evaluation.metric import MissingFigureError


def plain(level, side=200):
    return np.full((side, side, 3), level, np.uint8)


def apart(one, other):
    """CIE 1976 difference of two colors."""
    colors = np.array([[one, other]], np.uint8)
    lab = rgb2lab(colors)[0]
    return float(np.linalg.norm(lab[0] - lab[1]))


def test_equal_pictures_are_perfect(untouched, measured):
    assert measured("light", untouched) == {"light_error": 0, "shading_error": 0}


@pytest.mark.parametrize("color", [(150, 150, 150), (60, 60, 60), (140, 110, 100)])
def test_a_plain_change_of_color(color, pictures, measured):
    found = measured("light", pictures(plain(120), plain(color)))
    assert found["light_error"] == pytest.approx(apart((120,) * 3, color), rel=0.02)
    assert found["shading_error"] == pytest.approx(0, abs=0.05)


def test_light_from_one_side_is_shading(pictures, measured):
    ramp = np.linspace(-40, 40, 200)[None, :, None]
    steep = [
        np.clip(120 + k * ramp + np.zeros((200, 1, 3)), 0, 255).astype(np.uint8) for k in (0.5, 1)
    ]
    weak, strong = (measured("light", pictures(plain(120), lit, 55)) for lit in steep)
    assert 2 < weak["shading_error"] < strong["shading_error"]
    # Lightness averages out over the face, its unevenness does not.
    assert strong["shading_error"] == pytest.approx(strong["light_error"], rel=0.1)


def test_detail_is_no_light(pictures, measured):
    stripes = plain(120)
    stripes[:, ::4], stripes[:, 1::4] = 140, 140
    stripes[:, 2::4], stripes[:, 3::4] = 100, 100
    found = measured("light", pictures(plain(120), stripes))
    assert found["light_error"] < 1


def test_a_darker_face_raises_the_error(swapped, astronaut, pictures, measured):
    dark = [(astronaut * share).astype(np.uint8) for share in (1, 0.9, 0.7, 0.5)]
    found = [measured("light", pictures(astronaut, d, 60))["light_error"] for d in dark]
    assert np.all(np.diff(found) > 2)


def test_pictures_of_two_sizes_are_refused(faces, pictures, measured):
    triple = pictures(plain(120), plain(120, 100))
    with pytest.raises(MissingFigureError, match="200 x 200 px and the result of 100 x 100"):
        measured("light", triple)
