"""The target's expression on the swapped face, by networks that tell what they were given."""

from __future__ import annotations

import numpy as np
import pytest
from tests.fixtures.portrait import EXPRESSION

from sosie.errors import InputError
from sosie.options import SwapOptions
from sosie.processors import create_processor
from sosie.reenactment.portrait.motion import AREAS, POINTS
from sosie.types import Crop, SwappedCrop

RED = (0.2, 0.8)
"""Of the swapped face and of the target."""


@pytest.fixture(scope="module")
def pair(model_face) -> tuple[Crop, SwappedCrop]:
    target = np.full((512, 512, 3), (round(RED[1] * 255), 100, 60), np.uint8)
    face = model_face(unit_px=100, center=(256, 256))
    whole = np.ones((512, 512), np.float32)
    crop = Crop(target, np.eye(2, 3), face.landmarks, face.landmarks, whole, face)
    pixels = np.full((512, 512, 3), (RED[0], 0.4, 0.25), np.float32)
    pixels.setflags(write=False)
    return crop, SwappedCrop(pixels, whole, np.zeros_like(whole))


def change(folder, pair, settings: str = ""):
    processor = create_processor(f"expression:{folder}{settings}", SwapOptions(threads=1))
    made = processor.process([pair[0]], [pair[1]])[0]
    return made.pixels - pair[1].pixels


@pytest.mark.parametrize(
    ("settings", "factor", "areas"),
    [
        ("", 0.96, ("upper", "lower")),
        (",factor=0.5", 0.5, ("upper", "lower")),
        (",factor=1.2,area=lower", 1.2, ("lower",)),
        (",area=upper,factor=1", 1.0, ("upper",)),
        (",factor=0", 0.0, ()),
    ],
)
def test_the_face_moves_by_the_difference_in_expression(
    settings, factor, areas, portrait_files, pair
):
    points = sum(len(AREAS[area]) for area in areas)
    expected = factor * EXPRESSION * (RED[1] - RED[0]) * points / POINTS
    for form in ("circulating", "imported"):
        found = change(portrait_files(form), pair, settings)
        assert np.allclose(found[100:-100, 100:-100], expected, atol=5e-4)


def test_nothing_changes_outside_the_box(portrait_files, pair):
    found = np.abs(change(portrait_files(), pair))
    edge = np.ones((512, 512), bool)
    edge[1:-1, 1:-1] = False
    assert found[edge].max() < 1e-4
    assert found[20, 256].max() < found[60, 256].max() < found[90, 256].max()


def test_the_faces_of_a_swap_get_it(portrait_files, tmp_path, monkeypatch, astronaut, hopper):
    """On the command line's way, nothing but the face changes."""
    import sosie

    processors = (f"expression:{portrait_files()}",)
    plain = sosie.swap_image(hopper, astronaut)
    moved = sosie.swap_image(hopper, astronaut, processors=processors)
    differs = np.argwhere((plain.image != moved.image).any(2))
    assert len(differs) > 500
    assert [one.name for one in moved.report.processors] == list(processors)
    assert {"appearance.onnx", "motion.onnx", "generator.onnx"} <= set(moved.report.networks)
    touched = np.argwhere((plain.image != astronaut).any(2))
    low, high = touched.min(0) - 8, touched.max(0) + 8
    assert (differs >= low).all()
    assert (differs <= high).all()


def test_wrong_files_are_told(tmp_path):
    with pytest.raises(InputError, match=r"lacks LivePortrait's .*: it has no \.onnx files; put"):
        create_processor(f"expression:{tmp_path}", SwapOptions())
