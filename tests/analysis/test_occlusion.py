"""What hides a face, told by colour: found when it reaches in, never a feature of the face."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from sosie import face_mesh
from sosie.analysis import occlusion
from sosie.face_shape import face_shape
from sosie.types import Face

ModelFace = Callable[..., Face]
SHAPE = face_shape()
FAIR, DARK = (214, 164, 138), (96, 62, 46)
BROWN, BLACK, GREEN = (70, 45, 25), (18, 16, 16), (40, 150, 60)


def outline_of(face: Face, shape: tuple[int, ...], shrink_px: int = 0) -> np.ndarray:
    inside = np.zeros(shape[:2], np.uint8)
    corners = np.round(face.landmarks[list(face_mesh.OVAL), :2]).astype(np.int32)
    cv2.fillPoly(inside, [corners], 1)
    size = 2 * shrink_px + 1
    return cv2.erode(inside, np.ones((size, size), np.uint8)) > 0


def portrait(face: Face, skin: tuple[int, int, int], light: float = 0.0) -> np.ndarray:
    """A face of one skin with brows, eyes and lips, before a blue-grey wall; `light`: by how much
    its right side is darker."""
    picture = np.full((256, 256, 3), skin, float)
    for ring, colour in (
        (face_mesh.RIGHT_BROW, (60, 45, 35)),
        (face_mesh.LEFT_BROW, (60, 45, 35)),
        (face_mesh.RIGHT_EYE, (235, 235, 230)),
        (face_mesh.LEFT_EYE, (235, 235, 230)),
        (face_mesh.OUTER_LIPS, (170, 70, 75)),
    ):
        corners = np.round(face.landmarks[list(ring), :2]).astype(np.int32)
        cv2.fillPoly(picture, [cv2.convexHull(corners)], colour)
    for iris in (468, 473):
        x, y = np.round(face.landmarks[iris, :2]).astype(int)
        cv2.circle(picture, (int(x), int(y)), 4, (40, 60, 40), -1)
    picture = cv2.GaussianBlur(picture, (0, 0), 1.0)
    picture *= np.linspace(1, 1 - light, 256)[None, :, None]
    picture += np.random.default_rng(0).normal(0, 3, picture.shape)
    wall = cv2.dilate(outline_of(face, picture.shape).astype(np.uint8), np.ones((9, 9))) == 0
    picture[wall] = (90, 110, 140)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def above_brows(face: Face, share: float) -> np.ndarray:
    """bool, 256 x 256: above a line that lies `share` of the way from the brows to the hairline."""
    down = face.landmarks[152, :2] - face.landmarks[10, :2]
    down /= np.linalg.norm(down)
    line = (1 - share) * face.landmarks[[105, 334], :2].mean(0) + share * face.landmarks[10, :2]
    rows, columns = np.indices((256, 256))
    return (columns - line[0]) * down[0] + (rows - line[1]) * down[1] < 0


def hidden_from_above(
    face: Face,
    share: float,
    skin: tuple[int, int, int] = FAIR,
    colour: tuple[int, int, int] = BLACK,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A portrait that something of one colour hangs into, where it does, and what of the face is
    found to be visible."""
    picture = portrait(face, skin)
    covered = above_brows(face, share)
    picture[covered] = colour
    return picture, covered, occlusion.visible_face(picture, face.landmarks)


each_skin = pytest.mark.parametrize("skin", [FAIR, DARK], ids=["fair", "dark"])


@each_skin
@pytest.mark.parametrize("light", [0.0, 0.5])
@pytest.mark.parametrize("pose", [(0, 0, 0), (25, -8, 40)])
def test_a_bare_face_is_wholly_visible(
    model_face: ModelFace, skin: tuple[int, int, int], light: float, pose: tuple[float, ...]
) -> None:
    face = model_face(*pose, unit_px=65)
    picture = portrait(face, skin, light)
    before = picture.copy()
    visible = occlusion.visible_face(picture, face.landmarks)
    assert visible.dtype == np.float32
    assert visible.shape == (256, 256)
    assert visible.min() >= 0
    assert visible.max() <= 1
    assert visible[outline_of(face, picture.shape)].mean() > 0.995
    assert np.array_equal(picture, before)


@each_skin
@pytest.mark.parametrize("colour", [BLACK, GREEN], ids=["hair", "scarf"])
@pytest.mark.parametrize("pose", [(0, 0, 0), (20, 5, -30)])
def test_a_fringe_or_a_hat_is_found(
    model_face: ModelFace,
    skin: tuple[int, int, int],
    colour: tuple[int, int, int],
    pose: tuple[float, ...],
) -> None:
    face = model_face(*pose, unit_px=65)
    picture, covered, visible = hidden_from_above(face, 0.45, skin, colour)
    inside = outline_of(face, picture.shape, 6)
    assert (inside & covered).sum() > 800
    assert visible[inside & covered].mean() < 0.12
    below = inside & ~above_brows(face, 0.15)
    assert visible[below].mean() > 0.98


def test_brown_hair_over_fair_skin_is_found(model_face: ModelFace) -> None:
    face = model_face(unit_px=65)
    picture, covered, visible = hidden_from_above(face, 0.4, colour=BROWN)
    assert visible[outline_of(face, picture.shape, 6) & covered].mean() < 0.12


def test_background_inside_the_outline_is_found(model_face: ModelFace) -> None:
    """Landmarks that reach beyond the cheek take in the wall behind it."""
    face = model_face(unit_px=65)
    picture = portrait(face, FAIR)
    beyond = np.zeros((256, 256), bool)
    beyond[:, : int(face.landmarks[234, 0]) + 16] = True
    picture[beyond] = (90, 110, 140)
    visible = occlusion.visible_face(picture, face.landmarks)
    inside = outline_of(face, picture.shape)
    assert visible[inside & beyond].mean() < 0.35
    far = inside.copy()
    far[:, : int(face.landmarks[234, 0]) + 26] = False
    assert visible[far].mean() > 0.99


def test_the_edge_of_what_hides_is_where_it_is(model_face: ModelFace) -> None:
    face = model_face(unit_px=65)
    _, covered, visible = hidden_from_above(face, 0.45)
    column = visible[:, 128]
    edge = int(np.flatnonzero(~covered[:, 128])[0])
    half = np.flatnonzero(column[edge - 15 :] > 0.5)[0] + edge - 15
    # The view has a pixel for 2.5 of the picture.
    assert abs(half - edge) < 6


@each_skin
def test_a_spot_that_does_not_reach_in_is_the_faces_own(
    model_face: ModelFace, skin: tuple[int, int, int]
) -> None:
    """A birthmark, a bindi, a shadow beside the nose."""
    face = model_face(unit_px=65)
    picture = portrait(face, skin)
    for point in (151, 280, 187):
        x, y = np.round(face.landmarks[point, :2]).astype(int)
        cv2.circle(picture, (int(x), int(y)), 6, (120, 20, 40), -1)
    visible = occlusion.visible_face(picture, face.landmarks)
    assert visible[outline_of(face, picture.shape)].mean() > 0.99


def test_brows_lips_and_a_beard_are_the_faces_own(model_face: ModelFace) -> None:
    face = model_face(unit_px=65)
    picture = portrait(face, FAIR)
    rows = np.indices((256, 256))[0]
    bearded = outline_of(face, picture.shape) & (rows > face.landmarks[164, 1])
    lips = np.zeros((256, 256), np.uint8)
    corners = np.round(face.landmarks[list(face_mesh.OUTER_LIPS), :2]).astype(np.int32)
    cv2.fillPoly(lips, [corners], 1)
    picture[bearded & (lips == 0)] = (74, 58, 48)
    visible = occlusion.visible_face(picture, face.landmarks)
    assert visible[bearded].mean() > 0.95
    for ring in (face_mesh.RIGHT_BROW, face_mesh.LEFT_EYE, face_mesh.OUTER_LIPS):
        places = np.round(face.landmarks[list(ring), :2]).astype(int)
        assert visible[places[:, 1], places[:, 0]].min() > 0.9


def test_nothing_is_judged_outside_the_face(model_face: ModelFace) -> None:
    face = model_face(unit_px=40)
    picture = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    visible = occlusion.visible_face(picture, face.landmarks)
    far = cv2.dilate(outline_of(face, picture.shape).astype(np.uint8), np.ones((25, 25))) == 0
    assert (visible[far] == 1).all()


def test_sixteen_bits_are_judged_like_eight(model_face: ModelFace) -> None:
    face = model_face(unit_px=65)
    picture, _, eight = hidden_from_above(face, 0.45)
    sixteen = occlusion.visible_face(picture.astype(np.uint16) * 257, face.landmarks)
    assert np.abs(eight - sixteen).mean() < 0.01
    assert eight.min() < 0.1


def test_a_face_that_the_frame_cuts(model_face: ModelFace) -> None:
    face = model_face(unit_px=65, centre=(10, 250))
    visible = occlusion.visible_face(portrait(face, FAIR), face.landmarks)
    assert visible.shape == (256, 256)
    assert visible[outline_of(face, (256, 256))].mean() > 0.98


def test_the_face_stands_at_one_place_in_every_view(model_face: ModelFace) -> None:
    for roll, unit_px, centre in ((0, 30, (80, 90)), (35, 90, (150, 140)), (-150, 55, (128, 128))):
        face = model_face(roll=roll, unit_px=unit_px, centre=centre)
        matrix = occlusion.view_matrix(face.landmarks)
        points = face.landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        oval = points[list(face_mesh.OVAL)]
        assert np.allclose((oval.min(0) + oval.max(0)) / 2, 64, atol=4)
        assert np.sqrt(np.prod(np.ptp(oval, axis=0))) == pytest.approx(80, rel=0.08)
        eyes = points[263] - points[33]
        assert eyes[0] > 0
        assert abs(np.degrees(np.arctan2(eyes[1], eyes[0]))) < 2


def test_a_view_laid_back_is_one_beyond_itself(model_face: ModelFace) -> None:
    face = model_face(unit_px=20, centre=(60, 60))
    matrix = occlusion.view_matrix(face.landmarks)
    placed = occlusion.place_view(np.zeros((128, 128), np.float32), matrix, 300, 280)
    assert placed.shape == (280, 300)
    assert placed[60, 60] == 0
    assert placed[250, 250] == 1


def test_bare_skin_under_a_fringe_is_visible(astronaut: np.ndarray, astronaut_face: Face) -> None:
    visible = occlusion.visible_face(astronaut, astronaut_face.landmarks)
    cheeks = np.round(astronaut_face.landmarks[[50, 280, 1, 152, 205, 425], :2]).astype(int)
    assert visible[cheeks[:, 1], cheeks[:, 0]].min() > 0.9


def test_a_real_hat_and_spectacles(hopper: np.ndarray, hopper_face: Face) -> None:
    """Under a cap: what of it lies inside the outline is found, the spectacles are worn."""
    visible = occlusion.visible_face(hopper, hopper_face.landmarks)
    inside = outline_of(hopper_face, hopper.shape)
    rows = np.indices(inside.shape)[0]
    lower = inside & (rows > hopper_face.landmarks[6, 1])
    assert visible[lower].mean() > 0.97
    assert visible[inside].mean() > 0.85
