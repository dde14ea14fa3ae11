"""Colors are exact both ways, and a patch changes just the samples under its mask."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sosie.errors import InputError
from sosie.media.pixel_formats import Colors, Converter, bit_depth, native_format, plane_array
from sosie.types import Patch

W, H = 160, 96
PASTED = (
    *("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "nv12", "yuv420p10le", "yuv422p10le"),
    *("p010le", "yuv444p10le", "rgb24", "gbrp", "gray", "yuva420p"),
)
COEFFICIENTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


def blocks(size: int = 8) -> np.ndarray:
    """RGB in 0..1: patches of one color each, so that chroma's resolution plays no part."""
    colors = np.random.default_rng(3).random((H // size, W // size, 3))
    return np.kron(colors, np.ones((size, size, 1)))


def yuv_frame(rgb: np.ndarray, name: str, matrix: int, full: bool, tagged: bool = True) -> Any:
    """A frame made by the formulas of ITU-T H.273, without any library."""
    red, blue = COEFFICIENTS[matrix]
    luma = rgb @ [red, 1 - red - blue, blue]
    difference_b = (rgb[..., 2] - luma) / (2 * (1 - blue))
    difference_r = (rgb[..., 0] - luma) / (2 * (1 - red))
    frame = av.VideoFrame(W, H, name)
    if tagged:
        frame.colorspace, frame.color_range = matrix, 2 if full else 1
    scale = 2 ** (bit_depth(frame) - 8)
    if full:
        samples = [luma * (256 * scale - 1)]
        samples += [d * (256 * scale - 1) + 128 * scale for d in (difference_b, difference_r)]
    else:
        samples = [(16 + luma * 219) * scale]
        samples += [(128 + d * 224) * scale for d in (difference_b, difference_r)]
    for index, values in enumerate(samples):
        plane = plane_array(frame, index)
        step_y, step_x = H // plane.shape[0], W // plane.shape[1]
        plane[:] = np.rint(values[::step_y, ::step_x])
    return frame


def frame_of(name: str) -> Any:
    y, x = np.mgrid[:H, :W]
    rgb = np.stack([60 + x, 40 + 2 * y, 200 - x], -1).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=name)
    frame.pts, frame.time_base = 0, 1
    return frame


def planes(frame: Any) -> list[np.ndarray]:
    return [plane_array(frame, index).copy() for index in range(len(frame.planes))]


@pytest.mark.parametrize("matrix", [1, 5, 6, 9])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", ["yuv420p", "yuv444p", "yuv420p10le", "yuv422p10le"])
def test_rgb_is_by_the_videos_matrix_and_range(name: str, matrix: int, full: bool) -> None:
    frame = yuv_frame(blocks(), name, matrix, full)
    rgb = Converter(Colors.of(frame, "film")).to_rgb(frame)
    top = np.iinfo(rgb.dtype).max
    middle = (slice(4, None, 8), slice(4, None, 8))
    error = (rgb[middle].astype(float) / top - blocks()[middle]) * 255
    assert rgb.dtype == (np.uint16 if "10" in name else np.uint8)
    assert np.abs(error).max() < 2.3  # of which rounding to samples is 2
    assert abs(error.mean()) < 0.6


@pytest.mark.parametrize(("height", "matrix"), [(720, 1), (480, 5)])
def test_untagged_videos_go_by_their_height(height: int, matrix: int) -> None:
    frame = av.VideoFrame(64, height, "yuv420p")
    assert Colors.of(frame, "film").matrix == matrix


def test_an_unknown_matrix_is_refused() -> None:
    frame = av.VideoFrame(64, 64, "yuv420p")
    frame.colorspace = 14
    with pytest.raises(InputError, match=r"matrix 14 .* convert it to BT.709"):
        Colors.of(frame, "film")


@pytest.mark.parametrize("name", PASTED)
def test_a_patch_changes_the_samples_under_its_mask_and_no_others(name: str) -> None:
    frame = frame_of(name)
    converter = Converter(Colors.of(frame, "film"))
    before = planes(frame)
    dtype = np.uint16 if bit_depth(frame) > 8 else np.uint8
    mask = np.zeros((31, 41), bool)
    mask[5:20, 7:30] = True
    mask[9, 12] = False
    mask[25, 35] = True
    pixels = np.full((31, 41, 3), np.iinfo(dtype).max // 5 * 4, dtype)
    x, y = 33, 21
    converter.paste(frame, Patch(x, y, pixels, mask))
    whole = np.zeros((H, W), bool)
    whole[y : y + 31, x : x + 41] = mask
    for index, (old, new) in enumerate(zip(before, planes(frame), strict=True)):
        step_y, step_x = H // old.shape[0], W // old.shape[1]
        covered = whole.reshape(H // step_y, step_y, W // step_x, step_x).any((1, 3))
        changed = old != new
        if changed.ndim == 3:
            changed = changed.any(2)
        assert not changed[~covered].any()
        if name == "yuva420p" and index == 3:
            assert not changed.any()
        else:
            assert changed[covered].mean() > 0.9


@pytest.mark.parametrize("name", PASTED)
def test_a_patch_shows_its_color(name: str) -> None:
    frame = frame_of(name)
    converter = Converter(Colors.of(frame, "film"))
    dtype = np.uint16 if bit_depth(frame) > 8 else np.uint8
    unit = np.iinfo(dtype).max // 255
    color = np.array([200, 60, 90]) * unit
    if name == "gray":
        color[:] = 120
    pixels = np.broadcast_to(color.astype(dtype), (40, 40, 3))
    converter.paste(frame, Patch(50, 30, pixels, np.ones((40, 40), bool)))
    seen = converter.to_rgb(frame)[34:66, 54:86].astype(float)
    assert np.abs(seen - color).max() <= 2 * unit


@pytest.mark.parametrize("name", PASTED)
def test_a_patch_of_what_is_there_changes_next_to_nothing(name: str) -> None:
    """The luma to the bit, chroma by the little that halving its resolution twice costs."""
    frame = frame_of(name)
    converter = Converter(Colors.of(frame, "film"))
    rgb = converter.to_rgb(frame)
    before = planes(frame)
    converter.paste(frame, Patch(20, 10, rgb[10:70, 20:101].copy(), np.ones((60, 81), bool)))
    shift = {"p010le": 6}.get(name, 0)
    for index, (old, new) in enumerate(zip(before, planes(frame), strict=True)):
        error = np.abs((old >> shift).astype(int) - (new >> shift))
        deep = bit_depth(frame) > 8
        assert error.max() <= (0 if index == 0 else 6 if deep else 2)


@given(
    st.sampled_from(["yuv420p", "nv12", "yuv422p", "p010le", "rgb24"]),
    st.integers(0, W - 1),
    st.integers(0, H - 1),
    st.data(),
)
@settings(max_examples=80, deadline=None)
def test_patches_of_any_place_and_size(name: str, x: int, y: int, data: st.DataObject) -> None:
    width = data.draw(st.integers(1, min(40, W - x)))
    height = data.draw(st.integers(1, min(40, H - y)))
    frame = frame_of(name)
    converter = Converter(Colors.of(frame, "film"))
    dtype = np.uint16 if bit_depth(frame) > 8 else np.uint8
    before = planes(frame)
    pixels = np.zeros((height, width, 3), dtype)
    converter.paste(frame, Patch(x, y, pixels, np.ones((height, width), bool)))
    for index, (old, new) in enumerate(zip(before, planes(frame), strict=True)):
        step_y, step_x = H // old.shape[0], W // old.shape[1]
        outside = np.ones(old.shape[:2], bool)
        outside[
            y // step_y : -(-(y + height) // step_y), x // step_x : -(-(x + width) // step_x)
        ] = False
        np.testing.assert_array_equal(new[outside], old[outside])
        if index == 0:
            assert (new[~outside] <= 16 << (8 if dtype == np.uint16 else 0)).all()


@pytest.mark.parametrize("size", [(192, 128), (199, 131)])
@pytest.mark.parametrize("name", PASTED)
def test_a_part_is_converted_as_the_whole_is(name: str, size: tuple[int, int]) -> None:
    width, height = size
    rng = np.random.default_rng(2)
    rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(format=name)
    converter = Converter(Colors.of(frame, "clip"))
    whole = converter.to_rgb(frame)
    for x0, y0, x1, y1 in ((0, 0, width, height), (37, 51, 90, 84), (101, 3, width, 77)):
        part = converter.part_to_rgb(frame, (x0, y0, x1, y1))
        np.testing.assert_array_equal(part, whole[y0:y1, x0:x1])


def test_an_empty_mask_does_nothing() -> None:
    frame = frame_of("yuv420p")
    before = planes(frame)
    patch = Patch(0, 0, np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9), bool))
    Converter(Colors.of(frame, "film")).paste(frame, patch)
    for old, new in zip(before, planes(frame), strict=True):
        np.testing.assert_array_equal(new, old)


def test_odd_frames_to_their_last_row_and_column() -> None:
    frame = av.VideoFrame.from_ndarray(np.full((49, 67, 3), 90, np.uint8), "rgb24")
    frame = frame.reformat(format="yuv420p")
    converter = Converter(Colors.of(frame, "film"))
    white = np.full((10, 10, 3), 255, np.uint8)
    converter.paste(frame, Patch(57, 39, white, np.ones((10, 10), bool)))
    luma = plane_array(frame, 0)
    assert (luma[39:, 57:] == 235).all()
    assert (luma[:39] < 120).all()
    assert (luma[:, :57] < 120).all()


@pytest.mark.parametrize(
    ("name", "native"),
    [("bgr24", "gbrp"), ("rgba", "gbrap"), ("yuyv422", "yuv422p"), ("yuv420p10be", "yuv420p10le")],
)
def test_formats_that_are_converted_lose_nothing(name: str, native: str) -> None:
    frame = frame_of(name)
    assert native_format(frame) == native
    converter = Converter(Colors.of(frame, "film"))
    converted = converter.reformat(frame, native)
    back = converter.reformat(converted, name)
    for old, new in zip(frame.planes, back.planes, strict=True):
        assert bytes(old) == bytes(new)
