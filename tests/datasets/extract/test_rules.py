"""Each rule on a picture made to break it, and on one that only comes near."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from PIL import Image

from sosie.analysis.analyzer import make_face
from sosie.datasets.extract.candidates import look
from sosie.datasets.extract.measurements import blur_px, light, own_scale
from sosie.datasets.extract.options import ExtractOptions
from sosie.datasets.extract.rules import REASONS, rejection, turn_deg
from sosie.geometry.alignment import TEMPLATES

OPTIONS = ExtractOptions(size_px=256)


@pytest.fixture
def judged(analyzer):
    """The largest face of a picture, as it was found."""

    def judge(pixels, **options):
        one = look(pixels, analyzer, dataclasses.replace(OPTIONS, **options))
        return max(one.faces, key=lambda found: found.face.size_px)

    return judge


def turned(pixels, degrees):
    return np.asarray(Image.fromarray(pixels).rotate(-degrees, Image.Resampling.BICUBIC))


def shrunk(pixels, share):
    size = round(pixels.shape[1] * share), round(pixels.shape[0] * share)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def smeared(pixels, length_px, upright):
    kernel = np.full((1, length_px), 1 / length_px, np.float32)
    return cv2.filter2D(pixels, -1, kernel.T if upright else kernel)


def hidden(pixels, face, points):
    """A gray board in front of these points of the face."""
    low, high = face.landmarks[points, :2].min(0), face.landmarks[points, :2].max(0)
    board = pixels.copy()
    (x0, y0), (x1, y1) = (low - 8).astype(int), (high + 8).astype(int)
    board[y0:y1, x0:x1] = (90, 110, 90)
    return board


def test_a_portrait_breaks_no_rule(judged, astronaut, hopper):
    assert judged(astronaut).rejected == ""
    assert judged(hopper).rejected == ""


@pytest.mark.parametrize(
    ("degrees", "reason"), [(20, ""), (-20, ""), (45, "tilted"), (180, "tilted")]
)
def test_a_tilted_head(judged, astronaut, degrees, reason):
    assert judged(turned(astronaut, degrees)).rejected == reason


def test_the_tilt_rule_can_be_moved_and_switched_off(judged, astronaut):
    picture = turned(astronaut, 45)
    assert judged(picture, max_tilt_deg=60.0).rejected == ""
    assert judged(picture, max_tilt_deg=None).rejected == ""


def test_a_blurred_face(judged, astronaut):
    out_of_focus = cv2.GaussianBlur(astronaut, (0, 0), 2.5)
    assert judged(out_of_focus).rejected == "blurred"
    assert judged(smeared(astronaut, 15, upright=False)).rejected == "blurred"
    assert judged(smeared(astronaut, 15, upright=True)).rejected == "blurred"
    assert judged(out_of_focus, max_blur_px=None).rejected == ""


@pytest.mark.parametrize("share", [1.0, 0.7, 0.5, 0.35])
def test_a_small_sharp_face_is_not_called_blurred(judged, astronaut, hopper, share):
    for portrait in (astronaut, hopper):
        found = judged(shrunk(portrait, share), min_face=16)
        assert found.rejected == ""
        assert found.blur_px < 1.8


def test_a_large_face_is_judged_by_the_detail_that_it_can_show(judged, astronaut):
    """Enlarged threefold nothing is as fine as the pixels, but at its own scale it is sharp."""
    assert judged(shrunk(astronaut, 3.0)).rejected == ""


def test_blur_is_measured_in_pixels(judged, astronaut):
    face = judged(astronaut).face
    plain = blur_px(own_scale(astronaut, face))
    for sigma in (1.5, 2.5, 3.5):
        told = blur_px(own_scale(cv2.GaussianBlur(astronaut, (0, 0), sigma), face))
        assert told == pytest.approx(np.hypot(plain, sigma), rel=0.35)


def test_a_covered_face(judged, astronaut):
    face = judged(astronaut).face
    mouth, nose = [61, 291, 0, 17, 200], [1, 4, 48, 278, 168]
    both_eyes = [33, 263, 159, 145, 386, 374]
    for points in (mouth, nose, both_eyes):
        board = hidden(astronaut, face, points)
        found = judged(board)
        assert found.rejected == "covered"
        assert judged(board, min_visible=None).rejected == ""
    forehead_corner = [67, 109, 103]
    assert judged(hidden(astronaut, face, forehead_corner)).rejected == ""


def test_a_face_cut_off_by_the_edge(judged, astronaut):
    face = judged(astronaut).face
    mouth = int(face.landmarks[13, 1])
    assert judged(astronaut[:mouth]).rejected == "covered"
    chin = int(face.landmarks[152, 1])
    assert judged(astronaut[: chin + 4]).rejected == ""


def test_a_face_that_fills_little_of_the_picture(judged, astronaut):
    assert judged(astronaut, min_share=0.75).rejected == "small"
    assert judged(astronaut, min_share=None).rejected == ""


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_no_template_makes_a_face_small(judged, astronaut, template):
    assert judged(astronaut, align=template).rejected == ""


@pytest.mark.parametrize("yaw", [-90, -60, 0, 60, 90])
def test_a_full_profile_stays(model_face, yaw):
    told = {**dict.fromkeys(REASONS, 0.0), "small": 1.0, "covered": 1.0}
    told["turned"] = turn_deg(model_face(yaw=yaw))
    assert told["turned"] == pytest.approx(abs(yaw), abs=12)
    assert rejection(told, OPTIONS) == ""


@pytest.mark.parametrize(("yaw", "pitch"), [(130, 0), (-130, 0), (0, 125), (150, 30)])
def test_a_head_turned_away(model_face, yaw, pitch):
    face = model_face(yaw=yaw, pitch=pitch)
    told = {**dict.fromkeys(REASONS, 0.0), "small": 1.0, "covered": 1.0, "turned": turn_deg(face)}
    assert rejection(told, OPTIONS) == "turned"
    assert rejection(told, dataclasses.replace(OPTIONS, max_turn_deg=None)) == ""


def test_the_turn_limit_can_be_moved(judged, astronaut):
    turn = turn_deg(judged(astronaut).face)
    assert judged(astronaut, max_turn_deg=turn - 1).rejected == "turned"


def test_light_is_measured(judged, astronaut):
    face = judged(astronaut).face
    ramp = np.linspace(0.4, 1.6, astronaut.shape[1])[None, :, None]
    lit = np.clip(astronaut * ramp, 0, 255).astype(np.uint8)
    dark = astronaut // 3
    plain, right, low = (light(own_scale(one, face)) for one in (astronaut, lit, dark))
    assert right.side_light > plain.side_light + 0.03
    assert low.brightness == pytest.approx(plain.brightness / 3, abs=0.01)
    assert low.contrast == pytest.approx(plain.contrast / 3, abs=0.01)


def test_a_face_without_a_single_pixel_has_figures(astronaut, model_face):
    """Far outside the frame: nothing to divide by."""
    far = make_face(model_face().landmarks + np.float32(9000), 0.5)
    own = own_scale(np.zeros((64, 64, 3), np.uint8), far)
    assert np.isfinite(blur_px(own))
    assert np.isfinite(dataclasses.astuple(light(own))).all()
