"""DeepFaceLab's crops, by the points that it fits."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.geometry import alignment, mesh
from sosie.geometry.face_types import FACE_TYPES, annotated_matrix, face_matrix, template_of
from sosie.geometry.morphable_model import face_shape

TYPES = list(FACE_TYPES)


def places(face, template: str) -> np.ndarray:
    """The five points on the unit crop."""
    return alignment.transform_points(face.points5, face_matrix(face, template, 1))


def test_the_whole_face_is_where_a_published_program_looks_for_it(model_face):
    """FaceFusion's five points of that crop, which are rounded to pixels of its own."""
    published = alignment.TEMPLATES["dfl_whole_face"]
    assert np.abs(places(model_face(), "dfl_whole") - published).max() < 0.025


def test_the_points_on_the_mean_face_are_where_they_were_published(model_face):
    """Of a face that has exactly these points, the square of `half` is the unit square."""
    points = alignment.transform_points(
        face_shape().mean[list(mesh.ANNOTATED), :2], [[90, 0, 300], [0, 90, 200]]
    )
    first = annotated_matrix(points, FACE_TYPES["half"], 100)
    # What the fit leaves is the difference of two mean faces.
    seen = alignment.transform_points(points, first)
    for number, x, y in ((17, 0.02, 10.65), (26, 98.0, 10.65), (54, 72.61, 78.02)):
        assert np.abs(seen[number] - (x, y)).max() < 2.5
    # Twice the size and turned, the crop shows the same.
    turned = alignment.transform_points(points, [[0, -2, 900], [2, 0, 30]])
    again = annotated_matrix(turned, FACE_TYPES["half"], 100)
    assert np.allclose(alignment.transform_points(turned, again), seen, atol=1e-3)


@pytest.mark.parametrize("name", TYPES)
def test_each_face_type_is_scaled_by_its_padding(name, model_face):
    """Half diagonal = diagonal x (padding x sqrt 2 + 1/2), about the same center but for `up`."""
    face = model_face(unit_px=50)
    half = face_matrix(face, template_of("half"), 256)
    own = face_matrix(face, template_of(name), 256)
    kind = FACE_TYPES[name]
    shrunk = alignment.scale_of(half) / alignment.scale_of(own)
    assert shrunk == pytest.approx(2 * (kind.padding * np.sqrt(2) + 0.5), rel=1e-6)
    center = alignment.transform_points([[128, 128 - 256 * kind.up]], alignment.invert(half))
    there = alignment.transform_points(center, own)[0]
    assert there[1] == pytest.approx(128, abs=0.01)
    assert there[0] == pytest.approx(128, abs=0.5 if kind.follows_yaw else 0.01)


def test_more_is_shown_from_type_to_type_in_their_order(model_face):
    scales = [alignment.scale_of(face_matrix(model_face(), template_of(n), 256)) for n in TYPES]
    assert scales == sorted(scales, reverse=True)


@pytest.mark.parametrize("yaw", [-40, 40])
def test_the_head_is_followed_to_the_side_where_more_of_it_is_seen(yaw, model_face):
    """A face that looks to the image's right shows more of the cheek on the left."""
    face = model_face(yaw, unit_px=50)
    x = {
        name: alignment.transform_points(
            [[128, 128]], alignment.invert(face_matrix(face, template_of(name), 256))
        )[0, 0]
        for name in ("whole", "head")
    }
    assert np.sign(x["head"] - x["whole"]) == -np.sign(yaw)
    assert abs(x["head"] - x["whole"]) > 5
