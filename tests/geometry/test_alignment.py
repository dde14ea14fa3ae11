"""Alignment: the similarity that is found, and pixels that are filtered before they shrink."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sosie.errors import UsageError
from sosie.geometry import alignment

POINTS = np.array([(38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (41.5, 92.4), (70.7, 92.2)])


def similarity(scale: float, angle_deg: float, x: float, y: float) -> np.ndarray:
    angle = np.radians(angle_deg)
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cosine, -sine, x], [sine, cosine, y]])


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


similarities = st.builds(
    similarity,
    st.floats(0.05, 20),
    st.floats(-180, 180),
    st.floats(-3000, 3000),
    st.floats(-3000, 3000),
)


# Templates.


def test_published_template_points_in_pixels() -> None:
    # ArcFace's five points at 112 px, as its authors print them.
    expected = [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ]
    assert np.allclose(alignment.template_points("arcface", 112), expected, atol=1e-3)
    # inswapper's 128 px crop holds ArcFace's 112 px one with 8 px more at each side.
    wider = alignment.template_points("arcface_128", 128)
    assert np.allclose(wider - (8, 0), expected, atol=1e-3)


@pytest.mark.parametrize("name", sorted(alignment.TEMPLATES))
def test_every_template_is_an_upright_face_inside_its_crop(name: str) -> None:
    right, left, nose, mouth_right, mouth_left = alignment.template_points(name, 100)
    assert right[0] < nose[0] < left[0]
    assert mouth_right[0] < nose[0] < mouth_left[0]
    assert max(right[1], left[1]) < nose[1] < min(mouth_right[1], mouth_left[1])
    assert abs(right[1] - left[1]) < 1
    assert np.all((alignment.TEMPLATES[name] > 0.2) & (alignment.TEMPLATES[name] < 0.9))
    assert np.array_equal(alignment.template_points(name, 200), 2 * alignment.TEMPLATES[name] * 100)


def test_unknown_template_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'arcface'"):
        alignment.template_points("arcfase", 112)
    with pytest.raises(UsageError, match="did you mean 'ffhq'"):
        alignment.align_matrix(POINTS, "fhq", 256)


def test_the_table_of_templates_cannot_be_written_to() -> None:
    with pytest.raises(TypeError):
        alignment.TEMPLATES["mine"] = POINTS  # type: ignore[index]


# The similarity fit.


@given(similarities)
def test_fit_finds_the_similarity_that_moved_the_points(matrix: np.ndarray) -> None:
    found = alignment.fit_similarity(POINTS, apply(matrix, POINTS))
    assert np.allclose(found, matrix, rtol=1e-9, atol=1e-6)


@given(arrays(np.float64, (5, 2), elements=st.floats(-100, 100)))
def test_fit_never_reflects(onto: np.ndarray) -> None:
    found = alignment.fit_similarity(POINTS, onto)
    assert np.linalg.det(found[:, :2]) >= 0
    assert found[0, 0] == found[1, 1]
    assert found[0, 1] == -found[1, 0]


def test_fit_to_a_mirror_image_is_a_rotation_and_a_poor_one() -> None:
    mirrored = POINTS * (-1, 1)
    found = alignment.fit_similarity(POINTS, mirrored)
    assert np.linalg.det(found[:, :2]) > 0
    assert np.abs(apply(found, POINTS) - mirrored).max() > 10


@given(
    arrays(np.float64, (5, 2), elements=st.floats(-50, 50)),
    st.floats(-0.02, 0.02),
    st.floats(-0.02, 0.02),
    st.floats(-1, 1),
    st.floats(-1, 1),
)
def test_fit_is_the_least_squares_one(
    onto: np.ndarray, cosine: float, sine: float, x: float, y: float
) -> None:
    found = alignment.fit_similarity(POINTS, onto)
    other = found + np.array([[cosine, -sine, x], [sine, cosine, y]])
    own = ((apply(found, POINTS) - onto) ** 2).sum()
    assert own <= ((apply(other, POINTS) - onto) ** 2).sum() + 1e-9


def test_fit_to_points_that_coincide_is_refused() -> None:
    with pytest.raises(ValueError, match="coincide"):
        alignment.fit_similarity(np.full((5, 2), 7.0), POINTS)


@pytest.mark.parametrize("name", sorted(alignment.TEMPLATES))
def test_alignment_puts_a_turned_template_back(name: str) -> None:
    points = alignment.template_points(name, 256)
    moved = apply(similarity(1.7, 33, 400, -20), points)
    matrix = alignment.align_matrix(moved, name, 256)
    assert np.allclose(apply(matrix, moved), points, atol=1e-6)


# Transforms.


@given(similarities)
def test_a_transform_and_its_inverse_are_the_identity(matrix: np.ndarray) -> None:
    identity = [[1, 0, 0], [0, 1, 0]]
    assert np.allclose(alignment.compose(alignment.invert(matrix), matrix), identity, atol=1e-6)
    assert np.allclose(alignment.compose(matrix, alignment.invert(matrix)), identity, atol=1e-6)


@given(similarities, similarities)
def test_compose_applies_the_second_after_the_first(second: np.ndarray, first: np.ndarray) -> None:
    both = apply(alignment.compose(second, first), POINTS)
    assert np.allclose(both, apply(second, apply(first, POINTS)), rtol=1e-9, atol=1e-6)


@given(similarities)
def test_scale_and_points_with_depth(matrix: np.ndarray) -> None:
    scale = np.hypot(*matrix[:, 0])
    assert alignment.scale_of(matrix) == pytest.approx(scale)
    points = np.column_stack([POINTS, [-3.0, 0, 2, 5, 8]])
    moved = alignment.transform_points(points, matrix)
    assert moved.dtype == np.float32
    assert np.allclose(moved[:, :2], apply(matrix, POINTS), rtol=1e-5, atol=1e-3)
    assert np.allclose(moved[:, 2], points[:, 2] * scale, rtol=1e-5)


# The warp. Patterns finer than the new pixel grid must turn gray, whatever the angle.


def shrinking(scale: float, side: int, angle_deg: float = 0) -> tuple[np.ndarray, int]:
    """A transform that shrinks about the middle of a square picture, and the result's side."""
    size = round(side * scale)
    matrix = similarity(scale, angle_deg, 0, 0)
    middle = np.full(2, (side - 1) / 2)
    matrix[:, 2] = (size - 1) / 2 - matrix[:, :2] @ middle
    return matrix, size


def checkerboard(side: int) -> np.ndarray:
    return ((np.indices((side, side)).sum(0) % 2) * 255).astype(np.uint8)


def stripes(side: int) -> np.ndarray:
    return np.tile((np.arange(side) % 2 * 255).astype(np.uint8), (side, 1))


def zone_plate(side: int) -> np.ndarray:
    """Rings that grow finer outwards, up to the finest that the pixels hold, at a radius of half
    the side."""
    y, x = (np.indices((side, side)) - (side - 1) / 2) / (side / 2)
    return np.rint(127.5 + 127.5 * np.cos(np.pi * side / 4 * (x**2 + y**2))).astype(np.uint8)


def without_middle(picture: np.ndarray, radius: float) -> np.ndarray:
    """Pixels within the inscribed circle but further than `radius` (a share of the half side)."""
    side = picture.shape[0]
    r = np.hypot(*(np.indices(picture.shape[:2]) - (side - 1) / 2)) / (side / 2)
    return picture[(r > radius) & (r < 0.95)]


def inner(picture: np.ndarray) -> np.ndarray:
    edge = max(2, picture.shape[0] // 8)
    return picture[edge:-edge, edge:-edge]


SCALES = (0.75, 0.5, 0.37, 0.1)


@pytest.mark.parametrize("angle", [0, 20])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("pattern", [checkerboard, stripes])
def test_a_pattern_finer_than_the_result_turns_gray(pattern, scale: float, angle: float) -> None:
    picture = pattern(240)
    matrix, size = shrinking(scale, 240, angle)
    gray = inner(alignment.warp(picture, matrix, size, size)).astype(float)
    # The pattern's own deviation is 127.5.
    assert gray.std() < (26 if scale > 0.5 else 2.5)
    assert gray.mean() == pytest.approx(127.5, abs=2)


@pytest.mark.parametrize("flag", [cv2.INTER_LINEAR, cv2.INTER_AREA])
@pytest.mark.parametrize("scale", SCALES)
def test_opencv_alone_aliases_on_the_same_pattern(scale: float, flag: int) -> None:
    """What the tests above would see if the filter were missing."""
    matrix, size = shrinking(scale, 240, 20)
    aliased = inner(cv2.warpAffine(stripes(240), matrix, (size, size), flags=flag)).astype(float)
    assert aliased.std() > 60


@pytest.mark.parametrize("scale", [0.6, 0.5, 0.47, 0.45, 0.42, 0.4, 0.37, 0.25, 0.1])
def test_rings_beyond_the_new_limit_vanish_and_no_false_ones_appear(scale: float) -> None:
    picture = zone_plate(400)
    matrix, size = shrinking(scale, 400)
    ours = without_middle(alignment.warp(picture, matrix, size, size), 1.3 * scale).astype(float)
    theirs = cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_AREA)
    # Of 90. At a half and a quarter no Gaussian follows: a little of the coarsest stays.
    assert ours.std() < (11 if scale in (0.5, 0.25) else 8)
    assert without_middle(theirs, 1.3 * scale).astype(float).std() > 30


@pytest.mark.parametrize("scale", [0.5, 0.47, 0.3, 0.1])
def test_a_mask_that_shrinks_stays_a_mask(scale: float) -> None:
    """The filter keeps sharp what it can, yet nothing swings past black or white."""
    mask = np.zeros((200, 200), np.float32)
    mask[:, 90:] = 1
    matrix, size = shrinking(scale, 200, 15)
    shrunk = alignment.warp(mask, matrix, size, size)
    assert shrunk.min() >= 0
    assert shrunk.max() <= 1
    assert np.median(shrunk[:, : size // 4]) == 0
    assert np.median(shrunk[:, -size // 4 :]) == 1


@pytest.mark.parametrize("scale", [0.75, 0.5, 0.37])
def test_rings_well_within_the_new_limit_are_kept(scale: float) -> None:
    picture = zone_plate(400)
    matrix, size = shrinking(scale, 400)
    side = np.arange(size)
    shrunk = alignment.warp(picture, matrix, size, size).astype(float)
    places = alignment.transform_points(
        np.column_stack([side, np.full(size, (size - 1) / 2)]), alignment.invert(matrix)
    )
    x = (places[:, 0] - 199.5) / 200
    exact = 127.5 + 127.5 * np.cos(np.pi * 100 * x**2)
    coarse = np.abs(x) < 0.25 * scale
    middle = shrunk[size // 2 - 1 : size // 2 + 1].mean(0)
    assert np.abs(middle - exact)[coarse].max() < 32
    assert np.ptp(exact[coarse]) > 150


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_identity_is_exact_in_every_depth(dtype: type, channels: tuple[int, ...]) -> None:
    random = np.random.default_rng(1)
    shape = (37, 53, *channels)
    if dtype is np.float32:
        picture = random.normal(size=shape).astype(np.float32)
    else:
        picture = random.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    copy = picture.copy()
    result = alignment.warp(picture, [[1, 0, 0], [0, 1, 0]], 53, 37)
    assert result.dtype == dtype
    assert np.array_equal(result, picture)
    shifted = alignment.warp(picture, [[1, 0, -5], [0, 1, -3]], 20, 10)
    assert np.array_equal(shifted, picture[3:13, 5:25])
    assert np.array_equal(picture, copy)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("scale", [0.4, 0.7])
def test_shrinking_keeps_depth_and_range(
    dtype: type, channels: tuple[int, ...], scale: float
) -> None:
    top = 1.0 if dtype is np.float32 else np.iinfo(dtype).max
    board = checkerboard(120) / 255
    picture = np.broadcast_to(
        board.reshape(120, 120, *(1 for _ in channels)), (120, 120, *channels)
    )
    picture = (picture * top).astype(dtype)
    matrix, size = shrinking(scale, 120)
    result = alignment.warp(picture, matrix, size, size)
    assert result.dtype == dtype
    assert result.shape == (size, size, *channels)
    assert inner(result).mean() / float(top) == pytest.approx(0.5, abs=0.01)
    assert inner(result).std() / float(top) < 0.06


def test_deep_color_is_not_reduced_to_256_steps() -> None:
    ramp = np.tile(np.linspace(20000, 21000, 300), (300, 1)).astype(np.uint16)
    matrix, size = shrinking(0.4, 300, 10)
    assert len(np.unique(alignment.warp(ramp, matrix, size, size))) > 500


def blob(side: int, x: float, y: float, sigma_px: float) -> np.ndarray:
    rows, columns = np.indices((side, side))
    squared = (columns - x) ** 2 + (rows - y) ** 2
    return np.exp(-squared / (2 * sigma_px**2)).astype(np.float32)


def centroid(picture: np.ndarray) -> tuple[float, float]:
    rows, columns = np.indices(picture.shape)
    return (
        float((columns * picture).sum() / picture.sum()),
        float((rows * picture).sum() / picture.sum()),
    )


@pytest.mark.parametrize("angle", [0, 35])
@pytest.mark.parametrize("scale", [2.5, 1.0, 0.75, 0.5, 0.37, 0.23, 0.1])
def test_nothing_moves_by_a_part_of_a_pixel(scale: float, angle: float) -> None:
    matrix, size = shrinking(scale, 300, angle)
    matrix[:, 2] += (0.3, -0.4)
    picture = blob(300, 141.3, 163.8, 18)
    expected = apply(matrix, np.array([[141.3, 163.8]]))[0]
    x, y = centroid(alignment.warp(picture, matrix, size, size))
    assert np.hypot(x - expected[0], y - expected[1]) < 0.02


@pytest.mark.parametrize("scale", [0.75, 0.5, 0.37, 0.1])
def test_a_ramp_keeps_its_values_at_its_places(scale: float) -> None:
    ramp = np.tile(np.arange(400, dtype=np.float32), (400, 1))
    matrix, size = shrinking(scale, 400)
    shrunk = inner(alignment.warp(ramp, matrix, size, size))
    places = alignment.transform_points(
        np.column_stack([np.arange(size), np.zeros(size)]), alignment.invert(matrix)
    )
    edge = max(2, size // 8)
    assert np.abs(shrunk - places[edge:-edge, 0]).max() < 0.02 / scale


def test_odd_sizes_shrink_without_a_shift() -> None:
    for side in (299, 301):
        matrix, size = shrinking(0.2, side)
        expected = apply(matrix, np.array([[150.0, 140.0]]))[0]
        x, y = centroid(alignment.warp(blob(side, 150, 140, 20), matrix, size, size))
        assert np.hypot(x - expected[0], y - expected[1]) < 0.02


@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_a_part_of_a_picture_is_the_same_as_cut_from_the_whole(scale: float) -> None:
    """Only what is seen is filtered, and nobody can tell."""
    grain = np.random.default_rng(3).normal(size=(600, 800)).astype(np.float32)
    picture = cv2.GaussianBlur(grain, (0, 0), 6)
    picture = (picture - picture.min()) / np.ptp(picture)
    whole = alignment.warp(picture, similarity(scale, 12, 100, 0), 260, 240)
    part = alignment.warp(picture, similarity(scale, 12, 100 - 90, 0 - 80), 60, 70)
    assert np.ptp(part) > 0.3
    # OpenCV samples at multiples of 1/32 px.
    assert np.abs(part - whole[80:150, 90:150]).max() < 0.01


def test_outside_the_picture_the_border_is_repeated_or_empty() -> None:
    picture = np.full((40, 40, 3), 200, np.uint8)
    beyond = [[1, 0, 100], [0, 1, 100]]
    assert (alignment.warp(picture, beyond, 50, 50) == 200).all()
    assert (alignment.warp(picture, [[1, 0, -500], [0, 1, -500]], 50, 50) == 200).all()
    empty = alignment.warp(picture, beyond, 50, 50, border=cv2.BORDER_CONSTANT)
    assert not empty.any()


def test_an_aligned_crop_has_the_face_at_the_template() -> None:
    moved = apply(similarity(1.5, -25, 180, 120), alignment.template_points("arcface", 112))
    for size in (112, 56):
        matrix = alignment.align_matrix(moved, "arcface", size)
        points = alignment.template_points("arcface", size)
        for at, expected in zip(moved, points, strict=True):
            crop = alignment.crop(blob(500, *at, 4), matrix, size)
            assert crop.shape == (size, size)
            assert np.hypot(*(np.array(centroid(crop)) - expected)) < 0.03
