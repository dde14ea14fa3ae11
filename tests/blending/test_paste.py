"""Back in the frame: at the right place, in the frame's depth, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sosie.blending import paste
from sosie.geometry.alignment import invert, warp
from sosie.types import Crop, Face, Patch

CropOf = Callable[..., Crop]


def similarity(scale: float, angle_deg: float, x: float, y: float) -> np.ndarray:
    angle = np.radians(angle_deg)
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cosine, -sine, x], [sine, cosine, y]])


def blobs(width: int, height: int) -> np.ndarray:
    coarse = np.random.default_rng(2).uniform(0.1, 0.9, (height // 24, width // 24, 3))
    return cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("scale", [1.6, 1.0, 0.6])
@pytest.mark.parametrize("angle", [0, 25, -140])
def test_a_crop_goes_back_to_where_it_was_cut(
    model_face: Callable[..., Face], crop_of: CropOf, scale: float, angle: float
) -> None:
    """The frame, cut out through a turned and scaled crop, and laid over itself."""
    picture = blobs(320, 240)
    frame = np.rint(picture * 255).astype(np.uint8)
    size = 128
    matrix = similarity(scale, angle, 0, 0)
    matrix[:, 2] = 63.5 - matrix[:, :2] @ (171, 118)
    crop_pixels = np.asarray(warp(picture, matrix, size, size))
    crop = crop_of(
        frame, model_face(), matrix=matrix, pixels=np.rint(crop_pixels * 255).astype(np.uint8)
    )
    box = paste.window(crop, frame.shape)
    x0, y0, x1, y1 = box
    mask = np.zeros((size, size), np.float32)
    cv2.circle(mask, (63, 63), 50, (1.0,), -1)
    back = paste.to_window(crop, box, crop_pixels)
    placed = paste.to_window(crop, box, mask)
    assert back.shape == (y1 - y0, x1 - x0, 3)
    assert placed.shape == (y1 - y0, x1 - x0)
    inside = placed > 0.999
    assert inside.sum() > 4000 / scale**2
    off = np.abs(back - picture[y0:y1, x0:x1])[inside].mean()
    assert off < 0.003
    # A pixel to one side, and the difference would be several times as large.
    for y, x in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        moved = np.roll(back, (y, x), (0, 1))
        assert np.abs(moved - picture[y0:y1, x0:x1])[inside].mean() > 4 * off
    # The window is the crop's own bounds: its middle is the crop's middle.
    center = invert(matrix)[:, :2] @ (63.5, 63.5) + invert(matrix)[:, 2]
    if x0 > 0 and y0 > 0 and x1 < 320 and y1 < 240:
        assert np.abs(np.array([(x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2]) - center).max() <= 1
    rows, columns = np.nonzero(placed > 0.5)
    middle = invert(matrix)[:, :2] @ (63, 63) + invert(matrix)[:, 2]
    assert columns.mean() + x0 == pytest.approx(middle[0], abs=0.1)
    assert rows.mean() + y0 == pytest.approx(middle[1], abs=0.1)


def test_a_window_of_the_frame_is_laid_back_to_the_bit(
    model_face: Callable[..., Face], crop_of: CropOf
) -> None:
    frame = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    crop = crop_of(frame, model_face(), window=(17, 23, 77, 80))
    box = paste.window(crop, frame.shape)
    assert box == (17, 23, 77, 80)
    picture = frame[23:80, 17:77].astype(np.float32) / 255
    assert np.array_equal(paste.to_window(crop, box, picture), picture)


@settings(max_examples=25)
@given(
    scale=st.floats(0.2, 3),
    angle=st.floats(-180, 180),
    x=st.floats(-60, 160),
    y=st.floats(-60, 160),
)
def test_a_window_lies_in_the_frame_and_holds_all_of_the_crop_that_is_in_it(
    model_face: Callable[..., Face],
    crop_of: CropOf,
    scale: float,
    angle: float,
    x: float,
    y: float,
) -> None:
    frame = np.zeros((100, 120, 3), np.uint8)
    matrix = similarity(scale, angle, 0, 0)
    matrix[:, 2] = 31.5 - matrix[:, :2] @ (x, y)
    crop = crop_of(frame, model_face(), matrix=matrix, pixels=np.zeros((64, 64, 3), np.uint8))
    x0, y0, x1, y1 = paste.window(crop, frame.shape)
    assert x0 >= 0
    assert y0 >= 0
    assert x1 <= 120
    assert y1 <= 100
    rows, columns = np.indices((100, 120))
    places = np.stack([columns, rows], -1) @ matrix[:, :2].T + matrix[:, 2]
    covered = ((places >= -0.499) & (places <= 63.499)).all(-1)
    covered[y0 : max(y1, y0), x0 : max(x1, x0)] = False
    assert not covered.any()


def test_nothing_beyond_the_crop_is_opaque(
    model_face: Callable[..., Face], crop_of: CropOf
) -> None:
    """Outside the crop there is no mask, even where the mask touches the crop's edge."""
    frame = np.zeros((200, 200, 3), np.uint8)
    matrix = similarity(0.8, 30, 0, 0)
    matrix[:, 2] = 31.5 - matrix[:, :2] @ (100, 100)
    crop = crop_of(frame, model_face(), matrix=matrix, pixels=np.zeros((64, 64, 3), np.uint8))
    box = paste.window(crop, frame.shape)
    placed = paste.to_window(crop, box, np.ones((64, 64), np.float32))
    rows, columns = np.indices(placed.shape)
    inside = np.stack([columns + box[0], rows + box[1]], -1) @ matrix[:, :2].T + matrix[:, 2]
    beyond = ((inside < -1.5) | (inside > 64.5)).any(-1)
    assert beyond.any()
    assert (placed[beyond] == 0).all()
    assert (placed[((inside > 1) & (inside < 62)).all(-1)] > 0.99).all()


# Depth and rounding.


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_rounding_is_to_nearest_without_a_bias(dtype: type) -> None:
    top = np.iinfo(dtype).max
    frame = np.zeros((8, 8, 3), dtype)
    values = np.array([0.0, 0.49, 0.51, 1.4, 1.6, 99.51, 200.49, 254.9], np.float32)
    composed = np.broadcast_to((values / np.float32(top))[:, None], (8, 8))
    composed = np.repeat(composed[..., None], 3, 2).astype(np.float32)
    patch = paste.as_patch(frame, (0, 0, 8, 8), composed, np.ones((8, 8), np.float32))
    assert patch.pixels.dtype == dtype
    assert patch.pixels[:, 0, 0].tolist() == [0, 0, 1, 1, 2, 100, 200, 255]
    ramp = np.random.default_rng(1).uniform(0, 1, (100, 100, 3)).astype(np.float32)
    frame = np.zeros((100, 100, 3), dtype)
    patch = paste.as_patch(frame, (0, 0, 100, 100), ramp, np.ones((100, 100), np.float32))
    error = patch.pixels.astype(np.float64) - ramp.astype(np.float64) * top
    assert np.abs(error).max() <= 0.51
    assert abs(error.mean()) < 0.01


def test_values_out_of_range_are_clipped_and_do_not_wrap() -> None:
    frame = np.full((1, 2, 3), 9, np.uint8)
    composed = np.array([[[-0.2] * 3, [1.3] * 3]], np.float32)
    patch = paste.as_patch(frame, (0, 0, 2, 1), composed, np.ones((1, 2), np.float32))
    assert patch.pixels[0, :, 0].tolist() == [0, 255]


def test_a_patch_is_the_frame_itself_where_the_mask_is_nothing() -> None:
    frame = np.random.default_rng(1).integers(0, 255, (30, 40, 3), np.uint8)
    mask = np.zeros((10, 12), np.float32)
    mask[4:6, 5:9] = 1 / 512
    composed = np.full((10, 12, 3), 0.5, np.float32)
    patch = paste.as_patch(frame, (20, 15, 32, 25), composed, mask)
    assert (patch.x, patch.y) == (20, 15)
    assert np.array_equal(patch.mask, mask > 0)
    assert np.array_equal(patch.pixels[~patch.mask], frame[15:25, 20:32][~patch.mask])
    assert (patch.pixels[patch.mask] == 128).all()


def test_pasting_touches_only_the_window_and_in_it_only_the_mask() -> None:
    frame = np.random.default_rng(1).integers(0, 255, (30, 40, 3), np.uint8)
    before = frame.copy()
    mask = np.random.default_rng(2).random((6, 7)) > 0.5
    patch = Patch(12, 9, np.full((6, 7, 3), 77, np.uint8), mask)
    paste.paste(frame, patch)
    changed = np.zeros((30, 40), bool)
    changed[9:15, 12:19] = mask
    assert (frame[changed] == 77).all()
    assert np.array_equal(frame[~changed], before[~changed])
