"""Frames in their native planes: to RGB, and patches of RGB back into just the samples they cover.

Conversions are swscale's, in both directions with the same matrix and range, so that a pixel that
goes to RGB and back unchanged returns to its sample.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from av.codec.codec import find_best_pix_fmt_of_list
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from sosie.errors import InputError
from sosie.types import Patch, Pixels

# Accurate rounding: without it swscale darkens 4:2:0 by a level on the way to RGB.
ACCURATE = Interpolation.BILINEAR | Interpolation.ACCURATE_RND

_NATIVE = re.compile(
    r"yuvj?(420|422|440|444)p|yuv(420|422|440|444)p(10|12|14|16)le|yuva(420|422|444)p(10le|16le)?|"
    r"yuva(422|444)p12le|nv12|nv16|p010le|p210le|rgb24|gbrp((10|12|14|16)le)?|"
    r"gbrap((10|12|14|16)le)?|gray((10|12|14|16)le)?"
)
# What frames in other formats are converted to, whichever loses least.
_FALLBACKS = [
    *("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"),
    *("yuv444p16le", "yuva420p", "yuva444p", "yuva444p16le", "gbrp", "gbrp12le", "gbrp16le"),
    *("gbrap", "gbrap12le", "gbrap16le", "gray", "gray12le", "gray16le"),
]
# Matrix tag (ITU-T H.273) -> swscale's number of its coefficients. Tag 10, BT.2020 with constant
# luminance, is taken for 9: wrong in RGB by a little, and back by the same.
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_BT709, _BT601 = 1, 5
_LIMITED, _FULL = 1, 2
_UNTAGGED = (2, 3)
# swscale has no path for pictures of a few pixels.
_MIN_PATCH_PX = 16
_PATCH_MARGIN_PX = 2
# A part of a frame is converted with so much around it, and begins at a multiple of this.
_PART_GRID_PX = 16

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1, the last two exclusive."""


@dataclass(frozen=True)
class Colors:
    """How the samples of a video mean colors.

    matrix: swscale's number, None for a video in RGB. value_range: 1 limited, 2 full.
    """

    matrix: int | None
    value_range: int

    @classmethod
    def of(cls, frame: VideoFrame, name: str) -> Colors:
        """From a frame's tags. A video without a matrix tag is taken for BT.709 from 720 lines up,
        else for BT.601, as players do. Raises InputError on a matrix that is not supported."""
        full = int(frame.color_range) == _FULL or frame.format.name.startswith("yuvj")
        if frame.format.is_rgb:
            return cls(None, _FULL)
        tag = int(frame.colorspace)
        if tag in _UNTAGGED or tag == 0:
            tag = _BT709 if frame.height >= 720 else _BT601
        if tag not in _MATRICES:
            raise InputError(
                f"{name} has colors by matrix {tag} of ITU-T H.273, which is not supported; "
                f"convert it to BT.709 first."
            )
        return cls(_MATRICES[tag], _FULL if full else _LIMITED)


class Converter:
    """Conversions of one video's frames. Threads may share it: each has its own scaler."""

    def __init__(self, colors: Colors) -> None:
        self.colors = colors
        self._local = threading.local()
        self._one_at_a_time = threading.Lock()

    def reformat(self, frame: VideoFrame, format_name: str, threads: int = 0) -> VideoFrame:
        """The frame in another pixel format, in the video's matrix and range."""
        matrix, value_range = self.colors.matrix, self.colors.value_range
        source_rgb, target_rgb = frame.format.is_rgb, is_rgb(format_name)
        if source_rgb and not target_rgb and matrix is None:
            matrix, value_range = _BT709, _LIMITED
        return self._scaler().reformat(
            frame,
            format=format_name,
            interpolation=ACCURATE,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=_FULL if source_rgb else value_range,
            dst_color_range=_FULL if target_rgb else value_range,
            threads=threads,
        )

    def scaled(self, frame: VideoFrame, width: int, height: int) -> VideoFrame:
        """A frame of another size with all that belongs to a frame: its times, tags and side data.
        Its pixels are the nearest ones."""
        matrix, value_range = self.colors.matrix, self.colors.value_range
        scaled = VideoReformatter().reformat(
            frame,
            width=width,
            height=height,
            interpolation=Interpolation.POINT,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            src_color_range=value_range,
            dst_color_range=value_range,
            threads=1,
        )
        scaled.colorspace, scaled.color_range = frame.colorspace, frame.color_range
        return scaled

    def to_rgb(self, frame: VideoFrame) -> Pixels:
        """RGB as stored, h x w x 3: uint8, or uint16 in 0..65535 for videos of more than 8 bits."""
        deep = bit_depth(frame) > 8
        # The planes in between take as much memory as the result.
        with self._one_at_a_time:
            planar = self.reformat(frame, "gbrp16le" if deep else "gbrp")
            green, blue, red = (plane_array(planar, i) for i in range(3))
            return np.asarray(cv2.merge([red, green, blue]))

    def part_to_rgb(self, frame: VideoFrame, box: Box) -> Pixels:
        """As `to_rgb`, of a part of the frame alone, as stored."""
        grid_x, grid_y = chroma_grid(frame)
        x0, y0, x1, y1 = box
        if frame.width % grid_x or frame.height % grid_y:
            # Chroma is stretched by another factor over all of an odd frame.
            return self.to_rgb(frame)[y0:y1, x0:x1]
        # Some more around it, so that swscale sees there what it sees in the whole.
        left, top = (
            max(0, side - _PART_GRID_PX) // _PART_GRID_PX * _PART_GRID_PX for side in box[:2]
        )
        ends = [(side // _PART_GRID_PX + 2) * _PART_GRID_PX for side in box[2:]]
        right, bottom = min(ends[0], frame.width), min(ends[1], frame.height)
        # A new frame would not know where chroma samples lie between the pixels.
        part = self.scaled(frame, right - left, bottom - top)
        for index in range(len(frame.planes)):
            whole = plane_array(frame, index)
            across, down = round(frame.width / whole.shape[1]), round(frame.height / whole.shape[0])
            plane_array(part, index)[...] = whole[
                top // down : bottom // down, left // across : right // across
            ]
        return self.to_rgb(part)[y0 - top : y1 - top, x0 - left : x1 - left]

    def paste(self, frame: VideoFrame, patch: Patch) -> None:
        """Writes the pixels under the patch's mask into the frame's planes, in stored coordinates.
        A chroma sample is written where any of its pixels is. All other samples stay as they are.
        """
        box = _mask_box(patch.mask)
        if box is None:
            return
        x, y, rgb, mask = _cut(patch, box, frame)
        small = VideoFrame.from_ndarray(rgb, "rgb48le" if rgb.dtype == np.uint16 else "rgb24")
        native = self.reformat(small, frame.format.name, threads=1)
        frame.make_writable()
        alpha = {c.plane for c in frame.format.components if c.is_alpha}
        for index in range(len(frame.planes)):
            # Alpha in a plane of its own is not the swap's to change.
            if index in alpha:
                continue
            target, source = plane_array(frame, index), plane_array(native, index)
            step_x, step_y = rgb.shape[1] // source.shape[1], rgb.shape[0] // source.shape[0]
            covered = _any_block(mask, step_x, step_y)
            window = target[y // step_y :, x // step_x :][: covered.shape[0], : covered.shape[1]]
            covered = covered[: window.shape[0], : window.shape[1]]
            where = covered if window.ndim == 2 else covered[..., None]
            np.copyto(window, source[: window.shape[0], : window.shape[1]], where=where)

    def _scaler(self) -> VideoReformatter:
        scaler = getattr(self._local, "scaler", None)
        if scaler is None:
            scaler = self._local.scaler = VideoReformatter()
        return scaler


def is_rgb(format_name: str) -> bool:
    """Whether a pixel format holds RGB and not luma and chroma."""
    return bool(VideoFormat(format_name).is_rgb)


def bit_depth(frame: VideoFrame) -> int:
    """Bits of a frame's deepest component."""
    return max(c.bits for c in frame.format.components)


def has_alpha(format_name: str, frame: VideoFrame) -> bool:
    """Whether a frame carries transparency."""
    return format_name == "pal8" or any(c.is_alpha for c in frame.format.components)


def native_format(frame: VideoFrame) -> str:
    """The pixel format in which frames of this video are pasted into: its own where its planes can
    be written to, else the one of those that loses least."""
    name = frame.format.name
    if _NATIVE.fullmatch(name):
        return name
    best, _ = find_best_pix_fmt_of_list(_FALLBACKS, name, has_alpha(name, frame))
    return str(getattr(best, "name", best))


def plane_array(frame: VideoFrame, index: int) -> NDArray[Any]:
    """A plane as an array on the frame's own memory: h x w, or h x w x c where it interleaves c
    components; uint8, uint16, or float32 where the format is one of floats."""
    plane = frame.planes[index]
    components = [c for c in frame.format.components if c.plane == index]
    bits = components[0].bits
    dtype = np.dtype(np.float32 if bits > 16 else np.uint16 if bits > 8 else np.uint8)
    count = len(components)
    shape = (plane.height, plane.width, count)
    strides = (plane.line_size, dtype.itemsize * count, dtype.itemsize)
    array: NDArray[Any] = np.ndarray(shape, dtype, buffer=memoryview(plane), strides=strides)
    return array[..., 0] if count == 1 else array


def _mask_box(mask: NDArray[np.bool_]) -> Box | None:
    """x0, y0, x1, y1 (exclusive) of what is set, None where nothing is."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if not len(columns):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _cut(patch: Patch, box: Box, frame: VideoFrame) -> tuple[int, int, Pixels, NDArray[np.bool_]]:
    """The part of a patch that counts, on the grid of the frame's chroma: x, y, RGB and mask.

    Around the mask's box it takes some more of the patch, for chroma's filter to see true
    neighbors, and beyond the patch it repeats the edge, which is then not written.
    """
    height, width = patch.mask.shape
    x0, y0 = max(box[0] - _PATCH_MARGIN_PX, 0), max(box[1] - _PATCH_MARGIN_PX, 0)
    x1, y1 = min(box[2] + _PATCH_MARGIN_PX, width), min(box[3] + _PATCH_MARGIN_PX, height)
    grid_x, grid_y = chroma_grid(frame)
    left, top = (patch.x + x0) % grid_x, (patch.y + y0) % grid_y
    full_width = max(_MIN_PATCH_PX, -(-(left + x1 - x0) // grid_x) * grid_x)
    full_height = max(_MIN_PATCH_PX, -(-(top + y1 - y0) // grid_y) * grid_y)
    right, bottom = full_width - left - (x1 - x0), full_height - top - (y1 - y0)
    rgb = cv2.copyMakeBorder(
        np.ascontiguousarray(patch.pixels[y0:y1, x0:x1]),
        top, bottom, left, right, cv2.BORDER_REPLICATE,
    )  # fmt: skip
    mask = np.pad(patch.mask[y0:y1, x0:x1], ((top, bottom), (left, right)))
    return patch.x + x0 - left, patch.y + y0 - top, np.asarray(rgb), mask


def chroma_grid(frame: VideoFrame) -> tuple[int, int]:
    """Pixels that share a chroma sample, in x and y."""
    parts = [c for c in frame.format.components if c.is_chroma]
    if not parts:
        return 1, 1
    # Chroma planes of odd frames are rounded up.
    return round(frame.width / parts[0].width), round(frame.height / parts[0].height)


def _any_block(mask: NDArray[np.bool_], step_x: int, step_y: int) -> NDArray[np.bool_]:
    covered = np.zeros((mask.shape[0] // step_y, mask.shape[1] // step_x), bool)
    for y in range(step_y):
        for x in range(step_x):
            covered |= mask[y::step_y, x::step_x]
    return covered
