from __future__ import annotations

import pytest

from sosie.datasets.extract.options import ExtractOptions, template_name, thread_count
from sosie.datasets.extract.writer import safe_name
from sosie.errors import UsageError


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ffhq", "ffhq"),
        ("FFHQ", "ffhq"),
        ("dfl-whole-face", "dfl_whole_face"),
        ("simswap", "arcface_112_v1"),
        ("arcface", "arcface"),
    ],
)
def test_templates_by_name(text, name):
    assert template_name(text) == name


def test_an_unknown_template_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'ffhq'"):
        template_name("fhq")


@pytest.mark.parametrize(
    "wrong",
    [
        {"align": "none"},
        {"picture": "bmp"},
        {"size_px": 64},
        {"size_px": 2048},
        {"every": 0},
        {"fps": 0.0},
        {"min_face": -1.0},
        {"per_second": 0.0},
        {"min_distance": 65},
        {"max_tilt_deg": 200.0},
        {"min_share": 1.5},
        {"max_blur_px": float("nan")},
        {"min_visible": 2.0},
        {"max_turn_deg": -5.0},
        {"threads": 0},
    ],
)
def test_options_out_of_bounds_are_refused(wrong):
    with pytest.raises(UsageError):
        ExtractOptions(**wrong)


def test_the_smallest_face_in_pixels_or_as_a_share():
    assert ExtractOptions(min_face=200).min_face_px == 200
    assert ExtractOptions(min_face=0.5, size_px=1024).min_face_px == 512
    assert thread_count(ExtractOptions(threads=3)) == 3
    assert thread_count(ExtractOptions()) >= 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a video", "a video"),
        ("../x", "_x"),
        ("a/b\\c:d", "a_b_c_d"),
        ("..", "unnamed"),
        ("é-1", "é-1"),
    ],
)
def test_names_that_every_system_takes(text, name):
    assert safe_name(text) == name
