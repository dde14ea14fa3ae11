from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.color import rgb2lab

from sosie.evaluation.generators import paste_face
from sosie.evaluation.metric import MissingFigureError
from sosie.evaluation.sample import AnalyzedImage, Sample

SIDE = 360


def plain(level=100):
    return np.full((SIDE, SIDE, 3), level, np.uint8)


def pasted(level, soft_px=0.0, onto=None):
    """A square of one color in the middle, with a hard or a soft edge."""
    base = plain() if onto is None else onto
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[120:240, 120:240] = 1
    if soft_px:
        mask = cv2.GaussianBlur(mask, (0, 0), soft_px)
        mask[mask < 0.02] = 0
    mixed = base + mask[..., None] * (np.asarray(level, np.float32) - base)
    return mixed.round().astype(np.uint8)


def apart(one, other):
    lab = rgb2lab(np.array([[[one] * 3, [other] * 3]], np.uint8))[0]
    return float(np.linalg.norm(lab[0] - lab[1]))


def test_an_untouched_result_has_no_seam(untouched, measured):
    assert measured("seam", untouched) == {"seam_gradient": 0, "seam_colour": 0}


def test_a_hard_edge_of_known_height(pictures, measured):
    found = measured("seam", pictures(plain(), pasted(140)))
    # Central differences see half of the step from the two pixels at it, and nothing from the two
    # beside them.
    assert found["seam_gradient"] == pytest.approx(40 / 2 / 2, rel=0.06)
    assert found["seam_colour"] == pytest.approx(apart(100, 140), rel=0.06)


def test_a_higher_step_is_a_greater_seam(pictures, measured):
    found = [measured("seam", pictures(plain(), pasted(level))) for level in (101, 110, 130, 180)]
    for name in ("seam_gradient", "seam_colour"):
        values = [f[name] for f in found]
        assert np.all(np.diff(values) > 0) and values[0] < 1, name


def test_a_soft_edge_is_less_steep(pictures, measured):
    found = [
        measured("seam", pictures(plain(), pasted(180, soft)))["seam_gradient"]
        for soft in (0, 2, 6)
    ]
    assert found[0] > 2 * found[1] > 2 * found[2] > 0


def test_an_edge_of_the_target_is_not_charged(pictures, measured):
    """The target is dark within the same square: there it had an edge before."""
    target = pasted(60)
    kept = np.where(target == 60, 61, target).astype(np.uint8)
    found = measured("seam", pictures(target, kept))
    assert found["seam_gradient"] < 0.5
    assert found["seam_colour"] < 1


def test_detail_of_the_target_hides_no_seam(astronaut, astronaut_look, measured):
    x, y = map(int, astronaut_look.face.center)
    result = astronaut.copy()
    result[y - 40 : y + 40, x - 40 : x + 40] = 255 - result[y - 40 : y + 40, x - 40 : x + 40] // 2
    look = AnalyzedImage(result, "result", astronaut_look.face)
    found = measured("seam", Sample(astronaut_look, astronaut_look, look))
    assert found["seam_gradient"] > 10 and found["seam_colour"] > 10


def test_the_blended_swap_has_less_of_a_seam_than_a_paste(swapped, hopper_look, measured):

    target = swapped.target
    pasted_face = paste_face(hopper_look.pixels, target.pixels, hopper_look.face, target.face)
    sample = Sample(
        hopper_look, target, AnalyzedImage(np.asarray(pasted_face, np.uint8), "paste", target.face)
    )
    blended, hard = measured("seam", swapped), measured("seam", sample)
    assert blended["seam_gradient"] < hard["seam_gradient"]
    assert blended["seam_colour"] < hard["seam_colour"]


def test_a_wholly_changed_picture_has_no_edge(pictures, measured):
    with pytest.raises(MissingFigureError, match="no edge in the picture"):
        measured("seam", pictures(plain(), plain(140), unit_px=150))
