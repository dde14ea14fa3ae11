"""A picture that shows swaps side by side: source, target, result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sosie.types import Face, Pixels

COLUMNS = ("source", "target", "result")
_TILE_PX = 420
_GAP_PX = 16
_LABEL_PX = 44
_PAPER = (250, 249, 246)
_INK = (40, 40, 44)
_FACES_WIDE = 2.2
"""Side of the square that is shown, in sizes of the face."""


@dataclass(frozen=True)
class Row:
    """One swap. Pictures are RGB uint8, h x w x 3; each face says what part of them to show.

    target and result are the same part of one frame, so both are placed by the target's face.
    """

    source: Pixels
    source_face: Face
    target: Pixels
    result: Pixels
    target_face: Face


def draw_contact_sheet(rows: Sequence[Row]) -> NDArray[np.uint8]:
    """The sheet, RGB uint8, a line of three pictures for each row under a line of labels."""
    step = _TILE_PX + _GAP_PX
    width = _GAP_PX + step * len(COLUMNS)
    sheet = Image.new("RGB", (width, _LABEL_PX + step * len(rows)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=22)
    for column, label in enumerate(COLUMNS):
        middle = _GAP_PX + step * column + _TILE_PX / 2
        draw.text((middle, _LABEL_PX / 2), label, fill=_INK, font=font, anchor="mm")
    for number, row in enumerate(rows):
        shown = (
            (row.source, row.source_face),
            (row.target, row.target_face),
            (row.result, row.target_face),
        )
        for column, (pixels, face) in enumerate(shown):
            place = (_GAP_PX + step * column, _LABEL_PX + step * number)
            sheet.paste(_tile(pixels, face), place)
    return np.array(sheet)


def _tile(pixels: Pixels, face: Face) -> Image.Image:
    """The square round a face, kept inside the picture, at the size of a tile."""
    height, width = pixels.shape[:2]
    side = min(face.size_px * _FACES_WIDE, height, width)
    x, y = face.center
    left = min(max(x - side / 2, 0), width - side)
    top = min(max(y - side * 0.52, 0), height - side)
    box = (left, top, left + side, top + side)
    picture = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))
    return picture.resize((_TILE_PX, _TILE_PX), Image.Resampling.LANCZOS, box=box)
