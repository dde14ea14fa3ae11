"""Where the swapped face replaces the target's: never outside its outline, never over a hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from sosie.blending.mask import face_mask, face_size_px
from sosie.geometry import mesh
from sosie.geometry.morphable_model import face_shape
from sosie.types import Crop, Face, SwappedCrop

FRAME = np.zeros((260, 240, 3), np.uint8)
CropOf = Callable[..., Crop]
SwappedWith = Callable[..., SwappedCrop]


def depth_in_outline(crop: Crop) -> np.ndarray:
    """Exact distance of each pixel from the outline's polygon, positive inside."""
    polygon = crop.landmarks[list(mesh.OVAL), :2].reshape(-1, 1, 2)
    height, width = crop.pixels.shape[:2]
    distance = [
        cv2.pointPolygonTest(polygon, (float(x), float(y)), True)
        for y in range(height)
        for x in range(width)
    ]
    return np.array(distance).reshape(height, width)


@pytest.mark.parametrize("pose", [(0, 0, 0), (8, -5, 25)])
def test_exactly_nothing_outside_the_outline_and_all_well_inside(
    model_face: Callable[..., Face],
    crop_of: CropOf,
    swapped_with: SwappedWith,
    pose: tuple[float, ...],
) -> None:
    crop = crop_of(FRAME, model_face(*pose, center=(120, 125)))
    mask = face_mask(crop, swapped_with(crop, (0, 0, 0)), 0.03)
    depth = depth_in_outline(crop)
    assert mask.dtype == np.float32
    assert mask.min() >= 0
    assert mask.max() == 1
    # A pixel that the outline cuts belongs to the face.
    assert (mask[depth < -1] == 0).all()
    assert (mask[depth > 0.03 * face_size_px(crop) + 1.5] == 1).all()


@pytest.mark.parametrize("unit_px", [30, 60])
@pytest.mark.parametrize("feather", [0.03, 0.15])
def test_the_soft_edge_rises_over_a_share_of_the_face(
    model_face: Callable[..., Face],
    crop_of: CropOf,
    swapped_with: SwappedWith,
    unit_px: float,
    feather: float,
) -> None:
    crop = crop_of(FRAME, model_face(unit_px=unit_px, center=(120, 125)))
    mask = face_mask(crop, swapped_with(crop, (0, 0, 0)), feather)
    width_px = feather * face_size_px(crop)
    # Up from the chin, where the outline is nearly level.
    x, chin = crop.landmarks[152, :2]
    column = mask[: round(float(chin)) + 2, round(float(x))][::-1]
    rising = column[: np.argmax(column == 1) + 1]
    assert (np.diff(rising) >= 0).all()
    assert np.count_nonzero((rising > 0) & (rising < 1)) == pytest.approx(width_px, abs=2)
    middle = np.interp(0.5, rising, np.arange(len(rising)))
    assert (np.round(chin) + 1 - middle) == pytest.approx(chin - width_px / 2, abs=1.3)


def test_the_size_of_a_face_is_that_of_its_surface_in_the_crop(
    model_face: Callable[..., Face], crop_of: CropOf
) -> None:
    small, large = (face_size_px(crop_of(FRAME, model_face(unit_px=unit))) for unit in (30.0, 60.0))
    assert large == pytest.approx(2 * small)
    width, height = np.ptp(model_face(unit_px=60).landmarks[:468, :2], axis=0)
    assert large == pytest.approx(np.sqrt(width * height))


def test_what_lies_in_front_of_the_face_is_left_alone(
    model_face: Callable[..., Face], crop_of: CropOf, swapped_with: SwappedWith
) -> None:
    visible = np.ones(FRAME.shape[:2], np.float32)
    visible[100:140] = 0
    visible[140:150] = 0.3
    crop = crop_of(FRAME, model_face(center=(120, 125)), visible=visible)
    mask = face_mask(crop, swapped_with(crop, (0, 0, 0)), 0.03)
    assert (mask[100:150] == 0).all()
    assert mask[80, 120] == mask[170, 120] == 1
    # Soft towards it as towards the outline.
    assert 0 < mask[151, 120] < 1


def test_where_the_method_does_not_vouch_for_its_pixels_is_left_alone(
    model_face: Callable[..., Face], crop_of: CropOf, swapped_with: SwappedWith
) -> None:
    vouched = np.ones(FRAME.shape[:2], np.float32)
    vouched[:, :100] = 0
    vouched[:, 180:] = 0.7
    crop = crop_of(FRAME, model_face(center=(120, 125)))
    mask = face_mask(crop, swapped_with(crop, (0, 0, 0), vouched), 0.03)
    assert (mask[:, :100] == 0).all()
    assert mask[125, 140] == 1
    assert (mask <= vouched).all()
    assert mask[125, 185] == pytest.approx(0.7)


@pytest.mark.parametrize("yaw", [40, -60])
def test_all_of_a_turned_face_that_is_seen_is_in_the_mask(
    model_face: Callable[..., Face], crop_of: CropOf, swapped_with: SwappedWith, yaw: float
) -> None:
    """The nose and the far cheek stand out beyond the line from the forehead to the chin."""
    face = model_face(yaw, unit_px=50, center=(120, 125))
    crop = crop_of(FRAME, face)
    mask = face_mask(crop, swapped_with(crop, (0, 0, 0)), 0.03)
    seen = np.zeros(FRAME.shape[:2], np.uint8)
    for triangle in face_shape().triangles:
        corners = face.landmarks[triangle, :2]
        (ax, ay), (bx, by) = corners[1] - corners[0], corners[2] - corners[0]
        if ax * by - ay * bx > 0:
            cv2.fillConvexPoly(seen, np.round(corners * 16).astype(np.int32), 1, shift=4)
    inner = cv2.erode(seen, np.ones((9, 9), np.uint8)) > 0
    assert (mask[inner] > 0.5).mean() > 0.97


def test_the_edge_of_the_frame_is_no_edge_of_the_face(
    model_face: Callable[..., Face], crop_of: CropOf, swapped_with: SwappedWith
) -> None:
    """A face that is cut by the frame is swapped up to its last row."""
    crop = crop_of(FRAME, model_face(center=(0, 240)))
    mask = face_mask(crop, swapped_with(crop, (0, 0, 0)), 0.05)
    assert (mask[200:, 0] == 1).all()
    assert (mask[259, :20] == 1).all()


def test_no_weight_so_small_that_it_shows_nowhere(
    model_face: Callable[..., Face], crop_of: CropOf, swapped_with: SwappedWith
) -> None:
    crop = crop_of(FRAME, model_face(center=(120, 125)))
    mask = face_mask(crop, swapped_with(crop, (0, 0, 0)), 0.5)
    assert mask[mask > 0].min() >= 1 / 512
    assert 0.5 < mask.max() <= 1


def test_the_edge_is_wide_where_skin_goes_on_and_narrow_beside_hair_and_hands(
    model_face: Callable[..., Face], crop_of: CropOf, swapped_with: SwappedWith
) -> None:
    crop = crop_of(FRAME, model_face(center=(120, 125)))
    beyond = np.zeros(crop.visible.shape, np.float32)
    beyond[:, :120] = 1
    hand = crop.visible.copy()
    hand[120:135, 112:118] = 0
    crop = replace(crop, visible=hand, skin_beyond=beyond)
    feather_px = 0.03 * face_size_px(crop)
    mask = face_mask(crop, swapped_with(crop, (0, 0, 0)), 0.03)
    depth = depth_in_outline(crop)
    near = (depth > feather_px + 1.5) & (depth < 1.5 * feather_px)
    columns = np.indices(mask.shape)[1]
    assert mask[near & (columns < 110)].max() < 0.3
    assert mask[near & (columns > 130)].min() == 1
    # Beside the hand, in the half whose edge is wide, it is as narrow as ever.
    assert (mask[hand == 0] == 0).all()
    apart = round(feather_px + 2)
    assert mask[127, 111 - apart] == 1


def test_a_chin_that_comes_down_further_is_in_the_mask(
    model_face: Callable[..., Face], crop_of: CropOf, swapped_with: SwappedWith
) -> None:
    crop = crop_of(FRAME, model_face(unit_px=40, center=(120, 100)))
    swapped = swapped_with(crop, (0, 0, 0))
    plain = face_mask(crop, swapped, 0.03)
    lower = crop.landmarks.copy()
    lower[:, 1] += 15 * (lower[:, 1] > lower[14, 1])
    wider = face_mask(crop, replace(swapped, outline=lower), 0.03)
    x, y = np.round(crop.landmarks[152, :2]).astype(int)
    assert plain[y + 5, x] == 0
    assert wider[y + 5, x] == 1
    assert wider[y + 20, x] == 0
    assert (wider >= plain).all()
    assert np.array_equal(wider[: y - 60], plain[: y - 60])


@pytest.mark.parametrize("erode", [0.03, 0.1])
def test_an_eroded_mask_begins_that_far_within_the_edge(
    model_face: Callable[..., Face], crop_of: CropOf, swapped_with: SwappedWith, erode: float
) -> None:
    crop = crop_of(FRAME, model_face(unit_px=50, center=(120, 125)))
    swapped = swapped_with(crop, (0, 0, 0))
    mask, whole = (face_mask(crop, swapped, 0.03, one) for one in (erode, 0.0))
    depth, size_px = depth_in_outline(crop), face_size_px(crop)
    assert (mask <= whole).all()
    assert (mask[depth < erode * size_px - 2] == 0).all()
    assert (mask[depth > (erode + 0.03) * size_px + 2] == 1).all()


@pytest.mark.parametrize(
    ("kept", "inside", "outside"),
    [
        ("mouth", [(13, 14)], (4, 159, 105)),
        ("eyes", [(468,), (473,)], (13, 4, 105)),
        ("brows", [mesh.RIGHT_BROW, mesh.LEFT_BROW], (4, 13, 145)),
    ],
)
def test_parts_that_stay_the_targets_own(
    model_face: Callable[..., Face],
    crop_of: CropOf,
    swapped_with: SwappedWith,
    kept: str,
    inside: list[tuple[int, ...]],
    outside: tuple[int, ...],
) -> None:
    crop = crop_of(FRAME, model_face(center=(120, 125)))
    swapped = swapped_with(crop, (0, 0, 0))
    mask = face_mask(crop, swapped, 0.03, kept=(kept,))
    whole = face_mask(crop, swapped, 0.03)
    at = np.rint(crop.landmarks[:, :2]).astype(int)
    for points in inside:
        x, y = np.rint(crop.landmarks[list(points), :2].mean(0)).astype(int)
        assert mask[y, x] == 0
    assert all(mask[at[k, 1], at[k, 0]] == whole[at[k, 1], at[k, 0]] > 0.9 for k in outside)
