"""What is taken for skin, for hair and for spectacles in a photo that nobody has marked."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sosie.analysis.landmarker import square_matrix
from sosie.geometry import mesh
from sosie.geometry.alignment import compose
from sosie.geometry.head_pose import region_of
from sosie.recipes.occlusion import labels
from sosie.recipes.occlusion.labels import MAP_PX

CROP_PX = 224
SKIN, HAIR, WALL = (205, 158, 132), (52, 36, 26), (90, 110, 140)


@pytest.fixture
def points(model_face) -> np.ndarray:
    return model_face(unit_px=36, center=(112, 112)).landmarks


def portrait(points: np.ndarray) -> np.ndarray:
    """Skin with brows, eyes and lips before a wall, with a little noise."""
    picture = np.full((CROP_PX, CROP_PX, 3), WALL, np.uint8)
    xy = np.round(points[:, :2]).astype(np.int32)
    cv2.fillPoly(picture, [xy[list(mesh.OVAL)]], SKIN)
    for ring, color in (
        (mesh.RIGHT_BROW, (60, 45, 35)),
        (mesh.LEFT_BROW, (60, 45, 35)),
        (mesh.RIGHT_EYE, (235, 235, 230)),
        (mesh.LEFT_EYE, (235, 235, 230)),
        (mesh.OUTER_LIPS, (170, 70, 75)),
    ):
        cv2.fillConvexPoly(picture, cv2.convexHull(xy[list(ring)]), color)
    noisy = picture + np.random.default_rng(0).normal(0, 2, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def on_map(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A mask of the crop as the label maps show it: bool, MAP_PX squared."""
    to_map = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]])
    matrix = compose(to_map, square_matrix(region_of(points)))
    return cv2.warpAffine(mask.astype(np.float32), matrix, (MAP_PX, MAP_PX)) > 0.5


def test_a_bare_face_is_trusted(points):
    trust = labels.by_color(portrait(points), points)
    assert trust.shape == (MAP_PX, MAP_PX)
    assert set(np.unique(trust)) <= {0, 255}
    assert labels.doubt_of(trust, points) < 0.02


def test_a_fringe_is_not_trusted_and_the_rest_is(points):
    picture = portrait(points)
    # Over two thirds of the forehead.
    level = int((points[10, 1] + 2 * points[[105, 334], 1].mean()) / 3)
    picture[:level] = HAIR
    trust = labels.by_color(picture, points)
    face = np.zeros((CROP_PX, CROP_PX), np.uint8)
    cv2.fillPoly(face, [np.round(points[list(mesh.OVAL), :2]).astype(np.int32)], 1)
    fringe, below = face.copy(), face.copy()
    fringe[level - 3 :] = 0
    below[: level + 8] = 0
    assert (trust[on_map(fringe, points)] == 0).mean() > 0.95
    assert (trust[on_map(below, points)] == 255).mean() > 0.98
    assert 0.05 < labels.doubt_of(trust, points) < 0.4


def test_a_thing_of_another_color_on_the_cheek_is_not_trusted(points):
    picture = portrait(points)
    place = tuple(int(v) for v in np.round(points[205, :2]))
    cv2.circle(picture, place, 12, (30, 60, 200), -1)
    trust = labels.by_color(picture, points)
    thing = np.zeros((CROP_PX, CROP_PX), np.uint8)
    cv2.circle(thing, place, 11, 1, -1)
    assert (trust[on_map(thing, points)] == 0).mean() > 0.95
    assert labels.doubt_of(trust, points) < 0.15


def test_spectacles_make_all_about_the_eyes_doubtful(points):
    picture = portrait(points)
    bare = labels.bridge_line(picture, points)
    ends = []
    for ring in (mesh.RIGHT_EYE, mesh.LEFT_EYE):
        x, y = np.round(points[list(ring), :2].mean(0)).astype(int)
        cv2.circle(picture, (int(x), int(y)), 14, (25, 25, 25), 2)
        ends.append((int(x), int(y)))
    bridge = [np.array([(ends[0][0] + 14, ends[0][1]), (ends[1][0] - 14, ends[1][1])])]
    cv2.polylines(picture, bridge, False, (25, 25, 25), 2)
    assert labels.bridge_line(picture, points) > 0.2
    assert bare < 0.05
    trust = labels.by_color(picture, points)
    eyes = np.zeros((CROP_PX, CROP_PX), np.uint8)
    for end in ends:
        cv2.circle(eyes, end, 15, 1, -1)
    assert (trust[on_map(eyes, points)] == 0).all()
    chin = np.zeros((CROP_PX, CROP_PX), np.uint8)
    cv2.circle(chin, tuple(int(v) for v in points[200, :2]), 8, 1, -1)
    assert (trust[on_map(chin, points)] == 255).all()
