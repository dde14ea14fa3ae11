"""What is taken for skin, for hair and for spectacles in a photo that nobody has marked."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sosie import face_mesh
from sosie.analysis.landmarker import SIDE_PX, square_matrix
from sosie.analysis.topology import region_of
from sosie.face_shape import silhouette
from sosie.geometry import compose, fill_polygon, transform_points
from sosie.training.analysis.visibility import labels
from sosie.training.analysis.visibility.labels import CORNERS, MAP_PX

CROP_PX = 224
SKIN, HAIR, WALL = (205, 158, 132), (52, 36, 26), (90, 110, 140)


@pytest.fixture
def points(model_face) -> np.ndarray:
    return model_face(unit_px=36, centre=(112, 112)).landmarks


def portrait(points: np.ndarray) -> np.ndarray:
    """Skin with brows, eyes and lips before a wall, with a little noise."""
    picture = np.full((CROP_PX, CROP_PX, 3), WALL, np.uint8)
    xy = np.round(points[:, :2]).astype(np.int32)
    cv2.fillPoly(picture, [xy[list(face_mesh.OVAL)]], SKIN)
    for ring, colour in (
        (face_mesh.RIGHT_BROW, (60, 45, 35)),
        (face_mesh.LEFT_BROW, (60, 45, 35)),
        (face_mesh.RIGHT_EYE, (235, 235, 230)),
        (face_mesh.LEFT_EYE, (235, 235, 230)),
        (face_mesh.OUTER_LIPS, (170, 70, 75)),
    ):
        cv2.fillConvexPoly(picture, cv2.convexHull(xy[list(ring)]), colour)
    noisy = picture + np.random.default_rng(0).normal(0, 2, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def on_map(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A mask of the crop as the label maps show it: bool, MAP_PX squared."""
    to_map = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]])
    matrix = compose(to_map, square_matrix(region_of(points)))
    return cv2.warpAffine(mask.astype(np.float32), matrix, (MAP_PX, MAP_PX)) > 0.5


def test_a_bare_face_is_trusted(points):
    trust = labels.by_colour(portrait(points), points)
    assert trust.shape == (MAP_PX, MAP_PX)
    assert set(np.unique(trust)) <= {0, 255}
    assert labels.doubt_of(trust, points) < 0.02


def test_a_fringe_is_not_trusted_and_the_rest_is(points):
    picture = portrait(points)
    # Over two thirds of the forehead.
    level = int((points[10, 1] + 2 * points[[105, 334], 1].mean()) / 3)
    picture[:level] = HAIR
    trust = labels.by_colour(picture, points)
    face = np.zeros((CROP_PX, CROP_PX), np.uint8)
    cv2.fillPoly(face, [np.round(points[list(face_mesh.OVAL), :2]).astype(np.int32)], 1)
    fringe, below = face.copy(), face.copy()
    fringe[level - 3 :] = 0
    below[: level + 8] = 0
    assert (trust[on_map(fringe, points)] == 0).mean() > 0.95
    assert (trust[on_map(below, points)] == 255).mean() > 0.98
    assert 0.05 < labels.doubt_of(trust, points) < 0.4


def test_a_thing_of_another_colour_on_the_cheek_is_not_trusted(points):
    picture = portrait(points)
    place = tuple(int(v) for v in np.round(points[205, :2]))
    cv2.circle(picture, place, 12, (30, 60, 200), -1)
    trust = labels.by_colour(picture, points)
    thing = np.zeros((CROP_PX, CROP_PX), np.uint8)
    cv2.circle(thing, place, 11, 1, -1)
    assert (trust[on_map(thing, points)] == 0).mean() > 0.95
    assert labels.doubt_of(trust, points) < 0.15


def test_spectacles_make_all_about_the_eyes_doubtful(points):
    picture = portrait(points)
    bare = labels.bridge_line(picture, points)
    ends = []
    for ring in (face_mesh.RIGHT_EYE, face_mesh.LEFT_EYE):
        x, y = np.round(points[list(ring), :2].mean(0)).astype(int)
        cv2.circle(picture, (int(x), int(y)), 14, (25, 25, 25), 2)
        ends.append((int(x), int(y)))
    bridge = [np.array([(ends[0][0] + 14, ends[0][1]), (ends[1][0] - 14, ends[1][1])])]
    cv2.polylines(picture, bridge, False, (25, 25, 25), 2)
    assert labels.bridge_line(picture, points) > 0.2
    assert bare < 0.05
    trust = labels.by_colour(picture, points)
    eyes = np.zeros((CROP_PX, CROP_PX), np.uint8)
    for end in ends:
        cv2.circle(eyes, end, 15, 1, -1)
    assert (trust[on_map(eyes, points)] == 0).all()
    chin = np.zeros((CROP_PX, CROP_PX), np.uint8)
    cv2.circle(chin, tuple(int(v) for v in points[200, :2]), 8, 1, -1)
    assert (trust[on_map(chin, points)] == 255).all()


@pytest.mark.parametrize("pose", [(0, 0, 0), (15, 5, 20), (45, 0, 0), (-60, 10, -15)])
def test_the_outline_is_that_of_the_surface(model_face, pose):
    points = model_face(*pose, unit_px=32, centre=(112, 112)).landmarks
    outline = labels.outline_of(points, CROP_PX)
    assert outline.shape == (CORNERS, 2)
    matrix = np.array([[2.0, 0, 3], [0, 2.0, 5]])
    filled = fill_polygon(transform_points(outline, matrix), 460, 460) > 127
    wanted = silhouette(transform_points(points, matrix), 460, 460) > 127
    assert (filled & wanted).sum() / (filled | wanted).sum() > 0.985


def test_a_networks_sure_answers_replace_the_colours(points):
    """Hidden where it says so surely; unknown where it does not know; both ways round alike."""

    class Network:
        def masks(self, squares):
            # As a network does, it falls to nothing at the face's edge.
            masks = np.full(squares.shape[:3], 0.95, np.float32)
            matrix = square_matrix(region_of(points))
            oval = transform_points(points[list(face_mesh.OVAL)], matrix)[:, :2]
            face = fill_polygon(oval, SIDE_PX, SIDE_PX).astype(np.float32) / 255
            masks *= cv2.GaussianBlur(face, (0, 0), 1.5)
            masks[squares[..., 2] > 180] = 0.02
            masks[squares[..., 1] > 180] = 0.6
            return masks

    picture = np.full((CROP_PX, CROP_PX, 3), 100, np.uint8)
    hidden, unsure = (np.zeros((CROP_PX, CROP_PX), np.uint8) for _ in range(2))
    cv2.rectangle(hidden, (80, 100), (110, 130), 1, -1)
    cv2.rectangle(unsure, (120, 100), (145, 130), 1, -1)
    picture[hidden > 0] = (100, 100, 255)
    picture[unsure > 0] = (100, 255, 100)
    visible, trust = labels._by_network(picture[None], points[None], Network())
    inner = cv2.erode(on_map(hidden, points).astype(np.uint8), np.ones((3, 3))) > 0
    assert (visible[0][inner] == 0).all()
    assert (trust[0][inner] == 255).all()
    between = cv2.erode(on_map(unsure, points).astype(np.uint8), np.ones((3, 3))) > 0
    assert (trust[0][between] == 0).all()
    chin = transform_points(points[[200]], square_matrix(region_of(points)))[0, :2]
    x, y = np.round(chin * MAP_PX / SIDE_PX).astype(int)
    assert visible[0, y, x] == trust[0, y, x] == 255
    assert labels.doubt_of(trust[0], points) < 0.2
    # Up to the edge: along the jaw, far from both.
    oval = transform_points(points[list(face_mesh.OVAL)], square_matrix(region_of(points)))[:, :2]
    jaw = oval[13:24]
    x, y = np.round((oval.mean(0) + 0.97 * (jaw - oval.mean(0))) * MAP_PX / SIDE_PX - 0.5).T
    assert (trust[0, y.astype(int), x.astype(int)] == 255).all()
    assert (visible[0, y.astype(int), x.astype(int)] == 255).all()


def test_labels_are_made_once(points, tmp_path: Path, monkeypatch):
    class Faces:
        crops = np.stack([portrait(points)] * 2)
        landmarks = np.stack([points] * 2)

    from sosie.training.recipe import Materials

    monkeypatch.setattr(labels, "open_faces", lambda materials: Faces)
    materials = Materials(tmp_path, tmp_path, tmp_path, workers=0)
    made = labels.open_labels(materials, Faces, None)
    assert made.visible.min() == 255
    assert made.doubt.max() < 0.02
    assert np.array_equal(made.trust[0], labels.by_colour(Faces.crops[0], points))
    monkeypatch.setattr(labels, "_label_range", lambda job: pytest.fail("made again"))
    again = labels.open_labels(materials, Faces, None)
    assert np.array_equal(again.outlines, made.outlines)
