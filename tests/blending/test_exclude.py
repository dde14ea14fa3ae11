"""A patch beside another face: that face keeps every pixel, the rest of the patch stands."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sosie.blending.paste import paste, spare
from sosie.geometry import mesh
from sosie.geometry.alignment import fill_polygon
from sosie.types import Face, Patch


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_other_face_keeps_its_pixels(model_face: Callable[..., Face], dtype: type) -> None:
    top = np.iinfo(dtype).max
    frame = np.random.default_rng(0).integers(0, top, (240, 320, 3)).astype(dtype)
    patch = Patch(
        x=60,
        y=40,
        pixels=np.full((150, 120, 3), top, dtype),
        mask=np.ones((150, 120), bool),
    )
    other = model_face(unit_px=40, center=(200, 120))
    outline = other.landmarks[list(mesh.OVAL), :2]
    inside = fill_polygon(outline, 320, 240, antialiased=False) > 0
    covered = np.zeros((240, 320), bool)
    covered[40:190, 60:180] = True
    assert (inside & covered).sum() > 500

    cut = spare(patch, frame, other)
    pasted = frame.copy()
    paste(pasted, cut)
    assert np.array_equal(pasted[inside], frame[inside])
    far = covered & (np.arange(320) < 130)
    assert (pasted[far] == top).all()
    # A patch's pixels are the frame's wherever it does not write.
    there = frame[40:190, 60:180]
    assert np.array_equal(cut.pixels[~cut.mask], there[~cut.mask])
    # What was handed in is as it was.
    assert patch.mask.all()
    assert (patch.pixels == top).all()


def test_a_face_elsewhere_changes_nothing(model_face: Callable[..., Face]) -> None:
    patch = Patch(10, 10, np.zeros((50, 50, 3), np.uint8), np.ones((50, 50), bool))
    frame = np.full((240, 320, 3), 9, np.uint8)
    for center in ((200, 120), (200, 35), (35, 200), (-200, 30)):
        assert spare(patch, frame, model_face(unit_px=20, center=center)) is patch
