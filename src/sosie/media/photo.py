"""A photo in memory: its pixels, and what of its file is to be kept when it is saved."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sosie.errors import InputError
from sosie.types import Pixels

MAX_PIXELS, MAX_COSTLY_PIXELS = 100_000_000, 50_000_000
"""A photo must have fewer pixels than the first (100 megapixels), and one of 16 bits, a WebP or an
AVIF, which take twice the memory, fewer than the second."""

MIN_SIDE_PX = 16
"""No side of a photo may be shorter."""


@dataclass(frozen=True)
class MemoryFile:
    """A picture's file in memory, opened like a path. name: what messages call it."""

    content: bytes
    name: str

    def open(self, mode: str = "rb") -> BinaryIO:
        """The content as a file for reading; mode must be `rb`."""
        if mode != "rb":
            raise ValueError(f"a file in memory is opened for reading alone, not as {mode!r}")
        return io.BytesIO(self.content)

    def __str__(self) -> str:
        return self.name


PhotoFile = Path | MemoryFile


@dataclass(frozen=True)
class JpegQuality:
    """How a JPEG was quantized, so that it can be saved in the same quality.

    tables: quantization tables as Pillow gives them, each of 64 numbers. subsampling: of the
    chroma: 0 is 4:4:4, 1 is 4:2:2, 2 is 4:2:0.
    """

    tables: dict[int, tuple[int, ...]]
    subsampling: int


@dataclass(frozen=True)
class Photo:
    """A photo, upright. To change it: `dataclasses.replace(photo, pixels=...)`.

    pixels: RGB, h x w x 3, uint8 in 0..255 or uint16 in 0..65535.
    alpha: h x w in the pixels' depth, or None where the photo has no transparency.
    icc_profile: an RGB profile, or None.
    exif: as in a JPEG (`Exif` and two zeros, then a TIFF), orientation 1, without its thumbnail.
    xmp: XMP packet, orientation 1.
    format: Pillow's name of the file's format (`JPEG`, `PNG`, ...), None for an array.
    dpi: pixels an inch, x and y.
    jpeg: quality of the JPEG that it came from.
    lossless: whether it came from a lossless WebP.
    gray: whether it came from a file of one gray channel; while it has no colors, it is saved so.
    png_chunks: color and text chunks of the PNG that it came from: type and content.
    notes: sentences on what could not be kept when the photo was loaded.
    """

    pixels: Pixels
    alpha: NDArray[Any] | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    format: str | None = None
    dpi: tuple[float, float] | None = None
    jpeg: JpegQuality | None = None
    lossless: bool = False
    gray: bool = False
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])


def array_photo(array: NDArray[Any]) -> Photo:
    """A photo from an array: gray (h x w or h x w x 1), RGB or RGBA, uint8 or uint16.

    Raises InputError where the array is of another kind, or its size is out of bounds.
    """
    if not isinstance(array, np.ndarray):
        raise InputError(
            f"A picture must be a path or a numpy array, not a {type(array).__name__}."
        )
    if array.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f"A picture must be of uint8 (0..255) or uint16 (0..65535), not {array.dtype}; "
            f"convert it first."
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise InputError(
            f"A picture must be height x width (gray), or height x width x 3 (RGB) or x 4 (RGBA), "
            f"not of shape {array.shape}."
        )
    check_size(
        array.shape[1],
        array.shape[0],
        "The picture",
        "16 bits" if array.dtype == np.uint16 else None,
    )
    pixels, alpha = split_channels(array)
    return Photo(pixels, alpha)


def split_channels(array: NDArray[Any]) -> tuple[Pixels, NDArray[Any] | None]:
    """RGB and alpha of an array that is gray (h x w or h x w x 1), RGB or RGBA."""
    if array.ndim == 2 or array.shape[2] == 1:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2), None
    alpha = np.ascontiguousarray(array[..., 3]) if array.shape[2] == 4 else None
    return np.ascontiguousarray(array[..., :3]), alpha


def check_size(width: int, height: int, name: str, costly: str | None = None) -> None:
    """Raises InputError where a picture of this size, named by `name`, is out of bounds. costly:
    what of the picture makes it take more memory than others, if anything."""
    if min(width, height) < MIN_SIDE_PX:
        raise InputError(
            f"{name} is {width} x {height} pixels, too small for a face; "
            f"use one of at least {MIN_SIDE_PX} pixels a side."
        )
    limit, for_what = (MAX_COSTLY_PIXELS, f" for {costly}") if costly else (MAX_PIXELS, "")
    if width * height >= limit:
        raise InputError(
            f"{name} has {width * height / 1e6:.0f} megapixels ({width} x {height}), and the limit "
            f"is {limit / 1e6:.0f}{for_what}; shrink it first."
        )
