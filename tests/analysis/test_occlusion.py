"""What hides a face: the network's answer laid over the face, and what the shipped network sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from sosie.analysis import occlusion
from sosie.analysis.analyzer import Analyzer
from sosie.analysis.parser import SIDE_PX, FaceParts, cut_square, square_matrix
from sosie.geometry.alignment import scale_of, transform_points
from sosie.geometry.head_pose import MIRROR, region_of
from sosie.geometry.morphable_model import silhouette
from sosie.types import Face

ModelFace = Callable[..., Face]
SEEN, HIDING = (200, 0, 0), (0, 0, 200)
VIEW = (SIDE_PX, SIDE_PX)


def parts_of(**planes: np.ndarray) -> FaceParts:
    """Parts of which these planes are known; what they leave is beyond."""
    none = np.zeros(VIEW, np.float32)
    known = {name: np.asarray(plane, np.float32) for name, plane in planes.items()}
    left = 1 - sum(plane for name, plane in known.items() if name != "lens_opacity")
    names = ("skin", "hair", "frame", "lens", "hat", "thing", "lens_opacity")
    return FaceParts(**{name: known.get(name, none) for name in names}, beyond=left)


def reddish(pixels: np.ndarray, face: Face) -> FaceParts:
    """Parts of a face whose skin is red."""
    square, _ = cut_square(pixels, region_of(face.landmarks))
    return parts_of(skin=square[..., 0].astype(np.float32) / SEEN[0])


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
    """The view that follows from what is told of the skin."""
    return occlusion.visible(parts_of(skin=mask), face.landmarks)


def bare_answer(face: Face) -> np.ndarray:
    """What a network says of a bare face: it falls off over the face's edge."""
    return cv2.GaussianBlur(in_view(face).astype(np.float32), (0, 0), 3)


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
    answer[:81] = 0
    visible = view_of(face, answer)
    inside = in_view(face)
    rows = np.indices(inside.shape)[0]
    above, below = inside & (rows < 77), inside & (rows > 87)
    assert above.sum() > 900
    assert visible[above].max() < 0.02
    assert visible[below].min() > 0.98


def test_where_a_hidden_part_ends(model_face: ModelFace) -> None:
    """Where the answer is half way from hidden to visible, give or take a pixel."""
    answer = np.broadcast_to(np.clip((np.arange(SIDE_PX) - 92.5) / 4 + 0.5, 0, 1), VIEW)
    row = view_of(model_face(), answer)[96]
    half_way = (occlusion._HIDDEN + occlusion._VISIBLE) / 2
    assert abs(np.interp(0.5, row[75:112], np.arange(75, 112)) - (92.5 + 4 * (half_way - 0.5))) < 1


def test_a_slight_doubt_is_no_hole(model_face: ModelFace) -> None:
    face = model_face()
    answer = bare_answer(face)
    for doubtful in (0.8, occlusion._VISIBLE + 0.05):
        answer[75:90, 60:90] = doubtful
        assert view_of(face, answer).min() > 0.99
    answer[75:90, 60:90] = occlusion._HIDDEN - 0.05
    assert view_of(face, answer)[78:87, 63:87].max() < 0.01


@pytest.mark.parametrize("yaw", [0, 50])
def test_nothing_is_judged_outside_the_face(model_face: ModelFace, yaw: float) -> None:
    face = model_face(yaw)
    visible = view_of(face, np.zeros(VIEW))
    assert visible[in_view(face)].max() == 0
    assert visible[~in_view(face, 10)].min() == 1
    assert (~in_view(face, 10)).sum() > 9000


def test_what_is_wholly_hidden_is_so_up_to_the_edge_in_the_picture(model_face: ModelFace) -> None:
    face = model_face(20, unit_px=200, center=(400, 400))
    view = view_of(face, np.zeros(VIEW))
    assert (
        occlusion.place_view(view, face.landmarks, 800, 800)[in_picture(face, (800, 800))].max()
        == 0
    )


def test_a_mirrored_face_has_a_mirrored_view(model_face: ModelFace) -> None:
    face = model_face(20, 5, 10)
    mirrored = face.landmarks[MIRROR].copy()
    mirrored[:, 0] = 255 - mirrored[:, 0]
    answer = bare_answer(face)
    answer[60:105, :82] = 0
    one = view_of(face, answer)
    other = view_of(replace(face, landmarks=mirrored), answer[:, ::-1])
    assert one.min() == 0
    apart = np.abs(one - other[:, ::-1])
    # Pixels at the same distance from two others may follow either.
    assert apart.mean() < 0.003
    assert (apart > 0.1).sum() < 60


def test_a_face_too_narrow_to_be_judged(model_face: ModelFace) -> None:
    face = model_face()
    narrow = (face.landmarks - (128, 128, 0)) * (0.02, 1, 1) + (128, 128, 0)
    visible = view_of(replace(face, landmarks=narrow.astype(np.float32)), np.zeros(VIEW))
    assert visible.min() == 1


def hidden_and_found(face: Face, radius_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a disc over the mouth hides a face in a picture, and where it is found to, bool."""
    picture = np.full((256, 256, 3), SEEN, np.uint8)
    x, y = np.round(face.landmarks[[13, 61], :2].mean(0)).astype(int)
    cv2.circle(picture, (int(x), int(y)), radius_px, HIDING, -1)
    before = picture.copy()
    view = occlusion.visible(reddish(picture, face), face.landmarks)
    visible = occlusion.place_view(view, face.landmarks, 256, 256)
    assert np.array_equal(picture, before)
    assert visible.dtype == np.float32
    inside = in_picture(face, picture.shape)
    return inside & (picture[..., 0] == 0), inside & (visible < 0.5)


each_place = pytest.mark.parametrize(
    ("pose", "unit_px", "center"),
    [((0, 0, 0), 60, (128, 128)), ((25, -8, 40), 65, (120, 135)), ((0, 0, 170), 30, (90, 160)),
     ((-15, 0, -80), 90, (140, 120))],
)  # fmt: skip


@each_place
def test_a_view_lies_where_the_face_is(
    model_face: ModelFace,
    pose: tuple[float, ...],
    unit_px: float,
    center: tuple[float, float],
) -> None:
    """Something over the lower half of a tilted face is found there in the picture."""
    face = model_face(*pose, unit_px=unit_px, center=center)
    wanted, found = hidden_and_found(face, round(0.9 * unit_px))
    assert (wanted & found).sum() > 0.93 * (wanted | found).sum()


@each_place
def test_what_is_found_ends_within_a_pixel_of_the_view(
    model_face: ModelFace,
    pose: tuple[float, ...],
    unit_px: float,
    center: tuple[float, float],
) -> None:
    """Of what lies wholly within the face, no more is found than there is, and no less than that
    without a rim of one pixel."""
    face = model_face(*pose, unit_px=unit_px, center=center)
    wanted, found = hidden_and_found(face, round(0.5 * unit_px))
    view_px = round(1 / scale_of(square_matrix(region_of(face.landmarks))))
    assert not (_grown(wanted, -view_px) & ~found).any()
    assert not (found & ~_grown(wanted, 1)).any()


def test_a_view_laid_over_a_picture_is_one_beyond_itself(model_face: ModelFace) -> None:
    face = model_face(unit_px=20, center=(60, 60))
    placed = occlusion.place_view(np.zeros(VIEW, np.float32), face.landmarks, 300, 280)
    assert placed.shape == (280, 300)
    assert placed[60, 60] == 0
    assert placed[250, 250] == 1


def test_a_face_that_the_frame_cuts(model_face: ModelFace) -> None:
    face = model_face(center=(10, 250))
    picture = np.full((256, 256, 3), SEEN, np.uint8)
    picture[:, :30] = HIDING
    view = occlusion.visible(reddish(picture, face), face.landmarks)
    visible = occlusion.place_view(view, face.landmarks, 256, 256)
    inside = in_picture(face, picture.shape)
    assert visible[:, :26][inside[:, :26]].max() < 0.05
    assert visible[:, 34:][inside[:, 34:]].min() > 0.95


def test_all_visible_is_a_view_of_ones() -> None:
    assert occlusion.all_visible().dtype == np.float32
    assert np.array_equal(occlusion.all_visible(), np.ones(VIEW))


def worn(face: Face, opacity: float) -> tuple[FaceParts, np.ndarray, np.ndarray]:
    """A face that wears a round rim about its right eye, with a gap: its parts, rim and lens."""
    matrix = square_matrix(region_of(face.landmarks))
    x, y = transform_points(face.landmarks[[33, 133]], matrix)[:, :2].mean(0)
    rows, columns = np.indices(VIEW)
    apart = np.hypot(columns - x, rows - y)
    rim, lens = (apart > 16) & (apart < 19), apart <= 16
    rim &= ~((np.abs(columns - x) < 2) & (rows > y))
    skin = in_view(face) & ~rim & ~lens
    hiding = np.full(VIEW, opacity)
    return parts_of(skin=skin, frame=rim, lens=lens, lens_opacity=hiding), rim, lens


def test_a_clear_lens_hides_nothing_and_a_dark_one_does(model_face: ModelFace) -> None:
    face = model_face()
    clear, rim, lens = worn(face, 0.05)
    within = _grown(lens, -6)
    view = occlusion.visible(clear, face.landmarks)
    assert view[within].min() > 0.99
    assert view[_grown(rim, -1)].max() < 0.2
    dark, _, _ = worn(face, 0.95)
    assert occlusion.visible(dark, face.landmarks)[within].max() < 0.01


def test_sunglasses_are_not_painted_over(model_face: ModelFace) -> None:
    """Neither rims nor lenses, nor a gap in a rim, nor the pixels beside it; the cheek is."""
    face = model_face()
    parts, rim, lens = worn(face, 1.0)
    view = occlusion.paintable(parts, face.landmarks)
    kept = cv2.morphologyEx((rim | lens).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5))) > 0
    assert view[kept].max() < 0.05
    beside = _grown(kept, 1) & ~kept
    assert view[beside].mean() < 0.3
    assert view[in_view(face) & ~_grown(kept, 5)].min() > 0.99
    assert occlusion.clear_spectacles(parts) is None


@pytest.mark.parametrize("seen", [1.0, 0.2])
def test_clear_spectacles_lie_over_a_face_that_is_painted_beneath(
    model_face: ModelFace, seen: float
) -> None:
    """Their rims do, to the last pixel, and nearly so where one is hardly told from the lens."""
    face = model_face()
    parts, rim, lens = worn(face, 0.1)
    frame = parts.frame * np.float32(seen)
    parts = replace(parts, frame=frame, lens=parts.lens + (parts.frame - frame))
    assert occlusion.paintable(parts, face.landmarks)[in_view(face)].min() > 0.9
    over = occlusion.clear_spectacles(parts)
    assert over is not None
    edge = rim & ~_grown(rim | lens, -1)
    rows, columns = np.indices(VIEW)
    row, column = np.argwhere(lens).mean(0)
    edge &= (rows < row) | (np.abs(columns - column) > 6)  # not at the gap
    assert edge.sum() > 60
    assert over.cover[edge].min() >= (1 if seen == 1 else 0.8)
    inside = _grown(lens, -5)
    assert inside.sum() > 200
    assert over.cover[inside].max() < 0.05
    assert over.lenses[inside].min() > 0.95
    assert over.cover[~_grown(rim | lens, 5)].max() == 0
    assert over.lenses[~_grown(rim | lens, 2)].max() < 0.01


def test_both_lenses_are_as_clear_as_they_are_together() -> None:
    """A lens that reflects more than the other is no sunglasses for one eye."""
    apart = cv2.distanceTransform(1 - (np.indices(VIEW)[1] % 80 == 40).astype(np.uint8), 2, 3)
    lens = (apart < 20) & (np.abs(np.indices(VIEW)[0] - 80) < 15)
    halves = np.where(np.indices(VIEW)[1] < 80, 0.1, 0.55)
    parts = parts_of(skin=~lens, lens=lens, lens_opacity=halves)
    over = occlusion.clear_spectacles(parts)
    assert over is not None
    assert over.lenses[80, 40] == pytest.approx(over.lenses[80, 120])
    assert 0.3 < over.lenses[80, 40] < 1


def test_without_spectacles_what_is_seen_may_be_painted(model_face: ModelFace) -> None:
    face = model_face(20)
    answer = bare_answer(face)
    answer[60:105, :82] = 0
    parts = parts_of(skin=answer)
    assert np.array_equal(
        occlusion.paintable(parts, face.landmarks), occlusion.visible(parts, face.landmarks)
    )


def test_shares_of_what_lies_over_a_face(model_face: ModelFace) -> None:
    face = model_face()
    left = np.indices(VIEW)[1] < SIDE_PX // 2
    parts = parts_of(hair=left, thing=~left)
    shares = occlusion.shares(parts, face.landmarks)
    assert shares["hair"] + shares["thing"] == pytest.approx(1)
    assert 0.45 < shares["hair"] < 0.55
    assert shares["spectacles"] == shares["hat"] == 0


# The shipped network, on portraits that it did not learn from.


def shown(analyzer: Analyzer, pixels: np.ndarray, face: Face) -> np.ndarray:
    view = analyzer.visible(pixels, face.landmarks)
    return occlusion.place_view(view, face.landmarks, pixels.shape[1], pixels.shape[0])


def below_the_brows(face: Face, shape: tuple[int, ...]) -> np.ndarray:
    """bool: the face beneath hair and hat, spectacles too."""
    rows = np.indices(shape[:2])[0]
    return in_picture(face, shape) & (rows > face.landmarks[6, 1])


@pytest.fixture(params=["astronaut", "hopper"])
def portrait(request: pytest.FixtureRequest) -> tuple[np.ndarray, Face]:
    pixels, face = (request.getfixturevalue(request.param + end) for end in ("", "_face"))
    return pixels, face


def test_a_real_face_is_visible(analyzer: Analyzer, portrait: tuple[np.ndarray, Face]) -> None:
    pixels, face = portrait
    visible = shown(analyzer, pixels, face)
    bare = below_the_brows(face, pixels.shape)
    assert (visible[bare] > 0.9).mean() > 0.9
    features = np.round(face.landmarks[[1, 13, 14, 50, 280, 205, 425, 199], :2]).astype(int)
    assert visible[features[:, 1], features[:, 0]].min() > 0.9


def test_a_fringe_hides_and_the_brows_do_not(
    analyzer: Analyzer, astronaut: np.ndarray, astronaut_face: Face
) -> None:
    visible = shown(analyzer, astronaut, astronaut_face)
    brows = np.round(astronaut_face.landmarks[[105, 334, 66, 296], :2]).astype(int)
    assert visible[brows[:, 1], brows[:, 0]].min() > 0.9
    hair = in_picture(astronaut_face, astronaut.shape)
    hair &= np.indices(hair.shape)[0] < astronaut_face.landmarks[10, 1] + 6
    assert hair.sum() > 100
    assert visible[hair].mean() < 0.3


@pytest.mark.parametrize(
    "color", [(40, 40, 45), (40, 150, 60), None], ids=["dark", "green", "their own skin's"]
)
def test_a_bar_across_a_real_mouth_hides_it(
    analyzer: Analyzer,
    portrait: tuple[np.ndarray, Face],
    color: tuple[int, int, int] | None,
) -> None:
    pixels, face = portrait[0].copy(), portrait[1]
    if color is None:
        x, y = np.round(face.landmarks[[50, 280, 205, 425], :2]).astype(int).T
        color = 0.9 * np.median(pixels[y, x], 0)
    half = 0.11 * face.size_px
    middle = float(face.landmarks[[13, 14], 1].mean())
    pixels[round(middle - half) : round(middle + half)] = color
    visible = shown(analyzer, pixels, face)
    inside = in_picture(face, pixels.shape, -3)
    rows = np.indices(inside.shape)[0]
    behind = inside & (np.abs(rows - middle) < half - 0.02 * face.size_px)
    above = inside & (rows < middle - half - 0.05 * face.size_px) & (rows > face.landmarks[6, 1])
    assert visible[behind].mean() < 0.15
    assert visible[above].mean() > 0.9


def test_sixteen_bits_are_judged_like_eight(
    analyzer: Analyzer, astronaut: np.ndarray, astronaut_face: Face
) -> None:
    eight = analyzer.visible(astronaut, astronaut_face.landmarks)
    sixteen = analyzer.visible(astronaut.astype(np.uint16) * 257, astronaut_face.landmarks)
    assert np.array_equal(eight, sixteen)
    assert eight.min() < 0.1
