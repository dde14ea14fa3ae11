"""What hides a face: the network's answer laid over the face, and what the shipped network sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from sosie.analysis import occlusion
from sosie.analysis.analyser import Analyser
from sosie.analysis.landmarker import SIDE_PX, square_matrix
from sosie.analysis.topology import MIRROR, region_of
from sosie.analysis.visibility import Visibility
from sosie.face_shape import silhouette
from sosie.geometry import scale_of, transform_points
from sosie.types import Face

ModelFace = Callable[..., Face]
Network = Callable[[np.ndarray], Visibility]
SEEN, HIDING = (200, 0, 0), (0, 0, 200)


class Answers:
    """Stands for a session: what it is told to answer, or, told nothing, that red is the face."""

    def __init__(self, mask: np.ndarray | None = None) -> None:
        self._mask = mask

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self._mask is None:
            return {"visible": inputs["pixels"][..., 0].astype(np.float32) / SEEN[0]}
        return {"visible": self._mask[None].astype(np.float32)}


def in_view(face: Face, grow_px: int = 0) -> np.ndarray:
    """bool, the view's size: the face's surface, grown on every side, or shrunk."""
    points = transform_points(face.landmarks, square_matrix(region_of(face.landmarks)))
    return _grown(silhouette(points, SIDE_PX, SIDE_PX) > 127, grow_px)


def in_picture(face: Face, shape: tuple[int, ...], grow_px: int = 0) -> np.ndarray:
    return _grown(silhouette(face.landmarks, shape[1], shape[0]) > 127, grow_px)


def _grown(mask: np.ndarray, by_px: int) -> np.ndarray:
    side = 2 * abs(by_px) + 1
    change = cv2.dilate if by_px > 0 else cv2.erode
    return change(mask.astype(np.uint8), np.ones((side, side), np.uint8)) > 0


def view_of(face: Face, mask: np.ndarray) -> np.ndarray:
    """The view that follows from a network's answer, whatever the picture shows."""
    pixels = np.zeros((256, 256, 3), np.uint8)
    return occlusion.face_view(Visibility(Answers(mask)), pixels, face.landmarks)


def bare_answer(face: Face) -> np.ndarray:
    """What a network says of a bare face: it falls off over the face's edge."""
    return cv2.GaussianBlur(in_view(face).astype(np.float32), (0, 0), 2)


each_pose = pytest.mark.parametrize(
    "pose", [(0, 0, 0), (25, -8, 40), (-50, 5, -20), (0, 0, 170)], ids=str
)


@each_pose
def test_a_bare_face_is_visible_up_to_its_edge(
    model_face: ModelFace, pose: tuple[float, ...]
) -> None:
    face = model_face(*pose)
    answer = bare_answer(face)
    assert answer[in_view(face)].min() < 0.5
    assert view_of(face, answer).min() > 0.98


@each_pose
def test_what_reaches_in_hides_up_to_the_edge(
    model_face: ModelFace, pose: tuple[float, ...]
) -> None:
    face = model_face(*pose)
    answer = bare_answer(face)
    answer[:54] = 0
    visible = view_of(face, answer)
    inside = in_view(face)
    rows = np.indices(inside.shape)[0]
    above, below = inside & (rows < 51), inside & (rows > 58)
    assert above.sum() > 400
    assert visible[above].max() < 0.02
    assert visible[below].min() > 0.98


def test_where_a_hidden_part_ends(model_face: ModelFace) -> None:
    """Where the answer is half way from hidden to visible, give or take a pixel."""
    answer = np.broadcast_to(np.clip((np.arange(SIDE_PX) - 61.5) / 3 + 0.5, 0, 1), (128, 128))
    row = view_of(model_face(), answer)[64]
    half_way = (occlusion._HIDDEN + occlusion._VISIBLE) / 2
    assert abs(np.interp(0.5, row[50:75], np.arange(50, 75)) - (61.5 + 3 * (half_way - 0.5))) < 1


def test_a_slight_doubt_is_no_hole(model_face: ModelFace) -> None:
    face = model_face()
    answer = bare_answer(face)
    for doubtful in (0.55, occlusion._VISIBLE + 0.05):
        answer[50:60, 40:60] = doubtful
        assert view_of(face, answer).min() > 0.99
    answer[50:60, 40:60] = occlusion._HIDDEN - 0.05
    assert view_of(face, answer)[52:58, 42:58].max() < 0.01


@pytest.mark.parametrize("yaw", [0, 50])
def test_nothing_is_judged_outside_the_face(model_face: ModelFace, yaw: float) -> None:
    face = model_face(yaw)
    visible = view_of(face, np.zeros((SIDE_PX, SIDE_PX)))
    assert visible[in_view(face)].max() == 0
    assert visible[~in_view(face, 7)].min() == 1
    assert (~in_view(face, 7)).sum() > 4000


def test_what_is_wholly_hidden_is_so_up_to_the_edge_in_the_picture(model_face: ModelFace) -> None:
    face = model_face(20, unit_px=200, centre=(400, 400))
    view = view_of(face, np.zeros((SIDE_PX, SIDE_PX)))
    assert (
        occlusion.place_view(view, face.landmarks, 800, 800)[in_picture(face, (800, 800))].max()
        == 0
    )


def test_a_mirrored_face_has_a_mirrored_view(model_face: ModelFace) -> None:
    face = model_face(20, 5, 10)
    mirrored = face.landmarks[MIRROR].copy()
    mirrored[:, 0] = 255 - mirrored[:, 0]
    answer = bare_answer(face)
    answer[40:70, :55] = 0
    one = view_of(face, answer)
    other = view_of(replace(face, landmarks=mirrored), answer[:, ::-1])
    assert one.min() == 0
    apart = np.abs(one - other[:, ::-1])
    # Pixels at the same distance from two others may follow either.
    assert apart.mean() < 0.003
    assert (apart > 0.1).sum() < 40


def test_a_face_too_narrow_to_be_judged(model_face: ModelFace) -> None:
    face = model_face()
    narrow = (face.landmarks - (128, 128, 0)) * (0.02, 1, 1) + (128, 128, 0)
    visible = view_of(
        replace(face, landmarks=narrow.astype(np.float32)), np.zeros((SIDE_PX, SIDE_PX))
    )
    assert visible.min() == 1


def hidden_and_found(face: Face, radius_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a disc over the mouth hides a face in a picture, and where it is found to, bool."""
    picture = np.full((256, 256, 3), SEEN, np.uint8)
    x, y = np.round(face.landmarks[[13, 61], :2].mean(0)).astype(int)
    cv2.circle(picture, (int(x), int(y)), radius_px, HIDING, -1)
    before = picture.copy()
    view = occlusion.face_view(Visibility(Answers()), picture, face.landmarks)
    visible = occlusion.place_view(view, face.landmarks, 256, 256)
    assert np.array_equal(picture, before)
    assert visible.dtype == np.float32
    inside = in_picture(face, picture.shape)
    return inside & (picture[..., 0] == 0), inside & (visible < 0.5)


each_place = pytest.mark.parametrize(
    ("pose", "unit_px", "centre"),
    [((0, 0, 0), 60, (128, 128)), ((25, -8, 40), 65, (120, 135)), ((0, 0, 170), 30, (90, 160)),
     ((-15, 0, -80), 90, (140, 120))],
)  # fmt: skip


@each_place
def test_a_view_lies_where_the_face_is(
    model_face: ModelFace,
    pose: tuple[float, ...],
    unit_px: float,
    centre: tuple[float, float],
) -> None:
    """Something over the lower half of a tilted face is found there in the picture."""
    face = model_face(*pose, unit_px=unit_px, centre=centre)
    wanted, found = hidden_and_found(face, round(0.9 * unit_px))
    assert (wanted & found).sum() > 0.93 * (wanted | found).sum()


@each_place
def test_what_is_found_ends_within_a_pixel_of_the_view(
    model_face: ModelFace,
    pose: tuple[float, ...],
    unit_px: float,
    centre: tuple[float, float],
) -> None:
    """Of what lies wholly within the face, no more is found than there is, and no less than that
    without a rim of one pixel."""
    face = model_face(*pose, unit_px=unit_px, centre=centre)
    wanted, found = hidden_and_found(face, round(0.5 * unit_px))
    view_px = round(1 / scale_of(square_matrix(region_of(face.landmarks))))
    assert not (_grown(wanted, -view_px) & ~found).any()
    assert not (found & ~_grown(wanted, 1)).any()


def test_a_view_laid_over_a_picture_is_one_beyond_itself(model_face: ModelFace) -> None:
    face = model_face(unit_px=20, centre=(60, 60))
    placed = occlusion.place_view(np.zeros((128, 128), np.float32), face.landmarks, 300, 280)
    assert placed.shape == (280, 300)
    assert placed[60, 60] == 0
    assert placed[250, 250] == 1


def test_a_face_that_the_frame_cuts(model_face: ModelFace) -> None:
    face = model_face(centre=(10, 250))
    picture = np.full((256, 256, 3), SEEN, np.uint8)
    picture[:, :30] = HIDING
    view = occlusion.face_view(Visibility(Answers()), picture, face.landmarks)
    visible = occlusion.place_view(view, face.landmarks, 256, 256)
    inside = in_picture(face, picture.shape)
    assert visible[:, :26][inside[:, :26]].max() < 0.05
    assert visible[:, 34:][inside[:, 34:]].min() > 0.95


def test_all_visible_is_a_view_of_ones() -> None:
    assert occlusion.all_visible().dtype == np.float32
    assert np.array_equal(occlusion.all_visible(), np.ones((SIDE_PX, SIDE_PX)))


# The shipped network, on portraits that it did not learn from.


def shown(analyser: Analyser, pixels: np.ndarray, face: Face) -> np.ndarray:
    view = analyser.visible(pixels, face.landmarks)
    return occlusion.place_view(view, face.landmarks, pixels.shape[1], pixels.shape[0])


def below_the_brows(face: Face, shape: tuple[int, ...]) -> np.ndarray:
    """bool: the face beneath hair and hat, spectacles too."""
    rows = np.indices(shape[:2])[0]
    return in_picture(face, shape) & (rows > face.landmarks[6, 1])


@pytest.fixture(params=["astronaut", "hopper"])
def portrait(request: pytest.FixtureRequest) -> tuple[np.ndarray, Face]:
    pixels, face = (request.getfixturevalue(request.param + end) for end in ("", "_face"))
    return pixels, face


def test_a_real_face_is_visible(analyser: Analyser, portrait: tuple[np.ndarray, Face]) -> None:
    pixels, face = portrait
    visible = shown(analyser, pixels, face)
    bare = below_the_brows(face, pixels.shape)
    assert (visible[bare] > 0.9).mean() > 0.9
    features = np.round(face.landmarks[[1, 13, 14, 50, 280, 205, 425, 199], :2]).astype(int)
    assert visible[features[:, 1], features[:, 0]].min() > 0.9


def test_a_fringe_hides_and_the_brows_do_not(
    analyser: Analyser, astronaut: np.ndarray, astronaut_face: Face
) -> None:
    visible = shown(analyser, astronaut, astronaut_face)
    brows = np.round(astronaut_face.landmarks[[105, 334, 66, 296], :2]).astype(int)
    assert visible[brows[:, 1], brows[:, 0]].min() > 0.9
    hair = in_picture(astronaut_face, astronaut.shape)
    hair &= np.indices(hair.shape)[0] < astronaut_face.landmarks[10, 1] + 6
    assert hair.sum() > 100
    assert visible[hair].mean() < 0.3


@pytest.mark.parametrize(
    "colour", [(40, 40, 45), (40, 150, 60), None], ids=["dark", "green", "their own skin's"]
)
def test_a_bar_across_a_real_mouth_hides_it(
    analyser: Analyser,
    portrait: tuple[np.ndarray, Face],
    colour: tuple[int, int, int] | None,
) -> None:
    pixels, face = portrait[0].copy(), portrait[1]
    if colour is None:
        x, y = np.round(face.landmarks[[50, 280, 205, 425], :2]).astype(int).T
        colour = 0.9 * np.median(pixels[y, x], 0)
    half = 0.11 * face.size_px
    middle = float(face.landmarks[[13, 14], 1].mean())
    pixels[round(middle - half) : round(middle + half)] = colour
    visible = shown(analyser, pixels, face)
    inside = in_picture(face, pixels.shape, -3)
    rows = np.indices(inside.shape)[0]
    behind = inside & (np.abs(rows - middle) < half - 0.02 * face.size_px)
    above = inside & (rows < middle - half - 0.05 * face.size_px) & (rows > face.landmarks[6, 1])
    assert visible[behind].mean() < 0.15
    assert visible[above].mean() > 0.9


def test_sixteen_bits_are_judged_like_eight(
    analyser: Analyser, astronaut: np.ndarray, astronaut_face: Face
) -> None:
    eight = analyser.visible(astronaut, astronaut_face.landmarks)
    sixteen = analyser.visible(astronaut.astype(np.uint16) * 257, astronaut_face.landmarks)
    assert np.array_equal(eight, sixteen)
    assert eight.min() < 0.1
