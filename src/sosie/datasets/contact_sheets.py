"""Contact sheets: a few faces of a person, side by side, as a picture inside a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sosie.types import FloatArray

_TILE_PX = 88
_PAPER = (236, 234, 228)
_QUALITY = 78


def contact_sheet(pictures: Sequence[Path], columns: int) -> tuple[str, int, int]:
    """A JPEG as a `data:` address, and its width and height in pixels.

    A picture that cannot be read is left an empty tile, so that one does not cost the page.
    """
    rows = -(-len(pictures) // columns)
    width, height = min(columns, len(pictures)) * _TILE_PX, rows * _TILE_PX
    sheet = Image.new("RGB", (max(width, 1), max(height, 1)), _PAPER)
    for number, path in enumerate(pictures):
        place = (number % columns * _TILE_PX, number // columns * _TILE_PX)
        try:
            if not path.is_file():
                continue
            with Image.open(path) as picture:
                picture.draft("RGB", (_TILE_PX, _TILE_PX))
                tile = picture.convert("RGB").resize((_TILE_PX,) * 2, Image.Resampling.BOX)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
        sheet.paste(tile, place)
    data = io.BytesIO()
    sheet.save(data, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}", width, height


def spread(figures: FloatArray, limit: int) -> list[int]:
    """Rows that show the whole range: the most usual one, then always the one furthest from those
    taken. figures: N x M, on comparable scales."""
    if not len(figures):
        return []
    taken = [int(np.linalg.norm(figures - np.median(figures, 0), axis=1).argmin())]
    apart = np.linalg.norm(figures - figures[taken[0]], axis=1)
    while len(taken) < min(limit, len(figures)):
        row = int(apart.argmax())
        if apart[row] <= 0:
            break
        taken.append(row)
        apart = np.minimum(apart, np.linalg.norm(figures - figures[row], axis=1))
    return taken
