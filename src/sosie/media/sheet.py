"""Sheets of pictures in rows and columns, under labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sosie.types import Pixels

GAP_PX = 16
_HEAD_PX, _LABEL_PX, _HEAD_FONT_PX, _LABEL_FONT_PX = 44, 30, 22, 18
PAPER = (250, 249, 246)
_INK = (40, 40, 44)


def draw_sheet(
    columns: Sequence[str],
    rows: Sequence[Sequence[Image.Image]],
    labels: Sequence[str] | None = None,
) -> NDArray[np.uint8]:
    """The sheet, RGB, h x w x 3: rows of pictures under a line of what the columns are.

    rows: as many pictures in each as there are columns, of any sizes; each is put into the middle
    of its place. labels: a line for each row, above it.
    """
    label_px = 0 if labels is None else _LABEL_PX
    widths = [max(row[k].width for row in rows) for k in range(len(columns))]
    heights = [max(tile.height for tile in row) for row in rows]
    width = GAP_PX + sum(one + GAP_PX for one in widths)
    height = _HEAD_PX + sum(label_px + one + GAP_PX for one in heights)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    head, line = (ImageFont.load_default(size=size) for size in (_HEAD_FONT_PX, _LABEL_FONT_PX))
    lefts = [GAP_PX + sum(widths[:k]) + GAP_PX * k for k in range(len(columns))]
    for left, wide, label in zip(lefts, widths, columns, strict=True):
        draw.text((left + wide / 2, _HEAD_PX / 2), label, fill=_INK, font=head, anchor="mm")
    top = _HEAD_PX
    for number, (row, high) in enumerate(zip(rows, heights, strict=True)):
        if labels is not None:
            middle = top + label_px / 2
            draw.text((GAP_PX, middle), labels[number], fill=_INK, font=line, anchor="lm")
            top += label_px
        for left, wide, tile in zip(lefts, widths, row, strict=True):
            sheet.paste(tile, (left + (wide - tile.width) // 2, top + (high - tile.height) // 2))
        top += high + GAP_PX
    return np.array(sheet)


def tile_of(pixels: Pixels, width: int, height: int, sample_aspect: float = 1.0) -> Image.Image:
    """A picture (RGB, h x w x 3, or gray, h x w; uint8 or uint16) as large as fits into a place.

    sample_aspect: width over height of its pixels as they are to be seen.
    """
    shown_width, shown_height = pixels.shape[1] * sample_aspect, pixels.shape[0]
    scale = min(width / shown_width, height / shown_height)
    size = (max(1, round(shown_width * scale)), max(1, round(shown_height * scale)))
    picture = Image.fromarray(as_bytes(pixels)).convert("RGB")
    return picture.resize(size, Image.Resampling.LANCZOS)


def as_bytes(pixels: Pixels) -> NDArray[np.uint8]:
    """Pixels in 8 bits, contiguous."""
    eight = pixels if pixels.dtype == np.uint8 else pixels >> 8
    return np.ascontiguousarray(eight, dtype=np.uint8)
